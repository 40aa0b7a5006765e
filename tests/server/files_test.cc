#include "server/files/files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace millrace {
namespace {

namespace fs = std::filesystem;

class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "millrace-files-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = fs::canonical(name);
    fs::create_directories(folder_ / "in/deep");
    fs::create_directories(folder_ / "out");
    fs::create_directories(folder_ / "other");
    std::ofstream(folder_ / "in/deep/data.csv") << "id\n1\n";
    std::ofstream(folder_ / "other/secret") << "s";
    fs::create_symlink(folder_ / "other/secret", folder_ / "in/link-out");
    fs::create_symlink("deep/data.csv", folder_ / "in/link-in");
    fs::create_symlink(folder_ / "other", folder_ / "out/link-out");
    fs::create_symlink(folder_ / "other/secret", folder_ / "out/file-link");
  }
  void TearDown() override { fs::remove_all(folder_); }

  FileRoots Roots() const { return FileRoots({(folder_ / "in").string()}, {(folder_ / "out").string()}); }

  fs::path folder_;
};

TEST_F(FilesTest, ReadsBelowItsRootsByRelativeAndAbsolutePath) {
  const std::string data = (folder_ / "in/deep/data.csv").string();
  for (const std::string& path :
       {std::string("deep/data.csv"), data, std::string("./deep/../deep/data.csv"), std::string("link-in")}) {
    const StatusOr<std::string> resolved = Roots().ForReading(path);
    ASSERT_TRUE(resolved.ok()) << path << resolved.status();
    EXPECT_EQ(*resolved, data);
  }
}

TEST_F(FilesTest, RefusesEverythingElse) {
  for (const std::string& path :
       {std::string("../other/secret"), (folder_ / "other/secret").string(), std::string("link-out"), std::string(""),
        std::string("/etc/passwd"), std::string("deep/../../other/secret"), std::string("deep\0data", 9)}) {
    EXPECT_EQ(ReasonOf(Roots().ForReading(path).status()), Reason::kFileNotAllowed) << path;
  }
  EXPECT_EQ(ReasonOf(FileRoots({}, {}).ForReading("deep/data.csv").status()), Reason::kFileNotAllowed);
  EXPECT_EQ(ReasonOf(Roots().ForReading("deep/absent.csv").status()), Reason::kFileError);
}

TEST_F(FilesTest, WritesBelowItsRootsButThroughNoLink) {
  EXPECT_EQ(*Roots().ForWriting("new.db"), (folder_ / "out/new.db").string());
  EXPECT_EQ(*Roots().ForWriting((folder_ / "out/new.db").string()), (folder_ / "out/new.db").string());
  EXPECT_EQ(ReasonOf(Roots().ForWriting("../in/deep/data.csv").status()), Reason::kFileNotAllowed);
  EXPECT_EQ(ReasonOf(Roots().ForWriting("link-out/new.db").status()), Reason::kFileNotAllowed);
  EXPECT_EQ(ReasonOf(Roots().ForWriting("file-link").status()), Reason::kFileNotAllowed);
  EXPECT_EQ(ReasonOf(Roots().ForWriting("absent/new.db").status()), Reason::kFileError);
}

TEST_F(FilesTest, ASourceReadsInPartsAndKnowsWhenItChanged) {
  SimulatedClock clock;
  Loop loop(clock);
  const std::unique_ptr<Pool> pool = MakeInlinePool(loop);
  const std::string path = (folder_ / "in/deep/data.csv").string();
  std::vector<std::string> identities;
  const auto read = [](Loop& loop, Pool& pool, std::string path, std::vector<std::string>& identities) -> Task<void> {
    StatusOr<std::unique_ptr<ByteSource>> source = OpenFileSource(loop, pool, path);
    EXPECT_TRUE(source.ok());
    if (!source.ok()) co_return;
    const StatusOr<ByteSource::Chunk> head = co_await (*source)->Read(0, 2);
    EXPECT_EQ(head->bytes, "id");
    EXPECT_FALSE(head->end);
    const StatusOr<ByteSource::Chunk> rest = co_await (*source)->Read(2, 100);
    EXPECT_EQ(rest->bytes.substr(0, 3), "\n1\n");
    EXPECT_TRUE(rest->end);
    const StatusOr<std::string> identity = co_await (*source)->Identity();
    EXPECT_TRUE(identity.ok());
    identities.push_back(*identity);
  };
  loop.Spawn(read(loop, *pool, path, identities));
  loop.RunUntil([] { return false; });
  std::ofstream(path, std::ios::app) << "2\n";
  loop.Spawn(read(loop, *pool, path, identities));
  loop.RunUntil([] { return false; });
  ASSERT_EQ(identities.size(), 2u);
  EXPECT_NE(identities[0], identities[1]);
  EXPECT_EQ(ReasonOf(OpenFileSource(loop, *pool, folder_.string()).status()), Reason::kFileError);
  loop.Abandon();
}

}  // namespace
}  // namespace millrace
