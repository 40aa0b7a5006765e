#include "server/http/response_reader.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/random.h"

namespace millrace {
namespace {

using State = ResponseReader::State;

struct Seen {
  State state = State::kMore;
  int status = 0;
  std::string body;
  bool operator==(const Seen&) const = default;
};

// Feeds the bytes to a reader in pieces of `piece` bytes, then ends the connection.
Seen Read(std::string_view bytes, size_t piece, ResponseReader::Limits limits = {}) {
  ResponseReader reader(limits, false);
  Seen seen;
  for (size_t at = 0; at < bytes.size() && seen.state == State::kMore; at += piece) {
    seen.state = reader.Feed(bytes.substr(at, piece));
  }
  if (seen.state == State::kMore) seen.state = reader.End();
  seen.status = reader.status();
  seen.body = reader.TakeBody();
  return seen;
}

TEST(ResponseReaderTest, DoesNotDependOnThePiecesOfTheAnswer) {
  for (const std::string_view bytes : {
           "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: y\r\n\r\nbody",
           "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 No\r\nTransfer-Encoding: "
           "chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
           "HTTP/1.0 200 OK\r\n\r\nuntil the end",
           "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
           "HTTP/1.1 200 OK\r\nContent-",
       }) {
    const Seen whole = Read(bytes, bytes.size());
    for (size_t piece = 1; piece < bytes.size(); ++piece) EXPECT_EQ(Read(bytes, piece), whole) << bytes;
  }
}

TEST(ResponseReaderTest, HasAStatusOnlyAfterACompleteStatusLine) {
  EXPECT_EQ(Read("HTTP/1.1 200 O", 1).status, 0);
  EXPECT_EQ(Read("HTTP/1.1 200 OK\r\nX", 1).status, 200);
  EXPECT_EQ(Read("HTTP/1.1 100 Continue\r\n\r\n", 1).status, 0);
}

TEST(ResponseReaderTest, RefusesAnswersThatTwoReadersWouldReadInTwoWays) {
  for (const std::string_view bytes : {
           "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
           "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
           "HTTP/1.1 200 OK\r\n X: folded\r\nY\r\n\r\n",
           "HTTP/3 200 OK\r\n\r\n",
           "ICY 200 OK\r\n\r\n",
       }) {
    EXPECT_EQ(Read(bytes, 100).state, State::kMalformed) << bytes;
  }
}

TEST(ResponseReaderTest, NeverExceedsItsLimitsForAnyInput) {
  Random random(7);
  constexpr std::string_view kPieces[] = {
      "HTTP/1.1 ",           "200 OK", "\r\n", "\r\n\r\n", "Content-Length: ", "9", "chunked",
      "Transfer-Encoding: ", "a",      "\0",   ";",        "ffffffff"};
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = round % 2 ? "HTTP/1.1 200 OK\r\n" : "";
    const size_t pieces = random.Below(20);
    for (size_t i = 0; i < pieces; ++i) bytes += kPieces[random.Below(std::size(kPieces))];
    const Seen seen = Read(bytes, 1 + random.Below(9), {.header_bytes = 64, .body_bytes = 16});
    EXPECT_LE(seen.body.size(), 16u);
  }
}

}  // namespace
}  // namespace millrace
