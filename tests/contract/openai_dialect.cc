#include "tests/contract/openai_dialect.h"

#include <fmt/format.h>

#include "backends/openai/openai.h"

namespace millrace::backend {
namespace {

std::string FinishOf(Ending ending) {
  switch (ending) {
    case Ending::kStop:
    case Ending::kRefusal:
      return R"("stop")";
    case Ending::kLength:
      return R"("length")";
    case Ending::kContentFilter:
      return R"("content_filter")";
    case Ending::kUnknownReason:
      return R"("tool_calls")";
    case Ending::kNoReason:
      break;
  }
  return "null";
}

std::string UsageOf(const Said& said) {
  return fmt::format(R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":29}})", said.input_tokens,
                     said.output_tokens);
}

class OpenaiDialect : public Dialect {
 public:
  explicit OpenaiDialect(std::string stream) : stream_(std::move(stream)) {}

  std::unique_ptr<Backend> MakeBackend(const std::string& base_url) const override {
    v1::OpenaiBackend config;
    config.set_base_url(base_url + "/v1");
    config.mutable_api_key()->set_env("KEY");
    config.set_stream(stream_);
    return MakeOpenaiBackend(config);
  }

  Response Refuse(int status) const override {
    return {.status = status,
            .headers = {{"content-type", "application/json"}},
            .body = R"({"error":{"message":"no","type":"an_error","param":null,"code":null}})"};
  }

  std::optional<Response> Embed(const std::vector<std::string>& vectors) const override {
    std::string data;
    for (size_t i = vectors.size(); i-- > 0;) {  // the order of the entries has no meaning
      data += fmt::format(R"({}{{"object":"embedding","index":{},"embedding":{}}})", data.empty() ? "" : ",", i,
                          vectors[i]);
    }
    return Response{
        .status = 200,
        .headers = {},
        .body = fmt::format(R"({{"object":"list","data":[{}],"model":"m-1","usage":{{"prompt_tokens":7}}}})", data)};
  }

 private:
  const std::string stream_;
};

class Whole final : public OpenaiDialect {
 public:
  Whole() : OpenaiDialect("never") {}

  std::optional<Response> Say(const Said& said) const override {
    const std::string text = Quoted(Joined(said));
    const bool is_refusal = said.ending == Ending::kRefusal;
    return Response{
        .status = 200,
        .headers = {{"Content-Type", "application/json"}, {"X-Request-Id", "req_1"}},
        .body = fmt::format(R"({{"id":"c","object":"chat.completion","model":"m-1","choices":[{{"index":0,"message":)"
                            R"({{"role":"assistant","content":{},"refusal":{}}},"finish_reason":{}}}],"usage":{}{}}})",
                            is_refusal ? "null" : text, is_refusal ? text : "null", FinishOf(said.ending),
                            UsageOf(said), said.more)};
  }
  size_t BytesNeeded(const Response& response) const override { return response.body.size(); }
  std::optional<Response> FailInside() const override {
    return Response{.status = 200,
                    .headers = {},
                    .body = R"({"choices":[{"message":{"content":"hel"},"finish_reason":"stop"}],)"
                            R"("error":{"message":"the server broke down","type":"server_error"}})"};
  }
};

class Streamed final : public OpenaiDialect {
 public:
  Streamed() : OpenaiDialect("always") {}

  bool is_stream() const override { return true; }

  std::optional<Response> Say(const Said& said) const override {
    const bool is_refusal = said.ending == Ending::kRefusal;
    std::string body = Event(said, Choice(R"({"role":"assistant","content":"","refusal":null})", "null"), "null");
    for (const std::string& piece : said.pieces) {
      const std::string delta = fmt::format(R"({{"{}":{}}})", is_refusal ? "refusal" : "content", Quoted(piece));
      body += Event(said, Choice(delta, "null"), "null");
    }
    body += Event(said, Choice("{}", FinishOf(said.ending)), "null");
    body += Event(said, "", UsageOf(said));
    return Streaming(body + "data: [DONE]\n\n");
  }
  // The finish reason and the end of the response will do: some servers send no `[DONE]`.
  size_t BytesNeeded(const Response& response) const override {
    return response.body.find('\n', response.body.find(R"("finish_reason":"stop")"));
  }
  std::optional<Response> FailInside() const override {
    return Streaming(Event({}, Choice(R"({"content":"hel"})", "null"), "null") +
                     "data: {\"error\":{\"message\":\"the server broke down\",\"type\":\"server_error\"}}\n\n");
  }

 private:
  static Response Streaming(std::string body) {
    return {.status = 200,
            .headers = {{"Content-Type", "text/event-stream; charset=utf-8"}, {"X-Request-Id", "req_1"}},
            .body = std::move(body)};
  }
  static std::string Choice(std::string_view delta, std::string_view finish) {
    return fmt::format(R"({{"index":0,"delta":{},"finish_reason":{}}})", delta, finish);
  }
  static std::string Event(const Said& said, std::string_view choice, std::string_view usage) {
    return fmt::format(
        "data: "
        "{{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"m-1\",\"choices\":[{}],\"usage\":{}{}}}\n\n",
        choice, usage, said.more);
  }
};

}  // namespace

std::unique_ptr<Dialect> WholeOpenaiDialect() { return std::make_unique<Whole>(); }
std::unique_ptr<Dialect> StreamedOpenaiDialect() { return std::make_unique<Streamed>(); }

}  // namespace millrace::backend
