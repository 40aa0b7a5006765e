// Files that runs may touch, and those that they may not, as users meet them.
#include <signal.h>

#include <filesystem>

#include "tests/e2e/story.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kOpenFiles[] = "files: {read: [.], write: [.]}\n";

// A pipeline that copies a file to another, both named by itself.
std::string Copying(const std::string& from, const std::string& to) {
  return fmt::format(
      "name: copy\nstages:\n  - {{name: rows, fetch: {{csv: {{path: '{}'}}}}}}\n"
      "  - {{name: saved, needs: [rows], store: {{jsonl: {{path: '{}'}}}}}}\n",
      from, to);
}

class OwnFilesTest : public StoryTest {};

TEST_F(OwnFilesTest, NoPipelineWritesOverTheStoreOrTheConfiguration) {
  ASSERT_EQ(Millrace({"run", "stories.yaml"}).exit, 0);  // makes the store
  workspace_.Write("millrace.yaml", std::string(kOpenFiles) + kSlowConfig);
  const std::string config = workspace_.Read("millrace.yaml");
  fs::create_hard_link(workspace_.path() / "millrace.yaml", workspace_.path() / "innocent.jsonl");
  for (const char* output : {".millrace/CURRENT", "./.millrace/new.jsonl", "millrace.yaml", "innocent.jsonl"}) {
    workspace_.Write("copy.yaml", Copying("titles.csv", output));
    const Finished run = Millrace({"run", "copy.yaml"});
    EXPECT_NE(run.exit, 0) << output;
    EXPECT_THAT(run.err, AllOf(HasSubstr("which no run may read or write"), HasSubstr("FILE_NOT_ALLOWED"))) << output;
  }
  EXPECT_EQ(workspace_.Read("millrace.yaml"), config);
  EXPECT_THAT(workspace_.Read(".millrace/CURRENT"), ::testing::StartsWith("MANIFEST-"));
}

TEST_F(OwnFilesTest, NoPipelineReadsTheStoreTheConfigurationOrASecret) {
  workspace_.Write("key.txt", "a-secret-key\n");
  fs::permissions(workspace_.path() / "key.txt", fs::perms::owner_read | fs::perms::owner_write);
  workspace_.Write("millrace.yaml",
                   std::string(kOpenFiles) +
                       "backends:\n  - {name: cloud, openai: {base_url: 'http://127.0.0.1:1/v1', api_key: {file: "
                       "key.txt}}}\nmodels:\n  - {name: local, targets: [{backend: cloud, model: m}]}\n");
  for (const char* input : {"key.txt", "millrace.yaml", ".millrace/format"}) {
    workspace_.Write("copy.yaml", Copying(input, "out.jsonl"));
    const Finished run = Millrace({"run", "copy.yaml"});
    EXPECT_NE(run.exit, 0) << input;
    EXPECT_THAT(run.out + run.err, HasSubstr("which no run may read or write")) << input;
    EXPECT_FALSE(fs::exists(workspace_.path() / "out.jsonl")) << input;
  }
  // Nor is it sent as a prompt.
  workspace_.Write("prompt.yaml",
                   "name: asking\nstages:\n  - {name: rows, fetch: {csv: {path: titles.csv}}}\n"
                   "  - {name: asked, needs: [rows], synthesize: {model: local, prompt_file: key.txt}}\n");
  const Finished run = Millrace({"run", "prompt.yaml"});
  EXPECT_EQ(run.exit, 2);
  EXPECT_THAT(run.err,
              AllOf(HasSubstr("prompt.yaml:4:"), HasSubstr("a file of the configuration"), Not(HasSubstr("secret\n"))));
}

TEST_F(OwnFilesTest, DefinitionFilesStayBelowThePipelineAndTheWorkingDirectory) {
  Workspace elsewhere;
  elsewhere.Write("prompt.txt", "About {{title}}");
  const auto pipeline = [](const std::string& prompt) {
    return "name: asking\nstages:\n  - {name: rows, fetch: {csv: {path: titles.csv, id_column: id}}}\n  - {name: "
           "asked, "
           "needs: [rows], synthesize: {model: local, prompt_file: '" +
           prompt + "'}}\n";
  };
  workspace_.Write("prompt.txt", "About {{title}}");
  fs::create_directory(workspace_.path() / "pipelines");
  workspace_.Write("pipelines/ask.yaml", pipeline("../prompt.txt"));
  EXPECT_EQ(Millrace({"run", "pipelines/ask.yaml"}).exit, 0);
  workspace_.Write("pipelines/ask.yaml", pipeline((elsewhere.path() / "prompt.txt").string()));
  const Finished run = Millrace({"run", "pipelines/ask.yaml"});
  EXPECT_EQ(run.exit, 2);
  EXPECT_THAT(run.err, AllOf(HasSubstr("pipelines/ask.yaml:4:"), HasSubstr("copy it into one of them")));
}

