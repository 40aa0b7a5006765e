#include "server/base/status.h"

#include <fmt/format.h>

#include <charconv>

#include "absl/strings/cord.h"
#include "server/base/utf8.h"

namespace millrace {
namespace {

constexpr char kReasonUrl[] = "millrace/reason";
constexpr char kViolationsUrl[] = "millrace/violations";
constexpr char kRetryUrl[] = "millrace/retry";
constexpr size_t kMessageBytesMax = 1024;
constexpr size_t kViolationsMax = 100;

absl::Cord ToCord(std::string_view text) { return absl::Cord(absl::string_view(text.data(), text.size())); }

}  // namespace

Status MakeError(Reason reason, std::string_view message) {
  return ErrorFromPeer(CodeOf(reason), NameOf(reason), message, {});
}

Status MakeFieldError(Reason reason, std::string_view message, const std::vector<FieldViolation>& violations) {
  return ErrorFromPeer(CodeOf(reason), NameOf(reason), message, violations);
}

Status ErrorFromPeer(absl::StatusCode code, std::string_view reason, std::string_view message,
                     const std::vector<FieldViolation>& violations) {
  Status status(code, Excerpt(message, kMessageBytesMax));
  status.SetPayload(kReasonUrl, ToCord(reason));
  if (violations.empty()) return status;
  // 0x1f separates a field from its description, 0x1e separates violations. Excerpt escapes both, so texts have
  // neither.
  std::string packed;
  for (size_t i = 0; i < violations.size() && i < kViolationsMax; ++i) {
    if (i > 0) packed.push_back('\x1e');
    packed += Excerpt(violations[i].field, 512);
    packed.push_back('\x1f');
    packed += Excerpt(violations[i].description, 1024);
  }
  status.SetPayload(kViolationsUrl, ToCord(packed));
  return status;
}

Status WithRetryDelay(Status status, Duration delay) {
  status.SetPayload(kRetryUrl, ToCord(std::to_string(delay.count())));
  return status;
}

Reason ReasonOf(const Status& status) {
  if (status.ok()) return Reason::kNone;
  return ReasonNamed(ReasonNameOf(status)).value_or(Reason::kInternal);
}

bool HasReason(const Status& status) { return status.GetPayload(kReasonUrl).has_value(); }

std::string ReasonNameOf(const Status& status) {
  if (status.ok()) return "";
  if (const auto payload = status.GetPayload(kReasonUrl)) return std::string(*payload);
  Reason reason = Reason::kInternal;
  if (status.code() == absl::StatusCode::kCancelled) reason = Reason::kCancelled;
  if (status.code() == absl::StatusCode::kDeadlineExceeded) reason = Reason::kDeadline;
  return std::string(NameOf(reason));
}

std::vector<FieldViolation> ViolationsOf(const Status& status) {
  std::vector<FieldViolation> violations;
  const auto payload = status.GetPayload(kViolationsUrl);
  if (!payload || payload->empty()) return violations;
  const std::string packed(*payload);
  for (std::string_view rest = packed; !rest.empty();) {
    const std::string_view entry = rest.substr(0, rest.find('\x1e'));
    rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
    const size_t middle = entry.find('\x1f');
    if (middle == std::string_view::npos) continue;
    violations.push_back({std::string(entry.substr(0, middle)), std::string(entry.substr(middle + 1))});
  }
  return violations;
}

std::vector<FieldViolation> ViolationsBelow(std::string_view path, const Status& status) {
  std::vector<FieldViolation> violations = ViolationsOf(status);
  if (violations.empty() && !status.ok()) violations.push_back({"", std::string(MessageOf(status))});
  for (FieldViolation& violation : violations) {
    violation.field = violation.field.empty() ? std::string(path) : fmt::format("{}.{}", path, violation.field);
  }
  return violations;
}

std::string_view MessageOf(const Status& status) { return {status.message().data(), status.message().size()}; }

std::optional<Duration> RetryDelayOf(const Status& status) {
  const auto payload = status.GetPayload(kRetryUrl);
  if (!payload) return std::nullopt;
  const std::string text(*payload);
  int64_t nanos = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), nanos).ec != std::errc()) return std::nullopt;
  return Duration(nanos);
}

Status WithContext(const Status& status, std::string_view context) {
  if (status.ok()) return status;
  Status result(status.code(), Excerpt(fmt::format("{}: {}", context, MessageOf(status)), kMessageBytesMax));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) { result.SetPayload(url, payload); });
  return result;
}

std::string Excerpt(std::string_view text, size_t limit) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t length = Utf8Length(text, i);
    std::string piece;
    // Escapes C1 controls (U+0080 to U+009F) too: U+009B begins a terminal's control sequence, as ESC [ does.
    const bool is_control = (length == 1 && (static_cast<unsigned char>(text[i]) < 0x20 || text[i] == 0x7f)) ||
                            (length == 2 && text[i] == '\xc2' && static_cast<unsigned char>(text[i + 1]) < 0xa0);
    if (length == 0 || is_control) {
      piece = text[i] == '\n' ? "\\n" : fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
      ++i;
    } else {
      piece = std::string(text.substr(i, length));
      i += length;
    }
    if (out.size() + piece.size() > limit) return out + "…";
    out += piece;
  }
  return out;
}

}  // namespace millrace
