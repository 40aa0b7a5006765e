// Stored answers and vectors, for code that makes no call. Engine thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "millrace/v1/admin_service.pb.h"
#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/llm/cache.h"
#include "server/llm/call.h"

namespace millrace {

class AnswerMemory {
 public:
  virtual ~AnswerMemory() = default;

  // As those of Cache (cache.h).
  virtual Task<std::vector<FoundText>> LookUpTexts(std::vector<Digest> keys, std::optional<Duration> ttl) = 0;
  virtual Task<std::vector<std::string>> PendingTexts(Digest batch_key) = 0;

  // Returns whether a call would find its answer without an attempt, for `plan`. Nothing is sent, counted as a hit or a
  // miss, or claimed: a call in flight may settle its answer right after this.
  virtual Task<StatusOr<bool>> IsRemembered(CallContext context, CallRequest request) = 0;
  // Returns the size of the cached answers, and the look-ups since the start.
  virtual Task<StatusOr<v1::CacheStats>> AnswerStats() = 0;
  // Evicts cached answers that are older than `older_than` (nullopt: of any age) and of this target (`backend/model`;
  // empty: of any). Returns how many. Three things stay: unsettled attempts, answers that are kept for one run
  // (kRunAnswer), and answers that were first given to a run for which `in_use` returns true, because it finds them
  // again.
  virtual Task<StatusOr<int64_t>> EvictAnswers(std::optional<Duration> older_than, std::string target,
                                               std::function<bool(const std::string& run)> in_use) = 0;
};

}  // namespace millrace
