// The probe of OpenAI and compatible servers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/sdk/probe.h"
#include "tests/backends/openai_world.h"

namespace millrace::backend {
namespace {

using testing::HasSubstr;

struct Probing {
  Action action;
  ServerState state;
};

Probing Probed(int status, const std::string& body) {
  const v1::OpenaiBackend config = Config();
  const std::unique_ptr<Backend> backend = MakeOpenaiBackend(config);
  const std::unique_ptr<Probe> probe = backend->StartProbe({"m-1", "m-2"});
  const Action begin = probe->Next(Resume());
  const auto* send = std::get_if<SendHttp>(&begin);
  EXPECT_NE(send, nullptr);
  if (send == nullptr) return {};
  EXPECT_EQ(send->method, "GET");
  EXPECT_EQ(send->url, "https://api.example/v1/models");
  EXPECT_FALSE(send->billable);
  EXPECT_EQ(std::get<HeaderAuth>(send->auth).header, "Authorization");
  probe->Next(Head{.status = status, .headers = {}});
  probe->Next(Bytes{body});
  Probing probing{.action = probe->Next(End()), .state = {}};
  if (std::holds_alternative<Done>(probing.action)) probing.state = probe->TakeState();
  return probing;
}

TEST(OpenaiProbeTest, TheStateOfAServerIsItsListOfModels) {
  const Probing probing = Probed(200, R"({"object":"list","data":[{"id":"m-1","object":"model"},{"id":"m-3"}]})");
  ASSERT_EQ(probing.state.models.size(), 2u);
  EXPECT_EQ(probing.state.models[1].name, "m-3");
  ASSERT_EQ(probing.state.asked.size(), 2u);
  EXPECT_EQ(probing.state.asked[0].problem, "");
  EXPECT_EQ(probing.state.asked[1].problem, "the server's list of models does not have it");
}

TEST(OpenaiProbeTest, AServerWithoutAListIsUsable) {
  const Probing probing = Probed(404, "not found");
  ASSERT_TRUE(std::holds_alternative<Done>(probing.action));
  EXPECT_EQ(probing.state.note, "lists no models (HTTP 404)");
  ASSERT_EQ(probing.state.asked.size(), 2u);
  EXPECT_EQ(probing.state.asked[0].problem, "");
}

// Returns what a probe of the server at `base_url` for `model` ends with, and the URLs that it asked.
Probing ProbedAt(const std::string& base_url, const std::string& model, std::vector<Response> responses,
                 std::vector<std::string>& urls) {
  v1::OpenaiBackend config;
  config.set_base_url(base_url);
  const std::unique_ptr<Backend> backend = MakeOpenaiBackend(config);
  const std::unique_ptr<Probe> probe = backend->StartProbe({model});
  Probing probing{.action = probe->Next(Resume()), .state = {}};
  for (Response& response : responses) {
    urls.push_back(std::get<SendHttp>(probing.action).url);
    probe->Next(Head{.status = response.status, .headers = {}});
    probe->Next(Bytes{response.body});
    probing.action = probe->Next(End());
  }
  if (std::holds_alternative<Done>(probing.action)) probing.state = probe->TakeState();
  return probing;
}

TEST(OpenaiProbeTest, AUrlWithoutVersionIsComparedWithTheOneThatHasIt) {
  const Response none{.status = 404, .headers = {}, .body = "404 page not found"};
  const Response list{.status = 200, .headers = {}, .body = R"({"data":[{"id":"m"}]})"};
  std::vector<std::string> urls;
  const Probing wrong = ProbedAt("http://h:1/", "m", {none, list}, urls);
  EXPECT_EQ(urls, (std::vector<std::string>{"http://h:1/models", "http://h:1/v1/models"}));
  EXPECT_EQ(wrong.state.note, "lists no models (HTTP 404); its API is at http://h:1/v1: correct base_url");
  ASSERT_EQ(wrong.state.asked.size(), 1u);
  EXPECT_EQ(wrong.state.asked[0].problem, "base_url lacks the version; write http://h:1/v1");
  const Probing without = ProbedAt("http://h:1", "m", {none, none}, urls);
  EXPECT_EQ(without.state.note,
            "lists no models (HTTP 404); base_url http://h:1 has no version in its path; most servers "
            "want http://h:1/v1");
  EXPECT_EQ(without.state.asked.at(0).problem, "") << "chats need no list";
  EXPECT_TRUE(std::holds_alternative<Done>(ProbedAt("http://h:1/v1", "m", {none}, urls).action));
}

TEST(OpenaiProbeTest, NamesThatMeanOneModelAreTheSame) {
  const auto problem = [](const std::string& model, const std::string& listed, const std::string& base_url) {
    std::vector<std::string> urls;
    const std::string body = R"({"data":[{"id":")" + listed + R"("},{"id":"other"}]})";
    const Probing probing = ProbedAt(base_url, model, {{.status = 200, .headers = {}, .body = body}}, urls);
    return probing.state.asked.at(0).problem;
  };
  EXPECT_EQ(problem("tiny", "tiny:latest", "http://h/v1"), "") << "Ollama";
  EXPECT_EQ(problem("tiny:latest", "tiny", "http://h/v1"), "");
  EXPECT_EQ(problem("gemini-x", "models/gemini-x", "http://h/v1"), "") << "Google";
  EXPECT_EQ(problem("my-deployment", "gpt-4o", "https://r.openai.azure.com/openai/v1"), "")
      << "Azure lists no deployments";
  EXPECT_NE(problem("tiny", "tiny:7b", "http://h/v1"), "");
  EXPECT_NE(problem("tiny:7b", "tiny:latest", "http://h/v1"), "");
}

TEST(OpenaiProbeTest, AServerOfOneModelTakesEveryName) {
  std::vector<std::string> urls;
  const Response list{.status = 200, .headers = {}, .body = R"({"data":[{"id":"tiny","owned_by":"llamacpp"}]})"};
  const Probing probing = ProbedAt("http://h/v1", "other", {list}, urls);
  EXPECT_EQ(probing.state.asked.at(0).problem, "");
  EXPECT_EQ(probing.state.note, "answers to every name with its model tiny");
}

TEST(OpenaiProbeTest, ARefusalAndAnotherKindOfServerAreFailures) {
  const Probing refused = Probed(401, R"({"error":{"message":"Incorrect API key","code":"invalid_api_key"}})");
  ASSERT_TRUE(std::holds_alternative<Fail>(refused.action));
  EXPECT_EQ(std::get<Fail>(refused.action).failure.outcome, Outcome::kCredentials);
  const Probing other = Probed(200, "<html>");
  ASSERT_TRUE(std::holds_alternative<Fail>(other.action));
  EXPECT_THAT(std::get<Fail>(other.action).failure.message, HasSubstr("no list of models: <html>"));
}

TEST(OpenaiProbeTest, AzuresDatedApiDoesNotListDeployments) {
  v1::OpenaiBackend config = Config();
  config.set_api_version("2024-10-21");
  EXPECT_EQ(MakeOpenaiBackend(config)->StartProbe({"m-1"}), nullptr);
}

}  // namespace
}  // namespace millrace::backend
