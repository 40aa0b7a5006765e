// Calls of the bedrock backend with plain bytes.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <utility>

#include "backends/bedrock/bedrock.h"
#include "backends/sdk/http_call.h"
#include "server/base/json.h"
#include "server/base/text_file.h"

namespace millrace::backend {

inline constexpr const char* kObjectSchema = R"({"type":"object","properties":{"city":{"type":"string"}}})";

inline v1::BedrockBackend BedrockConfig() {
  v1::BedrockBackend config;
  config.set_region("us-east-1");
  return config;
}

inline Request BedrockRequest(std::string schema = "") {
  Request request;
  request.model = "amazon.nova-lite-v1:0";
  request.messages = {{"system", "Be short."}, {"user", "Say \"hi\"."}};
  request.max_tokens = 64;
  request.output_schema = std::move(schema);
  return request;
}

inline json::value ReadVectors(const std::string& name) {
  const auto file = ReadTextFile("tests/backends/data/" + name, 1);
  EXPECT_TRUE(file.ok()) << file.status();
  auto vectors = ParseJson(*file);
  EXPECT_TRUE(vectors.ok()) << vectors.status();
  return *std::move(vectors);
}

// Returns the action of a new exchange that is not sent, or its request.
inline Action Begun(const Question& question, const v1::BedrockBackend& config = BedrockConfig()) {
  return MakeBedrockBackend(config)->Start(question, 1)->Next(Resume());
}

inline SendHttp Sent(const Question& question, const v1::BedrockBackend& config = BedrockConfig()) {
  return std::get<SendHttp>(Begun(question, config));
}

struct Told {
  Action action;
  std::string deltas;
};

// Gives a response to a new exchange, its body in two pieces.
inline Told Tell(const Question& question, const Response& response, size_t split = 0) {
  const std::unique_ptr<Backend> backend = MakeBedrockBackend(BedrockConfig());
  const std::unique_ptr<Exchange> exchange = backend->Start(question, 1);
  exchange->Next(Resume());
  Told told;
  const auto next = [&](Input input) {
    if (told.action.index() != Action(More()).index() && told.action.index() != Action(SendHttp()).index()) return;
    told.action = exchange->Next(std::move(input));
    if (const auto* more = std::get_if<More>(&told.action)) told.deltas += more->delta;
  };
  next(Head{.status = response.status, .headers = response.headers});
  if (split > 0) next(Bytes{response.body.substr(0, split)});
  if (split < response.body.size()) next(Bytes{response.body.substr(split)});
  next(End());
  return told;
}

inline Answer Answered(const Question& question, std::string body, Headers headers = {}) {
  Told told = Tell(question, {.status = 200, .headers = std::move(headers), .body = std::move(body)});
  if (const auto* fail = std::get_if<Fail>(&told.action)) ADD_FAILURE() << fail->failure.message;
  return std::get<Done>(std::move(told.action)).answer;
}

inline Failure Failed(const Question& question, int status, std::string body, Headers headers = {}) {
  Told told = Tell(question, {.status = status, .headers = std::move(headers), .body = std::move(body)});
  return std::get<Fail>(std::move(told.action)).failure;
}

}  // namespace millrace::backend