TEST_F(OwnFilesTest, WhatTheUserTypesIsAllowedToALocalCommandAlsoAfterAKill) {
  Workspace elsewhere;
  elsewhere.Write("titles.csv", Titles(200));
  const std::string output = (elsewhere.path() / "out.jsonl").string();
  workspace_.Write("millrace.yaml", std::string(kOpenFiles) + kSlowConfig);
  const std::vector<std::string> typed = {"-p", "input=" + (elsewhere.path() / "titles.csv").string(), "-p",
                                          "output=" + output};
  std::vector<std::string> plan = {"plan", "stories.yaml"};
  plan.insert(plan.end(), typed.begin(), typed.end());
  EXPECT_EQ(Millrace(plan).exit, 0);
  std::vector<std::string> arguments = {"run", "stories.yaml"};
  arguments.insert(arguments.end(), typed.begin(), typed.end());
  std::string name;
  {
    Process run(Command(arguments), Here());
    ASSERT_TRUE(run.WaitForOutput([&](const std::string&, const std::string& err) {
      name = RunName(err);
      return !name.empty() && err.find("run ") != std::string::npos;
    }));
    run.Signal(SIGKILL);
    run.Wait();
  }
  EXPECT_FALSE(fs::exists(output));
  const Finished watched = Millrace({"watch", name});
  EXPECT_EQ(watched.exit, 0) << watched.err;
  EXPECT_EQ(Lines(elsewhere.Read("out.jsonl")), 200u);
}

TEST_F(OwnFilesTest, WhatAPipelineNamesStaysBelowTheRootsAndTheMessageHasTheLineToAdd) {
  Workspace elsewhere;
  const std::string output = (elsewhere.path() / "out.jsonl").string();
  workspace_.Write("millrace.yaml", std::string(kOpenFiles) + kSlowConfig);
  workspace_.Write("copy.yaml", Copying("titles.csv", output));
  const Finished run = Millrace({"run", "copy.yaml"});
  EXPECT_EQ(run.exit, 2) << run.err;
  const std::string line = fmt::format("files: {{write: [., {}]}}", elsewhere.path().string());
  EXPECT_THAT(run.err, AllOf(HasSubstr("FILE_NOT_ALLOWED"), HasSubstr("`files.write`"), HasSubstr(line)));
  EXPECT_FALSE(fs::exists(output));
  workspace_.Write("millrace.yaml", line + "\n" + kSlowConfig);
  EXPECT_EQ(Millrace({"run", "copy.yaml"}).exit, 0);
  EXPECT_EQ(Lines(elsewhere.Read("out.jsonl")), 5u);
}

TEST_F(OwnFilesTest, WithTheWholeFileSystemAllowedARelativePathIsStillThatOfTheWorkingDirectory) {
  workspace_.Write("millrace.yaml", std::string("files: {read: [/], write: [/]}\n") + kSlowConfig);
  const Finished run = Millrace({"run", "stories.yaml"});
  EXPECT_EQ(run.exit, 0) << run.err;
  EXPECT_EQ(Lines(workspace_.Read("stories.jsonl")), 5u);
}

TEST_F(OwnFilesTest, AServerGivesNoFileToAClientThatNamesIt) {
  Workspace elsewhere;
  const std::string output = (elsewhere.path() / "out.jsonl").string();
  workspace_.Write("server.yaml", fmt::format("grpc: {{address: '127.0.0.1:{}'}}\ndata_dir: store\n{}{}", FreePort(),
                                              kOpenFiles, kSlowConfig));
  Process server({MILLRACE_SERVER_PROGRAM, "--config", "server.yaml"}, Here());
  ASSERT_TRUE(server.WaitForOutput(
      [](const std::string&, const std::string& err) { return err.find("serving on") != std::string::npos; }));
  const Finished run = Millrace({"run", "stories.yaml", "--data-dir", "store", "-p", "output=" + output});
  EXPECT_EQ(run.exit, 2) << run.err;
  EXPECT_THAT(run.err, HasSubstr("FILE_NOT_ALLOWED"));
  for (const char* own : {"store/CURRENT", "server.yaml"}) {
    const Finished overwriting =
        Millrace({"run", "stories.yaml", "--data-dir", "store", "-p", std::string("output=") + own});
    EXPECT_THAT(overwriting.err, HasSubstr("which no run may read or write")) << own;
  }
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait().exit, 0);
}

}  // namespace
}  // namespace millrace
