// The command line as CLI11 reads it: what is refused before anything happens, and what the help says.
#include <gmock/gmock.h>

#include "client/cli/commands.h"
#include "client/cli/output.h"

namespace millrace::cli {
namespace {

using testing::HasSubstr;

// Reads a line without running its command; empty where it is right, else the error's name.
std::string WrongWith(std::vector<std::string> arguments) {
  Session session;
  int exit = kDone;
  CLI::App app;
  BuildApp(app, session, exit);
  struct Right {};  // all was read and checked, and the command's turn would come
  app.parse_complete_callback([] { throw Right(); });
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const Right&) {
    return "";
  } catch (const CLI::ParseError& error) {
    return error.get_name();
  }
  return "nothing was read";
}

TEST(CommandLineTest, LimitAndSampleExcludeEachOther) {
  EXPECT_EQ(WrongWith({"run", "p.yaml", "--limit", "20"}), "");
  EXPECT_EQ(WrongWith({"run", "p.yaml", "--sample", "20"}), "");
  EXPECT_EQ(WrongWith({"run", "p.yaml", "--limit", "20", "--sample", "20"}), "ExcludesError");
  EXPECT_EQ(WrongWith({"simulate", "p.yaml", "--limit", "20", "--sample", "20"}), "ExcludesError");
}

TEST(CommandLineTest, TakesOptionsBeforeAndAfterTheCommand) {
  EXPECT_EQ(WrongWith({"--server", "127.0.0.1:7400", "runs"}), "");
  EXPECT_EQ(WrongWith({"runs", "--server", "127.0.0.1:7400", "--format", "json"}), "");
  EXPECT_EQ(WrongWith({"run", "p.yaml", "-p", "a=1", "-p", "b=2", "--input", "t=x.csv", "--detach"}), "");
  EXPECT_EQ(WrongWith({"cache", "stats", "--data-dir", "x"}), "");
}

TEST(CommandLineTest, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(WrongWith({}), "RequiredError");
  EXPECT_EQ(WrongWith({"run"}), "RequiredError");
  EXPECT_EQ(WrongWith({"cache"}), "RequiredError");
  EXPECT_NE(WrongWith({"fly"}), "");
  EXPECT_NE(WrongWith({"run", "p.yaml", "--fly"}), "");
  EXPECT_EQ(WrongWith({"runs", "--format", "xml"}), "ValidationError");
  EXPECT_EQ(WrongWith({"runs", "--limit", "0"}), "ValidationError");
  EXPECT_EQ(WrongWith({"run", "p.yaml", "--limit", "many"}), "ConversionError");
  EXPECT_EQ(WrongWith({"simulate", "p.yaml", "--concurrency", "0"}), "ValidationError");
}

TEST(CommandLineTest, EveryCommandHasExamples) {
  Session session;
  int exit = kDone;
  CLI::App app;
  BuildApp(app, session, exit);
  for (const CLI::App* command : app.get_subcommands({})) {
    EXPECT_THAT(command->help(), HasSubstr("Examples:\n  millrace " + command->get_name()));
  }
  EXPECT_THAT(app.help(), HasSubstr("Exit status:"));
}

}  // namespace
}  // namespace millrace::cli
