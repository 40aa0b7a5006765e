// The small pipeline of the end-to-end tests, and the two programs with a workspace of their own.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/e2e/process.h"

namespace millrace {

// Reads titles, writes a sentence about each into a file of lines.
inline constexpr char kStories[] = R"(name: stories
parameters: {input: titles.csv, output: stories.jsonl}
stages:
  - name: titles
    fetch: {csv: {path: $(input), id_column: id}}
  - name: story
    needs: [titles]
    synthesize:
      model: local
      prompt: "Tell the story of: {{title}}"
      output_schema:
        type: object
        properties: {story: {type: string, x-millrace-local: first_line}}
        required: [story]
  - name: saved
    needs: [story]
    store: {jsonl: {path: $(output)}}
)";

// The alias `local` with a slow provider, so that tests can disturb a run in the middle.
inline constexpr char kSlowConfig[] = R"(backends:
  - {name: slow, simulated: {seed: 7, profile: {latency: 40ms}}}
models:
  - name: local
    targets: [{backend: slow, model: any, limits: {max_concurrency: 4}}]
)";

class StoryTest : public testing::Test {
 protected:
  static std::string Titles(int count) {
    std::string csv = "id,title\n";
    for (int i = 1; i <= count; ++i) csv += fmt::format("t-{:04},Flood number {} in the valley\n", i, i);
    return csv;
  }

  StoryTest() {
    workspace_.Write("stories.yaml", kStories);
    workspace_.Write("titles.csv", Titles(5));
  }

  static std::vector<std::string> Command(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), MILLRACE_COMMAND);
    return arguments;
  }
  ProcessOptions Here() const { return {.directory = workspace_.path(), .environment = {}, .input = ""}; }
  Finished Millrace(std::vector<std::string> arguments) const {
    return RunProgram(Command(std::move(arguments)), Here());
  }

  // Returns the name `r-…` from the first line that contains one.
  static std::string RunName(const std::string& text) {
    const size_t at = text.find("run r-");
    if (at == std::string::npos) return "";
    const size_t begin = at + 4;
    return text.substr(begin, text.find_first_of(" \n:,", begin) - begin);
  }
  static std::string LastLine(std::string text) {
    while (!text.empty() && text.back() == '\n') text.pop_back();
    const size_t line = text.rfind('\n');
    return line == std::string::npos ? text : text.substr(line + 1);
  }
  static size_t Lines(const std::string& text) {
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  Workspace workspace_;
};

}  // namespace millrace
