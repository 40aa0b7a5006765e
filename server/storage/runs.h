// Keys of pipelines, of runs and of a run's parts: its record, its position in the order of runs, its stages, its
// events and the request that created it. Functions that read a key return nullopt if the bytes are not such a key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "server/storage/store.h"

namespace millrace {

// Range [begin, end) of keys.
using KeyRange = std::pair<std::string, std::string>;

std::string PipelineKey(std::string_view name);
KeyRange PipelineKeys();

std::string RunKey(std::string_view run);

// Index of runs in the order of their creation, newest last.
std::string RunOrderKey(int64_t create_micros, std::string_view run);
KeyRange RunOrderKeys();
struct RunOrder {
  int64_t create_micros = 0;
  std::string run;
};
std::optional<RunOrder> ReadRunOrderKey(std::string_view key);

// Index of runs that have not ended, which a restart continues.
// Its value is the number of starts of the run, by the server itself, since the run last made progress or the server
// ended cleanly.
std::string ActiveRunKey(std::string_view run);
void PutActiveRun(WriteBatch& batch, std::string_view run, int starts);
// Returns the number of an entry; 0 if it has none or is damaged.
int ReadStarts(const StoreEntry& entry);
KeyRange ActiveRunKeys();
std::optional<std::string> ReadActiveRunKey(std::string_view key);

std::string RequestKey(std::string_view request_id);
std::string StageKey(std::string_view run, std::string_view stage);

std::string EventKey(std::string_view run, int64_t number);
// Returns the keys of events with a number of at least `first`.
KeyRange EventKeys(std::string_view run, int64_t first = 0);

// Deletes everything that the store has for a run, except its request, its position in the order and its settled
// records (answers.h).
void DeleteRunKeys(WriteBatch& batch, std::string_view run);

}  // namespace millrace
