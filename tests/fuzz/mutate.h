// Mutations of bytes, for tests that feed a decoder whatever may come.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/base/random.h"

namespace millrace {

// Returns one of `seeds` after up to five changes: a byte replaced, a token inserted, bytes deleted or doubled, the
// rest cut off, another seed put into it. REQUIRES: neither list is empty.
std::string Mutated(const std::vector<std::string>& seeds, const std::vector<std::string_view>& tokens, Random& random);

}  // namespace millrace
