// The files of the outside world that a run may touch. Everything that opens a file for a run does so through this.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "server/base/fd.h"
#include "server/base/status.h"

namespace millrace {

// A file to write: its name in an open directory, which need not have it. The directory stays the same one whatever
// happens to its path. The descriptor is only a place (O_PATH); it can't be read.
struct OutputPlace {
  UniqueFd directory;
  std::string name;
};

// Opens the place of a file to write, with all checks each time. Blocks; any thread; owns all that it needs.
using OutputOpener = std::function<StatusOr<OutputPlace>()>;

// Facts of a run's creation that matter for its files.
struct RunFiles {
  std::string directory;                     // relative paths are taken from it; empty: the working directory
  std::set<std::string, std::less<>> typed;  // paths that are allowed wherever they lead, because its user typed them

  bool empty() const { return directory.empty() && typed.empty(); }
};

// Which files a run may touch, by the paths that its definition names. All methods block; any thread.
class FileAccess {
 public:
  virtual ~FileAccess() = default;

  // Returns the path that the file has without links, for comparisons and early refusals: open files by the methods
  // below. PERMISSION_DENIED (FILE_NOT_ALLOWED): it is not below a root, also if a link leads out, or it is one of the
  // server's own files. FAILED_PRECONDITION (FILE_ERROR): it does not exist.
  virtual StatusOr<std::string> ForReading(std::string_view path) const = 0;

  // Returns the path of a file to write, with the same checks and errors. Its directory must exist; the file need not.
  virtual StatusOr<std::string> ForWriting(std::string_view path) const = 0;

  // Opens a regular file for reading. Errors as ForReading has them, and RESOURCE_EXHAUSTED (TOO_MANY) if the process
  // has no free file descriptor. The default, for implementations that only judge paths, opens nothing.
  virtual StatusOr<UniqueFd> OpenToRead(std::string_view path) const {
    MR_RETURN_IF_ERROR(ForReading(path).status());
    return OpensNothing();
  }

  // Returns what opens the place of a file to write. Errors as ForWriting has them, now and when it is opened. The
  // default judges the path and opens nothing.
  virtual StatusOr<OutputOpener> OpenerToWrite(std::string_view path) const {
    MR_RETURN_IF_ERROR(ForWriting(path).status());
    return OutputOpener([]() -> StatusOr<OutputPlace> { return OpensNothing(); });
  }

  // Returns the directory that relative paths are taken from. The default, for implementations without directories, is
  // empty.
  virtual std::string Directory() const { return ""; }

  // Returns the access of a run: relative paths are taken from its directory, and its typed paths are allowed too,
  // except the server's own files. Null: all runs have the same access.
  virtual std::shared_ptr<const FileAccess> ForRun(RunFiles /*run*/) const { return nullptr; }

 private:
  static Status OpensNothing() { return MakeError(Reason::kFileError, "no files are opened here"); }
};

}  // namespace millrace
