// Mustache templates over an item: prompts, and fields made of others. The item's text is data: it is never rendered
// again, nothing is escaped, and neither partials nor lambdas exist, so that no item can do more than stand in its
// place.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "server/base/status.h"

namespace millrace {

// A parsed template. A variable's name is a path as FindPath (server/base/json.h) takes it, looked for in the innermost
// section first. Text stands as it is; numbers and `true` and `false` as JSON writes them; null and what is absent as
// nothing; lists and objects as JSON. A section is rendered for each element of a list, once for another value that is
// neither absent, null, false, nor empty text; in it `{{.}}` is that value. Copies share; any thread may render.
class Template {
 public:
  // INVALID_ARGUMENT (TEMPLATE) where tags are not closed, or where it has partials (`{{>`), changes its delimiters
  // (`{{=`), or has more than 256 sections.
  static StatusOr<Template> Parse(std::string_view text);

  // The text for an item. FAILED_PRECONDITION (TEMPLATE) where it would have more than `bytes_max` bytes.
  StatusOr<std::string> Render(const boost::json::value& item, size_t bytes_max) const;

  // Paths that it reads from the item itself, sorted; `.` where it reads the whole. What stands inside of sections is
  // left out, because it may be the section's own.
  std::vector<std::string> Fields() const;

 private:
  struct Parsed;
  explicit Template(std::shared_ptr<Parsed> parsed) : parsed_(std::move(parsed)) {}

  std::shared_ptr<Parsed> parsed_;
};

}  // namespace millrace
