#include "server/base/text_file.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

namespace millrace {
namespace {

TEST(TextFileTest, ReadsAFileUpToALimit) {
  const std::string path = testing::TempDir() + "text_file_test";
  const std::string mib(1u << 20, '\0');
  std::ofstream(path, std::ios::binary) << mib;
  EXPECT_EQ(ReadTextFile(path, 1).value(), mib);
  std::ofstream(path, std::ios::binary | std::ios::app) << "x";
  const Status status = ReadTextFile(path, 1).status();
  EXPECT_EQ(ReasonOf(status), Reason::kInvalidDefinition);
  EXPECT_THAT(std::string(MessageOf(status)), testing::EndsWith("text_file_test is larger than 1 MiB"));
  std::filesystem::remove(path);
}

TEST(TextFileTest, SaysWhyAFileCanNotBeRead) {
  const Status missing = ReadTextFile("none.txt", 1).status();
  EXPECT_EQ(ReasonOf(missing), Reason::kFileError);
  EXPECT_EQ(MessageOf(missing), "none.txt can't be read: No such file or directory");
  const Status directory = ReadTextFile("/", 1).status();
  EXPECT_EQ(directory.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(MessageOf(directory), "/ can't be read: Is a directory");
}

}  // namespace
}  // namespace millrace
