// Edges of the programs: outputs that can't be written, a look with another configuration, signals that come twice,
// servers that go away, secrets with what editors leave around them, and `--check`.
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/e2e/story.h"

namespace millrace {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class EdgesTest : public StoryTest {
 protected:
  EdgesTest() : port_(FreePort()), address_(fmt::format("127.0.0.1:{}", port_)) {
    std::string named(kStories);
    named.replace(named.find("model: local"), 12, "model: writer");
    workspace_.Write("named.yaml", named);
    std::string config(kSlowConfig);
    config.replace(config.find("name: local"), 11, "name: writer");
    workspace_.Write("own.yaml", config);
    workspace_.Write("server.yaml", fmt::format("grpc: {{address: '{}'}}\ndata_dir: .millrace\n"
                                                "files: {{read: [.], write: [.]}}\n{}",
                                                address_, config));
  }

  // Runs a command with its output redirected, such as `>/dev/full`.
  Finished MillraceInto(const std::string& redirection, std::vector<std::string> arguments) const {
    std::vector<std::string> command = {"sh", "-c", fmt::format("exec \"$@\" {}", redirection), "sh"};
    for (std::string& argument : Command(std::move(arguments))) command.push_back(std::move(argument));
    return RunProgram(command, Here());
  }

  std::unique_ptr<Process> Start(std::vector<std::string> arguments) const {
    return std::make_unique<Process>(Command(std::move(arguments)), Here());
  }

  std::unique_ptr<Process> Serve(const std::string& config = "server.yaml") const {
    auto server =
        std::make_unique<Process>(std::vector<std::string>{MILLRACE_SERVER_PROGRAM, "--config", config}, Here());
    EXPECT_TRUE(server->WaitForOutput(
        [](const std::string&, const std::string& err) { return err.find("serving on") != std::string::npos; }));
    return server;
  }

  // Waits until the command has named its run.
  static std::string AwaitName(Process& process) {
    std::string name;
    EXPECT_TRUE(process.WaitForOutput([&name](const std::string&, const std::string& err) {
      name = RunName(err.substr(0, err.rfind('\n') + 1));
      return !name.empty();
    }));
    return name;
  }

  Finished Check(const std::string& config, std::map<std::string, std::string> environment = {}) const {
    workspace_.Write("check.yaml", config);
    ProcessOptions options = Here();
    options.environment = std::move(environment);
    return RunProgram({MILLRACE_SERVER_PROGRAM, "--check", "--config", "check.yaml"}, options);
  }

