// The known name that was probably meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace millrace {

// The nearest of `names` by edit distance (insert, delete, replace, swap), the first where equal; empty where none is
// near: within a third of the length of `name`, but at least one edit (two letters and more).
std::string NearestName(std::string_view name, const std::vector<std::string>& names);

// `; did you mean "x"?`, or where none is near and at most 20 are known `; known: a, b, c`; or nothing.
std::string DidYouMean(std::string_view name, const std::vector<std::string>& names);

}  // namespace millrace
