#include "server/llm/claims.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace millrace {
namespace {

using ClaimPtr = std::shared_ptr<const KeyClaims::Claim>;

class KeyClaimsTest : public testing::Test {
 protected:
  // Takes the key of a name, and notes the name once it has it.
  void Ask(const std::string& name, const std::string& of) { loop_.Spawn(AskFor(*this, name, of)); }

  static Task<void> AskFor(KeyClaimsTest& test, std::string name, std::string of) {
    std::vector<Digest> keys;
    keys.push_back(Digest::Of(of));
    ClaimPtr claim = co_await test.claims_->Take(std::move(keys));
    test.taken_.push_back(name);
    test.held_.push_back(std::move(claim));
  }

  SimulatedClock clock_;
  Loop loop_{clock_};
  std::unique_ptr<KeyClaims> claims_ = std::make_unique<KeyClaims>(loop_);
  std::vector<std::string> taken_;
  std::vector<ClaimPtr> held_;
};

TEST_F(KeyClaimsTest, ClaimsThatAnotherThreadLetsGoOfComeBack) {
  for (const char* key : {"a", "b", "c"}) Ask(key, key);
  for (const char* key : {"a", "b", "c"}) Ask(std::string(key) + " again", key);
  loop_.RunReady();
  EXPECT_THAT(taken_, testing::ElementsAre("a", "b", "c"));
  std::vector<ClaimPtr> written;
  written.swap(held_);
  std::thread([&] { written.clear(); }).join();
  loop_.RunReady();
  EXPECT_THAT(taken_, testing::ElementsAre("a", "b", "c", "a again", "b again", "c again"));
  // And once more: what came back was taken from where claims leave it.
  Ask("a at last", "a");
  loop_.RunReady();
  EXPECT_EQ(taken_.size(), 6u);
  held_.clear();
  loop_.RunReady();
  EXPECT_EQ(taken_.back(), "a at last");
}

TEST_F(KeyClaimsTest, ClaimsMayOutliveTheirKeeper) {
  Ask("a", "a");
  loop_.RunReady();
  ASSERT_EQ(held_.size(), 1u);
  held_.clear();  // posted, not yet run
  claims_.reset();
  loop_.RunReady();
  claims_ = std::make_unique<KeyClaims>(loop_);
  Ask("b", "b");
  loop_.RunReady();
  claims_.reset();
  held_.clear();
  loop_.RunReady();
  EXPECT_THAT(taken_, testing::ElementsAre("a", "b"));
}

}  // namespace
}  // namespace millrace
