#include "backends/sdk/reasoning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::backend {
namespace {

std::string Filtered(std::string_view text, size_t piece) {
  ReasoningFilter filter;
  std::string out;
  for (size_t at = 0; at < text.size(); at += piece) out += filter.Take(text.substr(at, piece));
  return out + filter.End();
}

std::string Filtered(std::string_view text) {
  const std::string whole = Filtered(text, text.size() + 1);
  for (size_t piece = 1; piece < text.size(); ++piece) EXPECT_EQ(Filtered(text, piece), whole) << piece;
  return whole;
}

TEST(ReasoningTest, LeavesOutABlockAtTheBeginning) {
  EXPECT_EQ(Filtered("<think>a < b </thin </think>\n\n answer\n"), "answer\n");
  EXPECT_EQ(Filtered("\n <think></think>x <think>y</think>"), "x <think>y</think>");
  EXPECT_EQ(Filtered("<think>never closed"), "");
  EXPECT_EQ(Filtered("<think>a<</think>b"), "b");
}

TEST(ReasoningTest, KeepsOtherText) {
  for (const char* text : {"", "x", "  x", "<", "<think", " <thinks>", "a <think>b</think>", "<b>", "\n\n"}) {
    EXPECT_EQ(Filtered(text), text);
  }
}

TEST(ReasoningTest, TextThatBeginsWithManyBlanksTakesTimeInProportionToIt) {
  // 4 million pieces: if each looked at all blanks before it, this would take an hour.
  constexpr int kBlanks = 4'000'000;
  ReasoningFilter filter;
  for (int i = 0; i < kBlanks; ++i) ASSERT_EQ(filter.Take(" "), "");
  EXPECT_EQ(filter.Take("x").size(), static_cast<size_t>(kBlanks) + 1);
  for (const char* text : {" \n <think>a</think> b", "   <thx"}) Filtered(text);
}

}  // namespace
}  // namespace millrace::backend
