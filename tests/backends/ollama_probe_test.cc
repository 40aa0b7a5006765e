#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/sdk/probe.h"
#include "tests/backends/ollama_support.h"

namespace millrace::backend {
namespace {

using testing::HasSubstr;

// Answers each request of a probe with the next body.
Probe::Step Probed(const std::vector<std::string>& bodies, int status = 200) {
  const std::unique_ptr<Backend> backend = MakeOllamaBackend(OllamaConfig());
  const std::unique_ptr<Probe> probe = backend->StartProbe();
  const std::vector<std::string> paths = {"version", "tags", "ps"};
  Probe::Step step = probe->Begin();
  for (size_t i = 0; i < bodies.size(); ++i) {
    const auto* send = std::get_if<SendHttp>(&step);
    EXPECT_NE(send, nullptr);
    if (send == nullptr) break;
    EXPECT_EQ(send->method, "GET");
    EXPECT_EQ(send->url, "http://127.0.0.1:11434/api/" + paths[i]);
    EXPECT_FALSE(send->billable);
    EXPECT_EQ(send->body, "");
    step = probe->Next({.status = status, .headers = {}, .body = bodies[i]});
  }
  return step;
}

TEST(OllamaProbeTest, TheStateOfAServerIsItsVersionAndItsModels) {
  const auto step =
      Probed({R"({"version":"0.17.4"})",
              R"({"models":[{"name":"tiny:latest","model":"tiny:latest","size":390000,"digest":"ab12"},{"name":"b"}]})",
              R"({"models":[{"name":"tiny:latest","size":700,"size_vram":300,"context_length":4096,"digest":"ab12"},)"
              R"({"name":"gone","size":-1,"size_vram":"x","digest":"cd"}]})"});
  const auto* state = std::get_if<ServerState>(&step);
  ASSERT_NE(state, nullptr);
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
  const auto step = Probed({R"({"version":"0.17.4"})", R"({"models":null})", R"({"models":[]})"});
  ASSERT_TRUE(std::holds_alternative<ServerState>(step));
  EXPECT_TRUE(std::get<ServerState>(step).models.empty());
}

TEST(OllamaProbeTest, SomethingElseThanAnOllamaServerIsAFailure) {
  const auto message = [](const std::vector<std::string>& bodies, int status = 200) {
    const auto step = Probed(bodies, status);
    return std::holds_alternative<Failure>(step) ? std::get<Failure>(step).message : "usable";
  };
  EXPECT_THAT(message({"<html>"}), HasSubstr("not a JSON object: <html>"));
  EXPECT_THAT(message({"404 page not found"}, 404), HasSubstr("base_url is not that of an Ollama server"));
  EXPECT_THAT(message({"{}", "{}"}), HasSubstr("no list of models"));
  EXPECT_THAT(message({"{}", R"({"models":{}})"}), HasSubstr("no list of models"));
  EXPECT_THAT(message({"{}", R"({"models":[1]})", R"({"models":3})"}), HasSubstr("no list of models"));
}

}  // namespace
}  // namespace millrace::backend
