#include "server/files/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "server/base/digest.h"
#include "server/files/beneath.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

constexpr size_t kIdentityBytes = 64u << 10;

bool IsBelow(const fs::path& path, const fs::path& root) {
  const fs::path relative = path.lexically_relative(root);
  return !relative.empty() && *relative.begin() != "..";
}

// Returns a path as YAML has it in a list.
std::string InYaml(const std::string& path) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
  if (path.find_first_not_of(kPlain) == std::string::npos) return path;
  std::string quoted = "\"";
  for (const char c : path) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  return quoted + "\"";
}

Status CanNotBeOpened(std::string_view path) {
  if (errno == EMFILE || errno == ENFILE) {
    return MakeError(Reason::kTooMany,
                     fmt::format("{} can't be opened: no file descriptor is free", Excerpt(path, 256)));
  }
  if (errno == ELOOP || errno == ENOTDIR) {
    return MakeError(
        Reason::kFileError,
        fmt::format("the way to {} changed while it was opened, or leads through a link", Excerpt(path, 256)));
  }
  return MakeError(Reason::kFileError, fmt::format("{} can't be opened: {}", Excerpt(path, 256), std::strerror(errno)));
}

class FileSource final : public ByteSource {
 public:
  FileSource(Loop& loop, Pool& pool, UniqueFd fd)
      : loop_(loop), pool_(pool), file_(std::make_shared<File>(std::move(fd))) {}

  Task<StatusOr<Chunk>> Read(int64_t offset, size_t size) override {
    auto work = [file = file_, offset, size] { return file->Read(offset, size); };
    co_return co_await Compute(loop_, pool_, std::move(work));
  }

  Task<StatusOr<std::string>> Identity() override {
    auto work = [file = file_] { return file->Identity(); };
    co_return co_await Compute(loop_, pool_, std::move(work));
  }

 private:
  // Shared with reads on the pool, which may outlive the source where its run is abandoned.
  struct File {
    explicit File(UniqueFd opened) : fd(std::move(opened)) {}

    static Status Error(std::string_view what) {
      return MakeError(Reason::kFileError, fmt::format("{}: {}", what, std::strerror(errno)));
    }

    StatusOr<Chunk> Read(int64_t offset, size_t size) const {
      Chunk chunk;
      chunk.bytes.resize(size);
      size_t filled = 0;
      while (filled < size) {
        const ssize_t got =
            ::pread(fd.get(), chunk.bytes.data() + filled, size - filled, offset + static_cast<off_t>(filled));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return Error("the input can't be read");
        if (got == 0) {
          chunk.end = true;
          break;
        }
        filled += static_cast<size_t>(got);
      }
      chunk.bytes.resize(filled);
      return chunk;
    }

    StatusOr<std::string> Identity() const {
      struct stat status {};
      if (::fstat(fd.get(), &status) != 0) return Error("the input can't be looked at");
      MR_ASSIGN_OR_RETURN(const Chunk head, Read(0, kIdentityBytes));
      Digester digester;
      digester.AddNumber(static_cast<uint64_t>(status.st_size));
      digester.AddNumber(static_cast<uint64_t>(status.st_mtim.tv_sec));
      digester.AddNumber(static_cast<uint64_t>(status.st_mtim.tv_nsec));
      digester.AddPart(head.bytes);
      return std::string(digester.Finish().bytes());
    }

    const UniqueFd fd;
  };

  Loop& loop_;
  Pool& pool_;
  std::shared_ptr<File> file_;
};

}  // namespace

// Roots of one use, and the setting that names them.
struct FileRoots::Use {
  const std::vector<std::string>& roots;
  std::string_view setting;  // `read` or `write`
  bool writes = false;
};

// A file that is allowed as far as its path goes.
struct FileRoots::Found {
  fs::path root;       // without links
  fs::path directory;  // relative to the root, without links and `..`
  std::string name;
  std::string path() const { return (root / directory / name).lexically_normal().string(); }
};

FileRoots::FileRoots(std::vector<std::string> read, std::vector<std::string> write, std::vector<ProtectedFile> own)
    : read_(std::move(read)), write_(std::move(write)), own_(std::make_shared<const ProtectedFiles>(std::move(own))) {}

FileRoots::Use FileRoots::Reading(std::string_view path) const {
  static const std::vector<std::string> kAll = {"/"};
  return {.roots = typed_.contains(path) ? kAll : read_, .setting = "read"};
}

FileRoots::Use FileRoots::Writing(std::string_view path) const {
  static const std::vector<std::string> kAll = {"/"};
  return {.roots = typed_.contains(path) ? kAll : write_, .setting = "write", .writes = true};
}

