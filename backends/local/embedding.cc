#include "backends/local/embedding.h"

#include <cmath>
#include <map>
#include <string>

namespace millrace::backend {
namespace {

constexpr double kPartWeight = 0.5;
constexpr size_t kPartBytes = 3;

// FNV-1a with 64 bits, whose upper half is mixed into the lower one, because the last bytes change only that.
uint64_t HashOf(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char byte : bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
  return hash ^ hash >> 32;
}

// Features with their counts. Ordered, so that sums of floating point numbers are the same everywhere.
class Features {
 public:
  explicit Features(std::string_view text) {
    std::string word;
    for (const char byte : text) {
      const bool is_letter = byte >= 'a' && byte <= 'z';
      const bool is_capital = byte >= 'A' && byte <= 'Z';
      const bool is_digit = byte >= '0' && byte <= '9';
      if (is_letter || is_digit || static_cast<uint8_t>(byte) > 127) {
        word += byte;
      } else if (is_capital) {
        word += static_cast<char>(byte - 'A' + 'a');
      } else {
        AddWord(word);
        word.clear();
      }
    }
    AddWord(word);
    if (words_.empty()) words_[std::string(text)] = 1;
  }

  std::vector<float> Vector(int32_t dimensions) const {
    std::vector<double> sums(static_cast<size_t>(dimensions));
    for (const auto& [word, count] : words_) Add(sums, "w" + word, count, 1);
    for (const auto& [part, count] : parts_) Add(sums, "p" + part, count, kPartWeight);
    double squares = 0;
    for (const double sum : sums) squares += sum * sum;
    // Features of opposite signs may cancel each other in few dimensions.
    if (squares == 0) sums[0] = squares = 1;
    std::vector<float> vector;
    vector.reserve(sums.size());
    for (const double sum : sums) vector.push_back(static_cast<float>(sum / std::sqrt(squares)));
    return vector;
  }

 private:
  void AddWord(const std::string& word) {
    if (word.empty()) return;
    ++words_[word];
    const std::string marked = "<" + word + ">";
    for (size_t at = 0; at + kPartBytes <= marked.size(); ++at) ++parts_[marked.substr(at, kPartBytes)];
  }
  static void Add(std::vector<double>& sums, const std::string& feature, int count, double weight) {
    const uint64_t hash = HashOf(feature);
    const double value = weight * (1 + std::log(count));
    sums[(hash >> 1) % sums.size()] += (hash & 1) != 0 ? value : -value;
  }

  std::map<std::string, int> words_;
  std::map<std::string, int> parts_;
};

}  // namespace

std::vector<float> EmbedText(std::string_view text, int32_t dimensions) { return Features(text).Vector(dimensions); }

}  // namespace millrace::backend