  int port_;
  std::string address_;
};

TEST_F(EdgesTest, EveryCommandSaysThatItsOutputCouldNotBeWritten) {
  const Finished run = Millrace({"run", "stories.yaml"});
  ASSERT_EQ(run.exit, 0) << run.err;
  const std::string name = RunName(run.out);
  const std::vector<std::vector<std::string>> commands = {{"--help"},
                                                          {"--version"},
                                                          {"version"},
                                                          {"items", "--help"},
                                                          {"schema"},
                                                          {"runs"},
                                                          {"runs", "--format", "json"},
                                                          {"show", name},
                                                          {"watch", name},
                                                          {"why", name, "t-0001"},
                                                          {"items", name, "--all"},
                                                          {"items", name, "--all", "--format", "jsonl"},
                                                          {"validate", "stories.yaml"},
                                                          {"plan", "stories.yaml"},
                                                          {"pipelines"},
                                                          {"status"},
                                                          {"generate", "local", "a question"},
                                                          {"generate", "local", "a question", "--stream"},
                                                          {"embed", "local", "a text"},
                                                          {"run", "stories.yaml"}};
  for (const std::vector<std::string>& command : commands) {
    const Finished full = MillraceInto(">/dev/full", command);
    EXPECT_EQ(full.exit, 1) << fmt::format("{}", fmt::join(command, " ")) << "\n" << full.err;
    EXPECT_THAT(full.err, HasSubstr("the output can't be written: No space left on device"))
        << fmt::format("{}", fmt::join(command, " "));
    EXPECT_EQ(MillraceInto(">/dev/null", command).exit, 0) << fmt::format("{}", fmt::join(command, " "));
  }
  const Finished closed = MillraceInto(">&-", {"schema"});
  EXPECT_EQ(closed.exit, 1);
  EXPECT_THAT(closed.err, HasSubstr("the output can't be written: Bad file descriptor"));
  const Finished server = RunProgram({"sh", "-c", "exec \"$0\" --help > /dev/full", MILLRACE_SERVER_PROGRAM}, Here());
  EXPECT_NE(server.exit, 0);
  EXPECT_THAT(server.err, HasSubstr("the output can't be written"));
}

TEST_F(EdgesTest, AReaderThatLeavesIsNotReported) {
  // The schema is larger than a pipe, and its reader has left.
  const Finished head =
      RunProgram({"sh", "-c", "{ \"$0\" schema; echo \"ended with $?\" >&2; } | true", MILLRACE_COMMAND}, Here());
  EXPECT_EQ(head.err, "ended with 1\n");
}

TEST_F(EdgesTest, ALookWithAnotherConfigurationChangesNoRun) {
  workspace_.Write("titles.csv", Titles(200));
  auto run = Start({"run", "named.yaml", "--config", "own.yaml"});
  const std::string name = AwaitName(*run);
  run->Signal(SIGKILL);
  run->Wait();
  // Without `--config` the built-in configuration is used, which has no `writer`.
  const Finished runs = Millrace({"runs"});
  EXPECT_EQ(runs.exit, 0) << runs.err;
  EXPECT_THAT(runs.out, ContainsRegex(name + " +stories +RUNNING .*CONFIG writer"));
  const Finished show = Millrace({"show", name});
  EXPECT_THAT(show.out, AllOf(HasSubstr("waits on  CONFIG writer (MODEL_NOT_FOUND)"),
                              HasSubstr("model `writer` is not configured here"), HasSubstr("--config FILE")));
  const Finished watched = Millrace({"watch", name});
  EXPECT_EQ(watched.exit, 6) << watched.err;
  EXPECT_THAT(watched.err, HasSubstr("run " + name + " waits: model `writer` is not configured here"));
  const Finished resumed = Millrace({"resume", name});
  EXPECT_EQ(resumed.exit, 2);
  EXPECT_THAT(resumed.err, HasSubstr("model `writer` is not configured here"));
  EXPECT_THAT(Millrace({"runs", "--state", "running"}).out, HasSubstr(name));
  const auto server = Serve();
  const Finished done = Millrace({"watch", name, "--server", address_});
  EXPECT_EQ(done.exit, 0) << done.err;
  EXPECT_EQ(Lines(workspace_.Read("stories.jsonl")), 200u);
}

TEST_F(EdgesTest, AServerWithARenamedModelKeepsItsRunsUntilTheNameIsBack) {
  workspace_.Write("titles.csv", Titles(200));
  auto server = Serve();
  const Finished created = Millrace({"run", "named.yaml", "--server", address_, "--detach"});
  ASSERT_EQ(created.exit, 0) << created.err;
  const std::string name = RunName(created.err);
  server->Signal(SIGTERM);
  ASSERT_EQ(server->Wait().exit, 0);
  std::string renamed = workspace_.Read("server.yaml");
  renamed.replace(renamed.find("name: writer"), 12, "name: author");
  workspace_.Write("renamed.yaml", renamed);
  server = Serve("renamed.yaml");
  EXPECT_THAT(Millrace({"runs", "--server", address_}).out, HasSubstr("CONFIG writer"));
  EXPECT_EQ(Millrace({"watch", name, "--server", address_}).exit, 6);
  server->Signal(SIGTERM);
  ASSERT_EQ(server->Wait().exit, 0);
  server = Serve();
  EXPECT_EQ(Millrace({"watch", name, "--server", address_}).exit, 0);
}

TEST_F(EdgesTest, TwoSignalsAtOncePauseTheRunAndSaySo) {
  workspace_.Write("titles.csv", Titles(500));
  auto run = Start({"run", "named.yaml", "--config", "own.yaml"});
  const std::string name = AwaitName(*run);
  run->Signal(SIGTERM);
  run->Signal(SIGTERM);
  run->Signal(SIGINT);
  const Finished ended = run->Wait();
  EXPECT_EQ(ended.exit, 130) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("interrupted: run " + name + " is paused"));
  EXPECT_THAT(Millrace({"runs", "--config", "own.yaml"}).out, ContainsRegex(name + " +stories +PAUSED"));
}

