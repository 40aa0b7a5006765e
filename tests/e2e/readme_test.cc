// README.md as its readers follow it: writes its files and runs its commands in order.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/e2e/story.h"

namespace millrace {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

// Returns the fenced blocks of the page whose text contains `mark`, in order.
std::vector<std::string> Blocks(const std::string& mark) {
  std::ifstream page(MILLRACE_README);
  EXPECT_TRUE(page) << MILLRACE_README;
  std::vector<std::string> blocks;
  std::string block;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with("```")) {
      if (inside) block += line + "\n";
      continue;
    }
    if (inside && block.find(mark) != std::string::npos) blocks.push_back(block);
    block.clear();
    inside = !inside;
  }
  return blocks;
}

std::string Only(const std::string& mark) {
  const std::vector<std::string> blocks = Blocks(mark);
  EXPECT_EQ(blocks.size(), 1u) << mark;
  return blocks.empty() ? "" : blocks.front();
}

std::string Replace(std::string text, const std::string& what, const std::string& with) {
  EXPECT_NE(text.find(what), std::string::npos) << what << " is not in\n" << text;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
  return text;
}

// Leaves out lines with a program that a user may not have; tests/real runs those.
std::string WithoutGrpcurl(const std::string& script) {
  std::string kept;
  std::istringstream lines(script);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("grpcurl ")) kept += line + "\n";
  }
  return kept;
}

class ReadmeTest : public testing::Test {
 protected:
  Finished Bash(const std::string& script) const {
    const std::string path = std::filesystem::path(MILLRACE_COMMAND).parent_path().string() + ":" +
                             std::filesystem::path(MILLRACE_SERVER_PROGRAM).parent_path().string() + ":/usr/bin:/bin";
    return RunProgram({"bash", "-e", "-c", script},
                      {.directory = workspace_.path(), .environment = {{"PATH", path}}, .input = ""});
  }

  Workspace workspace_;
};

TEST_F(ReadmeTest, ItsPipelineAndCommandsWorkWithTheSimulatedProvider) {
  const int port = FreePort();
  workspace_.Write("stories.yaml", Only("name: stories\n"));
  const std::string cloud = "openai: {base_url: https://api.openai.com/v1, api_key: {env: OPENAI_API_KEY}}";
  workspace_.Write("millrace.yaml", Replace(Only("openai: {"), cloud, "simulated: {}") +
                                        fmt::format("grpc: {{address: '127.0.0.1:{}'}}\n", port));

  const Finished command = Bash(Only("millrace validate"));
  EXPECT_EQ(command.exit, 0) << command.out << command.err;
  EXPECT_THAT(command.out, AllOf(HasSubstr("stories"), HasSubstr("1 call"), HasSubstr("Flood in the valley"),
                                 ContainsRegex("run r-[a-z0-9]+ done: 1 story of 1 articles")));
  EXPECT_THAT(workspace_.Read("stories.jsonl"), HasSubstr("story"));

  const std::string serve = Replace(WithoutGrpcurl(Only("millraced --config")), "7400", std::to_string(port));
  const Finished server = Bash("trap 'kill %1; wait %1' EXIT\n" + serve);
  EXPECT_EQ(server.exit, 0) << server.out << server.err;
  EXPECT_THAT(server.out, AllOf(HasSubstr("stories"), ContainsRegex("r-[a-z0-9]+")));
}

}  // namespace
}  // namespace millrace
