#include "server/base/random.h"

#include <bit>
#include <cmath>
#include <numbers>
#include <random>

namespace millrace {

Random::Random(uint64_t seed) {
  // SplitMix64, which the authors of xoshiro recommend for seeding.
  for (uint64_t& word : state_) {
    seed += 0x9e3779b97f4a7c15;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    word = z ^ (z >> 31);
  }
}

Random Random::FromSystem() {
  std::random_device device;
  return Random((uint64_t{device()} << 32) | device());
}

uint64_t Random::Next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

uint64_t Random::Below(uint64_t bound) {
  if (bound == 0) return 0;
  // Rejects values above the last whole multiple of `bound`, which would favour small remainders.
  const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  uint64_t value = Next();
  while (value >= limit) value = Next();
  return value % bound;
}

double Random::Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

double Random::Normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - Uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * Uniform());
}

std::string Random::Name(int length) {
  static constexpr char kLetters[] = "abcdefghijkmnpqrstuvwxyz23456789";  // 32 characters
  std::string name(static_cast<size_t>(length), 'a');
  for (char& letter : name) letter = kLetters[Next() & 31];
  return name;
}

}  // namespace millrace
