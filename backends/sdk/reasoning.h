// Reasoning that a model writes into its text before its answer.
#pragma once

#include <string>
#include <string_view>

namespace millrace::backend {

// Leaves out one `<think>…</think>` at the beginning of a text that comes in pieces, with the white space around it. A
// block that is never closed leaves nothing.
class ReasoningFilter {
 public:
  // Returns the part of the text so far that belongs to the answer and was not returned before.
  std::string Take(std::string_view text);

  // Returns the part that was held back because it could have become a block. Call it once, at the end of the text.
  std::string End();

 private:
  enum class State {
    kBefore,  // held_ is white space and the beginning of `<think>`
    kInside,  // held_ is the beginning of `</think>`
    kAfter,   // white space after the block
    kText,
  };

  State state_ = State::kBefore;
  std::string held_;
  size_t blank_ = 0;  // kBefore: bytes of held_ that are known to be white space
};

}  // namespace millrace::backend
