// `millrace run` as a command: errors that are found before a run is created.
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "client/cli/output.h"
#include "tests/client/whole_command.h"

namespace millrace::cli {
namespace {

using testing::HasSubstr;

class RunCommandTest : public testing::Test {
 protected:
  RunCommandTest() : directory_(testing::TempDir() + "run-command-XXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    Write("one.yaml", "name: one\nstages:\n- {name: a, fetch: {inline: {}}}\n");
  }
  ~RunCommandTest() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  void Write(const std::string& name, std::string_view text) const {
    std::ofstream(Path(name), std::ios::binary) << text;
  }
  // Runs the command on a data directory of its own.
  Ended Run(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"--data-dir", Path("data"), "run", Path("one.yaml")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunWhole(std::move(arguments));
  }

  std::string directory_;
};

TEST_F(RunCommandTest, WithoutAServerNothingIsDetached) {
  const Ended refused = Run({"--detach"});
  EXPECT_EQ(refused.exit, kUsage);
  EXPECT_EQ(refused.out, "");
  EXPECT_THAT(refused.err, HasSubstr("start `millraced` and name it with --server"));
  EXPECT_FALSE(std::filesystem::exists(Path("data")));
}

// To the command, another process that holds the store looks like a server.
TEST_F(RunCommandTest, ARunIsDetachedIfAnotherProcessHoldsTheStore) {
  const StatusOr<std::unique_ptr<client::Holder>> other = client::Holder::Open(Path("data"), "");
  ASSERT_TRUE(other.ok()) << other.status();
  Write("none.jsonl", "");
  const Ended detached = Run({"--detach", "--input", "a=" + Path("none.jsonl")});
  EXPECT_EQ(detached.exit, kDone) << detached.err;
  EXPECT_THAT(detached.out, testing::StartsWith("r-"));
  EXPECT_THAT(detached.err, HasSubstr("a detached run continues only as long as that process runs"));
}

}  // namespace
}  // namespace millrace::cli
