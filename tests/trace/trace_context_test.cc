#include "server/trace/trace_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/trace/sampler.h"

namespace millrace::trace {
namespace {

constexpr char kParent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

std::optional<TraceContext> Read(std::string_view traceparent, const std::vector<std::string_view>& states = {}) {
  return ReadTraceContext({traceparent}, states);
}

std::string StateOf(const std::vector<std::string_view>& states) {
  const std::optional<TraceContext> context = Read(kParent, states);
  return context ? context->state : "no context";
}

TEST(TraceparentTest, AValidOneIsReadAndWrittenBack) {
  const std::optional<TraceContext> context = Read(kParent);
  ASSERT_TRUE(context.has_value());
  EXPECT_EQ(Hex(context->trace), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(Hex(context->span), "b7ad6b7169203331");
  EXPECT_TRUE(context->sampled);
  EXPECT_FALSE(context->random);
  EXPECT_EQ(FormatTraceparent(*context), kParent);
}

TEST(TraceparentTest, BytesAreInNetworkOrder) {
  const std::optional<TraceContext> context = Read(kParent);
  ASSERT_TRUE(context.has_value());
  EXPECT_EQ(Bytes(context->trace), "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c");
  EXPECT_EQ(Bytes(context->span), "\xb7\xad\x6b\x71\x69\x20\x33\x31");
}

TEST(TraceparentTest, AnythingElseBeginsANewTrace) {
  for (const std::string_view bad : {
           "", "00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",  // too short
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",        // version 00 is 55 long
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what",    //
           "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",        // a later version, no dash
           "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",         // upper case
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333G-01",         //
           "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",         // forbidden version
           "00-00000000000000000000000000000000-b7ad6b7169203331-01",         // zero ids
           "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",         //
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",         //
           "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",         // no dash
           " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",         //
       }) {
    EXPECT_FALSE(Read(bad).has_value()) << bad;
  }
  EXPECT_FALSE(ReadTraceContext({}, {}).has_value());
  EXPECT_FALSE(ReadTraceContext({kParent, kParent}, {}).has_value()) << "two of them";
}

TEST(TraceparentTest, ALaterVersionIsReadByItsFirst55CharactersAndWrittenAsVersion00) {
  for (const std::string_view later : {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                       "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes"}) {
    const std::optional<TraceContext> context = Read(later);
    ASSERT_TRUE(context.has_value()) << later;
    EXPECT_EQ(FormatTraceparent(*context), kParent);
  }
}

TEST(TraceparentTest, OnlyTheKnownFlagsArePassedOn) {
  const std::optional<TraceContext> context = Read("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fe");
  ASSERT_TRUE(context.has_value());
  EXPECT_FALSE(context->sampled);
  EXPECT_EQ(FormatTraceparent(*context), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02");
}

TEST(TracestateTest, MembersOfAllHeadersAreJoined) {
  EXPECT_EQ(StateOf({"rojo=00f067aa0ba902b7, congo=t61rcWkgMzE", "", " , ", "tenant@system=x y"}),
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,tenant@system=x y");
  EXPECT_EQ(StateOf({}), "");
}

TEST(TracestateTest, ABadMemberDropsAllOfThemButNotTheTraceparent) {
  for (const std::string_view bad : {"a=1,b", "a=1,a=2", "A=1", "a=", "a=b=c", "=1", "a=\xc3\xa4", "a b=1", "@a=1"}) {
    EXPECT_EQ(StateOf({bad}), "") << bad;
  }
  std::string many;
  for (int i = 0; i < 33; ++i) many += "k" + std::to_string(i) + "=1,";
  EXPECT_EQ(StateOf({many}), "");
  EXPECT_EQ(StateOf({"k=" + std::string(257, 'v')}), "");
}

TEST(TracestateTest, LongMembersAreDroppedFirstFromALongState) {
  std::string state = "first=1";
  for (int i = 0; i < 20; ++i) state += ",long" + std::to_string(i) + "=" + std::string(250, 'v');
  state += ",last=1";
  const std::string kept = StateOf({state});
  EXPECT_LE(kept.size(), 4096u);
  EXPECT_THAT(kept, testing::StartsWith("first=1,long0="));
  EXPECT_THAT(kept, testing::EndsWith(",last=1"));
}

TEST(NamedTraceIdTest, NamesGiveTheSameIdAgainAndDifferentOnesDifferent) {
  const TraceId run = NamedTraceId({}, "run r-1");
  EXPECT_EQ(NamedTraceId(run, "item a"), NamedTraceId(run, "item a"));
  EXPECT_NE(NamedTraceId(run, "item a"), NamedTraceId(run, "item b"));
  EXPECT_NE(NamedTraceId(run, "item a"), NamedTraceId(NamedTraceId({}, "run r-2"), "item a"));
  EXPECT_TRUE(run.is_valid());
  // Pinned, since a later version must find the trace of a run that an earlier one began.
  EXPECT_EQ(Hex(NamedTraceId(run, "item a")), "01ff4e90a5cc7eb9d32a942c9f47a195");
}

TEST(SamplerTest, ARatioKeepsItsShareOfNamedAndOfRandomIds) {
  const Sampler sampler{.ratio = 0.01};
  const TraceId run = NamedTraceId({}, "run r-1");
  int kept = 0;
  for (int i = 0; i < 100'000; ++i) kept += sampler.Keeps(NamedTraceId(run, "item-" + std::to_string(i)), nullptr);
  EXPECT_NEAR(kept, 1000, 150);
}

TEST(SamplerTest, TheLowHalfOfTheTraceIdDecides) {
  const Sampler half{.ratio = 0.5};
  EXPECT_TRUE(half.Keeps({~uint64_t{0}, (uint64_t{1} << 63) - 1}, nullptr));
  EXPECT_FALSE(half.Keeps({0, uint64_t{1} << 63}, nullptr));
  EXPECT_TRUE(Sampler{.ratio = 1}.Keeps({0, ~uint64_t{0}}, nullptr));
  EXPECT_FALSE(Sampler{.ratio = 0}.Keeps({1, 0}, nullptr));
}

TEST(SamplerTest, ACallersDecisionIsFollowed) {
  const TraceContext sampled{.trace = {1, ~uint64_t{0}}, .span = 1, .sampled = true};
  const TraceContext passed_over{.trace = {1, 0}, .span = 1, .sampled = false};
  const Sampler none{.ratio = 0};
  const Sampler all{.ratio = 1};
  EXPECT_TRUE(none.Keeps(sampled.trace, &sampled));
  EXPECT_FALSE(all.Keeps(passed_over.trace, &passed_over));
  EXPECT_FALSE(all.MayKeepLater(&passed_over));
  EXPECT_TRUE(none.MayKeepLater(nullptr));
  const Sampler own{.ratio = 0, .follows_parent = false};
  EXPECT_FALSE(own.Keeps(sampled.trace, &sampled));
  EXPECT_TRUE(own.MayKeepLater(&sampled));
  const Sampler off{.is_off = true};
  EXPECT_FALSE(off.Keeps({1, 1}, nullptr));
  EXPECT_FALSE(off.MayKeepLater(nullptr));
  EXPECT_TRUE(off.Keeps(sampled.trace, &sampled)) << "parent-based";
}

}  // namespace
}  // namespace millrace::trace
