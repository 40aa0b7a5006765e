#include "server/text/salvage.h"

namespace millrace {
namespace {

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace

std::string_view SalvageJson(std::string_view answer) {
  constexpr std::string_view kFence = "```";
  if (const size_t fence = answer.find(kFence); fence != std::string_view::npos) {
    const size_t line_end = answer.find('\n', fence);
    if (line_end != std::string_view::npos) {
      const std::string_view inside = answer.substr(line_end + 1);
      const std::string_view block = Trimmed(inside.substr(0, inside.find(kFence)));
      if (!block.empty()) return block;
    }
  }
  const size_t begin = answer.find_first_of("{[");
  const size_t end = answer.find_last_of("}]");
  if (begin != std::string_view::npos && end != std::string_view::npos && end > begin) {
    return answer.substr(begin, end - begin + 1);
  }
  return Trimmed(answer);
}

}  // namespace millrace
