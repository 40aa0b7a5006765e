// The kinds of stages as this version knows them. A server of another version may have others.
#pragma once

#include <optional>
#include <string_view>

#include "server/stages/registry.h"

namespace millrace::cli {

// Returns the shape of a kind; nullopt if it is not known.
std::optional<StageShape> ShapeOfKind(std::string_view kind);

// Returns true if a kind's items are new ones, of which a summary speaks: families, not the titles that are in them. A
// kind that only joins items passes their fields through.
bool MakesNewItems(std::string_view kind);

}  // namespace millrace::cli
