#include "server/files/files.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <stdio.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "server/files/beneath.h"

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

// Makes another directory the working one for a while.
class WorkingIn {
 public:
  explicit WorkingIn(const fs::path& path) : before_(fs::current_path()) { fs::current_path(path); }
  ~WorkingIn() { fs::current_path(before_); }

 private:
  const fs::path before_;
};

std::string TextOf(const UniqueFd& file) {
  std::string text(64, '\0');
  const ssize_t size = ::pread(file.get(), text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<size_t>(size) : 0);
  return text;
}

TEST_F(FilesTest, ARelativePathIsTakenFromTheWorkingDirectoryFirst) {
  const FileRoots all({"/"}, {"/"});
  const WorkingIn in(folder_ / "in");
  EXPECT_EQ(*all.ForReading("deep/data.csv"), (folder_ / "in/deep/data.csv").string());
  EXPECT_EQ(*all.ForReading("../other/secret"), (folder_ / "other/secret").string());
  EXPECT_EQ(*all.ForWriting("new.db"), (folder_ / "in/new.db").string());
  // The working directory is not a root here, so that the roots' own paths count.
  EXPECT_EQ(*Roots().ForWriting("new.db"), (folder_ / "out/new.db").string());
  EXPECT_EQ(ReasonOf(Roots().ForReading("../other/secret").status()), Reason::kFileNotAllowed);
}

TEST_F(FilesTest, ARefusalNamesTheSettingAndTheLineToAdd) {
  const FileRoots files({"."}, {});
  EXPECT_EQ(
      MessageOf(files.ForReading("/data/of others/x.csv").status()),
      "/data/of others/x.csv is not below a directory that runs may read: to allow it, change `files.read` in the "
      "configuration to `files: {read: [., \"/data/of others\"]}`");
  const WorkingIn in(folder_ / "in");
  EXPECT_EQ(
      MessageOf(files.ForWriting("x.csv").status()),
      "x.csv is not below a directory that runs may write: to allow it, change `files.write` in the configuration "
      "to `files: {write: [" +
          (folder_ / "in").string() + "]}`");
}

TEST_F(FilesTest, AFileThatExistsWhereRunsMayNotReadIsNotSaidToBeAbsent) {
  const WorkingIn in(folder_ / "in");
  const FileRoots files({(folder_ / "out").string()}, {});
  const Status refused = files.ForReading("deep/data.csv").status();
  EXPECT_EQ(ReasonOf(refused), Reason::kFileNotAllowed);
  EXPECT_NE(MessageOf(refused).find((folder_ / "in/deep").string()), std::string_view::npos) << MessageOf(refused);
  EXPECT_EQ(ReasonOf(files.ForReading("deep/absent.csv").status()), Reason::kFileError);
}

TEST_F(FilesTest, AFileThatDoesNotExistIsNamedWithThePlacesThatWereLookedAt) {
  const WorkingIn in(folder_ / "in");
  const FileRoots files({".", "no/such"}, {});
  EXPECT_EQ(MessageOf(files.ForReading("x.csv").status()),
            "x.csv does not exist in the working directory " + (folder_ / "in").string() +
                ", nor below a directory of `files.read`; its entry no/such does not exist");
  EXPECT_EQ(MessageOf(files.ForReading((folder_ / "in/x.csv").string()).status()),
            (folder_ / "in/x.csv").string() + " does not exist; its entry no/such does not exist");
}

// A run over a relative path ended for good when a process in another directory continued it.
TEST_F(FilesTest, ARunsRelativePathsAreTakenFromTheDirectoryOfItsCreation) {
  const FileRoots files({(folder_ / "in").string()}, {(folder_ / "out").string()});
  const auto run = files.ForRun({.directory = (folder_ / "in").string(), .typed = {}});
  const WorkingIn other(folder_ / "other");
  EXPECT_EQ(*run->ForReading("deep/data.csv"), (folder_ / "in/deep/data.csv").string());
  EXPECT_EQ(*files.ForRun({.directory = (folder_ / "out").string(), .typed = {}})->ForWriting("new.db"),
            (folder_ / "out/new.db").string());
  EXPECT_EQ(MessageOf(run->ForReading("x.csv").status()), "x.csv does not exist in the run's directory " +
                                                              (folder_ / "in").string() +
                                                              ", nor below a directory of `files.read`");
}

TEST_F(FilesTest, ARunWhoseDirectoryWasMovedIsTakenFromTheWorkingDirectory) {
  const FileRoots files({"."}, {"."});
  fs::rename(folder_ / "in", folder_ / "moved");
  const WorkingIn moved(folder_ / "moved");
  const auto run = files.ForRun({.directory = (folder_ / "in").string(), .typed = {}});
  EXPECT_EQ(*run->ForReading("deep/data.csv"), (folder_ / "moved/deep/data.csv").string());
  EXPECT_EQ(*run->ForWriting("new.db"), (folder_ / "moved/new.db").string());
}