TEST_F(EdgesTest, AWatcherOutlivesARestartOfItsServer) {
  workspace_.Write("titles.csv", Titles(300));
  auto server = Serve();
  auto watch = Start({"run", "named.yaml", "--server", address_});
  const std::string name = AwaitName(*watch);
  server->Signal(SIGKILL);
  server->Wait();
  ASSERT_TRUE(watch->WaitForOutput(
      [](const std::string&, const std::string& err) { return err.find("the server is away") != std::string::npos; }));
  server = Serve();
  ASSERT_TRUE(watch->WaitForOutput(
      [](const std::string&, const std::string& err) { return err.find("answers again") != std::string::npos; }));
  server->Signal(SIGTERM);
  EXPECT_EQ(server->Wait().exit, 0);
  server = Serve();
  const Finished done = watch->Wait();
  EXPECT_EQ(done.exit, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("run " + name + " done: 300 story"));
}

TEST_F(EdgesTest, ADrainingServerAnswersTheQuestionThatItFinishes) {
  std::string slow = workspace_.Read("server.yaml");
  slow.replace(slow.find("40ms"), 4, "3s");
  workspace_.Write("server.yaml", slow);
  auto server = Serve();
  std::vector<std::unique_ptr<Process>> asked;
  asked.push_back(Start({"generate", "writer", "one", "--server", address_}));
  asked.push_back(Start({"generate", "writer", "two", "--stream", "--server", address_}));
  asked.push_back(Start({"embed", "writer", "three", "--server", address_}));
  std::string status;
  for (int look = 0; look < 200 && status.find("3 in flight") == std::string::npos; ++look) {
    status = Millrace({"status", "--server", address_}).out;
  }
  ASSERT_THAT(status, HasSubstr("3 in flight"));
  server->Signal(SIGTERM);
  for (const std::unique_ptr<Process>& process : asked) {
    const Finished answered = process->Wait();
    EXPECT_EQ(answered.exit, 0) << answered.err;
    EXPECT_NE(answered.out, "");
  }
  EXPECT_EQ(server->Wait().exit, 0);
}

constexpr char kCloud[] = R"(backends:
  - {name: cloud, openai: {base_url: 'http://127.0.0.1:9/v1', api_key: {env: EDGES_KEY}}}
models:
  - {name: writer, targets: [{backend: cloud, model: m}]}
)";

TEST_F(EdgesTest, AMissingVariableKeepsOnlyCallsFromWorking) {
  ASSERT_EQ(Millrace({"run", "stories.yaml"}).exit, 0);
  workspace_.Write("millrace.yaml", kCloud);
  const Finished runs = Millrace({"runs"});
  EXPECT_EQ(runs.exit, 0) << runs.err;
  const size_t at = runs.out.find("r-");
  const std::string name = runs.out.substr(at, runs.out.find(' ', at) - at);
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{{"show", name},
                                                                                       {"items", name},
                                                                                       {"why", name, "t-0001"},
                                                                                       {"pipelines"},
                                                                                       {"status"},
                                                                                       {"plan", "named.yaml"}}) {
    const Finished look = Millrace(command);
    EXPECT_EQ(look.exit, 0) << command[0] << "\n" << look.err;
  }
  const Finished backends = Millrace({"backends"});
  EXPECT_THAT(backends.out + backends.err, HasSubstr("the environment variable EDGES_KEY is not set"));
  EXPECT_THAT(backends.out + backends.err, Not(HasSubstr("not reachable")));
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"generate", "writer", "q"}, {"run", "named.yaml"}}) {
    const Finished call = Millrace(command);
    EXPECT_EQ(call.exit, 2) << command[0];
    EXPECT_THAT(call.err, HasSubstr("the environment variable EDGES_KEY is not set")) << command[0];
  }
  EXPECT_THAT(Check(kCloud).err, HasSubstr("the environment variable EDGES_KEY is not set"));
}

