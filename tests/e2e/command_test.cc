// `millrace` without a server, as its users see it.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <set>

#include "server/base/json.h"
#include "tests/e2e/story.h"

namespace millrace {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Returns the value at a path of the JSON that a command printed; null if there is none.
json::value At(const std::string& text, std::string_view path) {
  const StatusOr<json::value> value = ParseJson(text);
  EXPECT_TRUE(value.ok()) << value.status() << "\n" << text;
  if (!value.ok()) return nullptr;
  const json::value* found = FindPath(*value, path);
  return found == nullptr ? json::value(nullptr) : *found;
}

class CommandTest : public StoryTest {};

TEST_F(CommandTest, ARunEndsWithOneLineOfWhatWasDone) {
  const Finished run = Millrace({"run", "stories.yaml"});
  EXPECT_EQ(run.exit, 0) << run.err;
  EXPECT_THAT(LastLine(run.out),
              ContainsRegex("^run r-[a-z0-9]+ done: 5 story of 5 titles in [0-9.]+ s \\(titles [0-9.]+, story [0-9.]+, "
                            "saved [0-9.]+\\), 5 calls \\(local\\), \\$0.00, 0 degraded"));
  EXPECT_THAT(run.err, StartsWith(".millrace is held by this command"));
  const std::string lines = workspace_.Read("stories.jsonl");
  EXPECT_EQ(Lines(lines), 5u);
  EXPECT_LT(lines.find("number 1 "), lines.find("number 5 ")) << "not in the order of the input";
}

TEST_F(CommandTest, ASecondRunMakesNoCallsAndTheSameOutput) {
  ASSERT_EQ(Millrace({"run", "stories.yaml"}).exit, 0);
  const std::string first = workspace_.Read("stories.jsonl");
  const Finished second = Millrace({"run", "stories.yaml", "--format", "json"});
  ASSERT_EQ(second.exit, 0) << second.err;
  EXPECT_EQ(At(second.out, "run.state"), json::value("RUN_STATE_SUCCEEDED"));
  EXPECT_EQ(At(second.out, "run.stages.1.reused"), json::value("5"));
  EXPECT_EQ(At(second.out, "run.stages.1.calls"), json::value(nullptr));
  EXPECT_EQ(At(second.out, "run.stages.1.computed"), json::value(nullptr));
  EXPECT_EQ(workspace_.Read("stories.jsonl"), first);
}

TEST_F(CommandTest, OnlyANewItemIsComputed) {
  ASSERT_EQ(Millrace({"run", "stories.yaml"}).exit, 0);
  workspace_.Write("titles.csv", Titles(6));
  const Finished second = Millrace({"run", "stories.yaml", "--format", "json"});
  ASSERT_EQ(second.exit, 0) << second.err;
  EXPECT_EQ(At(second.out, "run.stages.1.reused"), json::value("5"));
  EXPECT_EQ(At(second.out, "run.stages.1.computed"), json::value("1"));
  EXPECT_EQ(Lines(workspace_.Read("stories.jsonl")), 6u);
}

TEST_F(CommandTest, ItemsAndWhyShowWhatARunMade) {
  const Finished run = Millrace({"run", "stories.yaml"});
  ASSERT_EQ(run.exit, 0) << run.err;
  const std::string name = RunName(run.out);
  const Finished items = Millrace({"items", name, "--format", "json"});
  EXPECT_EQ(items.exit, 0) << items.err;
  EXPECT_THAT(items.out, AllOf(HasSubstr("t-0001"), HasSubstr("t-0005")));
  const Finished why = Millrace({"why", name, "t-0003"});
  EXPECT_EQ(why.exit, 0) << why.err;
  EXPECT_THAT(why.out, HasSubstr("Tell the story of: Flood number 3 in the valley"));
  const Finished runs = Millrace({"runs"});
  EXPECT_THAT(runs.out, AllOf(HasSubstr(name), HasSubstr("stories"), HasSubstr("SUCCEEDED")));
}

TEST_F(CommandTest, AnAppliedPipelineRunsByItsName) {
  ASSERT_EQ(Millrace({"apply", "stories.yaml"}).exit, 0);
  EXPECT_THAT(Millrace({"pipelines"}).out, HasSubstr("stories"));
  EXPECT_EQ(Millrace({"run", "stories"}).exit, 0);
}

TEST_F(CommandTest, LimitTakesTheFirstItems) {
  EXPECT_EQ(Millrace({"run", "stories.yaml", "--limit", "2"}).exit, 0);
  EXPECT_EQ(Lines(workspace_.Read("stories.jsonl")), 2u);
}

TEST_F(CommandTest, ALocalFileIsStreamed) {
  Workspace elsewhere;
  elsewhere.Write("mine.csv", Titles(3));
  const Finished run =
      Millrace({"run", "stories.yaml", "--input", "titles=" + (elsewhere.path() / "mine.csv").string()});
  EXPECT_EQ(run.exit, 0) << run.err;
  EXPECT_EQ(Lines(workspace_.Read("stories.jsonl")), 3u);
}

TEST_F(CommandTest, AnUploadedInputNeedsNoFileParameter) {
  std::string text(kStories);
  text.replace(text.find("titles.csv"), 10, "{string: {}}");
  workspace_.Write("own.yaml", text);
  const Finished without = Millrace({"run", "own.yaml"});
  EXPECT_EQ(without.exit, 2);
  EXPECT_THAT(without.err, HasSubstr("parameters.input: must be given; it has no default"));
  const Finished run = Millrace({"run", "own.yaml", "--input", "titles=titles.csv"});
  EXPECT_EQ(run.exit, 0) << run.err;
  EXPECT_EQ(Lines(workspace_.Read("stories.jsonl")), 5u);
}

TEST_F(CommandTest, APipeIsStreamed) {
  ProcessOptions options = Here();
  int titles = 3;
  for (const char* pipe : {"titles=/dev/stdin", "titles=-"}) {
    options.input = Titles(++titles);
    const Finished run = RunProgram(Command({"run", "stories.yaml", "--input", pipe}), options);
    EXPECT_EQ(run.exit, 0) << run.err;
    EXPECT_EQ(Lines(workspace_.Read("stories.jsonl")), static_cast<size_t>(titles)) << pipe;
  }
}

TEST_F(CommandTest, AnInputThatCanNotBeReadStartsNoRun) {
  workspace_.Write("stories.jsonl", "old\n");
  const Finished run = Millrace({"run", "stories.yaml", "--input", "titles=."});
  EXPECT_EQ(run.exit, 2) << run.out;
  EXPECT_THAT(run.err, AllOf(HasSubstr("Is a directory"), HasSubstr("FILE_ERROR")));
  EXPECT_EQ(workspace_.Read("stories.jsonl"), "old\n");
  EXPECT_FALSE(std::filesystem::exists(workspace_.path() / ".millrace"));
}

TEST_F(CommandTest, AnInterruptedInputCancelsItsRun) {
  ASSERT_EQ(::mkfifo((workspace_.path() / "pipe").c_str(), 0600), 0);
  const int writer = ::open((workspace_.path() / "pipe").c_str(), O_RDWR | O_CLOEXEC);  // keeps the pipe from ending
  Process run(Command({"run", "stories.yaml", "--input", "titles=pipe"}), Here());
  ASSERT_TRUE(run.WaitForOutput(
      [](const std::string&, const std::string& err) { return err.find("run r-") != std::string::npos; }));
  run.Signal(SIGINT);
  const Finished ended = run.Wait();
  ::close(writer);
  EXPECT_EQ(ended.exit, 130) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("is cancelled: not all of its input was sent"));
  EXPECT_THAT(Millrace({"runs"}).out, HasSubstr("CANCELLED"));
}

