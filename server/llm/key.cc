#include "server/llm/key.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "server/base/canonical_json.h"
#include "server/base/json.h"

namespace millrace {
namespace {

// Raised when what enters a key changes: no answer of an earlier version is then found.
constexpr int kKeyVersion = 1;
constexpr int kTenant = 0;

json::string_view View(const std::string& text) { return {text.data(), text.size()}; }

}  // namespace

std::string CanonicalIdentity(const ModelIdentity& identity) {
  json::object object;
  object["dialect"] = identity.dialect_version;
  object["model"] = View(identity.model);
  if (!identity.options.empty()) object["options"] = View(identity.options);
  object["protocol"] = View(identity.protocol_family);
  if (!identity.revision.empty()) object["revision"] = View(identity.revision);
  return CanonicalJson(json::value(std::move(object)));
}

std::string CanonicalRequest(const backend::Request& request) {
  json::array messages;
  for (const backend::Message& message : request.messages) {
    json::object entry;
    entry["content"] = View(message.content);
    entry["role"] = View(message.role);
    messages.push_back(std::move(entry));
  }
  json::object object;
  object["kind"] = "chat";
  object["max_tokens"] = request.max_tokens;
  object["messages"] = std::move(messages);
  if (!request.output_schema.empty()) object["schema"] = View(request.output_schema);
  if (request.seed) object["seed"] = *request.seed;
  if (request.temperature) object["temperature"] = *request.temperature;
  if (request.top_p) object["top_p"] = *request.top_p;
  return CanonicalJson(json::value(std::move(object)));
}

std::string CanonicalText(const std::string& text, const std::optional<int32_t>& dimensions) {
  json::object object;
  if (dimensions) object["dimensions"] = *dimensions;
  object["kind"] = "embed";
  object["text"] = View(text);
  return CanonicalJson(json::value(std::move(object)));
}

std::string CanonicalBatch(const std::vector<Digest>& text_keys) {
  json::array keys;
  for (const Digest& key : text_keys) keys.push_back(json::string(View(key.Hex())));
  json::object object;
  object["kind"] = "embed_batch";
  object["texts"] = std::move(keys);
  return CanonicalJson(json::value(std::move(object)));
}

Digest CallKey(const std::string& canonical_identity, const std::string& canonical_request, int64_t sample_number,
               int32_t retry) {
  // Members in canonical order, so that the whole is canonical JSON without being parsed again.
  std::string text = fmt::format(R"({{"identity":{},"request":{},)", canonical_identity, canonical_request);
  if (retry != 0) text += fmt::format(R"("retry":{},)", retry);
  text += fmt::format(R"("sample":{},"tenant":{},"version":{}}})", sample_number, kTenant, kKeyVersion);
  return Digest::Of(text);
}

}  // namespace millrace
