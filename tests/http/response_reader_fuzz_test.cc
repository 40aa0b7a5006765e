// Mutated answers in random pieces: whatever a server sends, the reader ends in a state, within its limits, and the
// pieces do not matter.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "server/base/random.h"
#include "server/http/response_reader.h"
#include "tests/fuzz/mutate.h"
#include "tests/http/compressed.h"

namespace millrace {
namespace {

using State = ResponseReader::State;

constexpr ResponseReader::Limits kLimits = {.header_bytes = 400, .body_bytes = 300};

std::string Gzip(std::string_view bytes) { return Compressed(bytes, 31); }

std::vector<std::string> Answers() {
  std::vector<std::string> answers = {
      "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: y\r\n\r\nbody",
      "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 204 No Content\r\n\r\n",
      "HTTP/1.0 200 OK\r\n\r\nuntil the end",
      "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: identity\r\n\r\nuntil the end",
      "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: "
      "2\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nab\r\n10;x=\"y\"\r\n0123456789abcdef\r\n0\r\nT: "
      "1\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
      "f\r\ndata: {\"a\":1}\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n",
  };
  const std::string gzip = Gzip(std::string(200, 'a') + "some more text that does not repeat itself");
  answers.push_back(
      fmt::format("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", gzip.size()) + gzip);
  answers.push_back("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip + Gzip("again"));
  answers.push_back(
      fmt::format("HTTP/1.1 200 OK\r\nContent-Encoding: x-gzip\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
                  gzip.size()) +
      gzip + "\r\n0\r\n\r\n");
  return answers;
}

using std::string_view_literals::operator""sv;
const std::vector<std::string_view> kTokens = {"\r\n"sv,
                                               "\n"sv,
                                               "\r"sv,
                                               "\0"sv,
                                               ":"sv,
                                               ";"sv,
                                               " "sv,
                                               "\t"sv,
                                               "0\r\n\r\n"sv,
                                               "HTTP/1.1 "sv,
                                               "100"sv,
                                               "ffffffffffffffff"sv,
                                               "-1"sv,
                                               "\xff"sv,
                                               "Content-Length: 3\r\n"sv,
                                               "Transfer-Encoding: chunked\r\n"sv,
                                               "Content-Encoding: gzip\r\n"sv,
                                               "Content-Encoding: br\r\n"sv};

struct Seen {
  State state = State::kMore;
  int status = 0;
  bool keeps_connection = false;
  std::string body;
  bool operator==(const Seen&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const Seen& seen) {
    return out << static_cast<int>(seen.state) << " " << seen.status << " `" << seen.body << "`";
  }
};

Seen Read(std::string_view bytes, bool to_head, const std::function<size_t()>& next_piece) {
  ResponseReader reader(kLimits, to_head);
  Seen seen;
  while (!bytes.empty() && seen.state == State::kMore) {
    const size_t size = std::min(next_piece(), bytes.size());
    seen.state = reader.Feed(bytes.substr(0, size));
    seen.body += reader.TakeBody();
    bytes.remove_prefix(size);
  }
  if (seen.state == State::kMore) seen.state = reader.End();
  seen.status = reader.status();
  seen.keeps_connection = reader.keeps_connection();
  // A failure is explained.
  EXPECT_EQ(reader.problem().empty(), seen.state == State::kWhole);
  return seen;
}

TEST(ResponseReaderFuzzTest, EndsInAStateWithinItsLimitsWhateverComes) {
  const std::vector<std::string> answers = Answers();
  int whole = 0;
  constexpr int kRounds = 20'000;
  for (int round = 0; round < kRounds; ++round) {
    Random random(static_cast<uint64_t>(round));
    const std::string bytes = Mutated(answers, kTokens, random);
    const bool to_head = random.Below(20) == 0;
    Seen at_once = Read(bytes, to_head, [&] { return bytes.size(); });
    Seen in_pieces = Read(bytes, to_head, [&] { return 1 + random.Below(40); });
    EXPECT_LE(at_once.body.size(), kLimits.body_bytes);
    if (at_once.state == State::kWhole) ++whole;
    // Bytes after a complete answer may be in a piece that nobody reads.
    if (at_once.state == State::kWhole) at_once.keeps_connection = in_pieces.keeps_connection = false;
    // It depends on the pieces if bad bytes or the end of the connection are found first.
    if (at_once.state == State::kBrokenOff) at_once.state = State::kMalformed;
    if (in_pieces.state == State::kBrokenOff) in_pieces.state = State::kMalformed;
    EXPECT_EQ(at_once, in_pieces) << "round " << round << ": " << bytes;
  }
  EXPECT_GT(whole, kRounds / 10);
  EXPECT_LT(whole, kRounds - kRounds / 10);
}

}  // namespace
}  // namespace millrace
