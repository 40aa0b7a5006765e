// Checks of a stage's whole input before its first item (`expect`); for a fetch, of the rows that it read. A check of
// `unique` takes 8 bytes of memory for each item and field while it works; nothing else here grows with the items.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/engine/step/step_host.h"

namespace millrace {

// Figures that the checks need, gathered in one pass over the items. Call Add for every page, then Judge once.
class Expectations {
 public:
  Expectations(const v1::Expect& expect, int64_t as_of_micros);

  void Add(const std::vector<InputItem>& items);
  // Returns a sentence for each check that failed.
  std::vector<std::string> Judge();
  // Returns what is odd about the items: dates that can't be read.
  const Oddities& oddities() const { return oddities_; }

 private:
  struct Unique {
    std::string field;
    std::vector<uint64_t> values;  // 64 bits of digests: two of a million values collide once in 40 million
  };
  struct Nulls {
    std::string field;
    double max_share = 0;
    int64_t count = 0;
  };

  const v1::Expect expect_;
  const int64_t as_of_micros_;
  int64_t items_ = 0;
  std::vector<Unique> unique_;
  std::vector<Nulls> nulls_;
  std::optional<int64_t> newest_micros_;
  Oddities oddities_;
};

// Makes the checks of a stage, unless they were made before. Returns true if the stage may begin, false if the episode
// is over: the run was failed or paused, as `expect.action` says, or was stopped.
Task<bool> PassesExpectations(StepHost& host, int stage);

}  // namespace millrace
