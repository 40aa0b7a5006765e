#include "server/simulator/simulate.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "server/base/status.h"
#include "server/config/pipeline_file.h"
#include "server/config/server_config.h"
#include "server/files/files.h"
#include "server/simulator/mutants.h"
#include "server/stages/registry.h"

namespace millrace::simulator {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kStories[] = R"(name: stories
parameters: {input: titles.csv, output: stories.jsonl}
stages:
- name: titles
  fetch: {csv: {path: $(input), id_column: id}}
- name: story
  needs: [titles]
  synthesize:
    model: writer
    prompt: "Tell the story of: {{title}}"
    output_schema: {type: object, properties: {story: {type: string}}, required: [story]}
- name: saved
  needs: [story]
  store: {jsonl: {path: $(output)}}
)";

class SimulateTest : public testing::Test {
 protected:
  SimulateTest() : directory_(testing::TempDir() + "simulate-XXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    WriteTitles(1000);
    const StageRegistry stages = BuiltinStages();
    const FileLoader no_files = [](std::string_view) -> StatusOr<std::string> { return absl::NotFoundError("none"); };
    StatusOr<PipelineFile> file = ReadPipeline(kStories, "stories.yaml", no_files, &stages);
    EXPECT_TRUE(file.ok()) << file.status();
    pipeline_ = std::move(file->pipeline);
    (*request_.mutable_parameters())["input"].set_string("titles.csv");
    profile_ = ReadSimulatedProfile("{latency: 100ms}", "profile").value();
  }
  ~SimulateTest() override { std::filesystem::remove_all(directory_); }

  void WriteTitles(int count) const {
    std::ofstream file(directory_ + "/titles.csv");
    file << "id,title\n";
    for (int i = 0; i < count; ++i) file << fmt::format("t-{},Flood number {} in the valley\n", i, i);
  }

  StatusOr<v1::Simulation> Simulated(uint64_t seed = 1, int seeds = 1, bool faults = false) const {
    const FileRoots files({directory_}, {directory_});
    return Simulate({.pipeline = pipeline_,
                     .request = request_,
                     .config = BuiltinServerConfig(),
                     .profile = profile_,
                     .concurrency = 20,
                     .first_seed = seed,
                     .seeds = seeds,
                     .faults = faults,
                     .files = files});
  }
  static double Seconds(const google::protobuf::Duration& duration) {
    return static_cast<double>(duration.seconds()) + duration.nanos() / 1e9;
  }

  std::string directory_;
  v1::Pipeline pipeline_;
  v1::CreateRunRequest request_;
  v1::SimulatedProfile profile_;
};

TEST_F(SimulateTest, APlainPipelineTakesAsLongAsItsCallsOnTheirSlots) {
  profile_ = ReadSimulatedProfile("{latency: 1s}", "profile").value();
  const StatusOr<v1::Simulation> simulation = Simulated();
  ASSERT_TRUE(simulation.ok()) << simulation.status();
  EXPECT_THAT(simulation->made_up_models(), ElementsAre("writer"));
  const v1::SimulatedRun& run = simulation->runs(0);
  EXPECT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_DOUBLE_EQ(Seconds(run.bound()), 50.0);  // 1,000 calls of 1 s, 20 at once
  EXPECT_GE(Seconds(run.wall_time()), 50.0);
  EXPECT_LE(Seconds(run.wall_time()), 50.0 * 1.01);
  ASSERT_EQ(run.targets_size(), 1);
  EXPECT_EQ(run.targets(0).name(), "made-up/writer");
  EXPECT_EQ(run.targets(0).peak_in_flight(), 20);
  EXPECT_EQ(run.targets(0).answered(), 1000);
  EXPECT_EQ(run.stages(1).calls(), 1000);
  EXPECT_EQ(run.stages(1).attempts(), 1000);
  EXPECT_GT(run.stages(1).input_tokens(), 1000);
  EXPECT_GT(run.stages(1).output_tokens(), 1000);
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/stories.jsonl"));
}

