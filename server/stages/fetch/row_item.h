// Ids and JSON of items that come from outside.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/map.h>
#include <boost/json/fwd.hpp>

#include "server/stages/stage.h"

namespace millrace::fetch {

// Names that fields take instead, by their name in the source.
using Renames = google::protobuf::Map<std::string, std::string>;

// What is wrong with an item's id: it must be UTF-8 of 1 to 256 bytes without control characters. Nothing: it may be
// one.
std::optional<std::string> IdProblem(std::string_view id);

// The id that a member of an item gives: its text, or its digits where it is a whole number.
struct MemberId {
  std::string id;
  std::string problem;  // empty: there is an id
};
MemberId IdOfMember(const boost::json::object& item, std::string_view member, const Renames& renames);

// The JSON object `text`, which was parsed as `item`, with its members renamed; all else of the text stays as it is.
// An error where two members would have the same name.
StatusOr<std::string> RenameMembers(std::string_view text, const boost::json::object& item, const Renames& renames);

// `; did you mean "…"?` with the name that is nearest, or nothing where none is near.
std::string DidYouMean(std::string_view name, const std::vector<std::string>& names);

// A row that became an item.
FetchedRow GoodRow(std::string id, std::string json);
// A row that can't be one: a failed item, kept with its reason.
FetchedRow BadRow(v1::ErrorReason reason, std::string message);

}  // namespace millrace::fetch
