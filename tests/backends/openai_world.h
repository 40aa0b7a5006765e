// Questions to and responses of backends/openai for its tests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "backends/openai/openai.h"
#include "tests/contract/drive.h"

namespace millrace::backend {

inline v1::OpenaiBackend Config() {
  v1::OpenaiBackend config;
  config.set_base_url("https://api.example/v1/");
  config.mutable_api_key()->set_env("KEY");
  return config;
}

inline Request ChatRequest() {
  Request request;
  request.model = "m-1";
  request.messages = {{"system", "Be short."}, {"user", "Say \"hi\"."}};
  request.max_tokens = 64;
  return request;
}

inline SendHttp Sent(const v1::OpenaiBackend& config, const Question& question) {
  return RequestOf(*MakeOpenaiBackend(config)->Start(question, 1));
}

// Reads a response in all ways (drive.h).
inline Ended Read(int status, std::string body, Headers headers = {}, const v1::OpenaiBackend& config = Config()) {
  const std::unique_ptr<Backend> backend = MakeOpenaiBackend(config);
  const auto make = [&] { return backend->Start(ChatRequest(), 1); };
  return DriveAll(make, backend->manifest(),
                  {.status = status, .headers = std::move(headers), .body = std::move(body)});
}

inline Failure Failed(int status, std::string body, Headers headers = {}) {
  const Ended ended = Read(status, std::move(body), std::move(headers));
  const auto* fail = std::get_if<Fail>(&ended.action);
  EXPECT_NE(fail, nullptr) << Shown(ended.action);
  return fail == nullptr ? Failure() : fail->failure;
}

inline Answer Answered(std::string body, const v1::OpenaiBackend& config = Config()) {
  const Ended ended = Read(200, std::move(body), {}, config);
  const auto* done = std::get_if<Done>(&ended.action);
  EXPECT_NE(done, nullptr) << Shown(ended.action);
  return done == nullptr ? Answer() : done->answer;
}

}  // namespace millrace::backend
