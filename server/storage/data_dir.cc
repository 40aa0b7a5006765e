#include "server/storage/data_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>

namespace millrace {
namespace {

Status Unavailable(std::string_view doing) {
  return MakeError(Reason::kStoreUnavailable, fmt::format("{}: {}", doing, std::strerror(errno)));
}

// Makes a directory and its parents, readable by their owner only: the store has prompts and answers.
Status MakeDirectory(const std::string& path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) return Unavailable("the store's directory can't be made");
    if (slash == std::string::npos) break;
  }
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return Unavailable("the store's directory can't be read");
  if (S_ISDIR(info.st_mode)) return absl::OkStatus();
  errno = ENOTDIR;
  return Unavailable("the store's directory can't be used");
}

std::string ReadSmall(int file) {
  std::string text(256, '\0');
  const ssize_t length = pread(file, text.data(), text.size(), 0);
  text.resize(length > 0 ? static_cast<size_t>(length) : 0);
  return text;
}

// Returns the n-th line of a text, counted from 0; "" if it has fewer.
std::string Line(const std::string& text, int n) {
  std::istringstream lines(text);
  std::string line;
  for (int i = 0; i <= n; ++i) {
    if (!std::getline(lines, line)) return "";
  }
  return line;
}

Status SyncDirectory(const std::string& path) {
  const int directory = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return Unavailable("the store's directory can't be opened");
  const bool synced = fsync(directory) == 0;
  close(directory);
  return synced ? absl::OkStatus() : Unavailable("the store's directory can't be synced");
}

// Replaces a file atomically: a crash leaves the old content or the new one.
Status ReplaceFile(const std::string& directory, const std::string& name, const std::string& text) {
  const std::string temporary = directory + "/" + name + ".new";
  const int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return Unavailable(fmt::format("`{}` can't be made", name));
  const bool written = write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(file) == 0;
  close(file);
  if (!written || rename(temporary.c_str(), (directory + "/" + name).c_str()) != 0) {
    return Unavailable(fmt::format("`{}` can't be written", name));
  }
  return SyncDirectory(directory);
}

// Returns the number in the file `format`; 0 if the file does not exist. STORE_CORRUPT if it is not a positive number.
StatusOr<int> ReadFormat(const std::string& path) {
  std::ifstream file(path);
  if (!file) return 0;
  std::string text;
  std::getline(file, text);
  int format = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), format);
  if (error != std::errc() || end != text.data() + text.size() || format < 1) {
    return MakeError(Reason::kStoreCorrupt, "the store's file `format` is damaged");
  }
  return format;
}

// Returns true if the directory has a store. STORE_CORRUPT if it has only a part of one.
StatusOr<bool> HasStoreIn(const std::string& path, bool has_format) {
  if (access((path + "/CURRENT").c_str(), F_OK) == 0) return true;
  // `format` is written after a new store is complete, so a store whose creation was interrupted is created again.
  bool begun = has_format || access((path + "/reached").c_str(), F_OK) == 0;
  DIR* listing = opendir(path.c_str());
  if (listing == nullptr) return Unavailable("the store's directory can't be listed");
  while (const dirent* entry = readdir(listing)) {
    begun = begun || std::string_view(entry->d_name).ends_with(".sst");
  }
  closedir(listing);
  if (!begun) return false;
  return MakeError(Reason::kStoreCorrupt,
                   "the store's file `CURRENT` is missing while others exist: restore the directory from a backup");
}

}  // namespace

Status CheckStoreFormat(int format) {
  if (format == kStoreFormat) return absl::OkStatus();
  const std::string_view age = format > kStoreFormat ? "a newer" : "an earlier";
  return MakeError(
      Reason::kStoreVersion,
      fmt::format("{} release wrote the store (format {}; this one reads {}): use that release, or another "
                  "data_dir to begin with an empty store",
                  age, format, kStoreFormat));
}

std::string SystemBootId() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

std::string DataDir::File(std::string_view name) const { return fmt::format("{}/{}", path_, name); }

StatusOr<std::unique_ptr<DataDir>> DataDir::Hold(const std::string& path, std::string boot_id) {
  MR_RETURN_IF_ERROR(MakeDirectory(path));
  // Checked before anything is written, so that the store of another release stays unchanged.
  MR_ASSIGN_OR_RETURN(const int format, ReadFormat(path + "/format"));
  if (format != 0) MR_RETURN_IF_ERROR(CheckStoreFormat(format));
  const int holder = open((path + "/holder").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (holder < 0) return Unavailable("the store's file `holder` can't be opened");
  // flock locks the open file and not the process, so that it also separates two stores of one process. It ends with
  // the process.
  if (flock(holder, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    const std::string pid = Line(ReadSmall(holder), 0);
    close(holder);
    errno = error;
    if (errno != EWOULDBLOCK) return Unavailable("the store's file `holder` can't be locked");
    return MakeError(Reason::kStoreHeld,
                     fmt::format("the store is held by process {}", pid.empty() ? "(just starting)" : pid));
  }
  std::unique_ptr<DataDir> directory(new DataDir(path, holder, std::move(boot_id)));
  directory->has_format_ = format > 0;
  const std::string last_boot = Line(ReadSmall(holder), 1);
  directory->same_boot_ = !last_boot.empty() && last_boot == directory->boot_id_;
  // Writes the last boot id and not this one: if this process is killed while it recovers, the next one must judge the
  // end of the log by the same boot.
  MR_RETURN_IF_ERROR(directory->WriteHolder(last_boot));
  return directory;
}

DataDir::~DataDir() { close(holder_); }

Status DataDir::WriteHolder(const std::string& boot_id) {
  const std::string text = fmt::format("{}\n{}\n", getpid(), boot_id);
  const bool written = pwrite(holder_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()) &&
                       ftruncate(holder_, static_cast<off_t>(text.size())) == 0;
  return written ? absl::OkStatus() : Unavailable("the store's file `holder` can't be written");
}

StatusOr<bool> DataDir::HasStore() const { return HasStoreIn(path_, has_format_); }

Status DataDir::Check(const std::string& path) {
  MR_ASSIGN_OR_RETURN(const int format, ReadFormat(path + "/format"));
  if (format != 0) MR_RETURN_IF_ERROR(CheckStoreFormat(format));
  const int holder = open((path + "/holder").c_str(), O_RDWR | O_CLOEXEC);
  if (holder < 0 && errno != ENOENT) return Unavailable("the store's file `holder` can't be opened");
  if (holder >= 0) close(holder);
  return HasStoreIn(path, format != 0).status();
}

Status DataDir::MarkOpened() {
  if (!has_format_) MR_RETURN_IF_ERROR(ReplaceFile(path_, "format", fmt::format("{}\n", kStoreFormat)));
  return WriteHolder(boot_id_);
}

}  // namespace millrace
