#include "backends/sdk/sse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::backend {
namespace {

using testing::ElementsAre;

// Reads a stream in pieces. Returns its events as `type:data`; the event that its end completes begins with `end `.
std::vector<std::string> Events(std::string_view stream, size_t piece) {
  SseReader reader;
  std::vector<SseEvent> events;
  for (size_t at = 0; at < stream.size(); at += piece) {
    EXPECT_TRUE(reader.Read(stream.substr(at, piece), events).ok());
  }
  std::vector<std::string> shown;
  for (const SseEvent& event : events) shown.push_back(event.type + ":" + event.data);
  if (const auto event = reader.End()) shown.push_back("end " + event->type + ":" + event->data);
  return shown;
}

// Reads a stream whole, and in pieces of every size, which gives the same events.
std::vector<std::string> Events(std::string_view stream) {
  const std::vector<std::string> whole = Events(stream, stream.size() + 1);
  for (size_t piece = 1; piece < stream.size(); ++piece) EXPECT_EQ(Events(stream, piece), whole) << piece;
  return whole;
}

TEST(SseTest, ReadsEventsWithEveryLineEnd) {
  for (const std::string end : {"\n", "\r", "\r\n"}) {
    const std::string stream = "data: a" + end + end + "event: x" + end + "data:b" + end + "data:  c" + end + end;
    EXPECT_THAT(Events(stream), ElementsAre(":a", "x:b\n c"));
  }
  EXPECT_THAT(Events("data: a\r\n\rdata: b\n\r\n"), ElementsAre(":a", ":b"));
}

TEST(SseTest, LeavesOutWhatIsNotAnEvent) {
  EXPECT_THAT(Events("\xef\xbb\xbf"
                     "data: a\n\n"),
              ElementsAre(":a"));
  EXPECT_THAT(Events(": ping\n\nid: 1\nretry: 5\nnew: x\ndata: a\n: in between\ndata: b\n\n\n\n"),
              ElementsAre(":a\nb"));
  EXPECT_THAT(Events("event: x\n\ndata: a\n\n"), ElementsAre(":a")) << "an event without data is none";
  EXPECT_THAT(Events("data\n\ndata:\n\n"), ElementsAre(":", ":"));
  EXPECT_THAT(Events(""), ElementsAre());
}

TEST(SseTest, AnEventWithoutItsBlankLineComesWithTheEnd) {
  EXPECT_THAT(Events("data: a\n\ndata: b"), ElementsAre(":a", "end :b"));
  EXPECT_THAT(Events("data: a\n\ndata: b\n"), ElementsAre(":a", "end :b"));
  EXPECT_THAT(Events("data: a\n\n: ping"), ElementsAre(":a"));
}

TEST(SseTest, AnEventThatIsTooLargeIsRefused) {
  for (const std::string& line : {std::string("data: 12345\n"), std::string(12, 'x'), std::string(": x\n")}) {
    SseReader reader(100);
    std::vector<SseEvent> events;
    Status status;
    for (int i = 0; i < 100 && status.ok(); ++i) status = reader.Read(line, events);
    EXPECT_EQ(status.ok(), line.starts_with(':')) << line;
    EXPECT_TRUE(events.empty());
  }
}

}  // namespace
}  // namespace millrace::backend
