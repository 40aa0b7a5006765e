#include <fmt/format.h>

#include "tests/contract/example_backend.h"

namespace millrace::backend {
namespace {

class Example final : public Dialect {
 public:
  std::unique_ptr<Backend> MakeBackend(const std::string& base_url) const override {
    return MakeExampleBackend(base_url);
  }

  std::optional<Response> Say(const Said& said) const override {
    std::string_view end = "done";
    switch (said.ending) {
      case Ending::kStop:
        break;
      case Ending::kLength:
        end = "limit";
        break;
      case Ending::kUnknownReason:
        end = "tired";
        break;
      case Ending::kNoReason:
        end = "";
        break;
      case Ending::kContentFilter:
      case Ending::kRefusal:
        return std::nullopt;
    }
    return Response{.status = 200,
                    .headers = {{"Content-Type", "application/json"}},
                    .body = fmt::format(R"({{"model":"m-1","answer":{},"end":"{}","tokens":{{"in":{},"out":{}}}{}}})",
                                        Quoted(Joined(said)), end, said.input_tokens, said.output_tokens, said.more)};
  }
  size_t BytesNeeded(const Response& response) const override { return response.body.size(); }
  Response Refuse(int status) const override { return {.status = status, .headers = {}, .body = R"({"error":"no"})"}; }
  std::optional<Response> FailInside() const override { return std::nullopt; }
  std::optional<Response> Embed(const std::vector<std::string>&) const override { return std::nullopt; }
};

}  // namespace

std::unique_ptr<Dialect> ExampleDialect() { return std::make_unique<Example>(); }

}  // namespace millrace::backend
