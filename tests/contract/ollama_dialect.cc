#include "tests/contract/ollama_dialect.h"

#include <fmt/format.h>

#include "backends/ollama/ollama.h"

namespace millrace::backend {
namespace {

std::string ReasonOf(Ending ending) {
  switch (ending) {
    case Ending::kLength:
      return R"("length")";
    case Ending::kUnknownReason:
      return R"("tool_calls")";
    case Ending::kNoReason:
      return "null";
    case Ending::kStop:
    case Ending::kContentFilter:
    case Ending::kRefusal:
      break;
  }
  return R"("stop")";
}

class OllamaDialect final : public Dialect {
 public:
  std::unique_ptr<Backend> MakeBackend(const std::string& base_url) const override {
    v1::OllamaBackend config;
    config.set_base_url(base_url);
    return MakeOllamaBackend(config);
  }

  bool is_stream() const override { return true; }

  std::optional<Response> Say(const Said& said) const override {
    if (said.ending == Ending::kContentFilter || said.ending == Ending::kRefusal) return std::nullopt;
    std::string body;
    for (const std::string& piece : said.pieces) body += Line(Quoted(piece), "false", said.more);
    body += Line(R"("")",
                 fmt::format(R"(true,"done_reason":{},"prompt_eval_count":{},"eval_count":{})", ReasonOf(said.ending),
                             said.input_tokens, said.output_tokens),
                 said.more);
    return Streaming(std::move(body));
  }
  // The last line end may be missing.
  size_t BytesNeeded(const Response& response) const override { return response.body.size() - 1; }

  std::optional<Response> FailInside() const override {
    return Streaming(Line(R"("hel")", "false", "") + "{\"error\":\"the server broke down\"}\n");
  }

  Response Refuse(int status) const override {
    return {.status = status, .headers = {{"Content-Type", "application/json"}}, .body = R"({"error":"no"})"};
  }

  std::optional<Response> Embed(const std::vector<std::string>& vectors) const override {
    std::string list;
    for (const std::string& vector : vectors) list += (list.empty() ? "" : ",") + vector;
    return Response{.status = 200,
                    .headers = {},
                    .body = fmt::format(R"({{"model":"m-1","embeddings":[{}],"prompt_eval_count":7}})", list)};
  }

 private:
  static Response Streaming(std::string body) {
    return {.status = 200, .headers = {{"Content-Type", "application/x-ndjson"}}, .body = std::move(body)};
  }
  static std::string Line(std::string_view content, std::string_view done, std::string_view more) {
    return fmt::format(
        "{{\"model\":\"m-1\",\"created_at\":\"2026-11-30T21:50:01.5Z\",\"message\":{{\"role\":"
        "\"assistant\",\"content\":{}}},\"done\":{}{}}}\n",
        content, done, more);
  }
};

}  // namespace

std::unique_ptr<Dialect> StreamedOllamaDialect() { return std::make_unique<OllamaDialect>(); }

}  // namespace millrace::backend
