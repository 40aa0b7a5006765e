// Errands of the Ollama backend: loading, unloading and pulling a model, as functions of bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/ollama/keep_alive.h"
#include "tests/backends/ollama_support.h"

namespace millrace::backend {
namespace {

using testing::HasSubstr;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""h;

v1::OllamaBackend LoadConfig() {
  v1::OllamaBackend config = OllamaConfig();
  config.set_options(R"({"num_gpu":20,"num_ctx":8192})");
  config.set_keep_alive("10m");
  return config;
}

// Answers each request of an errand with the next response, and notes the requests.
struct Errands {
  explicit Errands(Errand errand, const v1::OllamaBackend& config = OllamaConfig())
      : backend(MakeOllamaBackend(config)), exchange(backend->StartErrand(errand, "tiny")) {
    Take(exchange->Next(Resume()));
  }

  void Answer(int status, const std::string& body) {
    Action next = exchange->Next(Head{.status = status, .headers = {}});
    for (size_t i = 0; i < body.size() && std::holds_alternative<More>(next); ++i) {
      next = exchange->Next(Bytes{body.substr(i, 1)});
      if (const auto* more = std::get_if<More>(&next); more != nullptr && !more->delta.empty()) {
        progress.push_back(more->delta);
      }
    }
    if (std::holds_alternative<More>(next)) next = exchange->Next(End());
    Take(std::move(next));
  }
  void Take(Action next) {
    action = std::move(next);
    if (const auto* send = std::get_if<SendHttp>(&action)) {
      EXPECT_FALSE(send->billable);
      sent.push_back(send->method + " " + send->url + " " + send->body);
    }
  }
  bool is_done() const { return std::holds_alternative<Done>(action); }
  std::string error() const {
    const auto* fail = std::get_if<Fail>(&action);
    return fail == nullptr ? "" : fail->failure.message;
  }

