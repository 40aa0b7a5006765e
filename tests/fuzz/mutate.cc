#include "tests/fuzz/mutate.h"

#include <algorithm>

namespace millrace {

std::string Mutated(const std::vector<std::string>& seeds, const std::vector<std::string_view>& tokens,
                    Random& random) {
  std::string bytes = seeds[random.Below(seeds.size())];
  for (uint64_t changes = random.Below(6); changes > 0 && !bytes.empty(); --changes) {
    const size_t at = random.Below(bytes.size());
    const size_t size = std::min<size_t>(random.Below(12), bytes.size() - at);
    switch (random.Below(6)) {
      case 0:
        bytes[at] = static_cast<char>(random.Below(256));
        break;
      case 1:
        bytes.insert(at, tokens[random.Below(tokens.size())]);
        break;
      case 2:
        bytes.erase(at, size);
        break;
      case 3:
        bytes.insert(at, bytes.substr(at, size));
        break;
      case 4:
        bytes.resize(at);
        break;
      default:
        bytes.insert(at, seeds[random.Below(seeds.size())]);
        break;
    }
  }
  return bytes;
}

}  // namespace millrace