FileRoots FileRoots::OfDefinitions(std::vector<std::string> roots, std::vector<ProtectedFile> own) {
  FileRoots files(std::move(roots), {}, std::move(own));
  files.is_of_definitions_ = true;
  return files;
}

// Returns the end of a message about the roots that do not exist; empty if all do.
std::string FileRoots::MissingRoots(const Use& use) {
  std::string missing;
  for (const std::string& root : use.roots) {
    std::error_code error;
    if (!fs::exists(root, error)) missing += fmt::format("; its entry {} does not exist", Excerpt(root, 256));
  }
  return missing;
}

Status FileRoots::NotAllowed(std::string_view path, const Use& use) const {
  if (is_of_definitions_) {
    return MakeError(
        Reason::kFileNotAllowed,
        fmt::format("{} is below neither the folder of the pipeline file nor the working directory: copy it "
                    "into one of them",
                    Excerpt(path, 256)));
  }
  const fs::path wanted = (fs::path(Directory()) / fs::path(path)).lexically_normal().parent_path();
  std::vector<std::string> roots;
  bool has_relative = false;
  for (const std::string& root : use.roots) {
    roots.push_back(InYaml(root));
    has_relative = has_relative || !fs::path(root).is_absolute();
  }
  roots.push_back(InYaml(wanted.string()));
  std::string or_else;
  if (IsElsewhere()) {
    or_else = fmt::format("{} {}, where the run was created",
                          has_relative ? "; or continue the run in" : "; it is taken from", Excerpt(directory_, 256));
  }
  return MakeError(Reason::kFileNotAllowed,
                   fmt::format("{} is not below a directory that runs may {}: to allow it, change `files.{}` in the "
                               "configuration to `files: {{{}: [{}]}}`{}{}",
                               Excerpt(path, 256), use.setting, use.setting, use.setting,
                               Excerpt(fmt::format("{}", fmt::join(roots, ", ")), 1024), MissingRoots(use), or_else));
}

std::string FileRoots::Directory() const {
  std::error_code error;
  return directory_.empty() ? fs::current_path(error).string() : directory_;
}

// Returns true if this process works in another directory than the one that created the run.
bool FileRoots::IsElsewhere() const {
  std::error_code error;
  return !directory_.empty() && directory_ != fs::current_path(error).string();
}

// The places that a path may mean, in order: a relative one is taken from the directory, then from each root. A
// relative root counts as it did at the run's creation, so that no file of this process's directory is taken for the
// run's own.
std::vector<fs::path> FileRoots::Candidates(const fs::path& path, const Use& use) const {
  if (path.is_absolute()) return {path};
  std::error_code error;
  const fs::path directory = Directory();
  std::vector<fs::path> candidates = {directory / path};
  for (const std::string& root : use.roots) {
    const fs::path resolved = fs::canonical(directory / root, error);
    if (!error) candidates.push_back(resolved / path);
  }
  return candidates;
}

StatusOr<FileRoots::Found> FileRoots::Find(std::string_view path, const Use& use) const {
  if (path.empty() || path.find('\0') != std::string_view::npos) {
    return MakeError(Reason::kFileNotAllowed, fmt::format("\"{}\" is not the path of a file", Excerpt(path, 256)));
  }
  std::vector<fs::path> roots;
  for (const std::string& root : use.roots) {
    std::error_code error;
    if (fs::path resolved = fs::canonical(root, error); !error) roots.push_back(std::move(resolved));
  }
  const bool is_elsewhere = IsElsewhere();
  bool is_allowed = false;
  bool exists_outside = false;
  for (const fs::path& candidate : Candidates(fs::path(path), use)) {
    std::error_code error;
    const fs::path probe = use.writes ? candidate.parent_path() : candidate;
    const fs::path resolved = fs::canonical(probe, error);
    const bool exists = !error;
    const fs::path judged = exists ? resolved : fs::weakly_canonical(probe, error);
    for (const fs::path& root : roots) {
      if (!IsBelow(judged, root)) continue;
      is_allowed = true;
      if (!exists) break;
      const fs::path file = use.writes ? resolved / candidate.filename() : resolved;
      if (file == root && !use.writes) return Found{file.parent_path(), ".", file.filename().string()};
      const fs::path relative = file.lexically_relative(root);
      return Found{root, relative.parent_path(), relative.filename().string()};
    }
    exists_outside = exists_outside || exists;
    if (exists && is_elsewhere) break;
  }
  if (!is_allowed || exists_outside) return NotAllowed(path, use);
  std::string where;
  if (!fs::path(path).is_absolute() && !is_of_definitions_) {
    where = fmt::format(" in {}{}, nor below a directory of `files.{}`",
                        is_elsewhere ? "the run's directory " : "the working directory ", Excerpt(Directory(), 256),
                        use.setting);
  }
  return MakeError(Reason::kFileError, fmt::format("{}{} does not exist{}", use.writes ? "the directory of " : "",
                                                   Excerpt(path, 256), where + MissingRoots(use)));
}

