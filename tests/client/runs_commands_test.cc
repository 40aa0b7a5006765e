// `millrace runs`, `watch`, `resume` and `redrive` as commands, with a server of fake APIs.
#include <gmock/gmock.h>
#include <signal.h>

#include <boost/json.hpp>

#include "client/cli/output.h"
#include "client/lib/client.h"
#include "server/base/json.h"
#include "tests/api/served.h"
#include "tests/client/whole_command.h"
#include "tests/e2e/process.h"

namespace millrace::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

v1::Run MakeRun(const std::string& name, int64_t as_of_seconds) {
  v1::Run run;
  run.set_name(name);
  run.mutable_as_of()->set_seconds(as_of_seconds);
  return run;
}

// One run with a time in milliseconds, stored by an older release, kept all runs of everybody from being printed.
TEST(RunsCommandsTest, ARunWithoutAFormInJsonIsNamedAndTheOthersArePrinted) {
  Served served;
  served.on.Do([&] {
    served.on.apis.runs = {MakeRun("r-one", 1), MakeRun("r-bad", 1'767'225'600'000), MakeRun("r-two", 2)};
  });
  const Ended ended = RunWhole({"runs", "--format", "json", "--server", served.target()});
  EXPECT_EQ(ended.exit, kRunFailed);
  EXPECT_THAT(ended.err, AllOf(HasSubstr("run r-bad can't be printed as JSON and is left out"), HasSubstr("asOf"),
                               HasSubstr("millrace delete r-bad"), Not(HasSubstr("libprotobuf"))));
  const StatusOr<json::value> printed = ParseJson(ended.out);
  ASSERT_TRUE(printed.ok()) << ended.out;
  const json::array& runs = printed->at("runs").as_array();
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].at("name"), json::value("r-one"));
  EXPECT_EQ(runs[1].at("name"), json::value("r-two"));
}

// A run without events, such as one that is paused, left the last word to the outage.
TEST(RunsCommandsTest, AWatchSaysThatTheServerAnswersAgainBeforeAnyEvent) {
  Served served;
  served.on.Do([&] { served.on.apis.draining_watches = 1; });
  const Ended ended = RunWhole({"watch", "r-one", "--server", served.target()});
  EXPECT_THAT(ended.err, AllOf(HasSubstr("the server is away"), HasSubstr("the server answers again"))) << ended.out;
}

TEST(RunsCommandsTest, AnInterruptWaitsForTheAnswerThatChangesTheRun) {
  for (const char* command : {"resume", "redrive"}) {
    Served served;
    served.on.Do([&] { served.on.apis.holds_changes = true; });
    Process process({MILLRACE_COMMAND, command, "r-one", "--server", served.target()});
    const std::string method = command == std::string("resume") ? "ResumeRun" : "RedriveRun";
    bool is_asked = false;
    while (!is_asked) {
      served.on.Do([&] { is_asked = !served.on.apis.calls.empty() && served.on.apis.calls.back() == method; });
    }
    process.Signal(SIGTERM);
    EXPECT_TRUE(process.WaitForOutput([](const std::string&, const std::string& err) {
      return err.find("interrupted: waiting for the run's state") != std::string::npos;
    })) << command;
    served.on.Do([&] {
      served.on.apis.holds_changes = false;
      served.on.apis.Changed();
    });
    const Finished finished = process.Wait();
    EXPECT_EQ(finished.exit, kDone) << command << finished.err;
    EXPECT_THAT(finished.out + finished.err,
                HasSubstr(command == std::string("resume") ? "run r-one continues" : "items of run r-one"));
  }
}

// gRPC alone noticed a server that is there again 5 s after each try.
TEST(RunsCommandsTest, AConnectionIsAwaitedWhileTheServerStarts) {
  int port = 0;
  { port = FreePort(); }
  const auto client = client::Client::Dial(fmt::format("127.0.0.1:{}", port));
  EXPECT_EQ(client->GetStatus({}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(client->AwaitConnection(Duration(0)));
  const Served served({}, port);
  EXPECT_TRUE(client->AwaitConnection(60s));
  EXPECT_TRUE(client->GetStatus({}).ok());
}

}  // namespace
}  // namespace millrace::cli
