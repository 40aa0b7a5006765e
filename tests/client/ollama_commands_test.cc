// Commands without a server, with an Ollama server whose models come, change and go.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "client/cli/output.h"
#include "tests/client/whole_command.h"
#include "tests/http/fake_ollama.h"

namespace millrace::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class OllamaCommandsTest : public testing::Test {
 protected:
  OllamaCommandsTest() : directory_(testing::TempDir() + "ollama-commands-XXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    Configure("");
    Write("items.jsonl", "{\"id\":\"a\",\"text\":\"one\"}\n{\"id\":\"b\",\"text\":\"two\"}\n");
    Write("p.yaml",
          "name: p\nstages:\n"
          "- {name: items, fetch: {jsonl: {path: items.jsonl, id_field: id}}}\n"
          "- {name: said, needs: [items], synthesize: {model: writer, prompt: \"Say {{text}}.\"}}\n");
  }
  ~OllamaCommandsTest() override { std::filesystem::remove_all(directory_); }

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ + "/" + name, std::ios::binary) << text;
  }
  void Configure(const std::string& more) const {
    Write("millrace.yaml", fmt::format("backends:\n- {{name: laptop, ollama: {{base_url: '{}'{}}}}}\n"
                                       "models:\n- {{name: writer, targets: [{{backend: laptop, model: tiny}}]}}\n",
                                       ollama_.url(), more));
  }
  Ended Millrace(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"--data-dir", directory_ + "/data", "--config",
                                          directory_ + "/millrace.yaml"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunWhole(std::move(arguments));
  }
  Ended Run() const {
    return Millrace({"run", directory_ + "/p.yaml", "--input", "items=" + directory_ + "/items.jsonl"});
  }
  // Requests that are not probes, since the last call of this.
  std::vector<std::string> Requests() {
    std::vector<std::string> requests = ollama_.requests();
    requests.erase(requests.begin(), requests.begin() + static_cast<ptrdiff_t>(seen_));
    seen_ += requests.size();
    std::erase_if(requests, [](const std::string& request) { return request.starts_with("GET "); });
    return requests;
  }

  std::string directory_;
  mutable FakeOllama ollama_;
  size_t seen_ = 0;
};

TEST_F(OllamaCommandsTest, ARunReusesNothingOfAModelThatWasPulledAgain) {
  ollama_.Put("tiny:latest", "old");
  const Ended first = Run();
  EXPECT_EQ(first.exit, kDone) << first.err;
  EXPECT_THAT(Requests(), ElementsAre("POST /api/chat tiny ask", "POST /api/chat tiny ask"));
  EXPECT_EQ(Run().exit, kDone);
  EXPECT_THAT(Requests(), IsEmpty()) << "results are remembered";
  ollama_.Put("tiny:latest", "new");
  EXPECT_EQ(Run().exit, kDone);
  EXPECT_EQ(Requests().size(), 2u);
  EXPECT_THAT(Millrace({"generate", "writer", "Who?"}).out, HasSubstr("new says"));
}

TEST_F(OllamaCommandsTest, AModelIsLoadedBeforeARunAndUnloadedAfterIt) {
  ollama_.Put("tiny:latest", "d");
  Configure(", warm_up: true, unload_after_run: true");
  const Ended run = Run();
  EXPECT_EQ(run.exit, kDone) << run.err;
  EXPECT_THAT(Requests(), ElementsAre("POST /api/chat tiny load", "POST /api/chat tiny ask", "POST /api/chat tiny ask",
                                      "POST /api/chat tiny unload"));
  EXPECT_THAT(ollama_.loaded(), IsEmpty());
}

TEST_F(OllamaCommandsTest, AMissingModelIsPulledIfThatIsAllowed) {
  ollama_.Offer("tiny:latest", "pulled");
  const Ended refused = Millrace({"generate", "writer", "Who?"});
  EXPECT_NE(refused.exit, kDone);
  EXPECT_THAT(refused.err, HasSubstr("ollama pull tiny"));
  Requests();
  Configure(", pull: true");
  const Ended pulled = Millrace({"generate", "writer", "Who?"});
  EXPECT_EQ(pulled.exit, kDone) << pulled.err;
  EXPECT_THAT(pulled.out, HasSubstr("pulled says"));
  EXPECT_THAT(Requests(), ElementsAre("POST /api/pull tiny", "POST /api/chat tiny ask"));
}

TEST_F(OllamaCommandsTest, APullThatFailsLeavesTheAdviceOfTheError) {
  Configure(", pull: true");
  const Ended ended = Millrace({"generate", "writer", "Who?"});
  EXPECT_NE(ended.exit, kDone);
  EXPECT_THAT(ended.err, HasSubstr("ollama pull tiny"));
}

}  // namespace
}  // namespace millrace::cli
