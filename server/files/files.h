// Files of the outside world as runs may touch them: below the roots that the configuration names, and nowhere else.
#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/files/byte_source.h"
#include "server/files/file_access.h"
#include "server/files/protected_files.h"

namespace millrace {

// Allows paths below `read` and `write` roots, except the server's own files. A relative path is taken from the working
// directory, or if that is not below a root or does not have it, from the first root that has it. The paths of a run
// keep their meaning if a process in another working directory continues it: they are taken from the directory of the
// run's creation, as long as that exists, and a file that exists there and is not allowed is refused instead of
// searched elsewhere. Links are resolved first, and count if they stay below the roots; then the file is opened beneath
// its root without following any link, so that whatever is exchanged in between leads to an error and never outside. A
// value; copies share what is constant.
class FileRoots final : public FileAccess {
 public:
  FileRoots(std::vector<std::string> read, std::vector<std::string> write, std::vector<ProtectedFile> own = {});

  // Returns access to the definition files of a pipeline, for which no setting exists.
  static FileRoots OfDefinitions(std::vector<std::string> roots, std::vector<ProtectedFile> own);

  StatusOr<std::string> ForReading(std::string_view path) const override;
  StatusOr<std::string> ForWriting(std::string_view path) const override;
  StatusOr<UniqueFd> OpenToRead(std::string_view path) const override;
  StatusOr<OutputOpener> OpenerToWrite(std::string_view path) const override;
  std::string Directory() const override;
  std::shared_ptr<const FileAccess> ForRun(RunFiles run) const override;

 private:
  struct Use;
  struct Found;

  Use Reading(std::string_view path) const;
  Use Writing(std::string_view path) const;
  static std::string MissingRoots(const Use& use);
  Status NotAllowed(std::string_view path, const Use& use) const;
  bool IsElsewhere() const;
  std::vector<std::filesystem::path> Candidates(const std::filesystem::path& path, const Use& use) const;
  StatusOr<Found> Find(std::string_view path, const Use& use) const;
  StatusOr<UniqueFd> OpenDirectoryOf(const Found& found, std::string_view path) const;
  StatusOr<OutputPlace> OpenPlace(std::string_view path) const;

  std::vector<std::string> read_;
  std::vector<std::string> write_;
  std::shared_ptr<const ProtectedFiles> own_;
  std::string directory_;                     // of the run's creation; empty: the working directory
  std::set<std::string, std::less<>> typed_;  // allowed wherever they lead
  bool is_of_definitions_ = false;
};

// Returns the bytes of a file, read on the pool. FAILED_PRECONDITION (FILE_ERROR) if it can't be opened or is not a
// regular file, and the errors of `files`. `loop` and `pool` must outlive it.
StatusOr<std::unique_ptr<ByteSource>> OpenFileSource(Loop& loop, Pool& pool, const FileAccess& files,
                                                     const std::string& path);

}  // namespace millrace
