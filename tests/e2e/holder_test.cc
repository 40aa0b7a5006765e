// Several commands that need one store: concurrent commands, kills, interruptions.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <sstream>

#include "tests/e2e/story.h"

namespace millrace {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class HolderTest : public StoryTest {
 protected:
  static constexpr int kItems = 300;

  HolderTest() {
    workspace_.Write("millrace.yaml", kSlowConfig);
    workspace_.Write("titles.csv", Titles(kItems));
  }

  // Starts a run and waits until some of its items are done.
  std::string WaitForTheMiddle(Process& run) {
    EXPECT_TRUE(run.WaitForOutput([](const std::string&, const std::string& err) { return !RunName(err).empty(); }));
    std::string name;
    run.WaitForOutput([&](const std::string&, const std::string& err) {
      name = RunName(err);
      return true;
    });
    // Asks through the running command's socket, so that the run is observed from outside.
    for (int looks = 0; looks < 200; ++looks) {
      const Finished shown = Millrace({"items", name, "--stage", "story", "--format", "jsonl"});
      if (shown.exit == 0 && Lines(shown.out) >= 5) break;
    }
    return name;
  }

  void ExpectEveryStoryOnce() const {
    std::set<std::string> lines;
    std::istringstream all(workspace_.Read("stories.jsonl"));
    size_t count = 0;
    for (std::string line; std::getline(all, line); ++count) lines.insert(line);
    EXPECT_EQ(count, static_cast<size_t>(kItems));
    EXPECT_EQ(lines.size(), count);
  }
};

TEST_F(HolderTest, AKilledRunContinues) {
  std::string name;
  {
    Process run(Command({"run", "stories.yaml"}), Here());
    name = WaitForTheMiddle(run);
    ASSERT_NE(name, "");
    run.Signal(SIGKILL);
    EXPECT_EQ(run.Wait().exit, 128 + SIGKILL);
  }
  EXPECT_EQ(workspace_.Read("stories.jsonl"), "") << "it was over before it was killed: this proves nothing";
  // Showing a run does not start it, so there is nothing to wait for.
  const Finished looked = Millrace({"show", name, "--format", "json"});
  EXPECT_THAT(looked.out, AllOf(HasSubstr("RUN_STATE_RUNNING"), HasSubstr("it continues when it is watched or resumed")));
  const Finished watched = Millrace({"watch", name});
  EXPECT_EQ(watched.exit, 0) << watched.out << watched.err;
  EXPECT_THAT(watched.out, HasSubstr("run " + name + " done: 300 story of 300 titles"));
  ExpectEveryStoryOnce();
}

TEST_F(HolderTest, ASecondCommandUsesTheSocketOfTheFirst) {
  Process run(Command({"run", "stories.yaml"}), Here());
  const std::string name = WaitForTheMiddle(run);
  const Finished runs = Millrace({"runs"});
  EXPECT_EQ(runs.exit, 0) << runs.err;
  EXPECT_THAT(runs.out, AllOf(HasSubstr(name), HasSubstr("RUNNING")));
  EXPECT_THAT(runs.err, HasSubstr("held by another process"));
  const Finished finished = run.Wait();
  EXPECT_EQ(finished.exit, 0) << finished.err;
  ExpectEveryStoryOnce();
}

TEST_F(HolderTest, CommandsThatStartTogetherAllSucceed) {
  workspace_.Write("titles.csv", Titles(5));
  std::vector<std::unique_ptr<Process>> commands;
  for (int i = 0; i < 4; ++i) commands.push_back(std::make_unique<Process>(Command({"runs"}), Here()));
  for (const std::unique_ptr<Process>& command : commands) {
    const Finished finished = command->Wait();
    EXPECT_EQ(finished.exit, 0) << finished.err;
  }
}

TEST_F(HolderTest, ACommandStaysWhileAnotherUsesItsStore) {
  std::string others = "id,title\n";
  for (int i = 1; i <= 120; ++i) others += fmt::format("f-{:04},Fire number {} on the hill\n", i, i);
  workspace_.Write("others.csv", others);
  // The input of the first command ends when the second one is connected; the second one then runs longer.
  ASSERT_EQ(::mkfifo((workspace_.path() / "pipe").c_str(), 0600), 0);
  const int writer = ::open((workspace_.path() / "pipe").c_str(), O_RDWR | O_CLOEXEC);
  const std::string input = Titles(100);
  ASSERT_EQ(::write(writer, input.data(), input.size()), static_cast<ssize_t>(input.size()));
  Process first(Command({"run", "stories.yaml", "--input", "titles=pipe"}), Here());
  EXPECT_TRUE(first.WaitForOutput([](const std::string&, const std::string& err) { return !RunName(err).empty(); }));
  Process second(Command({"run", "stories.yaml", "-p", "input=others.csv", "-p", "output=others.jsonl"}), Here());
  EXPECT_TRUE(second.WaitForOutput([](const std::string&, const std::string& err) { return !RunName(err).empty(); }));
  ::close(writer);
  const Finished finished = second.Wait();
  EXPECT_EQ(finished.exit, 0) << finished.err;
  EXPECT_THAT(finished.err, HasSubstr("held by another process"));
  EXPECT_EQ(Lines(workspace_.Read("others.jsonl")), 120u);
  EXPECT_EQ(first.Wait().exit, 0);
  EXPECT_EQ(Lines(workspace_.Read("stories.jsonl")), 100u);
}

TEST_F(HolderTest, AnInterruptedRunIsPausedAndResumed) {
  std::string name;
  {
    Process run(Command({"run", "stories.yaml"}), Here());
    name = WaitForTheMiddle(run);
    run.Signal(SIGINT);
    const Finished finished = run.Wait();
    EXPECT_EQ(finished.exit, 130) << finished.err;
    EXPECT_THAT(finished.err, HasSubstr("millrace resume " + name));
  }
  EXPECT_THAT(Millrace({"show", name}).out, HasSubstr("PAUSED"));
  const Finished resumed = Millrace({"resume", name});
  EXPECT_EQ(resumed.exit, 0) << resumed.out << resumed.err;
  ExpectEveryStoryOnce();
}

TEST_F(HolderTest, ACancelledRunStaysCancelled) {
  Process run(Command({"run", "stories.yaml"}), Here());
  const std::string name = WaitForTheMiddle(run);
  EXPECT_EQ(Millrace({"cancel", name}).exit, 0);
  EXPECT_EQ(run.Wait().exit, 1);
  EXPECT_THAT(Millrace({"show", name}).out, HasSubstr("CANCELLED"));
  EXPECT_EQ(Millrace({"resume", name}).exit, 2);
  EXPECT_EQ(Millrace({"delete", name}).exit, 0);
  EXPECT_EQ(Millrace({"show", name}).exit, 2);
}

}  // namespace
}  // namespace millrace
