#include "server/llm/repair.h"

#include <fmt/format.h>

namespace millrace {
namespace {

// Bytes of the answer that are sent back: its tokens are paid for again.
constexpr size_t kAnswerBytesMax = 16u << 10;

// Cuts at the beginning of a character.
void CutUtf8(std::string& text, size_t bytes_max) {
  if (text.size() <= bytes_max) return;
  size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
}

}  // namespace

backend::Request RepairRequest(backend::Request question, std::string answer, const Status& fault) {
  CutUtf8(answer, kAnswerBytesMax);
  question.messages.push_back({.role = "assistant", .content = std::move(answer)});
  question.messages.push_back(
      {.role = "user",
       .content = fmt::format("{}.\nAnswer the question again with JSON that fits the schema, and nothing else.",
                              MessageOf(fault))});
  return question;
}

}  // namespace millrace
