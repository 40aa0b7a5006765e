// English words that say nothing about the subject of a text.
#pragma once

#include <string_view>

namespace millrace {

// Returns true if a folded word is a stop word. The list has function words only: FeatureOptions::max_document_share
// excludes words that are frequent in one corpus.
bool IsStopWord(std::string_view word);

}  // namespace millrace
