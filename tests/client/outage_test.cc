#include "client/cli/outage.h"

#include <gmock/gmock.h>

#include <vector>

namespace millrace::cli {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

struct Waiting {
  std::vector<Duration> slept;
  std::vector<std::string> said;
  bool is_interrupted = false;

  Outage Make(Duration patience) {
    return Outage({.patience = patience,
                   .sleep =
                       [this](Duration pause) {
                         slept.push_back(pause);
                         return !is_interrupted;
                       },
                   .say = [this](const std::string& text) { said.push_back(text); }});
  }
};

const Status kGone(absl::StatusCode::kUnavailable, "Connection refused");

TEST(OutageTest, WaitsLongerEachTimeAndSaysSoOnce) {
  Waiting waiting;
  Outage outage = waiting.Make(5min);
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(outage.Wait(kGone));
  EXPECT_THAT(waiting.slept, ElementsAre(200ms, 400ms, 800ms, 1600ms, 2s, 2s));
  EXPECT_THAT(waiting.said, ElementsAre(HasSubstr("the server is away (Connection refused)")));
  outage.End();
  outage.End();
  EXPECT_THAT(waiting.said, SizeIs(2));
  EXPECT_TRUE(outage.Wait(kGone));
  EXPECT_EQ(waiting.slept.back(), 200ms) << "a new outage begins";
}

TEST(OutageTest, GivesUpWhenItsPatienceIsOver) {
  Waiting waiting;
  Outage outage = waiting.Make(1s);
  int tries = 0;
  while (outage.Wait(kGone)) ++tries;
  EXPECT_EQ(tries, 3);  // 0.2, 0.4 and 0.8 s
  waiting.is_interrupted = true;
  Outage interrupted = waiting.Make(1s);
  EXPECT_FALSE(interrupted.Wait(kGone));
}

TEST(OutageTest, OnlyAnAbsentServerIsOne) {
  EXPECT_TRUE(IsOutage(kGone));
  EXPECT_TRUE(IsOutage(MakeError(Reason::kDraining, "")));
  EXPECT_TRUE(IsOutage(MakeError(Reason::kStoreUnavailable, "")));
  EXPECT_FALSE(IsOutage(absl::OkStatus()));
  EXPECT_FALSE(IsOutage(MakeError(Reason::kRunNotFound, "")));
  EXPECT_FALSE(IsOutage(MakeError(Reason::kInternal, "")));
  Waiting waiting;
  Outage outage = waiting.Make(1s);
  EXPECT_FALSE(outage.Wait(MakeError(Reason::kRunNotFound, "")));
  EXPECT_THAT(waiting.said, SizeIs(0));
}

}  // namespace
}  // namespace millrace::cli
