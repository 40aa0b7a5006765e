// Computes by how much calls took longer than necessary, from the provider's ledger (openai_server.cc): the time from
// the first request received to the last answer sent, divided by the bound, which is the sum of the times for which
// requests were held divided by the number of slots.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <string>
#include <unordered_map>

int main(int argc, char** argv) {
  std::string path;
  double slots = 1;
  CLI::App app("Computes the bound of a ledger of millrace_openai_server.");
  app.add_option("--ledger", path, "The ledger")->required();
  app.add_option("--slots", slots, "Calls at once")->required()->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);

  std::ifstream ledger(path);
  std::unordered_map<int64_t, int64_t> received;
  int64_t first = std::numeric_limits<int64_t>::max();
  int64_t last = 0;
  int64_t held = 0;
  int64_t calls = 0;
  std::string kind;
  int64_t number = 0;
  int64_t time = 0;
  std::string rest;
  while (ledger >> kind >> number >> time) {
    std::getline(ledger, rest);
    if (kind == "request") {
      received[number] = time;
      first = std::min(first, time);
    } else if (const auto request = received.find(number); request != received.end()) {
      held += time - request->second;
      last = std::max(last, time);
      ++calls;
      received.erase(request);
    }
  }
  if (calls == 0) {
    fmt::print(stderr, "{}: no call was answered\n", path);
    return 2;
  }
  const double bound = static_cast<double>(held) / slots / 1e9;
  const double took = static_cast<double>(last - first) / 1e9;
  fmt::print(
      "calls {}, unanswered {}, held {:.3f} s, over {} slots {:.3f} s, first request to last answer {:.3f} s, "
      "ratio {:.4f}\n",
      calls, received.size(), static_cast<double>(held) / 1e9, slots, bound, took, took / bound);
  return 0;
}
