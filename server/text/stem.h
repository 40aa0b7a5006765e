// English words without their endings of number and time, so that `strikes`, `striking` and `struck by strikes` meet.
// Light on purpose: a stem that joins two different words costs more than one that misses a pair.
#pragma once

#include <string>
#include <string_view>

namespace millrace {

// The stem of a folded word. Words of other scripts, short words and words with digits stay as they are.
std::string Stem(std::string_view word);

}  // namespace millrace
