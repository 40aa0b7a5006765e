// `millraced`: served by address and socket, drained by a signal, used by reflection alone.
#include <signal.h>

#include <filesystem>

#include "tests/e2e/story.h"

namespace millrace {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ServerProcessTest : public StoryTest {
 protected:
  ServerProcessTest() : port_(FreePort()), address_(fmt::format("127.0.0.1:{}", port_)) {
    workspace_.Write("server.yaml", fmt::format("grpc: {{address: '{}'}}\ndata_dir: store\n"
                                                "files: {{read: [.], write: [.]}}\n{}",
                                                address_, kSlowConfig));
  }

  std::unique_ptr<Process> Serve() {
    auto server =
        std::make_unique<Process>(std::vector<std::string>{MILLRACE_SERVER_PROGRAM, "--config", "server.yaml"}, Here());
    EXPECT_TRUE(server->WaitForOutput(
        [](const std::string&, const std::string& err) { return err.find("serving on") != std::string::npos; }));
    return server;
  }

  int port_;
  std::string address_;
};

TEST_F(ServerProcessTest, CommandsWorkOverItsAddress) {
  const auto server = Serve();
  const Finished run =
      RunProgram(Command({"run", "stories.yaml"}),
                 {.directory = workspace_.path(), .environment = {{"MILLRACE_SERVER", address_}}, .input = ""});
  EXPECT_EQ(run.exit, 0) << run.err;
  EXPECT_EQ(Lines(workspace_.Read("stories.jsonl")), 5u);
  EXPECT_THAT(Millrace({"status", "--server", address_}).out, HasSubstr("durability sync"));
  EXPECT_THAT(Millrace({"runs", "--data-dir", "store"}).err, HasSubstr("held by another process"));
}

TEST_F(ServerProcessTest, ASecondServerOnAStoreNamesItsHolder) {
  const auto server = Serve();
  const Finished second = RunProgram({MILLRACE_SERVER_PROGRAM, "--config", "server.yaml"}, Here());
  EXPECT_EQ(second.exit, 2);
  EXPECT_THAT(second.err, HasSubstr("process"));
  workspace_.Write("other.yaml", fmt::format("grpc: {{address: '{}'}}\ndata_dir: other\n", address_));
  const Finished same_port = RunProgram({MILLRACE_SERVER_PROGRAM, "--config", "other.yaml"}, Here());
  EXPECT_EQ(same_port.exit, 2);
  EXPECT_THAT(same_port.err, HasSubstr(address_));
  EXPECT_EQ(Millrace({"status", "--server", address_}).exit, 0) << "the first one does not mind";
}

TEST_F(ServerProcessTest, ASignalDrainsItAndRunsContinueAfterwards) {
  workspace_.Write("titles.csv", Titles(300));
  auto server = Serve();
  const Finished created = Millrace({"run", "stories.yaml", "--server", address_, "--detach"});
  ASSERT_EQ(created.exit, 0) << created.err;
  const std::string name = RunName(created.err);
  server->Signal(SIGTERM);
  const Finished ended = server->Wait();
  EXPECT_EQ(ended.exit, 0) << ended.err;
  EXPECT_FALSE(std::filesystem::exists(workspace_.path() / "store/millrace.sock"));
  server = Serve();
  const Finished watched = Millrace({"watch", name, "--server", address_});
  EXPECT_EQ(watched.exit, 0) << watched.err;
  EXPECT_EQ(Lines(workspace_.Read("stories.jsonl")), 300u);
}

TEST_F(ServerProcessTest, AKilledServerContinuesItsRuns) {
  workspace_.Write("titles.csv", Titles(300));
  auto server = Serve();
  const Finished created = Millrace({"run", "stories.yaml", "--server", address_, "--detach", "--request-id", "one"});
  ASSERT_EQ(created.exit, 0) << created.err;
  server->Signal(SIGKILL);
  server->Wait();
  server = Serve();
  // A repeated request returns the same run.
  const Finished again = Millrace({"run", "stories.yaml", "--server", address_, "--request-id", "one"});
  EXPECT_EQ(again.exit, 0) << again.err;
  EXPECT_EQ(RunName(again.err), RunName(created.err));
  EXPECT_EQ(Lines(workspace_.Read("stories.jsonl")), 300u);
}

// A client without .proto files, which uses reflection only.
class ReflectionTest : public ServerProcessTest {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kBuf)) {
      GTEST_SKIP() << "buf (npm: @bufbuild/buf) is not in build/buf: reflection is not tested from outside";
    }
  }

  Finished Curl(const std::string& method, const std::string& data, std::vector<std::string> options = {}) {
    std::vector<std::string> command = {std::filesystem::absolute(kBuf).string(), "curl", "--protocol", "grpc",
                                        "--http2-prior-knowledge"};
    command.insert(command.end(), options.begin(), options.end());
    if (!method.empty()) {
      command.insert(command.end(), {"--data", data});
    }
    command.push_back("http://" + address_ + (method.empty() ? "" : "/" + method));
    return RunProgram(command, Here());
  }

  static constexpr char kBuf[] = "build/buf/node_modules/.bin/buf";
};

TEST_F(ReflectionTest, AStrangerCanListApplyRunWatchAndRead) {
  const auto server = Serve();
  const Finished services = Curl("", "", {"--list-services"});
  EXPECT_THAT(services.out, AllOf(HasSubstr("millrace.v1.RunService"), HasSubstr("millrace.v1.AdminService")))
      << services.err;
  const Finished pipeline = Millrace({"validate", "stories.yaml", "--format", "json"});
  ASSERT_EQ(pipeline.exit, 0) << pipeline.err;
  const Finished applied =
      Curl("millrace.v1.PipelineService/ApplyPipeline", fmt::format("{{\"pipeline\": {}}}", pipeline.out));
  EXPECT_EQ(applied.exit, 0) << applied.err;
  const Finished created = Curl("millrace.v1.RunService/CreateRun", R"({"pipeline": "stories", "wait": "60s"})");
  ASSERT_EQ(created.exit, 0) << created.err;
  EXPECT_THAT(created.out, HasSubstr("RUN_STATE_SUCCEEDED"));
  const size_t at = created.out.find("r-");
  const std::string name = created.out.substr(at, created.out.find('"', at) - at);
  const Finished watched = Curl("millrace.v1.RunService/WatchRun", fmt::format(R"({{"run": "{}"}})", name));
  EXPECT_EQ(watched.exit, 0) << watched.err;
  EXPECT_THAT(watched.out, HasSubstr("stateChanged"));
  const Finished items =
      Curl("millrace.v1.RunService/ListItems", fmt::format(R"({{"run": "{}", "structs": true}})", name));
  EXPECT_EQ(items.exit, 0) << items.err;
  EXPECT_THAT(items.out, HasSubstr("t-0005"));
}

TEST_F(ReflectionTest, ErrorsComeWithTheirDetails) {
  const auto server = Serve();
  const Finished absent = Curl("millrace.v1.RunService/GetRun", R"({"run": "r-absent"})");
  EXPECT_NE(absent.exit, 0);
  // grpc_cli prints details as base64: ErrorInfo with reason RUN_NOT_FOUND and domain millrace.
  EXPECT_THAT(absent.err + absent.out, AllOf(HasSubstr("not_found"), HasSubstr("google.rpc.ErrorInfo"),
                                             HasSubstr("Cg1SVU5fTk9UX0ZPVU5EEghtaWxscmFjZQ")));
}

}  // namespace
}  // namespace millrace
