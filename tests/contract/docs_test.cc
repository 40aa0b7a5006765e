// docs/backends.md shows the example as it is compiled.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace millrace {
namespace {

std::string Read(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(BackendDocsTest, TheExampleIsTheOneThatPassesTheContract) {
  const std::string example = Read("tests/contract/example_backend.cc");
  EXPECT_FALSE(example.empty());
  EXPECT_THAT(Read("docs/backends.md"), testing::HasSubstr("```cpp\n" + example + "```\n"));
}

TEST(BackendDocsTest, TheExampleInGoIsTheOneThatRuns) {
  std::string example = Read("examples/remote/go/main.go");
  for (size_t at; (at = example.find('\t')) != std::string::npos;) example.replace(at, 1, "    ");
  EXPECT_FALSE(example.empty());
  EXPECT_THAT(Read("docs/backends.md"), testing::HasSubstr("```go\n" + example + "```\n"));
}

}  // namespace
}  // namespace millrace