TEST_F(EdgesTest, ALookWithoutTheKeyServesNobodyElse) {
  workspace_.Write("titles.csv", Titles(2000));
  ASSERT_EQ(Millrace({"run", "stories.yaml"}).exit, 0);
  workspace_.Write("millrace.yaml", kCloud);
  const std::string name = RunName(Millrace({"runs"}).out);
  // A look whose reader takes its time holds the store.
  ProcessOptions options = Here();
  auto look = std::make_unique<Process>(
      std::vector<std::string>{"sh", "-c", "\"$0\" items \"$1\" --all | { read line; echo begun >&2; cat <&0 >/dev/null; }",
                               MILLRACE_COMMAND, name},
      options);
  ASSERT_TRUE(look->WaitForOutput(
      [](const std::string&, const std::string& err) { return err.find("begun") != std::string::npos; }));
  options.environment = {{"EDGES_KEY", "sk-1"}};
  std::vector<std::string> command = Command({"generate", "writer", "q", "--timeout", "2"});
  const Finished call = RunProgram(command, options);
  // It is not served by the process without the key: it waits for the store, and then fails at the provider itself.
  EXPECT_THAT(call.err, Not(HasSubstr("EDGES_KEY is not set")));
  look->Wait();
}

TEST_F(EdgesTest, AHangUpPausesTheRunAndSaysSo) {
  workspace_.Write("titles.csv", Titles(500));
  auto run = Start({"run", "named.yaml", "--config", "own.yaml"});
  const std::string name = AwaitName(*run);
  run->Signal(SIGHUP);
  const Finished ended = run->Wait();
  EXPECT_EQ(ended.exit, 130) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("interrupted: run " + name + " is paused"));
  auto server = Serve();
  server->Signal(SIGHUP);
  const Finished drained = server->Wait();
  EXPECT_EQ(drained.exit, 0);
  EXPECT_THAT(drained.err, HasSubstr("draining"));
}

TEST_F(EdgesTest, AWatchOfAServerThatNeverAnsweredEndsAtOnce) {
  const Finished watch = Millrace({"watch", "r-aaaaaaaaaaaaaaaa", "--server", address_});
  EXPECT_EQ(watch.exit, 5) << watch.err;
  EXPECT_THAT(watch.err, Not(HasSubstr("trying again")));
  EXPECT_THAT(watch.err, Not(HasSubstr("continues")));
}

TEST_F(EdgesTest, ASecretIsTrimmedOrRefusedByName) {
  const std::string address = fmt::format("grpc: {{address: '127.0.0.1:{}'}}\n", port_);
  for (const char* key : {"sk-1\r\n", " sk-1\t", "\xef\xbb\xbfsk-1", "\r\n\xef\xbb\xbf sk-1 \n"}) {
    const Finished checked = Check(address + kCloud, {{"EDGES_KEY", key}});
    EXPECT_EQ(checked.exit, 0) << checked.err;
  }
  for (const char* key : {"sk-1\nsk-2", "sk-\xc3\xa9", "\"sk-1\"", " \r\n", "sk\x01", "KEY=sk-1", "export RV_KEY=sk-1",
                          "Token sk-1", "sk-1\"", "sk-1 sk-2", "${sk-1}"}) {
    const Finished checked = Check(address + kCloud, {{"EDGES_KEY", key}});
    EXPECT_EQ(checked.exit, 2);
    EXPECT_THAT(checked.err, AllOf(HasSubstr("environment variable EDGES_KEY"), Not(HasSubstr("sk-1")))) << key;
  }
}

