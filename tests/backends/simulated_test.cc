#include "backends/simulated/simulated.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>

#include "server/base/json.h"
#include "server/text/schema.h"

namespace millrace::backend {
namespace {

using std::chrono_literals::operator""ms;

Request Question(std::string text, std::string schema = "") {
  Request request;
  request.model = "m";
  request.messages = {{"user", std::move(text)}};
  request.output_schema = std::move(schema);
  return request;
}

v1::SimulatedProfile Profile() {
  v1::SimulatedProfile profile;
  profile.set_answer_bytes(200);
  return profile;
}

TEST(SimulatedTest, AnswersAQuestionEquallyInEveryAttempt) {
  const std::unique_ptr<Backend> backend = MakeSimulated(Profile(), 7);
  std::string texts[2];
  for (int i = 0; i < 2; ++i) {
    const std::unique_ptr<Exchange> exchange = backend->Start(Question("q"), static_cast<uint64_t>(i));
    const Action first = exchange->Next(Resume{});
    const Wait* wait = std::get_if<Wait>(&first);
    ASSERT_NE(wait, nullptr);
    EXPECT_TRUE(wait->billable);
    EXPECT_EQ(wait->duration, Duration(0));
    const Action second = exchange->Next(Resume{});
    const Done* done = std::get_if<Done>(&second);
    ASSERT_NE(done, nullptr);
    EXPECT_EQ(done->answer.text.size(), 200u);
    EXPECT_EQ(done->answer.output_tokens, 50);
    texts[i] = done->answer.text;
  }
  EXPECT_EQ(texts[0], texts[1]);
  const std::unique_ptr<Backend> seeded = MakeSimulated(Profile(), 8);
  const std::unique_ptr<Exchange> exchange = seeded->Start(Question("q"), 0);
  exchange->Next(Resume());
  const Action other = exchange->Next(Resume());
  EXPECT_NE(std::get<Done>(other).answer.text, texts[0]);
}

TEST(SimulatedTest, ExamplesFitTheirSchemas) {
  const std::string schema = R"({"type":"object","required":["title","kind","size","tags","share"],"properties":{
      "title":{"type":"string","minLength":5},"kind":{"enum":["a","b"]},"size":{"type":"integer","minimum":3,"maximum":9},
      "tags":{"type":"array","minItems":2,"items":{"type":"string"}},"share":{"type":"number","minimum":0,"maximum":1},
      "flag":{"type":"boolean"},"inner":{"type":"object","properties":{"x":{"type":["null","string"]}}}}})";
  const StatusOr<Schema> compiled = Schema::Parse(schema);
  ASSERT_TRUE(compiled.ok());
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const std::string example = ExampleFor(schema, 200, seed);
    const StatusOr<json::value> value = ParseJson(example);
    ASSERT_TRUE(value.ok()) << example;
    EXPECT_TRUE(compiled->Check(*value).ok()) << example;
  }
}

TEST(SimulatedTest, FailsAsOftenAsItsProfileSays) {
  v1::SimulatedProfile profile = Profile();
  profile.mutable_latency()->set_nanos(100'000'000);
  profile.set_latency_sigma(0.5);
  profile.set_rate_limited(0.1);
  profile.set_server_errors(0.2);
  profile.set_cut(0.1);
  profile.set_hangs(0.05);
  const std::unique_ptr<Backend> backend = MakeSimulated(profile, 3);
  std::map<Outcome, int> outcomes;
  Duration waited{};
  int quick = 0;
  constexpr int kAttempts = 20000;
  for (uint64_t i = 0; i < kAttempts; ++i) {
    const std::unique_ptr<Exchange> exchange = backend->Start(Question("q"), i * 2654435761u);
    const Duration wait = std::get<Wait>(exchange->Next(Resume{})).duration;
    if (wait < std::chrono::hours(1)) {
      waited += wait;
      ++quick;
    }
    const Action action = exchange->Next(Resume{});
    const Fail* fail = std::get_if<Fail>(&action);
    ++outcomes[fail == nullptr ? Outcome::kAnswered : fail->failure.outcome];
  }
  EXPECT_NEAR(outcomes[Outcome::kRateLimited], 2000, 200);
  EXPECT_NEAR(outcomes[Outcome::kServerError], 4000, 300);
  EXPECT_NEAR(outcomes[Outcome::kUnknown], 3000, 250);  // cut or never answered
  EXPECT_NEAR(outcomes[Outcome::kAnswered], 11000, 400);
  // The mean of a log-normal distribution is its median times exp(sigma^2 / 2).
  EXPECT_NEAR(static_cast<double>((waited / quick).count()), 113.3e6, 5e6);
}

TEST(SimulatedTest, TheVectorOfATextDependsOnTheTextAlone) {
  const std::unique_ptr<Backend> backend = MakeSimulated(Profile(), 7);
  const auto embed = [&](std::vector<std::string> texts, uint64_t attempt) {
    EmbedRequest request;
    request.model = "m";
    request.texts = std::move(texts);
    request.dimensions = 3;
    const std::unique_ptr<Exchange> exchange = backend->Start(request, attempt);
    exchange->Next(Resume{});
    Action action = exchange->Next(Resume{});
    return std::holds_alternative<Done>(action) ? std::get<Done>(action).answer.vectors
                                                : std::vector<std::vector<float>>();
  };
  const auto vectors = embed({"a", "b"}, 1);
  ASSERT_EQ(vectors.size(), 2u);
  EXPECT_EQ(vectors[0].size(), 3u);
  EXPECT_NE(vectors[0], vectors[1]);
  EXPECT_EQ(embed({"b"}, 2)[0], vectors[1]);
}

}  // namespace
}  // namespace millrace::backend