TEST_F(CommandTest, ARequestIdWithAnotherFileLeavesTheRunOfTheFirstAlone) {
  // An upload that stops in the middle of a row.
  ASSERT_EQ(::mkfifo((workspace_.path() / "pipe").c_str(), 0600), 0);
  const int writer = ::open((workspace_.path() / "pipe").c_str(), O_RDWR | O_CLOEXEC);
  const std::string file = Titles(5);
  const std::string begin = file.substr(0, file.find("number 3"));
  ASSERT_EQ(::write(writer, begin.data(), begin.size()), static_cast<ssize_t>(begin.size()));
  const auto sending = [](const std::string& input) {
    return std::vector<std::string>{"run", "stories.yaml", "--request-id", "up", "--input", "titles=" + input};
  };
  Process broken(Command(sending("pipe")), Here());
  std::string name;
  ASSERT_TRUE(broken.WaitForOutput([&name](const std::string&, const std::string& err) {
    name = RunName(err);
    return !name.empty() && err.back() == '\n';
  }));
  std::string fetched;
  for (int i = 0; i < 1000 && fetched.find("t-0002") == std::string::npos; ++i) {
    fetched = Millrace({"items", name, "--stage", "titles", "--format", "json"}).out;
  }
  ASSERT_THAT(fetched, HasSubstr("t-0002"));
  broken.Signal(SIGKILL);
  broken.Wait();
  ::close(writer);

  workspace_.Write("other.csv", "id,title\nLONGER-1,aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n" + Titles(9).substr(9));
  const auto expect_refused = [&](const std::string& input, const std::string& where) {
    const Finished other = Millrace(sending(input));
    EXPECT_EQ(other.exit, 2) << other.out << other.err;
    EXPECT_THAT(other.err, AllOf(HasSubstr("--input titles: run " + name +
                                           " of --request-id up was given another file before (" + where),
                                 HasSubstr("use another --request-id for this file (REQUEST_ID_REUSED)")));
    EXPECT_THAT(other.err, Not(HasSubstr("cancelled")));
  };
  expect_refused("other.csv", "offset 9: ");
  EXPECT_THAT(Millrace({"runs"}).out, HasSubstr("RUNNING"));

  const Finished resumed = Millrace(sending("titles.csv"));
  EXPECT_EQ(resumed.exit, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("run " + name + " (created before by the same request)"));
  const std::string stories = workspace_.Read("stories.jsonl");
  EXPECT_EQ(Lines(stories), 5u);

  // After the run has ended.
  expect_refused("other.csv", "offset 9: ");
  workspace_.Write("longer.csv", Titles(6));
  expect_refused("longer.csv", "end_offset ");
  workspace_.Write("shorter.csv", Titles(4));
  expect_refused("shorter.csv", "end_offset ");
  const Finished again = Millrace(sending("titles.csv"));
  EXPECT_EQ(again.exit, 0) << again.err;
  ProcessOptions piped = Here();
  piped.input = file;
  EXPECT_EQ(RunProgram(Command(sending("/dev/stdin")), piped).exit, 0);
  EXPECT_EQ(workspace_.Read("stories.jsonl"), stories);
}