// A server started with AWS credentials that no call could use, and with a profile that does not exist.
TEST_F(EdgesTest, AwsCredentialsThatNoCallCouldUseAreRefusedAtTheStart) {
  const auto config = [&](const std::string& bedrock) {
    return fmt::format(
        "grpc: {{address: '127.0.0.1:{}'}}\ndata_dir: aws\nbackends: [{{name: aws, bedrock: {{region: "
        "us-east-1{}}}}}]\n"
        "models: [{{name: writer, targets: [{{backend: aws, model: m}}]}}]\n",
        port_, bedrock);
  };
  const std::string home = workspace_.path().string();
  const std::map<std::string, std::string> bare = {{"HOME", home}, {"AWS_PROFILE", ""}};
  const Finished later = Check(config(""), bare);
  EXPECT_EQ(later.exit, 0) << "the services of the network are not asked: " << later.err;
  std::map<std::string, std::string> odd = bare;
  odd["AWS_ACCESS_KEY_ID"] = "AKIA";
  odd["AWS_SECRET_ACCESS_KEY"] = "qqq\x01zzz";
  const Finished control = Check(config(""), odd);
  EXPECT_EQ(control.exit, 2);
  EXPECT_THAT(control.err, AllOf(HasSubstr("backend aws: the environment variable AWS_SECRET_ACCESS_KEY has a control"),
                                 Not(HasSubstr("zzz"))));
  const Finished absent = Check(config(", profile: nonexist"), bare);
  EXPECT_EQ(absent.exit, 2);
  EXPECT_THAT(absent.err, HasSubstr("backend aws: the AWS profile `nonexist` is in neither"));
  ProcessOptions options = Here();
  options.environment = bare;
  const Finished start = RunProgram({MILLRACE_SERVER_PROGRAM, "--config", "check.yaml"}, options);
  EXPECT_EQ(start.exit, 2) << start.err;
  EXPECT_THAT(start.err, HasSubstr("the AWS profile `nonexist` is in neither"));
}

TEST_F(EdgesTest, CheckTellsWhatWouldKeepAServerFromWorking) {
  const auto server = Serve();
  workspace_.Write("file", "");
  const std::string file = (workspace_.path() / "file").string();
  const std::string config = fmt::format(
      "grpc: {{address: '{}'}}\ndata_dir: file/store\nfiles: {{read: [., nowhere, file], write: [absent]}}\n"
      "backends:\n  - {{name: cloud, openai: {{base_url: 'https://h.example', api_key: {{file: no.key}}}}}}\n"
      "models:\n  - {{name: writer, targets: [{{backend: cloud, model: m}}]}}\n",
      address_);
  const Finished checked = Check(config);
  EXPECT_EQ(checked.exit, 2);
  EXPECT_EQ(checked.out, "");
  EXPECT_THAT(checked.err, AllOf(HasSubstr("data_dir `file/store`: it can't be made: Not a directory"),
                                 HasSubstr("files.read[1] `nowhere`: it does not exist"),
                                 HasSubstr("files.read[2] `file`: it is not a directory"),
                                 HasSubstr("files.write[0] `absent`: it does not exist"),
                                 ContainsRegex("grpc.address " + address_ + ".*process [0-9]+ \\(millraced\\) listens"),
                                 HasSubstr((workspace_.path() / "no.key").string())));
  const Finished held = Check(fmt::format("grpc: {{address: '127.0.0.1:0'}}\nlimits: {{disk_reserve: 4000TiB}}\n"));
  EXPECT_EQ(held.exit, 2);
  EXPECT_THAT(held.err, AllOf(ContainsRegex("data_dir `.millrace`: the store is held by process [0-9]+"),
                              HasSubstr("limits.disk_reserve: ")));
  const Finished other = Check("grpc: {address: '127.0.0.2:" + std::to_string(port_) + "'}\ndata_dir: other\n");
  EXPECT_EQ(other.exit, 0) << "another address of the same port: " << other.err;
  std::filesystem::create_directories(workspace_.path() / "torn");
  workspace_.Write("torn/format", "2\n");
  EXPECT_THAT(Check("grpc: {address: '127.0.0.1:0'}\ndata_dir: torn\n").err, HasSubstr("`CURRENT` is missing"));
  workspace_.Write("torn/format", "garbage");
  EXPECT_THAT(Check("grpc: {address: '127.0.0.1:0'}\ndata_dir: torn\n").err, HasSubstr("`format` is damaged"));
  const Finished warned = Check(
      "grpc: {address: '127.0.0.1:0'}\ndata_dir: deep/new/store\n"
      "backends: [{name: b, openai: {base_url: 'https://h.example'}}]\n"
      "models: [{name: m, targets: [{backend: b, model: m}]}]\n");
  EXPECT_EQ(warned.exit, 0) << warned.err;
  EXPECT_THAT(warned.err, HasSubstr("base_url https://h.example has no version such as /v1"));
  EXPECT_FALSE(std::filesystem::exists(workspace_.path() / "deep")) << "the check left a directory";
  const Finished doubled = Check(
      "grpc: {address: '127.0.0.1:0'}\ndata_dir: deep\n"
      "backends: [{name: b, openai: {base_url: 'https://h.example/v1/chat/completions'}}]\n"
      "models: [{name: m, targets: [{backend: b, model: m}]}]\n");
  EXPECT_THAT(doubled.err, HasSubstr("ends with `/chat/completions`, which is added to it"));
}

