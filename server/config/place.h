// Places in a definition file, and problems at them.
#pragma once

#include <compare>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"

namespace millrace {

// Line and column, counted from 1; columns count bytes. Line 0: the place is not known.
struct Place {
  int line = 0;
  int column = 0;

  auto operator<=>(const Place&) const = default;
};

// A problem of a definition.
struct Problem {
  Place place;
  std::string path;  // such as `stages[2].cluster.threshold`; may be empty
  std::string what;  // expected value, actual value, and a remedy
};

// Places of a message's fields in its file, by path.
using Places = std::map<std::string, Place, std::less<>>;

// Returns the path of the field that holds the one at `path`; empty for one at the top.
std::string_view ParentPath(std::string_view path);

// Returns true if `path` is `ancestor` or a field below it.
bool IsBelow(std::string_view path, std::string_view ancestor);

// Returns the place of the field at `path`, or of the nearest one that holds it and has a place.
Place PlaceOf(const Places& places, std::string_view path);

// Returns INVALID_ARGUMENT (INVALID_DEFINITION) with all problems in the order of the file, as
// `pipeline.yaml:12:5: stages[2].cluster.threshold: …`.
Status DefinitionError(std::string_view filename, std::vector<Problem> problems);

// Returns the same error for fields of a message, which have no place.
Status DefinitionError(const std::vector<FieldViolation>& violations);

}  // namespace millrace
