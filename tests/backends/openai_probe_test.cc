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