// The relative paths of a run meant other files, which did not exist, and the run ended for good.
TEST_F(EdgesTest, ARunContinuesInAnotherDirectoryWithTheFilesOfItsOwn) {
  workspace_.Write("titles.csv", Titles(200));
  workspace_.Write("all.yaml", fmt::format("files: {{read: ['{0}'], write: ['{0}']}}\n{1}", workspace_.path().string(),
                                           workspace_.Read("own.yaml")));
  std::string name;
  {
    const auto run = Start({"run", "named.yaml", "--config", "all.yaml"});
    name = AwaitName(*run);
    run->Signal(SIGKILL);
    run->Wait();
  }
  const Workspace elsewhere;
  elsewhere.Write("titles.csv", "id,title\nx,Another file of this name\n");
  const auto elsewhere_run = [&](const std::string& command, const std::string& config) {
    return RunProgram(Command({command, name, "--data-dir", (workspace_.path() / ".millrace").string(), "--config",
                               (workspace_.path() / config).string()}),
                      {.directory = elsewhere.path(), .environment = {}, .input = ""});
  };
  // Only the working directory is allowed by this configuration.
  const Finished refused = elsewhere_run("watch", "own.yaml");
  EXPECT_EQ(refused.exit, 6) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("or continue the run in " + workspace_.path().string()));
  const Finished resumed = elsewhere_run("resume", "all.yaml");
  EXPECT_EQ(resumed.exit, 0) << resumed.err;
  EXPECT_EQ(Lines(workspace_.Read("stories.jsonl")), 200u);
  EXPECT_EQ(elsewhere.Read("stories.jsonl"), "");
}

TEST_F(EdgesTest, ARunWhoseInputMayNotBeReadIsRefusedBeforeItExists) {
  const auto server = Serve();
  const Finished run = Millrace({"run", "named.yaml", "-p", "input=/etc/hostname", "--server", address_});
  EXPECT_EQ(run.exit, 2) << run.err;
  EXPECT_THAT(run.err, AllOf(HasSubstr("stage `titles`"), HasSubstr("FILE_NOT_ALLOWED"),
                             HasSubstr("--input titles=/etc/hostname")));
  EXPECT_THAT(Millrace({"runs", "--server", address_}).out, Not(HasSubstr("r-")));
}

}  // namespace
}  // namespace millrace
