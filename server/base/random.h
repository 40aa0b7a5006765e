// Chance as an argument: nothing else in the project draws random numbers.
#pragma once

#include <cstdint>
#include <string>

namespace millrace {

// A seeded source of random numbers (xoshiro256**, Blackman and Vigna 2018). The same seed gives the same numbers on
// every machine, which std's distributions do not promise. One thread.
class Random {
 public:
  explicit Random(uint64_t seed);

  // Seeded by the operating system.
  static Random FromSystem();

  // Uniform over all 64-bit values.
  uint64_t Next();

  // Uniform over [0, bound); 0 for bound 0.
  uint64_t Below(uint64_t bound);

  // Uniform over [0, 1).
  double Uniform();

  // True with this probability.
  bool Chance(double probability) { return Uniform() < probability; }

  // Standard normal (Box and Muller).
  double Normal();

  // `length` characters out of a-z and 0-9 without those that are easily confused (l, o, 0, 1): for names.
  std::string Name(int length);

  // A source of its own for a part, so that one part's draws do not move another's.
  Random Fork() { return Random(Next()); }

 private:
  uint64_t state_[4];
};

}  // namespace millrace