  const std::unique_ptr<Backend> backend;
  const std::unique_ptr<Exchange> exchange;
  Action action;
  std::vector<std::string> sent;
  std::vector<std::string> progress;
};

TEST(OllamaErrandTest, AModelIsLoadedWithTheSettingsOfQuestions) {
  Errands errand(Errand::kWarmUp, LoadConfig());
  ASSERT_EQ(errand.sent.size(), 1u);
  EXPECT_EQ(errand.sent[0],
            "POST http://127.0.0.1:11434/api/chat "
            R"({"model":"tiny","messages":[],"stream":false,"shift":false,"options":{"num_gpu":20,"num_ctx":8192},)"
            R"("keep_alive":"10m"})");
  errand.Answer(200,
                R"({"model":"tiny","message":{"role":"assistant","content":""},"done":true,"done_reason":"load"})");
  EXPECT_TRUE(errand.is_done());
}

TEST(OllamaErrandTest, WithoutAFixedContextTheSizeOfEarlierQuestionsIsLoaded) {
  const std::unique_ptr<Backend> backend = MakeOllamaBackend(OllamaConfig());
  const auto context = [&backend] {
    const Action action = backend->StartErrand(Errand::kWarmUp, "tiny")->Next(Resume());
    const std::string& body = std::get<SendHttp>(action).body;
    return body.substr(body.find("num_ctx"), 14);
  };
  EXPECT_EQ(context(), "num_ctx\":4096}");
  backend->Start(OllamaRequest(std::string(12'000, 'x')), 1);
  EXPECT_EQ(context(), "num_ctx\":8192}");
}

TEST(OllamaErrandTest, AModelThatDoesNotChatIsLoadedByAnEmbedding) {
  Errands errand(Errand::kWarmUp, LoadConfig());
  errand.Answer(400, R"({"error":"\"tiny\" does not support chat"})");
  ASSERT_EQ(errand.sent.size(), 2u);
  EXPECT_EQ(errand.sent[1],
            "POST http://127.0.0.1:11434/api/embed "
            R"({"model":"tiny","input":"","options":{"num_gpu":20,"num_ctx":8192},"keep_alive":"10m"})");
  errand.Answer(200, R"({"model":"tiny","embeddings":[]})");
  EXPECT_TRUE(errand.is_done());
}

TEST(OllamaErrandTest, AServerThatCantLoadAModelIsAFailure) {
  Errands errand(Errand::kWarmUp);
  errand.Answer(500, R"({"error":"llama runner process has terminated: out of memory"})");
  EXPECT_THAT(errand.error(), HasSubstr("out of memory"));
  EXPECT_EQ(errand.sent.size(), 1u) << "it is not tried in another way";
  Errands other(Errand::kUnload);
  other.Answer(200, "<html>");
  EXPECT_THAT(other.error(), HasSubstr("not the answer of an Ollama server: <html>"));
}

TEST(OllamaErrandTest, AModelIsUnloaded) {
  Errands errand(Errand::kUnload, LoadConfig());
  EXPECT_EQ(errand.sent[0],
            "POST http://127.0.0.1:11434/api/chat "
            R"({"model":"tiny","messages":[],"stream":false,"keep_alive":0})");
  errand.Answer(200, R"({"model":"tiny","done":true,"done_reason":"unload"})");
  EXPECT_TRUE(errand.is_done());
}

TEST(OllamaErrandTest, APullReportsItsProgressAndEndsWithSuccess) {
  Errands errand(Errand::kPull);
  EXPECT_EQ(errand.sent[0], R"(POST http://127.0.0.1:11434/api/pull {"model":"tiny","stream":true})");
  errand.Answer(200,
                "{\"status\":\"pulling manifest\"}\n"
                "{\"status\":\"pulling 0123456789ab\",\"total\":400000000,\"completed\":100000000}\n"
                "{\"status\":\"pulling 0123456789ab\",\"total\":400000000}\n"
                "{\"status\":\"verifying sha256 digest\"}\n{\"status\":\"success\"}\n");
  EXPECT_TRUE(errand.is_done());
  EXPECT_THAT(errand.progress, testing::ElementsAre("pulling manifest", "pulling 0123456789ab: 25% of 400.0 MB",
                                                    "pulling 0123456789ab: 0% of 400.0 MB", "verifying sha256 digest"));
}

TEST(OllamaErrandTest, APullThatEndsInAnyOtherWayIsAFailure) {
  const auto error = [](int status, const std::string& body) {
    Errands errand(Errand::kPull);
    errand.Answer(status, body);
    return errand.error();
  };
  EXPECT_THAT(error(200, "{\"status\":\"pulling manifest\"}\n{\"error\":\"file does not exist\"}\n"),
              HasSubstr("file does not exist"));
  EXPECT_THAT(error(200, "{\"status\":\"pulling manifest\"}\n"), HasSubstr("ended before it was complete"));
  EXPECT_THAT(error(200, "{\"status\":\"succ"), HasSubstr("not JSON"));
  EXPECT_THAT(error(200, ""), HasSubstr("ended before it was complete"));
  EXPECT_THAT(error(404, "404 page not found"), HasSubstr("base_url is not that of an Ollama server"));
  EXPECT_THAT(error(200, std::string(70'000, 'x')), HasSubstr("too long"));
  Errands last(Errand::kPull);
  last.Answer(200, "{\"status\":\"success\"}");
  EXPECT_TRUE(last.is_done()) << "the last line end may be missing";
}

TEST(OllamaErrandTest, TheTimeOfKeepAliveIsReadAsOllamaReadsIt) {
  EXPECT_EQ(ollama::KeepAlive(""), 5min);
  EXPECT_EQ(ollama::KeepAlive("300"), 300s);
  EXPECT_EQ(ollama::KeepAlive("1h30m"), 1h + 30min);
  EXPECT_EQ(ollama::KeepAlive("1.5s"), 1500ms);
  EXPECT_EQ(ollama::KeepAlive("300ms"), 300ms);
  EXPECT_EQ(ollama::KeepAlive("0"), 0s);
  EXPECT_EQ(ollama::KeepAlive("-1"), std::nullopt);
  EXPECT_EQ(ollama::KeepAlive("-1m"), std::nullopt);
  EXPECT_EQ(ollama::KeepWarmEvery(""), 4min);
  EXPECT_EQ(ollama::KeepWarmEvery("-1"), 0s) << "it stays loaded by itself";
}

TEST(OllamaErrandTest, AModelThatIsDroppedAtOnceCantBeKeptWarm) {
  const auto violations = [](const char* keep_alive, bool keep_warm) {
    v1::BackendConfig config;
    config.set_name("b");
    config.mutable_ollama()->set_keep_alive(keep_alive);
    config.mutable_ollama()->set_keep_warm(keep_warm);
    std::vector<FieldViolation> found;
    OllamaKind().check(
        config, [](const std::string&, google::protobuf::Message&) { return absl::OkStatus(); }, found);
    return found.size();
  };
  EXPECT_EQ(violations("0", true), 1u);
  EXPECT_EQ(violations("1s", true), 1u);
  EXPECT_EQ(violations("1s", false), 0u);
  EXPECT_EQ(violations("", true), 0u);
  EXPECT_EQ(violations("-1", true), 0u);
}

TEST(OllamaErrandTest, TheConfigurationSaysWhatIsDone) {
  EXPECT_FALSE(MakeOllamaBackend(OllamaConfig())->manifest().upkeep.warms_up);
  v1::OllamaBackend config = OllamaConfig();
  config.set_keep_warm(true);
  config.set_pull(true);
  const Upkeep upkeep = MakeOllamaBackend(config)->manifest().upkeep;
  EXPECT_TRUE(upkeep.warms_up);
  EXPECT_EQ(upkeep.keep_warm, 4min);
  EXPECT_FALSE(upkeep.unloads);
  EXPECT_TRUE(upkeep.pulls);
}

}  // namespace
}  // namespace millrace::backend
