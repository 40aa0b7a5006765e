// One JSON object a line, as v1::JsonlSource describes it. The text of a line is kept as it is, numbers and order of
// members too; a line that can't be read is a failed item with its line and byte.
#pragma once

#include <memory>

#include "millrace/v1/stages.pb.h"
#include "server/stages/fetch/row_item.h"
#include "server/stages/stage.h"

namespace millrace::fetch {

std::unique_ptr<RowReader> MakeJsonlReader(const v1::JsonlSource& source);

// An item out of the text of a JSON object: of a line, or sent in a request. `id`: its id, where it came apart;
// `id_member`: else where it is, may be empty; else it is `row-N`. `place` stands before what is wrong.
FetchedRow ItemOfJson(std::string_view text, std::string_view id, std::string_view id_member, const Renames& renames,
                      int64_t row, size_t bytes_max, std::string_view place);

}  // namespace millrace::fetch
