// Secrets of providers: read from the environment or a file, never written into a configuration, never printed.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "server/base/status.h"

namespace millrace {

// One secret, or none. The class has no operator<<, no comparison and no conversion to text, so that it reaches no log
// by mistake; code that must send it calls Reveal.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&&) = default;
  Secret& operator=(Secret&&) = default;

  // Reads an environment variable, cleaned by CleanSecret. INVALID_DEFINITION if it is not set, is empty, or can't be
  // cleaned.
  static StatusOr<Secret> FromEnvironment(const std::string& name);
  // Reads a regular file of at most 64 KiB, cleaned by CleanSecret. INVALID_DEFINITION if it can't be read or cleaned,
  // is empty, or its mode lets anybody but its owner read or write it. On a read-only mount, whose modes nobody can
  // change, such a mode is only a warning. Messages name the last part of the path only. Blocks for a read of the disk.
  static StatusOr<Secret> FromFile(const std::string& path);

  // Returns a warning for the operator about the file that the secret was read from; empty if all is well.
  const std::string& warning() const { return warning_; }
  bool empty() const { return value_.empty(); }
  // Returns the value, for a header that leaves the process.
  std::string_view Reveal() const { return value_; }
  // Returns `text` with every occurrence of the value replaced by `[secret]`: providers may quote our requests in their
  // errors.
  std::string Redact(std::string text) const;

 private:
  std::string value_;
  std::string warning_;
};

// Returns a secret without what editors, shells and `.env` files of other systems leave around it: blanks, line ends
// and a byte order mark. INVALID_DEFINITION for what no header may have or no key has, because a provider would refuse
// each call: other control characters, characters beyond ASCII, blanks, quotes, backslashes, a name and `=` before the
// value, a variable that no shell has replaced, and `<...>` in place of a key. `what` names the source in the message,
// which never has any part of the value.
StatusOr<std::string> CleanSecret(std::string_view what, std::string_view value);

}  // namespace millrace
