#include "backends/ollama/context.h"

#include <algorithm>

namespace millrace::backend::ollama {
namespace {

constexpr int64_t kTokensOfMessage = 16;   // role and marks of a template
constexpr int64_t kTokensOfTemplate = 64;  // the template's own system text
constexpr int64_t kWideBytesOfToken = 16;

bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

int64_t WideBytes(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

bool HoldsThoughts(const Message& message) {
  return message.role == "assistant" && message.content.find("</think>") != std::string::npos;
}

}  // namespace

int64_t TokensAtMost(std::string_view text) {
  const int64_t wide = WideBytes(text);
  const int64_t ascii = static_cast<int64_t>(text.size()) - wide;
  return (2 * ascii + 4) / 5 + (2 * wide + 2) / 3;
}

int64_t TokensAtLeast(std::string_view text) {
  int64_t tokens = 0;
  auto at = text.begin();
  while (true) {
    at = std::find_if_not(at, text.end(), IsBlank);
    if (at == text.end()) return tokens;
    const auto end = std::find_if(at, text.end(), IsBlank);
    tokens += std::max<int64_t>(1, WideBytes({at, end}) / kWideBytesOfToken);
    at = end;
  }
}

int64_t PromptTokensAtMost(const Request& request) {
  int64_t tokens = kTokensOfTemplate;
  for (const Message& message : request.messages) tokens += kTokensOfMessage + TokensAtMost(message.content);
  return tokens;
}

int64_t PromptTokensAtLeast(const Request& request) {
  int64_t tokens = 0;
  for (const Message& message : request.messages) {
    if (!HoldsThoughts(message)) tokens += TokensAtLeast(message.content);
  }
  return tokens;
}

int64_t ContextFor(int64_t tokens) {
  int64_t context = kContextMin;
  while (context < tokens) context *= 2;
  return context;
}

}  // namespace millrace::backend::ollama
