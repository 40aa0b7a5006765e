#include "server/storage/reach_marker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>

namespace millrace {
namespace {

// Each line has the same length always, so that a marker is overwritten in place by one write.
std::string MarkerText(const Reach& reach) {
  return fmt::format("written {:020}\nsynced  {:020}\nclosed  {:020}\n", reach.written, reach.synced, reach.closed);
}

// Takes `name`, blanks, digits and a line end from the beginning of a text.
std::optional<uint64_t> TakeNumber(std::string_view name, std::string_view& text) {
  constexpr size_t kDigits = 20;
  const size_t begin = 8;
  if (text.size() < begin + kDigits + 1 || !text.starts_with(name) || text[begin + kDigits] != '\n')
    return std::nullopt;
  uint64_t number = 0;
  const char* const end = text.data() + begin + kDigits;
  const auto [at, error] = std::from_chars(text.data() + begin, end, number);
  if (error != std::errc() || at != end) return std::nullopt;
  text.remove_prefix(begin + kDigits + 1);
  return number;
}

}  // namespace

StatusOr<std::optional<Reach>> ReachMarker::Read() const {
  const UniqueFd file(open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file && errno == ENOENT) return std::nullopt;
  std::array<char, 256> bytes{};
  const ssize_t size = file ? pread(file.get(), bytes.data(), bytes.size(), 0) : -1;
  std::string_view text(bytes.data(), size > 0 ? static_cast<size_t>(size) : 0);
  const auto written = TakeNumber("written ", text);
  const auto synced = TakeNumber("synced  ", text);
  const auto closed = TakeNumber("closed  ", text);
  if (written && synced && closed && text.empty()) {
    return Reach{.written = *written, .synced = *synced, .closed = *closed};
  }
  return MakeError(Reason::kStoreCorrupt,
                   "the store's file `reached` is damaged, so that nobody can tell if the store is whole: restore the "
                   "directory from a backup, or delete this file to accept the store as it is");
}

void ReachMarker::Write(const Reach& reach) {
  if (!file_) {
    file_ = UniqueFd(open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file_) return;
  }
  const std::string text = MarkerText(reach);
  (void)!pwrite(file_.get(), text.data(), text.size(), 0);
}

Status CheckReach(const Reach& marker, uint64_t found, bool same_boot) {
  const uint64_t expected = same_boot ? marker.written : marker.synced;
  if (found >= expected) return absl::OkStatus();
  return MakeError(
      Reason::kStoreCorrupt,
      fmt::format("the store lost its last {} changes of {}: its write-ahead log (*.log) was deleted or cut, or it is "
                  "an older copy; nothing was changed: put the missing files back or restore the directory from a "
                  "backup, or delete its file `reached` to continue with what is left",
                  expected - found, expected));
}

}  // namespace millrace
