// `millrace simulate` as a command: its output and exit status.
#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "client/cli/output.h"
#include "server/base/json.h"
#include "tests/client/whole_command.h"

namespace millrace::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr char kStories[] = R"(name: stories
parameters: {input: titles.csv}
stages:
- name: titles
  fetch: {csv: {path: $(input), id_column: id}}
- name: story
  needs: [titles]
  synthesize: {model: writer, prompt: "Tell the story of: {{title}}"}
)";

class SimulateCommandTest : public testing::Test {
 protected:
  SimulateCommandTest() : directory_(testing::TempDir() + "simulate-command-XXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    Write("stories.yaml", kStories);
    Write("titles.csv", "id,title\na,Flood\nb,Storm\n");
  }
  ~SimulateCommandTest() override { std::filesystem::remove_all(directory_); }

  void Write(const std::string& name, std::string_view text) const {
    std::ofstream(directory_ + "/" + name, std::ios::binary) << text;
  }

  Ended Simulate(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"simulate", directory_ + "/stories.yaml", "-p",
                                          "input=" + directory_ + "/titles.csv"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunWhole(std::move(arguments));
  }

  std::string directory_;
};

TEST_F(SimulateCommandTest, PredictsTimeAndRequests) {
  const Ended ended = Simulate({"--latency", "90s", "--concurrency", "1"});
  EXPECT_EQ(ended.exit, kDone) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("wall time  3 min 00 s (the calls need at least 3 min 00 s on their slots)"));
  EXPECT_THAT(ended.out, HasSubstr("2 requests, 0 refused, 0 lost; at most 1 of 1 slots in flight"));
  EXPECT_THAT(ended.err, HasSubstr("model writer is not configured: simulated as one target"));
}

TEST_F(SimulateCommandTest, PrintsOneJsonValue) {
  const Ended ended = Simulate({"--format", "json", "--seeds", "2"});
  EXPECT_EQ(ended.exit, kDone) << ended.err;
  const StatusOr<json::value> value = ParseJson(ended.out);
  ASSERT_TRUE(value.ok()) << ended.out;
  EXPECT_EQ(FindPath(*value, "runs.1.state")->as_string(), "RUN_STATE_SUCCEEDED");
}

TEST_F(SimulateCommandTest, AWrongPipelineIsRefusedAsByValidate) {
  Write("wrong.yaml", "name: stories\nstages:\n- {name: a, fetch: {cvs: {path: x}}}\n");
  const Ended validated = RunWhole({"validate", directory_ + "/wrong.yaml"});
  const Ended simulated = RunWhole({"simulate", directory_ + "/wrong.yaml"});
  EXPECT_EQ(validated.exit, kUsage);
  EXPECT_EQ(simulated.exit, kUsage);
  EXPECT_EQ(simulated.err, validated.err);
  EXPECT_THAT(simulated.err, HasSubstr("did you mean \"csv\"?"));
}

TEST_F(SimulateCommandTest, APredictedFailureHasTheExitStatusOfAFailure) {
  const Ended ended = RunWhole({"simulate", directory_ + "/stories.yaml", "-p", "input=" + directory_ + "/none.csv"});
  EXPECT_EQ(ended.exit, kRunFailed);
  EXPECT_THAT(ended.out, HasSubstr("the run would end as FAILED"));
  const Ended profile = Simulate({"--profile", directory_ + "/none.yaml"});
  EXPECT_EQ(profile.exit, kUsage);
  EXPECT_THAT(profile.err, StartsWith("millrace: --profile"));
  EXPECT_EQ(Simulate({"--latency", "soon"}).exit, kUsage);
}

}  // namespace
}  // namespace millrace::cli
