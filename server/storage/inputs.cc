#include "server/storage/inputs.h"

#include "server/storage/keys.h"

namespace millrace {

std::string InputStateKey(std::string_view run, std::string_view stage) {
  return KeyBuilder(Table::kInputState).Text(run).Text(stage);
}
std::string InputKey(std::string_view run, std::string_view stage, int64_t offset) {
  return KeyBuilder(Table::kInput).Text(run).Text(stage).Number(offset);
}
KeyRange InputKeys(std::string_view run, std::string_view stage, int64_t first, int64_t before) {
  return {InputKey(run, stage, first), InputKey(run, stage, before)};
}

}  // namespace millrace
