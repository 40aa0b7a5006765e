#include "backends/sdk/http_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::backend {
namespace {

class Plain final : public WholeBodyExchange {
 public:
  Plain() : WholeBodyExchange({.url = "https://api.example/"}) {}

 private:
  Action Read(Response response) const override {
    Answer answer;
    answer.text =
        std::to_string(response.status) + " " + std::string(HeaderOf(response.headers, "X-Id")) + " " + response.body;
    return Done{std::move(answer)};
  }
};

TEST(HttpCallTest, AWholeBodyIsReadAtItsEnd) {
  Plain exchange;
  EXPECT_EQ(std::get<SendHttp>(exchange.Next(Resume())).url, "https://api.example/");
  EXPECT_TRUE(std::holds_alternative<More>(exchange.Next(Head{.status = 200, .headers = {{"x-ID", "7"}}})));
  for (const char* piece : {"a", "b"}) EXPECT_TRUE(std::holds_alternative<More>(exchange.Next(Bytes{piece})));
  EXPECT_EQ(std::get<Done>(exchange.Next(End())).answer.text, "200 7 ab");
}

TEST(HttpCallTest, AStoredResponseIsReadLikeAResponse) {
  Plain exchange;
  const Action action = ReadStored(exchange, {.status = 200, .headers = {{"x-id", "7"}}, .body = "ab"});
  EXPECT_EQ(std::get<Done>(action).answer.text, "200 7 ab");
}

// An exchange that does not end.
class Endless final : public Exchange {
 public:
  Action Next(Input) override { return More(); }
};

TEST(HttpCallTest, AStoredResponseThatDoesNotEndAnExchangeIsBad) {
  Endless exchange;
  const Action action = ReadStored(exchange, {.status = 200, .headers = {}, .body = "ab"});
  EXPECT_EQ(std::get<Fail>(action).failure.reason, Reason::kBadResponse);
}

TEST(HttpCallTest, AFailedExchangeFailsAtOnce) {
  const auto exchange =
      FailedExchange({.outcome = Outcome::kRefused, .reason = Reason::kRequestRefused, .message = "no"});
  EXPECT_EQ(std::get<Fail>(exchange->Next(Resume())).failure.message, "no");
}

}  // namespace
}  // namespace millrace::backend
