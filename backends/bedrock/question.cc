#include "backends/bedrock/question.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "backends/bedrock/failure.h"
#include "server/base/json.h"

namespace millrace::backend::bedrock {
namespace {

bool IsBlank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

struct Conversation {
  json::array system;
  json::array messages;
};

StatusOr<Conversation> ConversationOf(const Request& request) {
  Conversation conversation;
  std::string last_role;
  for (const Message& message : request.messages) {
    const bool is_system = message.role == "system";
    if (!is_system && message.role != "user" && message.role != "assistant") {
      return RefuseQuestion(fmt::format("Bedrock has no role `{}`", Excerpt(message.role)));
    }
    if (IsBlank(message.content)) continue;
    json::object block{{"text", message.content}};
    if (is_system) {
      conversation.system.push_back(std::move(block));
      continue;
    }
    if (message.role != last_role) {
      conversation.messages.push_back({{"role", message.role}, {"content", json::array()}});
      last_role = message.role;
    }
    conversation.messages.back().at("content").as_array().push_back(std::move(block));
  }
  if (conversation.messages.empty())
    return RefuseQuestion("Bedrock needs a message of the role `user` that is not blank");
  return conversation;
}

json::value ToolConfig(json::value schema) {
  return {{"tools",
           {{{"toolSpec",
              {{"name", kAnswerTool},
               {"description", "Takes the answer."},
               {"inputSchema", {{"json", std::move(schema)}}}}}}}},
          {"toolChoice", {{"tool", {{"name", kAnswerTool}}}}}};
}

json::value OutputConfig(const json::value& schema) {
  return {{"textFormat",
           {{"type", "json_schema"},
            {"structure", {{"jsonSchema", {{"name", kAnswerTool}, {"schema", json::serialize(schema)}}}}}}}};
}

}  // namespace

StatusOr<ConverseQuestion> MakeConverseQuestion(const v1::BedrockBackend& config, const Request& request) {
  if (request.seed) return RefuseQuestion("Bedrock's Converse API has no seed: leave `seed` out for this model");
  MR_ASSIGN_OR_RETURN(Conversation conversation, ConversationOf(request));
  ConverseQuestion question;
  json::object body;
  body["messages"] = std::move(conversation.messages);
  json::object limits{{"maxTokens", request.max_tokens}};
  if (request.temperature) limits["temperature"] = *request.temperature;
  if (request.top_p) limits["topP"] = *request.top_p;
  body["inferenceConfig"] = std::move(limits);
  if (!request.output_schema.empty()) {
    MR_ASSIGN_OR_RETURN(json::value schema, ParseJson(request.output_schema));
    if (config.schema_format() == "json_schema") {
      body["outputConfig"] = OutputConfig(schema);
    } else if (config.schema_format() != "none" && TextAt(schema, "type") == "object") {
      body["toolConfig"] = ToolConfig(std::move(schema));
      question.form = AnswerForm::kTool;
    } else {
      const std::string instruction =
          "Answer with one JSON value that fits this JSON Schema, and with nothing else:\n" + json::serialize(schema);
      conversation.system.push_back(json::object{{"text", instruction}});
    }
  }
  if (!conversation.system.empty()) body["system"] = std::move(conversation.system);
  question.body = json::serialize(body);
  return question;
}

}  // namespace millrace::backend::bedrock
