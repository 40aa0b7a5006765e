#include "server/text/stem.h"

namespace millrace {
namespace {

bool IsVowel(char c) { return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u' || c == 'y'; }

bool HasVowel(std::string_view text) {
  for (const char c : text) {
    if (IsVowel(c)) return true;
  }
  return false;
}

bool IsPlain(std::string_view word) {
  for (const char c : word) {
    if (c < 'a' || c > 'z') return false;
  }
  return true;
}

bool EndsIn(std::string_view word, std::string_view ending, size_t least_before) {
  return word.size() >= ending.size() + least_before && word.ends_with(ending);
}

// Drops the s of the plural and of the third person.
void DropPlural(std::string& word) {
  if (!word.ends_with('s') || word.ends_with("ss") || word.ends_with("us") || word.ends_with("is")) return;
  if (EndsIn(word, "ies", 2)) {
    word.replace(word.size() - 3, 3, "y");
  } else if (EndsIn(word, "sses", 1) || EndsIn(word, "ches", 1) || EndsIn(word, "shes", 1) || EndsIn(word, "xes", 1) ||
             EndsIn(word, "zzes", 1)) {
    word.resize(word.size() - 2);
  } else {
    word.pop_back();
  }
}

// Drops the second of two equal consonants, which -ed or -ing has left: `stopp` becomes `stop`.
void Settle(std::string& word) {
  const size_t size = word.size();
  if (size > 3 && word[size - 1] == word[size - 2] && !IsVowel(word[size - 1]) && word[size - 1] != 'l' &&
      word[size - 1] != 's' && word[size - 1] != 'z') {
    word.pop_back();
  }
}

void DropTense(std::string& word) {
  for (const std::string_view ending : {std::string_view("ing"), std::string_view("ed")}) {
    if (!EndsIn(word, ending, 3) || word.ends_with("eed")) continue;
    if (!HasVowel(std::string_view(word).substr(0, word.size() - ending.size()))) continue;
    word.resize(word.size() - ending.size());
    Settle(word);
    return;
  }
}

}  // namespace

std::string Stem(std::string_view word) {
  std::string stem(word);
  if (stem.size() < 4 || !IsPlain(stem)) return stem;
  DropPlural(stem);
  DropTense(stem);
  // Makes `strike` and `strikes` equal to `striking`, whose stem is `strik`.
  if (stem.size() > 4 && stem.ends_with('e')) stem.pop_back();
  if (stem.size() > 3 && stem.ends_with('y')) stem.back() = 'i';
  return stem;
}

}  // namespace millrace
