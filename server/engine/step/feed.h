// What a stage works on: the items of the stages that it needs. First those that were committed before this episode and
// have not ended here, read from the store; then those that are delivered as they end. No item comes twice.
#pragma once

#include <memory>
#include <vector>

#include "server/engine/step/channel.h"
#include "server/engine/step/step.h"

namespace millrace {

// Engine thread; one reader.
class Feed {
 public:
  // `changed` is notified where waiting may be worth a look.
  Feed(StepHost& host, int stage, Event& changed);

  // The next items, at most `max`; empty: nothing is there now (or never more: see `exhausted`).
  Task<StatusOr<std::vector<InputItem>>> Next(size_t max);
  // Every item has been given out.
  bool exhausted() const;
  void Stop();

 private:
  struct Need {
    int stage = 0;
    int number = 0;                    // place among the needs
    std::unique_ptr<Channel> channel;  // null: its items are taken when it is complete
    int64_t boundary = 0;              // commits up to here are read from the store, later ones are delivered
    std::string next;                  // key where reading goes on; empty: the first
    bool read = false;                 // to the end
  };

  // A page of what was committed before and has not ended here; may be empty.
  Task<StatusOr<std::vector<InputItem>>> Read(Need& need, size_t max);

  StepHost& host_;
  const int stage_;
  std::vector<Need> needs_;
};

// Items of stages in ordinal order, for barriers, sinks and checks: OK and degraded ones with what they are. The stages
// must be complete. Where `when` is set, only items for which it holds, or (`passing`) only the others.
class WholeReader final : public ItemReader {
 public:
  enum class Which { kAll, kWorkedOn, kPassing };
  WholeReader(StepHost& host, int stage, Which which);
  // The items of one stage itself.
  static std::unique_ptr<WholeReader> OfStage(StepHost& host, int stage);

  Task<StatusOr<std::vector<InputItem>>> Next() override;
  void Rewind() override;

  // Items that were read since the beginning.
  int64_t count() const { return count_; }

 private:
  struct Source {
    int stage = 0;
    int64_t factor = 1;  // ordinal here = ordinal there * factor + shift
    int64_t shift = 0;
    std::string next;
    bool read = false;
    std::vector<InputItem> items;  // read, not yet given out, in reverse
  };

  WholeReader(StepHost& host, std::vector<Source> sources, const std::optional<ConditionEvaluator>* when, Which which);
  Task<Status> Fill(Source& source);

  StepHost& host_;
  std::vector<Source> sources_;
  const std::optional<ConditionEvaluator>* when_;
  const Which which_;
  int64_t count_ = 0;
};

}  // namespace millrace