// Otherwise a file of the same name would be read, or overwritten, that has nothing to do with the run.
TEST_F(FilesTest, AFileOfTheWorkingDirectoryIsNotTakenForTheRunsOwn) {
  fs::create_directories(folder_ / "other/deep");
  std::ofstream(folder_ / "other/deep/data.csv") << "id\n2\n";
  const FileRoots files({"."}, {"."});
  const auto run = files.ForRun({.directory = (folder_ / "in").string(), .typed = {}});
  const WorkingIn other(folder_ / "other");
  const Status read = run->ForReading("deep/data.csv").status();
  EXPECT_EQ(ReasonOf(read), Reason::kFileNotAllowed);
  EXPECT_NE(MessageOf(read).find("`files: {read: [., " + (folder_ / "in/deep").string() + "]}`"),
            std::string_view::npos)
      << MessageOf(read);
  EXPECT_NE(MessageOf(read).find("continue the run in " + (folder_ / "in").string()), std::string_view::npos)
      << MessageOf(read);
  EXPECT_EQ(ReasonOf(run->ForWriting("deep/data.csv").status()), Reason::kFileNotAllowed);
  fs::remove(folder_ / "in/deep/data.csv");
  EXPECT_FALSE(run->ForReading("deep/data.csv").ok());
}

TEST_F(FilesTest, WhatAUserTypedIsAllowedAndNothingElse) {
  const std::string typed = (folder_ / "other/secret").string();
  const FileRoots roots({}, {}, {{.path = (folder_ / "in/deep/data.csv").string(), .what = "the configuration"}});
  const auto files = roots.ForRun({.directory = "", .typed = {typed, (folder_ / "in/deep/data.csv").string()}});
  EXPECT_EQ(TextOf(*files->OpenToRead(typed)), "s");
  EXPECT_TRUE(files->OpenerToWrite(typed).ok());
  EXPECT_EQ(ReasonOf(files->ForReading((folder_ / "in/link-in").string()).status()), Reason::kFileNotAllowed);
  EXPECT_EQ(ReasonOf(files->ForReading((folder_ / "in/deep/data.csv").string()).status()), Reason::kFileNotAllowed);
  EXPECT_EQ(ReasonOf(roots.ForReading(typed).status()), Reason::kFileNotAllowed);
}

TEST_F(FilesTest, TheServersOwnFilesAreNeitherReadNorWritten) {
  const fs::path in = folder_ / "in";
  fs::create_directories(in / ".millrace/sub");
  for (const char* name : {".millrace/CURRENT", ".millrace/sub/x", "millrace.yaml", "key.txt", "free.csv"}) {
    std::ofstream(in / name) << "x";
  }
  fs::create_hard_link(in / ".millrace/CURRENT", in / "store-by-another-name.csv");
  fs::create_hard_link(in / "key.txt", in / "key-by-another-name.csv");
  fs::create_symlink("millrace.yaml", in / "link-to-configuration");
  fs::create_symlink(".millrace", in / "link-to-store");
  const FileRoots files({"/", in.string()}, {"/", in.string()},
                        {{.path = (in / ".millrace").string(), .what = "the data directory", .is_directory = true},
                         {.path = (in / "millrace.yaml").string(), .what = "the configuration"},
                         {.path = (in / "absent.yaml").string(), .what = "the configuration"},
                         {.path = (in / "key.txt").string(), .what = "a secret"}});
  for (const char* name : {".millrace/CURRENT", ".millrace/sub/x", "millrace.yaml", "key.txt", "link-to-store/CURRENT",
                           "store-by-another-name.csv", "key-by-another-name.csv", "deep/../.millrace/CURRENT"}) {
    const std::string path = (in / name).string();
    for (const Status& status : {files.ForReading(path).status(), files.OpenToRead(path).status(),
                                 files.ForWriting(path).status(), files.OpenerToWrite(path).status()}) {
      EXPECT_EQ(ReasonOf(status), Reason::kFileNotAllowed) << name << ": " << status;
    }
  }
  EXPECT_EQ(ReasonOf(files.ForReading((in / "link-to-configuration").string()).status()), Reason::kFileNotAllowed);
  // A file that does not exist yet can't be made.
  for (const char* name : {".millrace/new", "absent.yaml", ".millrace/sub/new"}) {
    EXPECT_EQ(ReasonOf(files.ForWriting((in / name).string()).status()), Reason::kFileNotAllowed) << name;
  }
  const WorkingIn there(in);
  EXPECT_EQ(MessageOf(files.ForWriting("millrace.yaml").status()),
            "millrace.yaml is the configuration, which no run may read or write");
  EXPECT_TRUE(files.OpenToRead((in / "free.csv").string()).ok());
  EXPECT_TRUE(files.ForWriting((in / "free.csv").string()).ok());
  // The environment of this process, with its keys.
  EXPECT_EQ(ReasonOf(files.OpenToRead("/proc/self/environ").status()), Reason::kFileNotAllowed);
}

