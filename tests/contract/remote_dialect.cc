#include "tests/contract/remote_dialect.h"

#include <boost/json.hpp>
#include <cmath>
#include <limits>

#include "backends/remote/remote.h"
#include "backends/sdk/reply_json.h"
#include "millrace/backend/v1/backend_service.pb.h"

namespace millrace::backend {
namespace {

std::string Frame(const std::string& message) {
  std::string frame(1, '\0');
  for (const int shift : {24, 16, 8, 0}) frame.push_back(static_cast<char>(message.size() >> shift));
  return frame + message;
}

// Returns the text of the inside of a JSON string; the inside itself if it is not one.
std::string UnescapedText(const std::string& inside) {
  const StatusOr<json::value> value = ParseReply(Quoted(inside));
  return value.ok() && value->is_string() ? std::string(value->get_string()) : inside;
}

// Returns the number as an int64 can say it; nullopt if it can't.
std::optional<int64_t> NumberOf(const std::string& number) {
  const StatusOr<json::value> value = ParseReply(number);
  if (!value.ok() || !value->is_number()) return std::nullopt;
  const double count = value->to_number<double>();
  if (std::abs(count) > 2e18 || count != std::floor(count)) return std::nullopt;
  return static_cast<int64_t>(count);
}

v1::FinishReason RemoteFinish(Ending ending) {
  switch (ending) {
    case Ending::kStop:
      return v1::FINISH_REASON_STOP;
    case Ending::kLength:
      return v1::FINISH_REASON_LENGTH;
    case Ending::kContentFilter:
      return v1::FINISH_REASON_CONTENT_FILTER;
    case Ending::kRefusal:
      return v1::FINISH_REASON_REFUSAL;
    case Ending::kUnknownReason:
      return static_cast<v1::FinishReason>(77);
    case Ending::kNoReason:
      break;
  }
  return v1::FINISH_REASON_UNSPECIFIED;
}

// Returns the bytes of a message in which one delta is this text, which the generated code refuses unless it is UTF-8.
std::string DeltaBytes(const std::string& text) {
  std::string bytes("\x0a");
  size_t size = text.size();
  for (; size >= 0x80; size >>= 7) bytes.push_back(static_cast<char>((size & 0x7f) | 0x80));
  bytes.push_back(static_cast<char>(size));
  return bytes + text;
}

class Remote final : public Dialect {
 public:
  std::unique_ptr<Backend> MakeBackend(const std::string& base_url) const override {
    ::millrace::v1::RemoteBackend config;
    config.mutable_token()->set_env("KEY");
    return MakeRemoteBackend(config, base_url);
  }

  bool is_stream() const override { return true; }
  bool is_text() const override { return false; }
  bool is_json() const override { return false; }

  std::optional<Response> Say(const Said& said) const override {
    std::string body;
    for (const std::string& piece : said.pieces) body += Frame(DeltaBytes(UnescapedText(piece)) + More(said));
    v1::GenerateResponse response;
    v1::Completion& completion = *response.mutable_completion();
    completion.set_finish_reason(RemoteFinish(said.ending));
    if (const auto count = NumberOf(said.input_tokens)) completion.set_input_tokens(*count);
    if (const auto count = NumberOf(said.output_tokens)) completion.set_output_tokens(*count);
    completion.set_model("m-1");
    return Streaming(body + Frame(response.SerializeAsString() + More(said)));
  }
  size_t BytesNeeded(const Response& response) const override { return response.body.size(); }

  std::optional<Response> FailInside() const override {
    v1::GenerateResponse response;
    response.mutable_failure()->set_failure_class(v1::FAILURE_CLASS_SERVER_ERROR);
    response.mutable_failure()->set_message("the server broke down");
    return Streaming(Frame(DeltaBytes("hel")) + Frame(response.SerializeAsString()));
  }

  // As the RPC client words the status of an RPC.
  Response Refuse(int status) const override { return {.status = status, .headers = {}, .body = "UNKNOWN: no"}; }

  std::optional<Response> Embed(const std::vector<std::string>& vectors) const override {
    v1::EmbedResponse response;
    for (const std::string& vector : vectors) {
      v1::Embedding& embedding = *response.add_embeddings();
      const StatusOr<json::value> value = ParseReply(vector);
      constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
      if (!value.ok() || !value->is_array()) {
        embedding.add_numbers(kNone);
        continue;
      }
      for (const json::value& number : value->get_array()) {
        embedding.add_numbers(number.is_number() ? static_cast<float>(number.to_number<double>()) : kNone);
      }
    }
    response.set_input_tokens(7);
    response.set_model("m-1");
    return Streaming(Frame(response.SerializeAsString()));
  }

 private:
  static Response Streaming(std::string body) { return {.status = 200, .headers = {}, .body = std::move(body)}; }
  // A field that is not in this version of the protocol: number 99, the varint 7.
  static std::string More(const Said& said) { return said.more.empty() ? "" : "\x98\x06\x07"; }
};

}  // namespace

std::unique_ptr<Dialect> RemoteDialect() { return std::make_unique<Remote>(); }

}  // namespace millrace::backend
