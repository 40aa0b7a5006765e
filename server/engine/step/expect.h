// Checks on the whole input of a stage before its first item is worked on (`expect`); of a fetch, on the rows it read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/engine/step/step.h"

namespace millrace {

// What a pass over the items has to gather. Pure but for the order of calls: Add for every page, then Judge.
class Expectations {
 public:
  Expectations(const v1::Expect& expect, int64_t as_of_micros);

  void Add(const std::vector<InputItem>& items);
  // What does not hold, a sentence each, for people.
  std::vector<std::string> Judge();

 private:
  struct Unique {
    std::string field;
    std::vector<uint64_t> values;  // halves of digests: 64 bits tell a million values apart but for once in 40 million
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
};

// Makes the checks of a stage where it has any and they were not made before. True: the stage may begin. False: the
// episode is over: the run failed or paused, as the checks say, or was stopped.
Task<bool> PassesExpectations(StepHost& host, int stage);

}  // namespace millrace
