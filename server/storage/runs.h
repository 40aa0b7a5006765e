// Keys of runs and of what belongs to a run as a whole: its record, its place in the order of runs, its stages, its
// events, the request that made it; and of pipelines.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "server/storage/store.h"

namespace millrace {

// [begin, end) of keys.
using KeyRange = std::pair<std::string, std::string>;

std::string PipelineKey(std::string_view name);
KeyRange PipelineKeys();

std::string RunKey(std::string_view run);

// Runs in the order of their creation, newest last.
std::string RunOrderKey(int64_t create_micros, std::string_view run);
KeyRange RunOrderKeys();
struct RunOrder {
  int64_t create_micros = 0;
  std::string run;
};
std::optional<RunOrder> ReadRunOrderKey(std::string_view key);

// Runs that have not come to rest: what a restart goes on with.
std::string ActiveRunKey(std::string_view run);
KeyRange ActiveRunKeys();
std::optional<std::string> ReadActiveRunKey(std::string_view key);

std::string RequestKey(std::string_view request_id);
std::string StageKey(std::string_view run, std::string_view stage);

std::string EventKey(std::string_view run, int64_t number);
// Events with a number of at least `first`.
KeyRange EventKeys(std::string_view run, int64_t first = 0);

// Attempts of a run.
KeyRange AttemptKeys(std::string_view run);

// Deletes all that is kept for a run, but for its request and its place in the order.
void DeleteRunKeys(WriteBatch& batch, std::string_view run);

}  // namespace millrace
