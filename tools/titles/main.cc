// millrace_generate_titles DIRECTORY [SEED [COUNT]]: writes titles.csv and truth.csv into the directory.
#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

#include "tools/titles/generator.h"

namespace {

constexpr uint64_t kSeed = 7;
constexpr int kCount = 7483;

bool Write(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary);
  file << content;
  return file.good();
}

template <typename Number>
bool Parse(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t seed = kSeed;
  int count = kCount;
  if (argc < 2 || argc > 4 || (argc > 2 && !Parse(argv[2], seed)) ||
      (argc > 3 && (!Parse(argv[3], count) || count < 1 || count > 99999))) {
    fmt::print(stderr, "usage: millrace_generate_titles DIRECTORY [SEED [COUNT]]\n");
    return 2;
  }
  const millrace::titles::GeneratedTitles generated = millrace::titles::GenerateTitles(seed, count);
  const std::string directory = argv[1];
  if (!Write(directory + "/titles.csv", generated.titles) || !Write(directory + "/truth.csv", generated.truth)) {
    fmt::print(stderr, "can't write to {}\n", directory);
    return 1;
  }
  return 0;
}