StatusOr<UniqueFd> FileRoots::OpenDirectoryOf(const Found& found, std::string_view path) const {
  const UniqueFd root = OpenDirectoryAt(found.root.string());
  if (!root) return CanNotBeOpened(path);
  UniqueFd directory = OpenDirectoryBeneath(root.get(), found.directory.string());
  if (!directory) return CanNotBeOpened(path);
  MR_RETURN_IF_ERROR(own_->CheckDirectory(directory.get(), path));
  return directory;
}

StatusOr<OutputPlace> FileRoots::OpenPlace(std::string_view path) const {
  const Use use = Writing(path);
  MR_ASSIGN_OR_RETURN(Found found, Find(path, use));
  MR_ASSIGN_OR_RETURN(UniqueFd directory, OpenDirectoryOf(found, path));
  if (found.name.empty() || found.name == "." || found.name == "..") {
    return MakeError(Reason::kFileError, fmt::format("{} is a directory", Excerpt(path, 256)));
  }
  struct stat old {};
  const bool exists = ::fstatat(directory.get(), found.name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0;
  if (exists && S_ISLNK(old.st_mode)) {
    return MakeError(Reason::kFileNotAllowed,
                     fmt::format("{} is a link: name the file that it leads to", Excerpt(path, 256)));
  }
  MR_RETURN_IF_ERROR(own_->CheckFile(directory.get(), found.name, exists ? &old : nullptr, path));
  return OutputPlace{std::move(directory), std::move(found.name)};
}

StatusOr<std::string> FileRoots::ForReading(std::string_view path) const {
  MR_ASSIGN_OR_RETURN(const Found found, Find(path, Reading(path)));
  MR_ASSIGN_OR_RETURN(const UniqueFd directory, OpenDirectoryOf(found, path));
  struct stat file {};
  const bool exists = ::fstatat(directory.get(), found.name.c_str(), &file, AT_SYMLINK_NOFOLLOW) == 0;
  MR_RETURN_IF_ERROR(own_->CheckFile(directory.get(), found.name, exists ? &file : nullptr, path));
  return found.path();
}

StatusOr<std::string> FileRoots::ForWriting(std::string_view path) const {
  MR_RETURN_IF_ERROR(OpenPlace(path).status());
  MR_ASSIGN_OR_RETURN(const Found found, Find(path, Writing(path)));
  return found.path();
}

StatusOr<UniqueFd> FileRoots::OpenToRead(std::string_view path) const {
  MR_ASSIGN_OR_RETURN(const Found found, Find(path, Reading(path)));
  MR_ASSIGN_OR_RETURN(const UniqueFd directory, OpenDirectoryOf(found, path));
  // O_NONBLOCK: a pipe that nobody writes to must not block.
  UniqueFd file(
      ::openat(directory.get(), found.name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW));
  if (!file) return CanNotBeOpened(path);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return MakeError(Reason::kFileError, fmt::format("{} is not a regular file", Excerpt(path, 256)));
  }
  MR_RETURN_IF_ERROR(own_->CheckFile(directory.get(), found.name, &status, path));
  return file;
}

StatusOr<OutputOpener> FileRoots::OpenerToWrite(std::string_view path) const {
  MR_RETURN_IF_ERROR(OpenPlace(path).status());
  return OutputOpener([roots = *this, path = std::string(path)] { return roots.OpenPlace(path); });
}

std::shared_ptr<const FileAccess> FileRoots::ForRun(RunFiles run) const {
  auto own = std::make_shared<FileRoots>(*this);
  // A folder that was moved, or mounted elsewhere, has its files with it.
  std::error_code error;
  if (fs::is_directory(run.directory, error)) own->directory_ = std::move(run.directory);
  own->typed_.merge(run.typed);
  return own;
}

StatusOr<std::unique_ptr<ByteSource>> OpenFileSource(Loop& loop, Pool& pool, const FileAccess& files,
                                                     const std::string& path) {
  MR_ASSIGN_OR_RETURN(UniqueFd file, files.OpenToRead(path));
  return std::make_unique<FileSource>(loop, pool, std::move(file));
}

}  // namespace millrace
