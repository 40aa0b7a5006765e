// Templates over an item, for prompts and for fields made of other fields: the part of Mustache that docs/templates.md
// describes. The text of an item is data: it is never rendered as a template and never escaped, and neither partials
// nor lambdas exist, so that an item can change nothing but its own place in the output.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "server/base/status.h"

namespace millrace {

class FieldTree;

// A name that a template reads, with its first place in the text. Lines and columns count from 1, columns in bytes.
struct TemplateName {
  std::string name;
  size_t line = 0;
  size_t column = 0;
};

// A parsed template. A name is a path of FindPath (server/base/json.h) whose first part is searched in the innermost
// section first; the rest is looked up in what was found. Text is copied unchanged; numbers, `true`, `false`, lists and
// objects are written as JSON; null and absent values as nothing. A section is rendered once for each element of a
// list, and once for any other value that is not absent, null, false or an empty text; inside it `{{.}}` is that value.
// Copies share one parsed form. Any thread may render.
class Template {
 public:
  // Parses a template. TEMPLATE with line and column if a tag or section is not closed, or the text has a partial
  // (`{{>`), a change of delimiters (`{{=`), more than 256 sections, a name of more than 256 bytes, or what belongs to
  // other template languages: a filter, an expression, `{% … %}`, `{{#each …}}`.
  static StatusOr<Template> Parse(std::string_view text);

  // Returns the text for an item. TEMPLATE if it would have more than `bytes_max` bytes, or takes more than 10,000,000
  // steps.
  StatusOr<std::string> Render(const boost::json::value& item, size_t bytes_max) const;

  // Returns the names that no item with these fields has, each once, in the order of the text.
  std::vector<TemplateName> Missing(const FieldTree& item) const;

  // Returns true if the text is the same for all items, because it has no tag but comments.
  bool is_constant() const;

 private:
  struct Parsed;
  explicit Template(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}

  std::shared_ptr<const Parsed> parsed_;
};

}  // namespace millrace
