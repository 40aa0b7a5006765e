#include "tests/e2e/provider_ledger.h"

#include <fstream>
#include <sstream>

namespace millrace {

void ProviderLedger::Read(int life) {
  std::ifstream file(path_, std::ios::binary);
  file.seekg(read_bytes_);
  std::ostringstream content;
  content << file.rdbuf();
  const std::string text = content.str();
  const size_t end = text.rfind('\n');
  if (end == std::string::npos) return;  // no whole line
  read_bytes_ += static_cast<int64_t>(end) + 1;

  std::istringstream lines(text.substr(0, end + 1));
  std::string kind;
  size_t number = 0;
  int64_t time = 0;
  std::string rest;
  while (lines >> kind >> number >> time) {
    std::getline(lines, rest);
    if (kind == "request") {
      requests_.push_back({.digest = rest.substr(1), .life = life});
      ++held_;
      continue;
    }
    Request& request = requests_.at(number - 1);
    request.answered = kind == "answer";
    request.over = true;
    --held_;
  }
}

}  // namespace millrace
