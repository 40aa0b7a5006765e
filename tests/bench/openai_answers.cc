#include "tests/bench/openai_answers.h"

#include <fmt/format.h>

namespace millrace {
namespace {

std::string TextOf(const AnswerToMake& answer) {
  const auto bytes = static_cast<size_t>(answer.text_bytes);
  std::string text;
  while (text.size() < bytes) text.append(answer.digest).append(" ");
  text.resize(bytes);
  return text;
}

std::string Usage(const AnswerToMake& answer) {
  const int output_tokens = answer.text_bytes / 4;
  return fmt::format(R"({{"prompt_tokens":20,"completion_tokens":{},"total_tokens":{}}})", output_tokens,
                     20 + output_tokens);
}

std::string Event(std::string_view data) { return Chunk(fmt::format("data: {}\n\n", data)); }

// `finish_reason` is JSON.
std::string Delta(std::string_view text, std::string_view finish_reason) {
  return Event(fmt::format(R"({{"id":"c","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[)"
                           R"({{"index":0,"delta":{{"content":"{}"}},"finish_reason":{}}}]}})",
                           text, finish_reason));
}

}  // namespace

std::string WholeAnswer(const AnswerToMake& answer, int& status) {
  const std::string_view fault = answer.fault;
  std::string extra;
  std::string body;
  if (fault == "500" || fault == "503") {
    status = fault == "500" ? 500 : 503;
    body = R"({"error":{"message":"made to fail","type":"server_error","param":null,"code":null}})";
  } else if (fault == "429" || fault == "wait") {
    status = 429;
    if (fault == "wait") extra = "retry-after-ms: 20\r\n";
    body = R"({"error":{"message":"made to wait","type":"requests","param":null,"code":"rate_limit_exceeded"}})";
  } else if (fault == "garbage") {
    body = R"({"id":"chatcmpl-1","choices":[{"message":{"role":"assistant","content":)";
  } else {
    body = fmt::format(
        R"({{"id":"chatcmpl-{}","object":"chat.completion","created":1700000000,"model":"m","choices":[{{"index":0,)"
        R"("message":{{"role":"assistant","content":"{}","refusal":null}},"finish_reason":"stop"}}],"usage":{}}})",
        answer.number, TextOf(answer), Usage(answer));
  }
  const size_t length = body.size();
  if (fault == "cut") body.resize(length / 2);
  return fmt::format("HTTP/1.1 {} X\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n{}", status, extra,
                     length, body);
}

std::string StreamBegin() { return ChunkedHead("text/event-stream") + Delta("once ", "null"); }

std::string StreamRest(const AnswerToMake& answer) {
  if (!answer.fault.empty()) return Delta("upon", "null");
  const std::string usage = fmt::format(
      R"({{"id":"c","object":"chat.completion.chunk","model":"m","choices":[],"usage":{}}})", Usage(answer));
  constexpr char kLastChunk[] = "0\r\n\r\n";
  return Delta(TextOf(answer), "null") + Delta("", "\"stop\"") + Event(usage) + Event("[DONE]") + kLastChunk;
}

std::string ChunkedHead(std::string_view content_type) {
  return fmt::format("HTTP/1.1 200 X\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n", content_type);
}

std::string Chunk(std::string_view bytes) { return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes); }

}  // namespace millrace
