// Parsing of command lines: usage errors that are refused before anything happens, and the help.
#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "client/cli/arguments.h"
#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "server/base/json.h"
#include "server/process/coordinator.h"
#include "tests/client/whole_command.h"

namespace millrace::cli {
namespace {

using testing::HasSubstr;

// Parses a line without running its command; returns the name of the usage error, or empty if the line is valid.
std::string WrongWith(std::vector<std::string> arguments) {
  Session session;
  int exit = kDone;
  CLI::App app;
  BuildApp(app, session, exit);
  struct Right {};  // thrown once the line is parsed and valid, before the command runs
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
  EXPECT_EQ(WrongWith({"simulate", "p.yaml", "--concurrency", "0"}), "ValidationError");
}

// Every option with a number, and its largest value.
TEST(CommandLineTest, NumbersArePlainDecimalDigitsWithinTheirRange) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> options = {
      {{"run", "p.yaml", "--limit"}, "9223372036854775807"},
      {{"run", "p.yaml", "--sample"}, "10000000"},
      {{"plan", "p.yaml", "--limit"}, "9223372036854775807"},
      {{"simulate", "p.yaml", "--limit"}, "9223372036854775807"},
      {{"simulate", "p.yaml", "--sample"}, "10000000"},
      {{"simulate", "p.yaml", "--concurrency"}, "100000"},
      {{"simulate", "p.yaml", "--seed"}, "18446744073709551615"},
      {{"simulate", "p.yaml", "--seeds"}, "100000"},
      {{"runs", "--limit"}, "1000"},
      {{"watch", "r", "--after"}, "9223372036854775807"},
      {{"items", "r", "--limit"}, "1000000000"},
      {{"generate", "m", "p", "--max-tokens"}, "1000000"},
      {{"generate", "m", "p", "--sample-number"}, "9223372036854775807"},
      {{"generate", "m", "p", "--timeout"}, "86400"},
      {{"cache", "evict", "--older-than-hours"}, "1000000"}};
  for (const auto& [option, largest] : options) {
    const auto wrong_with = [&option = option](const std::string& number) {
      std::vector<std::string> line = option;
      line.push_back(number);
      return WrongWith(line);
    };
    EXPECT_EQ(wrong_with("1"), "") << option.back();
    EXPECT_EQ(wrong_with(largest), "") << option.back();
    for (const std::string& wrong : {largest + "0", std::string("-1"), std::string("+1"), std::string("010"),
                                     std::string("0x5"), std::string("1e2"), std::string("1KiB"), std::string("5%"),
                                     std::string("nan"), std::string(" 1"), std::string("many"), std::string()}) {
      EXPECT_EQ(wrong_with(wrong), "ValidationError") << option.back() << " " << wrong;
    }
  }
  EXPECT_EQ(WrongWith({"generate", "m", "p", "--timeout", "0.5"}), "");
  EXPECT_EQ(WrongWith({"cache", "evict", "--older-than-hours", "0"}), "ValidationError");
  EXPECT_EQ(WholeNumber(1, 1000)("010"), "expected a whole number in plain decimal digits, 1 to 1000; got \"010\"");
  EXPECT_EQ(DecimalNumber(0.001, 1000000)("0"),
            "expected a number in plain decimal digits, 0.001 to 1000000; got \"0\"");
}

TEST(CommandLineTest, AnUnknownCommandIsNamed) {
  const auto told = [](std::vector<std::string> arguments) {
    const Ended ended = RunWhole(std::move(arguments));
    EXPECT_EQ(ended.exit, kUsage);
    EXPECT_EQ(ended.out, "");
    return ended.err.substr(0, ended.err.find('\n'));
  };
  EXPECT_EQ(told({"frob"}), "unknown command `frob`");
  EXPECT_EQ(told({"simulat", "p.yaml", "--limit", "3"}), "unknown command `simulat`; did you mean \"simulate\"?");
  EXPECT_EQ(told({"\x1b[2J"}), "unknown command `\\x1b[2J`");
  EXPECT_EQ(told({"--frob"}), "unknown option `--frob`");
  EXPECT_EQ(told({"cache", "evit"}), "unknown command `evit`; did you mean \"evict\"?");
  EXPECT_EQ(told({"cache"}), "A subcommand is required");
  EXPECT_EQ(told({"runs", "frob"}), "The following argument was not expected: frob");
}

TEST(CommandLineTest, InvalidUtf8IsRefusedBeforeAnyCommand) {
  const Ended ended = RunWhole({"show", "r-\xff"});
  EXPECT_EQ(ended.exit, kUsage);
  EXPECT_EQ(ended.err,
            "millrace: argument 2, \"r-\\xff\": expected UTF-8, got an invalid byte at offset 2 (INVALID_FIELD)\n");
  EXPECT_EQ(RunWhole({"version", "--server", "\xed\xa0\x80"}).exit, kUsage) << "a surrogate";
  EXPECT_EQ(RunWhole({"version", "--server", "höhe:1"}).exit, kDone);
}

TEST(CommandLineTest, ATooLongQuestionIsNotAsked) {
  const Ended ended =
      RunWhole({"generate", "local", std::string(3u << 20, 'p'), "--system", std::string(2u << 20, 's')});
  EXPECT_EQ(ended.exit, kUsage);
  EXPECT_THAT(ended.err, HasSubstr("have 5,242,880 bytes; at most 4 MiB"));
}

TEST(CommandLineTest, TheVersionIsJsonToo) {
  const Ended ended = RunWhole({"--format", "json", "version"});
  EXPECT_EQ(ended.exit, kDone);
  const StatusOr<json::value> value = ParseJson(ended.out);
  ASSERT_TRUE(value.ok()) << ended.out;
  EXPECT_EQ(FindPath(*value, "version")->as_string(), kVersion);
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
