// English words that say nothing about what a text is about.
#pragma once

#include <string_view>

namespace millrace {

// Whether a folded word is one of them. Only function words: that a word is too frequent in one corpus is for its
// document share to say.
bool IsStopWord(std::string_view word);

}  // namespace millrace
