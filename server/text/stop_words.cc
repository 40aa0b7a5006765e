#include "server/text/stop_words.h"

#include <algorithm>
#include <array>

namespace millrace {
namespace {

// Sorted, for binary search.
constexpr auto kStopWords = std::to_array<std::string_view>({
    "a",        "about",   "above",    "according", "across",  "after",    "again",   "against", "ago",
    "all",      "almost",  "along",    "already",   "also",    "although", "always",  "am",      "amid",
    "among",    "an",      "and",      "another",   "any",     "are",      "arent",   "around",  "as",
    "at",       "away",    "back",     "be",        "became",  "because",  "become",  "becomes", "been",
    "before",   "being",   "below",    "between",   "both",    "but",      "by",      "came",    "can",
    "cannot",   "cant",    "come",     "could",     "couldnt", "did",      "didnt",   "do",      "does",
    "doesnt",   "doing",   "dont",     "down",      "due",     "during",   "each",    "either",  "else",
    "even",     "ever",    "every",    "few",       "for",     "from",     "further", "get",     "gets",
    "getting",  "give",    "given",    "go",        "goes",    "going",    "got",     "had",     "hadnt",
    "has",      "hasnt",   "have",     "havent",    "having",  "he",       "her",     "here",    "hers",
    "herself",  "him",     "himself",  "his",       "how",     "however",  "i",       "id",      "if",
    "ill",      "im",      "in",       "including", "into",    "is",       "isnt",    "it",      "its",
    "itself",   "ive",     "just",     "least",     "less",    "let",      "lets",    "like",    "made",
    "make",     "makes",   "making",   "many",      "may",     "me",       "might",   "more",    "most",
    "much",     "must",    "my",       "myself",    "near",    "nearly",   "neither", "never",   "new",
    "no",       "nor",     "not",      "now",       "of",      "off",      "often",   "on",      "once",
    "one",      "only",    "onto",     "or",        "other",   "others",   "our",     "ours",    "ourselves",
    "out",      "over",    "own",      "per",       "put",     "rather",   "said",    "same",    "saw",
    "say",      "saying",  "says",     "see",       "seen",    "several",  "shall",   "she",     "should",
    "shouldnt", "since",   "so",       "some",      "still",   "such",     "take",    "taken",   "takes",
    "taking",   "than",    "that",     "thats",     "the",     "their",    "theirs",  "them",    "themselves",
    "then",     "there",   "theres",   "these",     "they",    "theyre",   "this",    "those",   "though",
    "through",  "thus",    "to",       "together",  "told",    "too",      "took",    "toward",  "towards",
    "two",      "under",   "until",    "up",        "upon",    "us",       "very",    "via",     "was",
    "wasnt",    "we",      "well",     "went",      "were",    "weve",     "what",    "whats",   "when",
    "where",    "whether", "which",    "while",     "who",     "whom",     "whose",   "why",     "will",
    "with",     "within",  "without",  "wont",      "would",   "wouldnt",  "yet",     "you",     "your",
    "youre",    "yours",   "yourself",
});
static_assert(std::ranges::is_sorted(kStopWords));

}  // namespace

bool IsStopWord(std::string_view word) { return std::ranges::binary_search(kStopWords, word); }

}  // namespace millrace
