// `millrace backends` as a command, with a server that answers, one that does not, and one that is something else.
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

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class BackendsCommandTest : public testing::Test {
 protected:
  BackendsCommandTest() : directory_(testing::TempDir() + "backends-command-XXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    ollama_.Put("tiny:latest", "ab12cd34ef56ab78");
    ollama_.Put("other:7b", "99");
    std::ofstream(directory_ + "/millrace.yaml") << fmt::format(R"(backends:
- {{name: laptop, ollama: {{base_url: '{}'}}}}
- {{name: off, ollama: {{base_url: 'http://127.0.0.1:{}'}}}}
- {{name: wrong, openai: {{base_url: '{}/v1'}}}}
- {{name: rules, local: {{}}}}
models:
- name: writer
  targets:
  - {{backend: laptop, model: Tiny, limits: {{max_concurrency: 2}}}}
- name: others
  targets:
  - {{backend: laptop, model: missing}}
  - {{backend: off, model: tiny}}
  - {{backend: wrong, model: tiny}}
  - {{backend: rules}}
)",
                                                                ollama_.url(), ClosedPort(), ollama_.url());
  }
  ~BackendsCommandTest() override { std::filesystem::remove_all(directory_); }

  Ended Run(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"--data-dir", directory_ + "/data", "--config", directory_ + "/millrace.yaml",
                                          "backends"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunWhole(std::move(arguments));
  }

  std::string directory_;
  FakeOllama ollama_;
};

TEST_F(BackendsCommandTest, EachServerIsShownWithItsStateAndARemedy) {
  const Ended ended = Run({});
  EXPECT_EQ(ended.exit, kDone) << ended.err;
  EXPECT_THAT(
      ended.out,
      AllOf(ContainsRegex("laptop +ollama +answers .[0-9]+ ms. +0.17.4 +2 models\n"),
            ContainsRegex("off +ollama +not reachable +- +.*Connection refused.*; start it with `ollama serve` on its "
                          "machine, or correct base_url\n"),
            ContainsRegex("wrong +openai +answers .* lists no models .HTTP 404.\n"),
            ContainsRegex("rules +local +not asked +- ")));
  EXPECT_THAT(ended.out, AllOf(ContainsRegex("laptop/Tiny +ok +0 of 2 +0 *\n"),
                               ContainsRegex("laptop/missing +problem +0 of 8 +0 +the server does not have it; run "
                                             "`ollama pull missing` on its machine\n")));
  EXPECT_THAT(ended.out, AllOf(ContainsRegex("laptop/tiny:latest +no +- +- +- +ab12cd34ef56\n"),
                               ContainsRegex("laptop/other:7b +no +- +- +- +99\n")));
}

TEST_F(BackendsCommandTest, AModelInMemoryIsShownWithItsSizeAndItsShareOnTheGpu) {
  ASSERT_EQ(RunWhole({"--data-dir", directory_ + "/data", "--config", directory_ + "/millrace.yaml", "generate",
                      "writer", "Hello."})
                .exit,
            kDone);
  EXPECT_THAT(Run({}).out, ContainsRegex("laptop/tiny:latest +yes +700 MiB +50% +4,096 +ab12cd34ef56\n"));
}

TEST_F(BackendsCommandTest, NoServerIsAskedIfThatIsNotWanted) {
  const Ended ended = Run({"--no-probe"});
  EXPECT_EQ(ended.exit, kDone) << ended.err;
  EXPECT_THAT(ended.out, AllOf(ContainsRegex("laptop +ollama +not asked +- +Ollama's own API.\n"),
                               ContainsRegex("laptop/missing +ok "), Not(HasSubstr("MODEL ON SERVER"))));
  EXPECT_THAT(ollama_.requests(), IsEmpty());
}

TEST_F(BackendsCommandTest, JsonHasTheWholeResponse) {
  const Ended ended = Run({"--format", "json"});
  EXPECT_EQ(ended.exit, kDone) << ended.err;
  EXPECT_THAT(ended.out, AllOf(HasSubstr("\"health\": \"SERVER_HEALTH_UNREACHABLE\""),
                               HasSubstr("\"revision\": \"ab12cd34ef56ab78\""), HasSubstr("\"version\": \"0.17.4\""),
                               HasSubstr("run `ollama pull missing` on its machine")));
}

// A look without the secret served its problem, with the folders of the file, to other clients, and stored it.
TEST_F(BackendsCommandTest, ASecretThatIsMissingIsNamedWithoutItsFolderAndTheTargetIsNotOk) {
  std::ofstream(directory_ + "/millrace.yaml") << fmt::format(
      "backends:\n- {{name: cloud, openai: {{base_url: '{}/v1', api_key: {{file: secrets/no.key}}}}}}\n"
      "models:\n- {{name: writer, targets: [{{backend: cloud, model: m}}]}}\n",
      ollama_.url());
  for (const std::vector<std::string>& more :
       std::vector<std::vector<std::string>>{{"--format", "json"}, {"--format", "json", "--no-probe"}}) {
    const Ended ended = Run(more);
    EXPECT_EQ(ended.exit, kDone) << ended.err;
    EXPECT_THAT(ended.out, AllOf(HasSubstr("the secret file no.key can't be read"), HasSubstr("TARGET_STATE_PROBLEM"),
                                 Not(HasSubstr("TARGET_STATE_OK")), Not(HasSubstr("secrets"))));
  }
  // The user who starts a call learns the whole path.
  const Ended call = RunWhole(
      {"--data-dir", directory_ + "/data", "--config", directory_ + "/millrace.yaml", "generate", "writer", "Hello."});
  EXPECT_EQ(call.exit, kUsage);
  EXPECT_THAT(call.err, HasSubstr(directory_ + "/secrets/no.key"));
}

}  // namespace
}  // namespace millrace::cli