TEST_F(SimulateTest, OneSeedAlwaysGivesTheSameAnswer) {
  profile_ = ReadSimulatedProfile("{latency: 1s, latency_sigma: 0.5, rate_limited: 5%, cut: 2%}", "profile").value();
  WriteTitles(200);
  const StatusOr<v1::Simulation> first = Simulated(7, 2);
  const StatusOr<v1::Simulation> again = Simulated(7, 2);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(first->DebugString(), again->DebugString());
  EXPECT_NE(Seconds(first->runs(0).wall_time()), Seconds(first->runs(1).wall_time()));
  const v1::StageProgress& story = first->runs(0).stages(1);
  EXPECT_EQ(story.ok(), 200);
  EXPECT_GT(story.attempts(), 200);
  EXPECT_GT(story.maybe_billed(), 0);
  EXPECT_GT(first->runs(0).targets(0).rejected(), 0);
  EXPECT_EQ(first->runs(0).targets(0).lost(), story.maybe_billed());
}

TEST_F(SimulateTest, AnAnswerThatIsNotJsonIsRepairedOrFails) {
  profile_ = ReadSimulatedProfile("{latency: 10ms, malformed: 50%}", "profile").value();
  WriteTitles(100);
  const StatusOr<v1::Simulation> simulation = Simulated();
  ASSERT_TRUE(simulation.ok()) << simulation.status();
  const v1::StageProgress& story = simulation->runs(0).stages(1);
  EXPECT_GT(story.calls(), 120);
  EXPECT_GT(story.failed(), 0);
  EXPECT_GT(story.ok(), 50);
}

TEST_F(SimulateTest, InjectedFaultsBreakNoPromise) {
  WriteTitles(60);
  const StatusOr<v1::Simulation> simulation = Simulated(1, 8, true);
  ASSERT_TRUE(simulation.ok()) << simulation.status();
  int faults = 0;
  for (const v1::SimulatedRun& run : simulation->runs()) {
    EXPECT_THAT(run.violations(), IsEmpty()) << "seed " << run.seed();
    EXPECT_EQ(run.stages(1).ok(), 60) << "seed " << run.seed();
    faults += run.faults_size();
  }
  EXPECT_GT(faults, 4);
}

TEST_F(SimulateTest, TheConfigurationGivesSlotsAndTimeLimits) {
  pipeline_.mutable_stages(1)->mutable_synthesize()->set_model("local");
  const FileRoots files({directory_}, {directory_});
  WriteTitles(80);
  const StatusOr<v1::Simulation> simulation = Simulate({.pipeline = pipeline_,
                                                        .request = request_,
                                                        .config = BuiltinServerConfig(),
                                                        .profile = profile_,
                                                        .files = files});
  ASSERT_TRUE(simulation.ok()) << simulation.status();
  EXPECT_THAT(simulation->made_up_models(), IsEmpty());
  EXPECT_EQ(simulation->runs(0).targets(0).slots(), 8);
  EXPECT_EQ(simulation->runs(0).targets(0).name(), "local");
  EXPECT_DOUBLE_EQ(Seconds(simulation->runs(0).bound()), 1.0);
}

TEST_F(SimulateTest, ARequestThatARunWouldRefuseIsRefused) {
  (*request_.mutable_parameters())["inptu"].set_string("x");
  EXPECT_THAT(Simulated().status().ToString(), HasSubstr("did you mean"));
  request_.mutable_parameters()->erase("inptu");
  pipeline_.mutable_stages(1)->set_needs(0, "titels");
  EXPECT_EQ(ReasonOf(Simulated().status()), Reason::kInvalidDefinition);
}

TEST_F(SimulateTest, AnErrorThatWouldFailARunFailsTheSimulatedRun) {
  (*request_.mutable_parameters())["input"].set_string("none.csv");
  const StatusOr<v1::Simulation> simulation = Simulated();
  ASSERT_TRUE(simulation.ok()) << simulation.status();
  EXPECT_EQ(simulation->runs(0).state(), v1::RUN_STATE_FAILED);
  EXPECT_EQ(simulation->runs(0).error().reason(), v1::ERROR_REASON_FILE_ERROR);
}

TEST_F(SimulateTest, AFileThatMayNotBeReadIsRefusedAsByCreateRun) {
  (*request_.mutable_parameters())["input"].set_string("/etc/passwd");
  EXPECT_EQ(ReasonOf(Simulated().status()), Reason::kFileNotAllowed);
}

TEST(MutantsTest, TheReadmeSaysHowManyThereAre) {
  std::ifstream file("README.md");
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_THAT(text.str(), HasSubstr(fmt::format("in\n{} ways", std::size(kMutants))));
}

}  // namespace
}  // namespace millrace::simulator