TEST_F(FilesTest, ADirectoryIsOpenedBeneathAnotherWithoutLinks) {
  fs::create_directories(folder_ / "in/deep/deeper");
  fs::create_symlink("deep", folder_ / "in/same");
  const UniqueFd in(::open((folder_ / "in").c_str(), O_PATH | O_DIRECTORY));
  for (const Walk walk : {Walk::kKernel, Walk::kSteps}) {
    for (const char* path : {"", ".", "deep", "deep/deeper", "./deep/."}) {
      EXPECT_TRUE(OpenDirectoryBeneath(in.get(), path, walk)) << path;
    }
    for (const char* path : {"..", "deep/../..", "same", "same/deeper", "link-in", "absent", "deep/data.csv"}) {
      EXPECT_FALSE(OpenDirectoryBeneath(in.get(), path, walk)) << path;
    }
    EXPECT_TRUE(OpenDirectoryAt((folder_ / "in/deep").string(), walk));
    EXPECT_FALSE(OpenDirectoryAt((folder_ / "in/same").string(), walk));
    EXPECT_TRUE(OpenDirectoryAt("/", walk));
  }
}

// Exchanges a directory below a root for a link that leads outside, and back, again and again.
class Swapper {
 public:
  explicit Swapper(const fs::path& folder) {
    fs::create_directories(folder / "in/swapped");
    std::ofstream(folder / "in/swapped/secret") << "inside";
    std::ofstream(folder / "other/secret") << "outside";
    fs::create_symlink(folder / "other", folder / "in/link");
    thread_ = std::thread([this, folder] {
      const std::string one = folder / "in/swapped";
      const std::string two = folder / "in/link";
      while (!done_ && swaps_ < 1'000'000) {
        if (::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, two.c_str(), RENAME_EXCHANGE) == 0) ++swaps_;
      }
    });
  }
  ~Swapper() { Stop(); }
  void Stop() {
    done_ = true;
    if (thread_.joinable()) thread_.join();
  }
  int swaps() const { return swaps_; }

 private:
  std::atomic<bool> done_ = false;
  std::atomic<int> swaps_ = 0;
  std::thread thread_;
};

TEST_F(FilesTest, ADirectoryThatIsExchangedInBetweenLeadsNowhereElse) {
  Swapper swapper(folder_);
  int inside = 0;
  int refused = 0;
  for (int i = 0; i < 4000; ++i) {
    const StatusOr<UniqueFd> file = Roots().OpenToRead("swapped/secret");
    if (file.ok()) {
      ++inside;
      ASSERT_EQ(TextOf(*file), "inside");
    } else {
      ++refused;
      ASSERT_TRUE(ReasonOf(file.status()) == Reason::kFileNotAllowed || ReasonOf(file.status()) == Reason::kFileError)
          << file.status();
    }
  }
  swapper.Stop();
  EXPECT_GT(swapper.swaps(), 100);
  EXPECT_GT(inside, 0);
  EXPECT_GT(refused, 0);
}

TEST_F(FilesTest, WritesStayInTheirDirectoryWhileItIsExchanged) {
  const std::string in = (folder_ / "in").string();
  const FileRoots files({in}, {in});
  Swapper swapper(folder_);
  int written = 0;
  for (int i = 0; i < 2000; ++i) {
    StatusOr<OutputOpener> open = files.OpenerToWrite("swapped/new");
    if (!open.ok()) continue;
    const StatusOr<OutputPlace> place = (*open)();
    if (!place.ok()) continue;
    const UniqueFd file(::openat(place->directory.get(), place->name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    written += file ? 1 : 0;
  }
  swapper.Stop();
  EXPECT_GT(written, 0);
  EXPECT_FALSE(fs::exists(folder_ / "other/new"));
}

TEST_F(FilesTest, ASourceReadsInPartsAndKnowsWhenItChanged) {
  SimulatedClock clock;
  Loop loop(clock);
  const std::unique_ptr<Pool> pool = MakeInlinePool(loop);
  const std::string path = (folder_ / "in/deep/data.csv").string();
  std::vector<std::string> identities;
  const auto read = [](Loop& loop, Pool& pool, std::string path, std::vector<std::string>& identities) -> Task<void> {
    const FileRoots files({"/"}, {});
    StatusOr<std::unique_ptr<ByteSource>> source = OpenFileSource(loop, pool, files, path);
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
  const FileRoots files({"/"}, {});
  EXPECT_EQ(ReasonOf(OpenFileSource(loop, *pool, files, folder_.string()).status()), Reason::kFileError);
  loop.Abandon();
}

}  // namespace
}  // namespace millrace
