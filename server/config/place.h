// Where in a file something stands, and what is wrong there.
#pragma once

#include <compare>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"

namespace millrace {

// Counted from 1; columns count bytes. Line 0: no place is known.
struct Place {
  int line = 0;
  int column = 0;

  auto operator<=>(const Place&) const = default;
};

// Something wrong in a definition.
struct Problem {
  Place place;
  std::string path;  // such as `stages[2].cluster.threshold`; may be empty
  std::string what;  // what was expected, what is there, and what helps
};

// Where the fields of a message stood, by path.
using Places = std::map<std::string, Place, std::less<>>;

// Path of the field that holds the one at `path`; empty for one at the top.
std::string_view ParentPath(std::string_view path);

// Whether `path` is `ancestor` or a field below it.
bool IsBelow(std::string_view path, std::string_view ancestor);

// The place of the field at `path`, or of the nearest one that holds it.
Place PlaceOf(const Places& places, std::string_view path);

// INVALID_ARGUMENT (INVALID_DEFINITION) with all problems, in the order of the file, as
// `pipeline.yaml:12:5: stages[2].cluster.threshold: …`.
Status DefinitionError(std::string_view filename, std::vector<Problem> problems);

// The same of a message's fields, which have no place.
Status DefinitionError(const std::vector<FieldViolation>& violations);

}  // namespace millrace
