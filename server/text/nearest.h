// The known name that was probably meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace millrace {

// Returns the nearest of `names` by edit distance (insert, delete, replace, swap) without regard to the case of ASCII
// letters, the first if several are equally near; empty if none is near. Near: within a third of the length of `name`,
// or one edit for names of two letters and more. Names of more than 64 bytes are not compared, nor are names after the
// first 1000.
std::string NearestName(std::string_view name, const std::vector<std::string>& names);

// Returns `; did you mean "x"?`; if none is near and at most 20 are known, `; known: a, b, c`; else nothing.
std::string DidYouMean(std::string_view name, const std::vector<std::string>& names);

}  // namespace millrace