TEST_F(CommandTest, EveryErrorOfADefinitionHasItsPlace) {
  workspace_.Write("wrong.yaml",
                   "name: wrong\nstages:\n  - name: a\n    fetch: {csv: {pth: x.csv}}\n  - name: b\n    needs: [c]\n");
  for (const char* command : {"validate", "run"}) {
    const Finished finished = Millrace({command, "wrong.yaml"});
    EXPECT_EQ(finished.exit, 2) << command;
    EXPECT_THAT(finished.err, AllOf(HasSubstr("wrong.yaml:4:"), HasSubstr("path"))) << command;
    EXPECT_EQ(finished.out, "") << command;
  }
  EXPECT_FALSE(std::filesystem::exists(workspace_.path() / ".millrace")) << "a store was made for nothing";
}

TEST_F(CommandTest, ARunNeverWritesOverItsInput) {
  std::filesystem::create_symlink("titles.csv", workspace_.path() / "link.csv");
  const std::string absolute = (workspace_.path() / "titles.csv").string();
  for (const auto& [input, output] : {std::pair<std::string, std::string>{"titles.csv", "./titles.csv"},
                                      {"titles.csv", absolute},
                                      {"link.csv", "titles.csv"}}) {
    const Finished run = Millrace({"run", "stories.yaml", "-p", "input=" + input, "-p", "output=" + output});
    EXPECT_EQ(run.exit, 2) << input << " " << output;
    EXPECT_THAT(run.err, AllOf(HasSubstr("\"saved\" would overwrite"), HasSubstr("the stage \"titles\" reads it")));
  }
  EXPECT_EQ(workspace_.Read("titles.csv"), Titles(5));
}

