// Reader of files with one JSON object a line, as v1::JsonlSource describes it. An item keeps the text of its line,
// with its numbers and the order of its members. A line that can't be read is a failed item with its line and byte.
#pragma once

#include <memory>

#include "millrace/v1/stages.pb.h"
#include "server/stages/fetch/row_item.h"
#include "server/stages/fetch_stage.h"

namespace millrace::fetch {

std::unique_ptr<RowReader> MakeJsonlReader(const v1::JsonlSource& source);

// Makes an item of the text of a JSON object, from a line or a request. Its id is `id`; if that is empty, the value of
// the member `id_member`; if that is empty too, `row-N`. `place` is put before the message of a failed item.
FetchedRow ItemOfJson(std::string_view text, std::string_view id, std::string_view id_member, const Renames& renames,
                      int64_t row, size_t bytes_max, std::string_view place);

}  // namespace millrace::fetch
