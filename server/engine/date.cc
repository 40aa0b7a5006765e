#include "server/engine/date.h"

#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/time_util.h>

#include <string>

namespace millrace {

std::optional<int64_t> ParseDate(std::string_view text) {
  using google::protobuf::util::TimeUtil;
  std::string full(text);
  if (full.size() == 10) full += "T00:00:00Z";
  if (full.size() > 10 && full[10] == ' ') full[10] = 'T';
  google::protobuf::Timestamp time;
  if (!TimeUtil::FromString(full, &time)) return std::nullopt;
  return TimeUtil::TimestampToMicroseconds(time);
}

}  // namespace millrace
