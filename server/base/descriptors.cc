#include "server/base/descriptors.h"

#include <sys/resource.h>

#include <algorithm>

namespace millrace {
namespace {

constexpr int64_t kStoreMin = 128;
constexpr rlim_t kLimitMax = 1 << 20;
constexpr rlim_t kRaisedMax = 1 << 16;

}  // namespace

DescriptorShares DivideDescriptors(int64_t limit) {
  DescriptorShares shares;
  shares.store = std::min(limit, std::max(kStoreMin, limit / 4));
  shares.tables = shares.store / 2;
  shares.incoming = (limit - shares.store) / 2;
  shares.outgoing = limit - shares.store - shares.incoming;
  return shares;
}

int64_t DescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kStoreMin;
  return static_cast<int64_t>(std::min(limit.rlim_cur, kLimitMax));
}

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min(limit.rlim_max, kRaisedMax);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  setrlimit(RLIMIT_NOFILE, &limit);  // without success the old limit stays, and is divided
}

}  // namespace millrace
