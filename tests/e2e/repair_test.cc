// A provider that refuses every call: the command ends with the reason, and `resume` continues after the repair.
#include <atomic>
#include <thread>

#include "tests/e2e/story.h"
#include "tests/http/toxic_server.h"

namespace millrace {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kNeedsPerson = 6;

constexpr char kAnswer[] =
    R"({"choices":[{"message":{"role":"assistant","content":"{\"story\":\"It rained.\"}"},"finish_reason":"stop"}],)"
    R"("usage":{"prompt_tokens":3,"completion_tokens":4}})";

std::string Reply(int status, std::string_view body) {
  return fmt::format("HTTP/1.1 {} Status\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}", status,
                     body.size(), body);
}

class RepairTest : public StoryTest {
 protected:
  RepairTest()
      : provider_([this](ToxicConnection& connection, int) {
          while (!connection.ReadRequest().empty()) {
            const int status = status_;
            if (status == 200) ++answered_;
            if (!connection.Write(Reply(status, status == 200 ? kAnswer : error_))) return;
          }
        }) {
    Configure(provider_.url("/v1"));
  }

  void Configure(const std::string& url) {
    workspace_.Write("local.yaml", fmt::format("data_dir: store\n"
                                               "files: {{read: [.], write: [.]}}\n"
                                               "backends:\n"
                                               "  - {{name: cloud, openai: {{base_url: '{}'}}}}\n"
                                               "models:\n"
                                               "  - {{name: local, targets: [{{backend: cloud, model: m}}]}}\n",
                                               url));
  }
  Finished Run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--config", "local.yaml"});
    return Millrace(std::move(arguments));
  }

  std::atomic<int> status_{401};
  std::atomic<int> answered_{0};
  std::string error_ = R"({"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}})";
  ToxicServer provider_;
};

TEST_F(RepairTest, TheCommandEndsWithTheReasonAndResumeContinues) {
  const Finished run = Run({"run", "stories.yaml"});
  EXPECT_EQ(run.exit, kNeedsPerson) << run.err;
  const std::string name = RunName(run.err);
  EXPECT_THAT(run.err, AllOf(HasSubstr("run " + name + " is paused: cloud/m refuses all calls: "),
                             HasSubstr("Incorrect API key provided"), HasSubstr("`api_key` of backend `cloud`"),
                             HasSubstr("`millrace resume " + name)));
  const Finished shown = Run({"show", name});
  EXPECT_THAT(shown.out, AllOf(HasSubstr("PAUSED"), HasSubstr("REPAIR cloud/m (PROVIDER_CREDENTIALS)"),
                               HasSubstr("Incorrect API key provided")));
  EXPECT_THAT(Run({"runs"}).out, HasSubstr("REPAIR cloud/m"));
  const Finished watched = Run({"watch", name});
  EXPECT_EQ(watched.exit, kNeedsPerson);
  EXPECT_THAT(watched.err, HasSubstr("Incorrect API key provided"));

  const Finished refused = Run({"resume", name});
  EXPECT_EQ(refused.exit, kNeedsPerson) << refused.err;
  status_ = 200;
  const Finished resumed = Run({"resume", name});
  EXPECT_EQ(resumed.exit, 0) << resumed.err;
  EXPECT_EQ(Lines(workspace_.Read("stories.jsonl")), 5u);
  EXPECT_EQ(answered_, 5);
}

TEST_F(RepairTest, AModelThatTheProviderDoesNotHaveFailsNoItem) {
  status_ = 404;
  error_ = R"({"error":{"message":"The model `m` does not exist","code":"model_not_found"}})";
  const Finished run = Run({"run", "stories.yaml"});
  EXPECT_EQ(run.exit, kNeedsPerson) << run.err;
  EXPECT_THAT(run.err, AllOf(HasSubstr("does not exist"), HasSubstr("correct the model's name")));
  status_ = 200;
  const Finished resumed = Run({"resume", RunName(run.err)});
  EXPECT_EQ(resumed.exit, 0) << resumed.err;
  EXPECT_THAT(resumed.out, Not(HasSubstr("failed")));
}

TEST_F(RepairTest, AHostThatDoesNotExistIsNamed) {
  Configure("https://no-such-host.invalid/v1");
  const Finished run = Run({"run", "stories.yaml"});
  EXPECT_EQ(run.exit, kNeedsPerson) << run.err;
  EXPECT_THAT(run.err, AllOf(HasSubstr("no-such-host.invalid can't be resolved"),
                             HasSubstr("correct the host name in the URL of backend `cloud`")));
}

TEST_F(RepairTest, ARunGivesUpOnATargetThatOnlyFails) {
  status_ = 503;
  error_ = R"({"error":{"message":"overloaded"}})";
  const Finished run = Run({"run", "stories.yaml", "--give-up-after", "1s"});
  EXPECT_EQ(run.exit, kNeedsPerson) << run.err;
  EXPECT_THAT(run.err, AllOf(HasSubstr("is paused: cloud/m has failed for "), HasSubstr("overloaded")));
  EXPECT_THAT(Run({"show", RunName(run.err)}).out,
              AllOf(HasSubstr("TARGET cloud/m (TARGET_FAILED)"), HasSubstr("gives up  after 1.0 s")));
  status_ = 200;
  const Finished resumed = Run({"resume", RunName(run.err)});
  EXPECT_EQ(resumed.exit, 0) << resumed.err;
  EXPECT_EQ(Run({"run", "stories.yaml", "--give-up-after", "soon"}).exit, 2);
}

TEST_F(RepairTest, AServersRunPausesAndTheServerServesOthers) {
  const int port = FreePort();
  const std::string address = fmt::format("127.0.0.1:{}", port);
  workspace_.Write("server.yaml", fmt::format("grpc: {{address: '{}'}}\n{}", address, workspace_.Read("local.yaml")));
  Process server({MILLRACE_SERVER_PROGRAM, "--config", "server.yaml"}, Here());
  ASSERT_TRUE(server.WaitForOutput(
      [](const std::string&, const std::string& err) { return err.find("serving on") != std::string::npos; }));
  const Finished run = Millrace({"run", "stories.yaml", "--server", address});
  EXPECT_EQ(run.exit, kNeedsPerson) << run.err;
  EXPECT_THAT(run.err, HasSubstr(fmt::format("`millrace resume {} --server {}`", RunName(run.err), address)));
  status_ = 200;
  EXPECT_EQ(Millrace({"resume", RunName(run.err), "--server", address}).exit, 0);
  EXPECT_EQ(answered_, 5);
}

}  // namespace
}  // namespace millrace
