#include "server/text/salvage.h"

#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "server/base/json.h"
#include "server/base/number.h"
#include "server/base/work_meter.h"

namespace millrace {
namespace {

constexpr size_t kCandidatesMax = 32;
// Opening brackets without a closing one are passed over, each after a search to the end of the text.
constexpr int kUnclosedMax = 16;

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

JsonCandidates Fenced(std::string_view text) {
  constexpr std::string_view kFence = "```";
  JsonCandidates found;
  size_t at = text.find(kFence);
  while (at != std::string_view::npos && found.size() < kCandidatesMax) {
    const size_t line_end = text.find('\n', at);
    if (line_end == std::string_view::npos) break;
    const size_t end = text.find(kFence, line_end + 1);
    const std::string_view block =
        Trimmed(text.substr(line_end + 1, end == std::string_view::npos ? end : end - line_end - 1));
    if (!block.empty()) found.push_back(block);
    at = end == std::string_view::npos ? end : text.find(kFence, end + kFence.size());
  }
  return found;
}

// Returns the offset after the bracket that closes the one at `begin`; npos if there is none. Brackets in JSON strings
// do not count.
size_t EndOfBrackets(std::string_view text, size_t begin) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t at = begin; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string) {
      if (c == '\\') ++at;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return at + 1;
    }
  }
  return std::string_view::npos;
}

JsonCandidates Bracketed(std::string_view text) {
  JsonCandidates found;
  int unclosed = 0;
  size_t begin = text.find_first_of("{[");
  while (begin != std::string_view::npos && found.size() < kCandidatesMax && unclosed < kUnclosedMax) {
    const size_t end = EndOfBrackets(text, begin);
    if (end == std::string_view::npos) {
      ++unclosed;
      begin = text.find_first_of("{[", begin + 1);
      continue;
    }
    found.push_back(text.substr(begin, end - begin));
    begin = text.find_first_of("{[", end);
  }
  return found;
}

JsonCandidates Outermost(std::string_view text) {
  const size_t begin = text.find_first_of("{[");
  const size_t end = text.find_last_of("}]");
  if (begin == std::string_view::npos || end == std::string_view::npos || end <= begin) return {};
  return {text.substr(begin, end - begin + 1)};
}

}  // namespace

std::vector<JsonCandidates> FindJson(std::string_view answer) {
  constexpr std::string_view kReasoningEnd = "</think>";
  const size_t reasoning = answer.rfind(kReasoningEnd);
  const std::string_view text =
      reasoning == std::string_view::npos ? answer : answer.substr(reasoning + kReasoningEnd.size());
  return {{Trimmed(answer)}, {Trimmed(text)}, Fenced(text), Bracketed(text), Outermost(text)};
}

StatusOr<std::string> FittingJson(std::string_view answer, const Schema& schema) {
  const WorkMeter meter(CheckLimits());  // of all candidates together
  Status not_json;
  Status misfit;
  for (const JsonCandidates& candidates : FindJson(answer)) {
    std::optional<std::pair<json::value, std::string_view>> fitting;
    for (const std::string_view candidate : candidates) {
      StatusOr<json::value> value = ParseExact(candidate, {.depth = kOutsideDepthMax});
      if (!value.ok()) {
        if (not_json.ok()) not_json = value.status();
        continue;
      }
      const Status status = schema.Check(*value);
      MR_RETURN_IF_ERROR(meter.status().ok() ? absl::OkStatus() : status);
      if (!status.ok()) {
        if (misfit.ok()) misfit = status;
        continue;
      }
      if (fitting && !EqualJson(fitting->first, *value)) {
        return MakeError(Reason::kSchema, "the answer has several different JSON values that fit the schema");
      }
      if (!fitting) fitting.emplace(*std::move(value), candidate);
    }
    if (fitting) return std::string(fitting->second);
  }
  if (!misfit.ok()) return WithContext(misfit, "the answer does not fit the schema");
  return WithContext(not_json, "the answer is not JSON");
}

}  // namespace millrace
