#include "server/api/frame_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace millrace::api {
namespace {

using namespace std::chrono_literals;
using ::testing::IsNull;
using ::testing::NotNull;

const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum Type : uint8_t { kData, kHeaders, kPriority, kReset, kSettings, kPush, kPing, kGoaway, kWindow, kContinuation };
constexpr uint8_t kEndHeaders = 4;
constexpr uint8_t kAcknowledge = 1;

std::string Frame(Type type, uint8_t flags, size_t size) {
  std::string frame{static_cast<char>(size >> 16),
                    static_cast<char>(size >> 8),
                    static_cast<char>(size),
                    static_cast<char>(type),
                    static_cast<char>(flags),
                    0,
                    0,
                    0,
                    1};
  return frame + std::string(size, 'x');
}

class FrameGuardTest : public testing::Test {
 protected:
  FrameGuardTest() { Feed(kPreface + Frame(kSettings, 0, 12) + Frame(kSettings, kAcknowledge, 0)); }
  const char* Feed(const std::string& bytes) { return guard_.Feed(bytes, now_); }

  FrameGuard guard_;
  TimePoint now_{1s};
};

TEST_F(FrameGuardTest, OrdinaryTrafficPassesInPiecesOfAnySize) {
  std::string traffic = kPreface + Frame(kSettings, 0, 12) + Frame(kSettings, kAcknowledge, 0);
  for (int i = 0; i < 50; ++i) {
    traffic += Frame(kHeaders, kEndHeaders, 200) + Frame(kData, 0, 16384) + Frame(kData, 1, 100) + Frame(kWindow, 0, 4);
  }
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{4096}, traffic.size()}) {
    FrameGuard guard;
    for (size_t at = 0; at < traffic.size(); at += piece) {
      ASSERT_THAT(guard.Feed(std::string_view(traffic).substr(at, piece), now_), IsNull()) << piece << " " << at;
    }
  }
}

TEST_F(FrameGuardTest, LargeMessagesSideBySidePass) {
  for (int i = 0; i < 100; ++i) EXPECT_THAT(Feed(Frame(kHeaders, kEndHeaders, 100)), IsNull());
  for (int i = 0; i < 2000; ++i) ASSERT_THAT(Feed(Frame(kData, 0, 16384)), IsNull());
}

TEST_F(FrameGuardTest, AnotherProtocolIsRefusedAtItsFirstByte) {
  FrameGuard guard;
  EXPECT_THAT(guard.Feed("GET / HTTP/1.1\r\n", now_), NotNull());
}

TEST_F(FrameGuardTest, HeadersMayReachTheirLimitButNotExceedIt) {
  EXPECT_THAT(Feed(Frame(kHeaders, 0, 16384)), IsNull());
  EXPECT_THAT(Feed(Frame(kContinuation, kEndHeaders, 16384)), IsNull());
  EXPECT_THAT(Feed(Frame(kHeaders, 0, 16384)), IsNull()) << "a request of its own";
  EXPECT_THAT(Feed(Frame(kContinuation, 0, 16384)), IsNull());
  EXPECT_THAT(Feed(Frame(kContinuation, 0, 1)), NotNull());
}

TEST_F(FrameGuardTest, AHeadersFrameAboveTheLimitIsRefusedByItsLength) {
  EXPECT_THAT(Feed(Frame(kHeaders, kEndHeaders, FrameGuard::kHeaderBytesMax + 1).substr(0, 9)), NotNull());
}

TEST_F(FrameGuardTest, ContinuationWithoutHeadersIsRefused) {
  EXPECT_THAT(Feed(Frame(kContinuation, 0, 1)), NotNull());
}

TEST_F(FrameGuardTest, EndlessEmptyContinuationsAreRefused) {
  EXPECT_THAT(Feed(Frame(kHeaders, 0, 10)), IsNull());
  const char* fault = nullptr;
  for (int i = 0; i < 3000 && fault == nullptr; ++i) fault = Feed(Frame(kContinuation, 0, 0));
  EXPECT_THAT(fault, NotNull());
}

TEST_F(FrameGuardTest, ResetsPassAtTheRateOfABusyClient) {
  for (int tenth = 0; tenth < 100; ++tenth) {
    now_ += 100ms;
    for (int i = 0; i < 100; ++i) {
      ASSERT_THAT(Feed(Frame(kHeaders, kEndHeaders, 100) + Frame(kReset, 0, 4)), IsNull());
    }
  }
}

TEST_F(FrameGuardTest, AFloodOfResetsIsRefused) {
  int taken = 0;
  while (taken < 100000 && Feed(Frame(kHeaders, kEndHeaders, 10) + Frame(kReset, 0, 4)) == nullptr) ++taken;
  EXPECT_LE(taken, FrameGuard::kIdleFramesMax);
}

TEST_F(FrameGuardTest, FewRequestsPassBeforeTheSettingsAreAcknowledged) {
  FrameGuard guard;
  EXPECT_THAT(guard.Feed(kPreface + Frame(kSettings, 0, 0), now_), IsNull());
  int taken = 0;
  while (taken < 100000 && guard.Feed(Frame(kHeaders, kEndHeaders, 10), now_) == nullptr) ++taken;
  EXPECT_EQ(taken, FrameGuard::kEarlyRequestsMax);
}

TEST_F(FrameGuardTest, AFrameAboveTheOfferedSizeIsRefused) {
  EXPECT_THAT(Feed(Frame(kData, 0, FrameGuard::kFrameBytesMax + 1).substr(0, 9)), NotNull());
}

}  // namespace
}  // namespace millrace::api
