#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/sdk/probe.h"
#include "tests/backends/ollama_support.h"

namespace millrace::backend {
namespace {

using testing::HasSubstr;

struct Probing {
  Action action;
  ServerState state;
};

// Answers each request of a probe with the next body.
Probing Probed(const std::vector<std::string>& bodies, int status = 200, std::vector<std::string> models = {}) {
  const std::unique_ptr<Backend> backend = MakeOllamaBackend(OllamaConfig());
  const std::unique_ptr<Probe> probe = backend->StartProbe(std::move(models));
  const std::vector<std::string> paths = {"version", "tags", "ps"};
  Probing probing{.action = probe->Next(Resume()), .state = {}};
  for (size_t i = 0; i < bodies.size(); ++i) {
    const auto* send = std::get_if<SendHttp>(&probing.action);
    EXPECT_NE(send, nullptr);
    if (send == nullptr) break;
    EXPECT_EQ(send->method, "GET");
    EXPECT_EQ(send->url, "http://127.0.0.1:11434/api/" + paths[i]);
    EXPECT_FALSE(send->billable);
    EXPECT_EQ(send->body, "");
    probe->Next(Head{.status = status, .headers = {}});
    for (const char byte : bodies[i]) probe->Next(Bytes{std::string(1, byte)});
    probing.action = probe->Next(End());
  }
  if (std::holds_alternative<Done>(probing.action)) probing.state = probe->TakeState();
  return probing;
}

TEST(OllamaProbeTest, TheStateOfAServerIsItsVersionAndItsModels) {
  const Probing probing =
      Probed({R"({"version":"0.17.4"})",
              R"({"models":[{"name":"tiny:latest","model":"tiny:latest","size":390000,"digest":"ab12"},{"name":"b"}]})",
              R"({"models":[{"name":"tiny:latest","size":700,"size_vram":300,"context_length":4096,"digest":"ab12"},)"
              R"({"name":"gone","size":-1,"size_vram":"x","digest":"cd"}]})"});
  const ServerState* const state = &probing.state;
  EXPECT_EQ(state->version, "0.17.4");
  ASSERT_EQ(state->models.size(), 3u);
  EXPECT_EQ(state->models[0].name, "tiny:latest");
  EXPECT_EQ(state->models[0].revision, "ab12");
  ASSERT_TRUE(state->models[0].loaded);
  EXPECT_EQ(state->models[0].loaded->memory_bytes, 700);
  EXPECT_EQ(state->models[0].loaded->gpu_bytes, 300);
  EXPECT_EQ(state->models[0].loaded->context, 4096);
  EXPECT_FALSE(state->models[1].loaded);
  EXPECT_EQ(state->models[2].name, "gone");
  EXPECT_EQ(state->models[2].loaded->memory_bytes, 0) << "an absurd number";
}

TEST(OllamaProbeTest, AServerWithoutModelsIsUsable) {
  const Probing probing = Probed({R"({"version":"0.17.4"})", R"({"models":null})", R"({"models":[]})"});
  ASSERT_TRUE(std::holds_alternative<Done>(probing.action));
  EXPECT_TRUE(probing.state.models.empty());
}

TEST(OllamaProbeTest, ConfiguredModelsAreFoundByTheServersRulesForNames) {
  const Probing probing = Probed({R"({"version":"1"})",
                                  R"({"models":[{"name":"tiny:latest","digest":"t"},{"name":"Big:7b-Q4","digest":"b"},)"
                                  R"({"name":"host:5000/me/x:latest","digest":"x"}]})",
                                  R"({"models":[]})"},
                                 200,
                                 {"Tiny", "big:7B-q4", "host:5000/me/x", "tiny:1b", "library/tiny",
                                  "registry.ollama.ai/library/tiny:latest", "Registry.Ollama.ai/tiny", "me/tiny"});
  ASSERT_EQ(probing.state.asked.size(), 8u);
  for (const size_t usual : {4u, 5u, 6u}) EXPECT_EQ(probing.state.asked[usual].revision, "t") << usual;
  EXPECT_THAT(probing.state.asked[7].problem, HasSubstr("does not have it")) << "another namespace";
  EXPECT_EQ(probing.state.asked[0].revision, "t");
  EXPECT_EQ(probing.state.asked[1].revision, "b");
  EXPECT_EQ(probing.state.asked[2].revision, "x");
  EXPECT_EQ(probing.state.asked[2].problem, "");
  EXPECT_EQ(probing.state.asked[3].revision, "");
  EXPECT_EQ(probing.state.asked[3].problem, "the server does not have it; run `ollama pull tiny:1b` on its machine");
}

TEST(OllamaProbeTest, AFloodIsAFailure) {
  const std::unique_ptr<Backend> backend = MakeOllamaBackend(OllamaConfig());
  const std::unique_ptr<Probe> probe = backend->StartProbe({});
  probe->Next(Resume());
  probe->Next(Head{.status = 200, .headers = {}});
  Action action = More();
  for (int i = 0; i < 20 && std::holds_alternative<More>(action); ++i) {
    action = probe->Next(Bytes{std::string(1u << 20, 'x')});
  }
  ASSERT_TRUE(std::holds_alternative<Fail>(action));
  EXPECT_EQ(std::get<Fail>(action).failure.outcome, Outcome::kTooLarge);
}

TEST(OllamaProbeTest, SomethingElseThanAnOllamaServerIsAFailure) {
  const auto message = [](const std::vector<std::string>& bodies, int status = 200) {
    const Probing probing = Probed(bodies, status);
    const auto* fail = std::get_if<Fail>(&probing.action);
    return fail != nullptr ? fail->failure.message : "usable";
  };
  EXPECT_THAT(message({"<html>"}), HasSubstr("not a JSON object: <html>"));
  EXPECT_THAT(message({"404 page not found"}, 404), HasSubstr("base_url is not that of an Ollama server"));
  EXPECT_THAT(message({"{}", "{}"}), HasSubstr("no list of models"));
  EXPECT_THAT(message({"{}", R"({"models":{}})"}), HasSubstr("no list of models"));
  EXPECT_THAT(message({"{}", R"({"models":[1]})", R"({"models":3})"}), HasSubstr("no list of models"));
}

}  // namespace
}  // namespace millrace::backend
