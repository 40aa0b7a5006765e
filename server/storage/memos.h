// Keys of memos, the results that later work reuses.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server/base/digest.h"
#include "server/storage/runs.h"

namespace millrace {

// Returns the key of a result that later runs may reuse.
std::string MemoKey(const Digest& key);
KeyRange MemoKeys();
// Returns the key of a further part of a barrier's result, numbered from 0.
std::string MemoPartKey(const Digest& key, int64_t number);
KeyRange MemoPartKeys();
// Returns the key of a result that only `run` may reuse.
std::string RunMemoKey(std::string_view run, const Digest& key);

}  // namespace millrace
