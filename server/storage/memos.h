// Keys of remembered results.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server/base/digest.h"
#include "server/storage/runs.h"

namespace millrace {

// A result that later runs may reuse.
std::string MemoKey(const Digest& key);
KeyRange MemoKeys();
// The rest of a barrier's list, numbered from 0.
std::string MemoPartKey(const Digest& key, int64_t number);
KeyRange MemoPartKeys();
// A result kept for one run alone.
std::string RunMemoKey(std::string_view run, const Digest& key);

}  // namespace millrace
