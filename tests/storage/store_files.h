// Files of a store on disk, for tests that damage them, and a process that writes to a store until it is killed.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "server/storage/rocks_store.h"

namespace millrace {

namespace fs = std::filesystem;

// Options of a store that leaves no reserve on the disk.
inline RocksOptions At(const std::string& path) { return {.path = path, .disk_reserve = 0}; }

inline std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

inline void WriteFile(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// Returns the files of a directory for which `is` returns true.
template <typename F>
std::vector<fs::path> Files(const std::string& directory, F is) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (is(entry.path())) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

inline std::vector<fs::path> FilesEndingIn(const std::string& directory, const std::string& extension) {
  return Files(directory, [&](const fs::path& file) { return file.extension() == extension; });
}

inline void FlipByte(const fs::path& path, size_t at) {
  std::string bytes = ReadFile(path);
  ASSERT_LT(at, bytes.size());
  bytes[at] = static_cast<char>(bytes[at] ^ 0x40);
  WriteFile(path, bytes);
}

// Process that writes to a store (store_writer), with its output.
class WriterProcess {
 public:
  WriterProcess(const std::string& path, const std::string& mode) {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      dup2(ends[1], STDERR_FILENO);
      execl(MILLRACE_STORE_WRITER, "store_writer", path.c_str(), mode.c_str(), nullptr);
      _exit(127);
    }
    close(ends[1]);
    output_ = fdopen(ends[0], "r");
  }
  ~WriterProcess() {
    Kill();
    fclose(output_);
  }

  pid_t pid() const { return pid_; }
  // Returns the next line of its output; empty at the end.
  std::string Line() {
    char line[1024];
    if (fgets(line, sizeof(line), output_) == nullptr) return "";
    return std::string(line, strcspn(line, "\n"));
  }
  void Kill() {
    if (pid_ == 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_;
  FILE* output_;
};

}  // namespace millrace
