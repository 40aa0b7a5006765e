// Mustache templates over an item, for prompts and for fields made of other fields. The text of an item is data: it is
// never rendered as a template and never escaped, and neither partials nor lambdas exist, so that an item can change
// nothing but its own place in the output.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "server/base/status.h"

namespace millrace {

// A parsed template. The name of a variable is a path of FindPath (server/base/json.h), searched in the innermost
// section first. Text is copied unchanged; numbers, `true`, `false`, lists and objects are written as JSON; null and
// absent values as nothing. A section is rendered once for each element of a list, and once for any other value that is
// not absent, null, false or an empty text; inside it `{{.}}` is that value. Copies share one parsed form. Any thread
// may render.
class Template {
 public:
  // Parses a template. TEMPLATE if a tag or section is not closed, or the text has a partial (`{{>`), a change of
  // delimiters (`{{=`) or more than 256 sections.
  static StatusOr<Template> Parse(std::string_view text);

  // Returns the text for an item. TEMPLATE if it would have more than `bytes_max` bytes, or sections would be entered
  // more than 1,000,000 times.
  StatusOr<std::string> Render(const boost::json::value& item, size_t bytes_max) const;

  // Returns the paths that it reads from the item itself, sorted; `.` if it reads the whole item. Omits names inside of
  // sections, because they may be fields of the section's value.
  std::vector<std::string> Fields() const;

 private:
  struct Parsed;
  explicit Template(std::shared_ptr<Parsed> parsed) : parsed_(std::move(parsed)) {}

  std::shared_ptr<Parsed> parsed_;
};

}  // namespace millrace
