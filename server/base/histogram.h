// Histogram of durations in fixed memory (16 KiB). A bucket is 1/32 of its power of two wide, so quantiles are at most
// 1/32 too large.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "server/base/clock.h"

namespace millrace {

// Counts durations and computes their quantiles. One thread.
class Histogram {
 public:
  // Counts a duration; a negative one counts as 0.
  void Add(Duration duration) {
    const uint64_t nanos = duration.count() < 0 ? 0 : static_cast<uint64_t>(duration.count());
    ++counts_[BucketOf(nanos)];
    ++total_;
    if (duration > max_) max_ = duration;
  }

  uint64_t count() const { return total_; }
  Duration max() const { return max_; }

  // Returns the upper end of the bucket that holds the q-quantile, for q in [0, 1]; 0 if nothing was added.
  Duration Quantile(double q) const {
    if (total_ == 0) return Duration(0);
    const double target = q * static_cast<double>(total_);
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (static_cast<double>(seen) >= target && seen > 0) return std::min(UpperEnd(i), max_);
    }
    return max_;
  }

 private:
  static constexpr int kSubBits = 5;

  static size_t BucketOf(uint64_t value) {
    if (value < (1u << kSubBits)) return value;
    const int top = 63 - std::countl_zero(value);
    const uint64_t sub = (value >> (top - kSubBits)) & ((1u << kSubBits) - 1);
    return (static_cast<size_t>(top - kSubBits + 1) << kSubBits) + sub;
  }
  static Duration UpperEnd(size_t bucket) {
    if (bucket < (1u << kSubBits)) return Duration(static_cast<int64_t>(bucket));
    const int top = static_cast<int>(bucket >> kSubBits) + kSubBits - 1;
    const uint64_t sub = bucket & ((1u << kSubBits) - 1);
    if (top >= 62) return Duration::max();
    return Duration(static_cast<int64_t>(((uint64_t{1} << kSubBits) + sub + 1) << (top - kSubBits)));
  }

  std::array<uint64_t, 62 << kSubBits> counts_{};
  uint64_t total_ = 0;
  Duration max_{};
};

}  // namespace millrace
