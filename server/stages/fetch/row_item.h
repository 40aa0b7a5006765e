// Ids and JSON of items that come from outside.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/map.h>
#include <boost/json/fwd.hpp>

#include "server/stages/fetch_stage.h"

namespace millrace::fetch {

// New names of fields, by their name in the source.
using Renames = google::protobuf::Map<std::string, std::string>;

// Returns the problem of an item's id, which must be UTF-8 of 1 to 256 bytes without control characters; nullopt if it
// has none.
std::optional<std::string> IdProblem(std::string_view id);

// Id from a member of an item: its text, or its digits if it is a whole number.
struct MemberId {
  std::string id;
  std::string problem;  // empty: the id is good
};
MemberId IdOfMember(const boost::json::object& item, std::string_view member, const Renames& renames);

// Returns the JSON object `text` with its members renamed; the rest of the text stays as it is. `item` is `text`
// parsed. INVALID_ARGUMENT (BAD_ITEM) if two members would have the same name.
StatusOr<std::string> RenameMembers(std::string_view text, const boost::json::object& item, const Renames& renames);

// Returns a row with an item.
FetchedRow GoodRow(std::string id, std::string json);
// Returns a row that is a failed item.
FetchedRow BadRow(v1::ErrorReason reason, std::string message);

}  // namespace millrace::fetch
