// A secret: read from the environment or a file, never written in place, never printed. It has no operator<<, no
// comparison and no conversion to text; whoever must send it says so by Reveal.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "server/base/status.h"

namespace millrace {

class Secret {
 public:
  // None.
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&&) = default;
  Secret& operator=(Secret&&) = default;

  // The value of an environment variable. NOT_FOUND (INVALID_DEFINITION) where it is not set or empty.
  static StatusOr<Secret> FromEnvironment(const std::string& name);
  // The content of a regular file without a line end at its end, at most 64 KiB. FAILED_PRECONDITION
  // (INVALID_DEFINITION) where it can't be read, is empty, or where its mode lets others than its owner read or write
  // it; on a read-only mount, where the mode can't be mended, there is a warning instead. Messages name the file's last
  // part only.
  static StatusOr<Secret> FromFile(const std::string& path);

  // What the operator should know about where it came from; empty: nothing.
  const std::string& warning() const { return warning_; }
  bool empty() const { return value_.empty(); }
  // The value, for a header that leaves the process.
  std::string_view Reveal() const { return value_; }
  // `text` with every occurrence of the value replaced by `[secret]`: for what others say about our requests.
  std::string Redact(std::string text) const;

 private:
  std::string value_;
  std::string warning_;
};

}  // namespace millrace
