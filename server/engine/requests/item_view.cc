#include "server/engine/requests/item_view.h"

#include <google/protobuf/util/json_util.h>

#include <utility>

#include "server/engine/times.h"

namespace millrace {

v1::Item ItemView(storage::v1::ItemRecord record, int64_t ordinal, const std::string& stage, bool structs) {
  v1::Item item;
  item.set_id(std::move(*record.mutable_id()));
  item.set_ordinal(ordinal);
  item.set_stage(stage);
  item.set_state(record.state());
  if (structs && !record.json().empty()) {
    // Numbers beyond 2^53 lose digits in a Struct; `json` keeps them.
    if (!google::protobuf::util::JsonStringToMessage(record.json(), item.mutable_data()).ok()) item.clear_data();
  }
  item.set_json(std::move(*record.mutable_json()));
  if (record.reason() != v1::ERROR_REASON_UNSPECIFIED || !record.message().empty()) {
    item.mutable_error()->set_reason(record.reason());
    item.mutable_error()->set_message(std::move(*record.mutable_message()));
  }
  *item.mutable_end_time() = ToTimestamp(record.end_time_micros());
  item.set_origin(record.origin());
  return item;
}

}  // namespace millrace
