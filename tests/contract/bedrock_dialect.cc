#include "tests/contract/bedrock_dialect.h"

#include <fmt/format.h>

#include "backends/bedrock/bedrock.h"
#include "tests/contract/event_message.h"

namespace millrace::backend {
namespace {

std::string StopOf(Ending ending) {
  switch (ending) {
    case Ending::kStop:
      return R"("end_turn")";
    case Ending::kLength:
      return R"("max_tokens")";
    case Ending::kContentFilter:
      return R"("guardrail_intervened")";
    case Ending::kRefusal:
      return R"("refusal")";
    case Ending::kUnknownReason:
      return R"("malformed_tool_use")";
    case Ending::kNoReason:
      break;
  }
  return "null";
}

std::string BedrockUsage(const Said& said) {
  return fmt::format(R"({{"inputTokens":{},"outputTokens":{},"totalTokens":29}})", said.input_tokens,
                     said.output_tokens);
}

class BedrockDialect : public Dialect {
 public:
  std::unique_ptr<Backend> MakeBackend(const std::string& base_url) const override {
    v1::BedrockBackend config;
    config.set_region("us-east-1");
    config.set_endpoint(base_url);
    config.mutable_api_key()->set_env("KEY");
    return MakeBedrockBackend(config);
  }

  Response Refuse(int status) const override {
    return {.status = status, .headers = {{"content-type", "application/json"}}, .body = R"({"message":"no"})"};
  }

  // As Cohere's models answer, which take several texts at once.
  std::optional<Response> Embed(const std::vector<std::string>& vectors) const override {
    std::string list;
    for (const std::string& vector : vectors) list += (list.empty() ? "" : ",") + vector;
    return Response{.status = 200,
                    .headers = {{"X-Amzn-Bedrock-Input-Token-Count", "7"}},
                    .body = fmt::format(
                        R"({{"id":"e","embeddings":{{"float":[{}]}},"response_type":"embeddings_by_type"}})", list)};
  }
  std::string embedding_model() const override { return "cohere.embed-v4:0"; }
  std::string model() const override { return ""; }  // not reported
};

class WholeConverse final : public BedrockDialect {
 public:
  std::optional<Response> Say(const Said& said) const override {
    return Response{
        .status = 200,
        .headers = {{"Content-Type", "application/json"}},
        .body = fmt::format(R"({{"metrics":{{"latencyMs":9}},"output":{{"message":{{"role":"assistant","content":)"
                            R"([{{"text":{}}}]}}}},"stopReason":{},"usage":{}{}}})",
                            Quoted(Joined(said)), StopOf(said.ending), BedrockUsage(said), said.more)};
  }
  size_t BytesNeeded(const Response& response) const override { return response.body.size(); }
  std::optional<Response> FailInside() const override { return std::nullopt; }
};

class StreamedConverse final : public BedrockDialect {
 public:
  bool is_stream() const override { return true; }
  bool is_text() const override { return false; }

  std::optional<Response> Say(const Said& said) const override {
    std::string body = Event(said, "messageStart", R"("role":"assistant")");
    for (const std::string& piece : said.pieces) {
      const std::string delta = fmt::format(R"("contentBlockIndex":0,"delta":{{"text":{}}})", Quoted(piece));
      body += Event(said, "contentBlockDelta", delta);
    }
    body += Event(said, "contentBlockStop", R"("contentBlockIndex":0)");
    body += Event(said, "messageStop", fmt::format(R"("stopReason":{})", StopOf(said.ending)));
    return Streaming(body + Event(said, "metadata", fmt::format(R"("usage":{})", BedrockUsage(said))));
  }
  size_t BytesNeeded(const Response& response) const override { return response.body.size(); }
  std::optional<Response> FailInside() const override {
    return Streaming(Event({}, "messageStart", R"("role":"assistant")") +
                     Event({}, "contentBlockDelta", R"("contentBlockIndex":0,"delta":{"text":"hel"})") +
                     ExceptionBytes("modelStreamErrorException", R"({"message":"the server broke down"})"));
  }

 private:
  static Response Streaming(std::string body) {
    return {
        .status = 200, .headers = {{"Content-Type", "application/vnd.amazon.eventstream"}}, .body = std::move(body)};
  }
  static std::string Event(const Said& said, const std::string& type, std::string_view members) {
    return EventBytes(type, fmt::format("{{{}{}}}", members, said.more));
  }
};

}  // namespace

std::unique_ptr<Dialect> WholeBedrockDialect() { return std::make_unique<WholeConverse>(); }
std::unique_ptr<Dialect> StreamedBedrockDialect() { return std::make_unique<StreamedConverse>(); }

}  // namespace millrace::backend
