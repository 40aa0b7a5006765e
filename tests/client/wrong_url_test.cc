// A base_url without its version, the most common mistake with servers that are like OpenAI's: each command that meets
// it says what to write.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "client/cli/output.h"
#include "tests/client/whole_command.h"
#include "tests/http/toxic_server.h"

namespace millrace::cli {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;

std::string Reply(const std::string& status, const std::string& body) {
  return fmt::format("HTTP/1.1 {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{}", status, body.size(),
                     body);
}

class WrongUrlTest : public testing::Test {
 protected:
  WrongUrlTest()
      : directory_(testing::TempDir() + "wrong-url-XXXXXX"), server_([](ToxicConnection& connection, int) {
          for (std::string request = connection.ReadRequest(); !request.empty(); request = connection.ReadRequest()) {
            const bool is_list = request.starts_with("GET /v1/models ");
            const std::string reply = is_list ? Reply("200 OK", R"({"object":"list","data":[{"id":"tiny:latest"}]})")
                                              : Reply("404 Not Found", "404 page not found");
            if (!connection.Write(reply)) return;
          }
        }) {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    std::ofstream(directory_ + "/millrace.yaml") << fmt::format(
        R"(data_dir: {}/data
backends:
- {{name: cloud, openai: {{base_url: '{}'}}}}
models:
- name: writer
  targets:
  - {{backend: cloud, model: tiny}}
)",
        directory_, server_.url(""));
  }
  ~WrongUrlTest() override { std::filesystem::remove_all(directory_); }

  Ended Run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--config", directory_ + "/millrace.yaml"});
    return RunWhole(std::move(arguments));
  }

  std::string directory_;
  ToxicServer server_;
};

TEST_F(WrongUrlTest, ACallNamesTheTargetAndTheUrlToWrite) {
  const std::string advice =
      fmt::format("base_url {0} has no version in its path; most servers want {0}/v1", server_.url(""));
  for (const std::vector<std::string>& command : {std::vector<std::string>{"generate", "writer", "Hello."},
                                                  {"generate", "writer", "Hello!", "--stream"},
                                                  {"embed", "writer", "Hello."}}) {
    const Ended ended = Run(command);
    EXPECT_EQ(ended.exit, kRunFailed) << ended.err;
    EXPECT_THAT(ended.err, AllOf(HasSubstr("millrace: cloud/tiny: HTTP 404: 404 page not found; " + advice),
                                 HasSubstr("(PROVIDER_MODEL)")));
  }
}

TEST_F(WrongUrlTest, BackendsNamesTheUrlAtWhichTheServerAnswers) {
  const Ended ended = Run({"backends"});
  EXPECT_EQ(ended.exit, kDone) << ended.err;
  EXPECT_THAT(
      ended.out,
      AllOf(HasSubstr(
                fmt::format("lists no models (HTTP 404); its API is at {}/v1: correct base_url\n", server_.url(""))),
            ContainsRegex(fmt::format("cloud/tiny +problem +0 of 8 +0 +base_url lacks the version; write {}/v1\n",
                                      server_.url("")))));
}

}  // namespace
}  // namespace millrace::cli
