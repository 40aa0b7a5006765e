// What the call layer offers beside answering calls (CallHandler): who its targets are, how busy they are, and what is
// remembered of their answers. Engine thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/v1/admin_service.pb.h"
#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/llm/call.h"

namespace millrace {

class CallDesk {
 public:
  virtual ~CallDesk() = default;

  // The model identities of an alias' targets in routing order, as one text: part of the memo key of what they answer.
  // NOT_FOUND (MODEL_NOT_FOUND).
  virtual StatusOr<std::string> Identity(std::string_view alias) const = 0;

  // What is remembered of a question, for `plan`: true where its answer would be found without asking. Nothing is sent.
  virtual Task<StatusOr<bool>> IsRemembered(CallContext context, CallRequest request) = 0;
  // False where a target of the alias has no price.
  virtual bool HasKnownCost(std::string_view alias) const = 0;

  virtual v1::ListModelsResponse Models() const = 0;
  virtual v1::ListBackendsResponse Backends() const = 0;

  // Calls that wait for a slot; attempts in flight.
  virtual int64_t waiting() const = 0;
  virtual int64_t in_flight() const = 0;
  // A target that calls of this run wait for because it fails.
  struct FailingTarget {
    std::string name;   // `backend/model`; empty: none
    std::string error;  // the newest one
  };
  virtual FailingTarget FindFailing(std::string_view run) const = 0;

  // Remembered answers.
  virtual Task<StatusOr<v1::CacheStats>> AnswerStats() = 0;
  // Forgets answers older than this (nullopt: all) and, where `target` is not empty, only those of `backend/model`; how
  // many. Pending attempts stay, answers kept for a run (kRunAnswer), and those that were first given to a run that is
  // `in_use`: it finds them again.
  virtual Task<StatusOr<int64_t>> EvictAnswers(std::optional<Duration> older_than, std::string target,
                                               std::function<bool(const std::string& run)> in_use) = 0;

  // Starts no new attempt from now on; resumes when those in flight are over and stored, or at `deadline`.
  virtual Task<void> Drain(TimePoint deadline) = 0;
};

}  // namespace millrace
