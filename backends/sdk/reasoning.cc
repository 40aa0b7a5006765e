#include "backends/sdk/reasoning.h"

#include <algorithm>
#include <utility>

namespace millrace::backend {
namespace {

constexpr std::string_view kOpening = "<think>";
constexpr std::string_view kClosing = "</think>";
constexpr std::string_view kSpace = " \t\r\n";

// Returns the length of the longest end of `text` that is a beginning of `word`.
size_t Overlap(std::string_view text, std::string_view word) {
  for (size_t size = std::min(text.size(), word.size() - 1); size > 0; --size) {
    if (word.starts_with(text.substr(text.size() - size))) return size;
  }
  return 0;
}

}  // namespace

std::string ReasoningFilter::Take(std::string_view text) {
  if (state_ == State::kBefore) {
    held_ += text;
    const std::string_view held = held_;
    const size_t begin = held.find_first_not_of(kSpace, blank_);
    blank_ = std::min(begin, held.size());
    if (begin == std::string_view::npos) return "";
    const std::string_view word = held.substr(begin, kOpening.size());
    if (word != kOpening) {
      if (kOpening.starts_with(word)) return "";
      state_ = State::kText;
      return std::exchange(held_, {});
    }
    state_ = State::kInside;
    const std::string rest(held.substr(begin + kOpening.size()));
    held_.clear();
    return Take(rest);
  }
  if (state_ == State::kInside) {
    held_ += text;
    const size_t end = held_.find(kClosing);
    if (end == std::string::npos) {
      held_.erase(0, held_.size() - Overlap(held_, kClosing));
      return "";
    }
    state_ = State::kAfter;
    const std::string rest = std::exchange(held_, {}).substr(end + kClosing.size());
    return Take(rest);
  }
  if (state_ == State::kAfter) {
    const size_t begin = text.find_first_not_of(kSpace);
    if (begin == std::string_view::npos) return "";
    state_ = State::kText;
    text.remove_prefix(begin);
  }
  return std::string(text);
}

std::string ReasoningFilter::End() { return state_ == State::kBefore ? std::exchange(held_, {}) : std::string(); }

}  // namespace millrace::backend