TEST_F(CommandTest, WrongUseExitsWithTwoAndPrintsNothingOnStdout) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"no-such-command"},
                                             {"run"},
                                             {"run", "stories.yaml", "--no-such-option"},
                                             {"run", "stories.yaml", "--limit", "many"},
                                             {"run", "stories.yaml", "--limit", "1", "--sample", "1"},
                                             {"run", "stories.yaml", "-p", "novalue"},
                                             {"run", "stories.yaml", "-p", "unknown=1"},
                                             {"run", "stories.yaml", "--input", "titles"},
                                             {"run", "stories.yaml", "--input", "titles=absent.csv"},
                                             {"run", "absent.yaml"},
                                             {"run", "absent"},
                                             {"show", "r-absent"},
                                             {"runs", "--state", "happy"},
                                             {"status", "--format", "xml"},
                                             {"status", "--config", "absent.yaml"},
                                             {"run", "stories.yaml", "--detach"},
                                             {"run", "stories.yaml", "-p", "input=a", "-p", "input=b"},
                                             {"show", "r-\xff"},
                                             {"status", "--data-dir", "titles.csv"}}) {
    const Finished finished = Millrace(arguments);
    EXPECT_EQ(finished.exit, 2) << fmt::format("{}", fmt::join(arguments, " ")) << "\n" << finished.err;
    EXPECT_EQ(finished.out, "") << fmt::format("{}", fmt::join(arguments, " "));
    EXPECT_NE(finished.err, "") << fmt::format("{}", fmt::join(arguments, " "));
  }
}

TEST_F(CommandTest, AQuestionThatIsNotUtf8IsRefused) {
  ProcessOptions options = Here();
  options.input = "a\xff";
  const Finished asked = RunProgram(Command({"generate", "local", "-"}), options);
  EXPECT_EQ(asked.exit, 2);
  EXPECT_THAT(asked.err, StartsWith("millrace: standard input: expected UTF-8, got an invalid byte at offset 1"));
}

TEST_F(CommandTest, AMissingServerExitsWithFive) {
  const Finished finished = Millrace({"runs", "--server", fmt::format("127.0.0.1:{}", FreePort())});
  EXPECT_EQ(finished.exit, 5) << finished.err;
}

TEST_F(CommandTest, FailedItemsExitWithThreeAndAreKept) {
  workspace_.Write("titles.csv", "id,title\nt-1,Flood\n,no id and,too many fields\nt-3,Fire\n");
  const Finished run = Millrace({"run", "stories.yaml"});
  EXPECT_EQ(run.exit, 3) << run.out << run.err;
  EXPECT_THAT(LastLine(run.out), HasSubstr("1 failed"));
  EXPECT_EQ(Lines(workspace_.Read("stories.jsonl")), 2u);
}

TEST_F(CommandTest, ARunThatFailsExitsWithOne) {
  workspace_.Write("titles.csv", "id,title\n");
  std::string definition = kStories;
  const std::string needs = "    needs: [titles]\n";
  definition.insert(definition.find(needs) + needs.size(), "    expect: {min_items: 1}\n");
  workspace_.Write("stories.yaml", definition);
  const Finished run = Millrace({"run", "stories.yaml"});
  EXPECT_EQ(run.exit, 1) << run.out << run.err;
  EXPECT_THAT(run.out, HasSubstr("EXPECTATION"));
}

TEST_F(CommandTest, TextOfItemsCanNotControlATerminal) {
  workspace_.Write("titles.csv",
                   "id,title\nt-1,\"\x1b]0;owned\x07\x1b[2J evil \xc2\x9b"
                   "31m\"\n");
  const Finished run = Millrace({"run", "stories.yaml"});
  const std::string name = RunName(run.out);
  for (const Finished& shown : {run, Millrace({"items", name}), Millrace({"why", name, "t-1"})}) {
    EXPECT_THAT(shown.out + shown.err,
                AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr("\x07")), Not(HasSubstr("\xc2\x9b"))));
  }
}

TEST_F(CommandTest, EveryCommandHasExamplesInItsHelp) {
  for (const char* command :
       {"run",   "validate", "schema",  "plan",   "apply",  "pipelines", "runs",  "show",  "watch",  "items",  "why",
        "pause", "resume",   "redrive", "cancel", "delete", "generate",  "embed", "cache", "status", "version"}) {
    const Finished help = Millrace({command, "--help"});
    EXPECT_EQ(help.exit, 0) << command;
    EXPECT_THAT(help.out, HasSubstr(fmt::format("  millrace {}", command))) << command;
  }
}

TEST_F(CommandTest, GenerateRemembersItsAnswer) {
  const Finished first = Millrace({"generate", "local", "What is a mill race?", "--format", "json"});
  ASSERT_EQ(first.exit, 0) << first.err;
  const Finished second = Millrace({"generate", "local", "What is a mill race?", "--format", "json"});
  ASSERT_EQ(second.exit, 0) << second.err;
  EXPECT_EQ(At(second.out, "text"), At(first.out, "text"));
  EXPECT_EQ(At(second.out, "cacheHit"), json::value(true));
}

}  // namespace
}  // namespace millrace
