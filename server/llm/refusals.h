// Distinguishes two kinds of refusals. A target may refuse every call until a human acts (a wrong key, an unknown
// model): then runs pause. Or it refuses one call and answers others (a firewall that answers one text with 403): then
// one item fails. One refusal alone shows neither.
#pragma once

#include <cstdint>

namespace millrace {

class Target;

// Refusals of one call by one target.
class Refusals {
 public:
  // Attempts in a row, of any calls, that a target must refuse before it is taken to refuse all.
  static constexpr int64_t kInRowMin = 3;

  enum class Fault {
    kUnclear,  // another attempt shows more
    kTarget,   // the target refuses all calls
    kCall,     // the target answers others, and has refused this call more than `max_attempts` times
  };
  // Counts the refusal of an attempt (Admitted::number). REQUIRES: the target has counted it (Target::End).
  Fault Count(const Target& target, int64_t attempt, int32_t max_attempts);

 private:
  int32_t count_ = 0;
  int64_t in_row_ = 0;           // since the target was last seen to answer others
  int64_t newest_ = 0;           // attempt that was refused
  bool answers_others_ = false;  // the target has accepted an attempt that began after one which it refused here
};

}  // namespace millrace
