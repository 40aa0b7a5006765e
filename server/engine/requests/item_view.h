// Items as clients see them.
#pragma once

#include <cstdint>
#include <string>

#include "millrace/storage/v1/records.pb.h"
#include "millrace/v1/run.pb.h"

namespace millrace {

// `structs`: also fills `data`. Takes the record's JSON.
v1::Item ItemView(storage::v1::ItemRecord record, int64_t ordinal, const std::string& stage, bool structs);

}  // namespace millrace
