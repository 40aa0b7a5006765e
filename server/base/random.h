// Random numbers. Code that needs chance takes a Random as an argument; nothing else in the project draws random
// numbers, so that a seed replays a run.
#pragma once

#include <cstdint>
#include <string>

namespace millrace {

// Seeded source of random numbers (xoshiro256**, Blackman and Vigna 2018). A seed gives the same numbers on every
// machine, which std's distributions do not promise. Not for secrets: the numbers are predictable. One thread.
class Random {
 public:
  explicit Random(uint64_t seed);

  // Returns a source with a seed from the operating system.
  static Random FromSystem();

  // Returns a number uniform over all 64-bit values.
  uint64_t Next();

  // Returns a number uniform over [0, bound); 0 if `bound` is 0.
  uint64_t Below(uint64_t bound);

  // Returns a number uniform over [0, 1).
  double Uniform();

  // Returns true with this probability.
  bool Chance(double probability) { return Uniform() < probability; }

  // Returns a number of the standard normal distribution (Box and Muller).
  double Normal();

  // Returns `length` characters for a name, out of a-z and 2-9 without `l` and `o`, which look like 1 and 0.
  std::string Name(int length);

  // Returns an independent source, so that draws from it do not change the numbers that this one returns.
  Random Fork() { return Random(Next()); }

 private:
  uint64_t state_[4];
};

}  // namespace millrace
