#include "server/files/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "server/base/digest.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

constexpr size_t kIdentityBytes = 64u << 10;

Status NotAllowed(std::string_view path, std::string_view setting) {
  return MakeError(Reason::kFileNotAllowed,
                   fmt::format("{} is not below a directory of `files.{}` in the server's configuration",
                               Excerpt(path, 256), setting));
}

bool IsBelow(const fs::path& path, const fs::path& root) {
  const fs::path relative = path.lexically_relative(root);
  return !relative.empty() && *relative.begin() != "..";
}

// `path` below one of `roots`, with every link resolved. `probe` is what must exist: the file itself, or its directory.
StatusOr<std::string> Resolve(std::string_view path, const std::vector<std::string>& roots, std::string_view setting,
                              bool directory_only) {
  if (path.empty() || path.find('\0') != std::string_view::npos) return NotAllowed(path, setting);
  bool allowed = false;
  for (const std::string& root_text : roots) {
    std::error_code error;
    const fs::path root = fs::canonical(root_text, error);
    if (error) continue;
    const fs::path given(path);
    const fs::path joined = given.is_absolute() ? given : root / given;
    // The path as text must be below the root before the file system is asked about it...
    if (!IsBelow(joined.lexically_normal(), root) && !IsBelow(fs::weakly_canonical(joined, error), root)) continue;
    allowed = true;
    const fs::path probe = directory_only ? joined.parent_path() : joined;
    const fs::path resolved = fs::canonical(probe, error);
    if (error) continue;
    // ... and so must the file that it leads to.
    const bool below = directory_only ? resolved == root || IsBelow(resolved, root) : IsBelow(resolved, root);
    if (!below) return NotAllowed(path, setting);
    if (!directory_only) return resolved.string();
    const fs::path file = resolved / joined.filename();
    if (fs::is_symlink(fs::symlink_status(file, error))) return NotAllowed(path, setting);
    return file.string();
  }
  if (!allowed) return NotAllowed(path, setting);
  return MakeError(Reason::kFileError,
                   fmt::format("{}{} does not exist", directory_only ? "the directory of " : "", Excerpt(path, 256)));
}

class FileSource final : public ByteSource {
 public:
  FileSource(Loop& loop, Pool& pool, int fd) : loop_(loop), pool_(pool), file_(std::make_shared<File>(fd)) {}

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
    explicit File(int descriptor) : fd(descriptor) {}
    ~File() { ::close(fd); }
    File(const File&) = delete;

    static Status Error(std::string_view what) {
      return MakeError(Reason::kFileError, fmt::format("{}: {}", what, std::strerror(errno)));
    }

    StatusOr<Chunk> Read(int64_t offset, size_t size) const {
      Chunk chunk;
      chunk.bytes.resize(size);
      size_t filled = 0;
      while (filled < size) {
        const ssize_t got =
            ::pread(fd, chunk.bytes.data() + filled, size - filled, offset + static_cast<off_t>(filled));
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
      if (::fstat(fd, &status) != 0) return Error("the input can't be looked at");
      MR_ASSIGN_OR_RETURN(const Chunk head, Read(0, kIdentityBytes));
      Digester digester;
      digester.AddNumber(static_cast<uint64_t>(status.st_size));
      digester.AddNumber(static_cast<uint64_t>(status.st_mtim.tv_sec));
      digester.AddNumber(static_cast<uint64_t>(status.st_mtim.tv_nsec));
      digester.AddPart(head.bytes);
      return std::string(digester.Finish().bytes());
    }

    const int fd;
  };

  Loop& loop_;
  Pool& pool_;
  std::shared_ptr<File> file_;
};

}  // namespace

StatusOr<std::string> FileRoots::ForReading(std::string_view path) const { return Resolve(path, read_, "read", false); }

StatusOr<std::string> FileRoots::ForWriting(std::string_view path) const {
  return Resolve(path, write_, "write", true);
}

StatusOr<std::unique_ptr<ByteSource>> OpenFileSource(Loop& loop, Pool& pool, const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    return MakeError(Reason::kFileError, fmt::format("the input can't be opened: {}", std::strerror(errno)));
  }
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    return MakeError(Reason::kFileError, "the input is not a regular file");
  }
  return std::make_unique<FileSource>(loop, pool, fd);
}

}  // namespace millrace
