// Input of a stage: the items of the stages that it needs. First come items that were committed before this episode and
// have not ended in this stage, read from the store; then those that are delivered as they end. No item comes twice.
#pragma once

#include <memory>
#include <vector>

#include "server/engine/step/channel.h"
#include "server/engine/step/step_host.h"

namespace millrace {

// Engine thread; one reader.
class Feed {
 public:
  // `changed` is notified when there may be more items.
  Feed(StepHost& host, int stage, Event& changed);

  // Returns the next items, at most `max`; empty: none now (and none ever, if `exhausted`).
  Task<StatusOr<std::vector<InputItem>>> Next(size_t max);
  // Returns true if every item was returned and no more can come.
  bool exhausted() const;
  // Takes no more items: those that are delivered from now on are dropped.
  void Stop();

 private:
  struct Need {
    int stage = 0;
    int number = 0;                    // index among the needs
    std::unique_ptr<Channel> channel;  // null: its items are read when it is complete
    int64_t boundary = 0;              // commits up to this one are read from the store, later ones are delivered
    std::string next;                  // key where reading continues; empty: the first
    bool read = false;                 // all were read
  };

  // Returns a page of items that were committed before and have not ended here; may be empty.
  Task<StatusOr<std::vector<InputItem>>> Read(Need& need, size_t max);

  StepHost& host_;
  const int stage_;
  std::vector<Need> needs_;
};

// Reads the OK and degraded items of complete stages in ordinal order, for barriers, sinks, checks and measures. If the
// stage has a `when`, it returns only the items for which it holds, or only the others (kPassing).
class WholeReader final : public ItemReader {
 public:
  enum class Which { kAll, kWorkedOn, kPassing };
  WholeReader(StepHost& host, int stage, Which which);
  // Returns a reader of the stage's own items.
  static std::unique_ptr<WholeReader> OfStage(StepHost& host, int stage);

  Task<StatusOr<std::vector<InputItem>>> Next() override;
  void Rewind() override;

  // Number of items returned since the beginning.
  int64_t count() const { return count_; }
  // Returns the oddities that the stage's `when` met in the items read so far, before the first Rewind.
  const Oddities& oddities() const { return oddities_; }

 private:
  struct Source {
    int stage = 0;
    int64_t factor = 1;  // ordinal here = ordinal there * factor + shift
    int64_t shift = 0;
    std::string next;
    bool read = false;
    std::vector<InputItem> items;  // read, not yet returned; last one first
  };

  WholeReader(StepHost& host, std::vector<Source> sources, const std::optional<rules::ConditionEvaluator>* when,
              Which which);
  Task<Status> Fill(Source& source);

  StepHost& host_;
  std::vector<Source> sources_;
  const std::optional<rules::ConditionEvaluator>* when_;
  const Which which_;
  int64_t count_ = 0;
  Oddities oddities_;
  bool counts_oddities_ = true;
};

// Returns what StepHost::DigestInput promises, by reading the stored items.
Task<StatusOr<Digest>> DigestOfInput(StepHost& host, int stage);

}  // namespace millrace
