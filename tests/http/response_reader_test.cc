#include "server/http/response_reader.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/random.h"
#include "tests/http/compressed.h"

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
    seen.body += reader.TakeBody();
  }
  if (seen.state == State::kMore) seen.state = reader.End();
  seen.status = reader.status();
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
           "HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nbody",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nab\r\n1 ;x=\"y\"\r\nc\r\n0\t\r\nT: 1\r\nU: "
           "2\r\n\r\n",
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

TEST(ResponseReaderTest, AcceptsAStatusLineWithoutAReason) {
  for (const std::string_view line : {"HTTP/1.1 200\r\n", "HTTP/1.1 200 \r\n", "HTTP/1.0 200 Fine, thanks\r\n"}) {
    const Seen seen = Read(std::string(line) + "Content-Length: 2\r\n\r\nhi", 100);
    EXPECT_EQ(seen, (Seen{.state = State::kWhole, .status = 200, .body = "hi"})) << line;
  }
  EXPECT_EQ(Read("HTTP/1.1 100\r\n\r\nHTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", 100).status, 404);
  EXPECT_EQ(Read("HTTP/1.1 503\r\nX", 1).status, 503);
}

TEST(ResponseReaderTest, AcceptsBlanksAfterTheSizeOfAChunk) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const Seen whole{.state = State::kWhole, .status = 200, .body = "abc"};
  EXPECT_EQ(Read(head + "3  \r\nabc\r\n0    \r\n\r\n", 100), whole);
  EXPECT_EQ(Read(head + "0003\t;e\r\nabc\r\n0\r\nTrailer: x\r\n\r\n", 100), whole);
  for (const std::string_view bad : {" 3\r\nabc\r\n", "3 4\r\nabc\r\n", "3\nabc\r\n", "-3\r\nabc\r\n", "0x3\r\nabc\r\n",
                                     "\r\n", ";\r\n", "3\r\nabcd\r\n", "10000000000000000\r\nabc\r\n"}) {
    EXPECT_EQ(Read(head + std::string(bad), 100).state, State::kMalformed) << bad;
  }
}

std::string Encoded(std::string_view encoding, const std::string& body) {
  return fmt::format("HTTP/1.1 200 OK\r\nContent-Encoding: {}\r\nContent-Length: {}\r\n\r\n", encoding, body.size()) +
         body;
}

TEST(ResponseReaderTest, DecompressesABodyThoughWeAskedForNone) {
  std::string text;
  for (int i = 0; text.size() < 20'000; ++i) text += fmt::format("{} ", i);
  const Seen whole{.state = State::kWhole, .status = 200, .body = text};
  const std::string gzip = Compressed(text, 31);
  for (size_t piece = 1; piece < gzip.size(); piece = piece * 2 + 1)
    EXPECT_EQ(Read(Encoded("gzip", gzip), piece), whole);
  EXPECT_EQ(Read(Encoded("X-GZIP", gzip), 100), whole);
  EXPECT_EQ(Read(Encoded("deflate", Compressed(text, 15)), 100), whole);
  EXPECT_EQ(Read(Encoded("gzip", Compressed("one ", 31) + Compressed("two", 31)), 7).body, "one two");
  EXPECT_EQ(Read(Encoded("gzip", ""), 100), (Seen{.state = State::kWhole, .status = 200, .body = ""}));
  EXPECT_EQ(Read("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip, 100), whole);
}

TEST(ResponseReaderTest, RefusesABodyThatItCannotDecode) {
  const std::string gzip = Compressed("some text", 31);
  EXPECT_EQ(Read(Encoded("gzip", "plain text"), 3).state, State::kMalformed);
  EXPECT_EQ(Read(Encoded("gzip", gzip.substr(0, gzip.size() - 1)), 3).state, State::kMalformed);
  EXPECT_EQ(Read(Encoded("gzip", gzip + "x"), 3).state, State::kMalformed);
  EXPECT_EQ(Read("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.substr(0, 9), 3).state, State::kMalformed);
  for (const std::string_view encoding : {"br", "zstd", "gzip, gzip", "\x01"}) {
    EXPECT_EQ(Read(Encoded(encoding, gzip), 3).state, State::kMalformed) << encoding;
  }
  EXPECT_EQ(Read("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 3).state, State::kMalformed);
}

TEST(ResponseReaderTest, CountsTheDecompressedBytes) {
  const std::string bomb = Compressed(std::string(1 << 20, 'x'), 31);
  const size_t size = 1 << 20;
  ASSERT_LT(bomb.size(), 3000u);
  EXPECT_EQ(Read(Encoded("gzip", bomb), 16'384, {.body_bytes = size}).state, State::kWhole);
  const Seen cut = Read(Encoded("gzip", bomb), 16'384, {.body_bytes = size - 1});
  EXPECT_EQ(cut.state, State::kTooLarge);
  EXPECT_EQ(cut.body.size(), size - 1);
  EXPECT_EQ(Read(Encoded("gzip", bomb), 16'384, {.body_bytes = 5000}).body.size(), 5000u);
}

TEST(ResponseReaderTest, GivesTheBodyInThePiecesInWhichItComes) {
  ResponseReader reader({}, false);
  EXPECT_EQ(reader.Feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r"), State::kMore);
  EXPECT_FALSE(reader.has_head());
  EXPECT_EQ(reader.Feed("\n4\r\nab"), State::kMore);
  ASSERT_TRUE(reader.has_head());
  EXPECT_EQ(FindHeader(reader.TakeHeaders(), "x"), "y");
  EXPECT_EQ(reader.TakeBody(), "ab");
  EXPECT_EQ(reader.Feed("cd\r\n2\r\n"), State::kMore);
  EXPECT_EQ(reader.TakeBody(), "cd");
  EXPECT_EQ(reader.Feed("ef\r\n0\r\n\r\n"), State::kWhole);
  EXPECT_EQ(reader.TakeBody(), "ef");
  EXPECT_TRUE(reader.keeps_connection());
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
  constexpr std::string_view kPieces[] = {"HTTP/1.1 ",
                                          "200 OK",
                                          "\r\n",
                                          "\r\n\r\n",
                                          "Content-Length: ",
                                          "9",
                                          "chunked",
                                          "Transfer-Encoding: ",
                                          "a",
                                          "\0",
                                          ";",
                                          "ffffffff",
                                          "Content-Encoding: gzip",
                                          "\x1f\x8b\x08",
                                          " "};
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
