#include "backends/openai/question.h"

#include <boost/json.hpp>

#include "server/base/json.h"

namespace millrace::backend::openai {
namespace {

namespace json = boost::json;

json::string Text(const std::string& text) { return json::string(text.data(), text.size()); }

json::value SchemaOf(const Request& request) {
  StatusOr<json::value> schema = ParseJson(request.output_schema);
  if (!schema.ok()) return json::object();  // can't happen: schemas are checked before a call
  return *std::move(schema);
}

json::array MessagesOf(const Request& request, const std::string& instruction) {
  json::array messages;
  bool said = instruction.empty();
  for (const Message& message : request.messages) {
    std::string content = message.content;
    if (!said && message.role == "system") {
      content += "\n\n" + instruction;
      said = true;
    }
    messages.push_back({{"role", Text(message.role)}, {"content", Text(content)}});
  }
  if (!said) messages.insert(messages.begin(), json::value{{"role", "system"}, {"content", Text(instruction)}});
  return messages;
}

}  // namespace

std::string QuestionBody(const v1::OpenaiBackend& config, const Request& request, bool streams) {
  json::object body;
  body["model"] = Text(request.model);
  const bool has_schema = !request.output_schema.empty();
  const bool sends_schema = config.schema_format().empty() || config.schema_format() == "json_schema";
  std::string instruction;
  json::value schema;
  if (has_schema) schema = SchemaOf(request);
  if (has_schema && !sends_schema) {
    instruction =
        "Answer with one JSON value that fits this JSON Schema, and with nothing else:\n" + json::serialize(schema);
  }
  body["messages"] = MessagesOf(request, instruction);
  const std::string& limit = config.max_tokens_member();
  body[limit.empty() ? "max_completion_tokens" : json::string_view(limit.data(), limit.size())] = request.max_tokens;
  if (request.temperature) body["temperature"] = *request.temperature;
  if (request.top_p) body["top_p"] = *request.top_p;
  if (request.seed) body["seed"] = *request.seed;
  if (has_schema && sends_schema) {
    body["response_format"] = {{"type", "json_schema"},
                               {"json_schema", {{"name", "answer"}, {"schema", std::move(schema)}}}};
  } else if (has_schema && config.schema_format() == "json_object") {
    body["response_format"] = {{"type", "json_object"}};
  }
  if (streams) {
    body["stream"] = true;
    if (!config.has_stream_usage() || config.stream_usage()) body["stream_options"] = {{"include_usage", true}};
  }
  return json::serialize(body);
}

std::string EmbeddingBody(const v1::OpenaiBackend& config, const EmbedRequest& request) {
  json::array input;
  for (const std::string& text : request.texts) input.push_back(Text(text));
  json::object body;
  body["model"] = Text(request.model);
  body["input"] = std::move(input);
  const std::string& format = config.embedding_format();
  if (format != "none") body["encoding_format"] = format.empty() ? json::string("float") : Text(format);
  if (request.dimensions) body["dimensions"] = *request.dimensions;
  return json::serialize(body);
}

}  // namespace millrace::backend::openai
