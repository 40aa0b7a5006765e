#include "backends/ollama/question.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "server/base/json.h"

namespace millrace::backend::ollama {
namespace {

json::string Text(const std::string& text) { return json::string(text.data(), text.size()); }

// Returns a whole number as a number (seconds) and anything else as a text (a duration of Go).
json::value KeepAliveOf(const std::string& text) {
  int64_t seconds = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size()) return seconds;
  return Text(text);
}

json::value ThinkOf(const std::string& text) {
  if (text.empty() || text == "false") return false;
  if (text == "true") return true;
  return Text(text);
}

// Largest number of repetitions in a grammar of llama.cpp. Ollama 0.17.4 makes a grammar of the schema, and its runner
// crashes if the grammar is not accepted, together with all questions that it is answering.
constexpr double kRepetitionsMax = 2000;

// Loosens bounds that no grammar can have. Answers are checked against the schema as it is in any case.
void LoosenBounds(json::value& schema) {
  if (json::array* const list = schema.if_array()) {
    for (json::value& each : *list) LoosenBounds(each);
    return;
  }
  json::object* const object = schema.if_object();
  if (object == nullptr) return;
  const auto is_large = [](const json::value* bound) {
    return bound != nullptr && bound->is_number() && bound->to_number<double>() > kRepetitionsMax;
  };
  for (const char* const name : {"maxLength", "maxItems"}) {
    if (is_large(object->if_contains(name))) object->erase(name);
  }
  for (const char* const name : {"minLength", "minItems"}) {
    if (is_large(object->if_contains(name))) (*object)[name] = static_cast<int64_t>(kRepetitionsMax);
  }
  for (auto& [name, value] : *object) {
    const bool is_data = name == "const" || name == "enum" || name == "default" || name == "examples";
    if (!is_data) LoosenBounds(value);
  }
}

json::value SchemaOf(const Request& request) {
  StatusOr<json::value> schema = ParseJson(request.output_schema);
  if (!schema.ok()) return json::object();  // can't happen: schemas are checked before a call
  LoosenBounds(*schema);
  return *std::move(schema);
}

int64_t LimitOf(const Options& options, const Request& request) {
  const bool is_lower = options.num_predict && *options.num_predict > 0 && *options.num_predict < request.max_tokens;
  return is_lower ? *options.num_predict : request.max_tokens;
}

}  // namespace

std::string ChatBody(const v1::OllamaBackend& config, const Options& options, const Request& request, int64_t num_ctx) {
  json::array messages;
  for (const Message& message : request.messages) {
    messages.push_back({{"role", Text(message.role)}, {"content", Text(message.content)}});
  }
  json::object sent = options.sent;
  sent["num_ctx"] = num_ctx;
  sent["num_predict"] = LimitOf(options, request);
  if (request.temperature) sent["temperature"] = *request.temperature;
  if (request.top_p) sent["top_p"] = *request.top_p;
  if (request.seed) sent["seed"] = *request.seed;
  json::object body;
  body["model"] = Text(request.model);
  body["messages"] = std::move(messages);
  body["stream"] = true;
  body["think"] = ThinkOf(config.think());
  body["truncate"] = false;
  body["shift"] = false;
  if (!request.output_schema.empty()) body["format"] = SchemaOf(request);
  body["options"] = std::move(sent);
  if (!config.keep_alive().empty()) body["keep_alive"] = KeepAliveOf(config.keep_alive());
  return json::serialize(body);
}

std::string LoadByChatBody(const v1::OllamaBackend& config, const Options& options, const std::string& model,
                           int64_t num_ctx) {
  // Load-time settings are equal to those of ChatBody: others would load the model again.
  json::object sent = options.sent;
  sent["num_ctx"] = num_ctx;
  json::object body;
  body["model"] = Text(model);
  body["messages"] = json::array();
  body["stream"] = false;
  body["shift"] = false;
  body["options"] = std::move(sent);
  if (!config.keep_alive().empty()) body["keep_alive"] = KeepAliveOf(config.keep_alive());
  return json::serialize(body);
}

std::string LoadByEmbedBody(const v1::OllamaBackend& config, const Options& options, const std::string& model,
                            int64_t num_ctx) {
  json::object sent = options.sent;
  sent["num_ctx"] = num_ctx;
  json::object body;
  body["model"] = Text(model);
  body["input"] = "";
  body["options"] = std::move(sent);
  if (!config.keep_alive().empty()) body["keep_alive"] = KeepAliveOf(config.keep_alive());
  return json::serialize(body);
}

std::string UnloadBody(const std::string& model) {
  json::object body;
  body["model"] = Text(model);
  body["messages"] = json::array();
  body["stream"] = false;
  body["keep_alive"] = 0;
  return json::serialize(body);
}

std::string PullBody(const std::string& model) {
  json::object body;
  body["model"] = Text(model);
  body["stream"] = true;
  return json::serialize(body);
}

std::string EmbedBody(const v1::OllamaBackend& config, const Options& options, const EmbedRequest& request,
                      int64_t num_ctx) {
  json::array input;
  for (const std::string& text : request.texts) input.push_back(Text(text));
  json::object sent = options.sent;
  sent["num_ctx"] = num_ctx;
  json::object body;
  body["model"] = Text(request.model);
  body["input"] = std::move(input);
  body["truncate"] = false;
  if (request.dimensions) body["dimensions"] = *request.dimensions;
  body["options"] = std::move(sent);
  if (!config.keep_alive().empty()) body["keep_alive"] = KeepAliveOf(config.keep_alive());
  return json::serialize(body);
}

}  // namespace millrace::backend::ollama
