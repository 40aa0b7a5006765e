// Items as clients see them.
#pragma once

#include <cstdint>
#include <string>

#include "millrace/storage/v1/records.pb.h"
#include "millrace/v1/run.pb.h"

namespace millrace {

// Returns an item as clients see it. `structs`: also fills `data`, which parses the JSON. Moves the record's JSON out.
v1::Item ItemView(storage::v1::ItemRecord record, int64_t ordinal, const std::string& stage, bool structs);

}  // namespace millrace
