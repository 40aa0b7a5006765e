// Texts as vectors: cached by text, sent in batches, paid once over crashes and departures.
#include "server/llm/embed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <limits>

#include "backends/sdk/http_call.h"
#include "server/base/json.h"
#include "server/llm/vectors.h"
#include "server/storage/value_codec.h"
#include "tests/llm/world.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// A provider whose request is an array of texts and whose answer is an array of arrays of numbers. It takes four texts
// and 100 tokens at once.
class ArrayBackend final : public backend::Backend {
 public:
  explicit ArrayBackend(int32_t texts_max) : texts_max_(texts_max) {}
  const backend::Manifest& manifest() const override { return manifest_; }
  backend::EmbedLimits embed_limits(std::string_view) const override { return {.texts = texts_max_, .tokens = 100}; }
  std::unique_ptr<backend::Exchange> Start(const backend::Question& question, uint64_t) override {
    const auto& embed = std::get<backend::EmbedRequest>(question);
    json::array texts;
    for (const std::string& text : embed.texts) texts.push_back(json::string(text.data(), text.size()));
    backend::SendHttp send;
    send.url = "http://provider/" + embed.model;
    send.body = std::string(json::serialize(texts));
    return std::make_unique<Exchange>(std::move(send));
  }

 private:
  class Exchange final : public backend::WholeBodyExchange {
   public:
    using WholeBodyExchange::WholeBodyExchange;

   private:
    backend::Action Read(backend::Response response) const override {
      if (response.status != 200) {
        return backend::Fail{
            {.outcome = response.status == 400 ? backend::Outcome::kRefused : backend::Outcome::kServerError,
             .reason = Reason::kRequestRefused,
             .message = "status",
             .retry_after = {},
             .http_status = response.status}};
      }
      backend::Answer answer;
      const json::value body = ParseJson(response.body).value();
      for (const json::value& numbers : body.as_array()) {
        std::vector<float>& vector = answer.vectors.emplace_back();
        for (const json::value& number : numbers.as_array()) vector.push_back(number.to_number<float>());
      }
      answer.input_tokens = static_cast<int64_t>(answer.vectors.size());
      return backend::Done{std::move(answer)};
    }
  };

  const int32_t texts_max_;
  const backend::Manifest manifest_{.kind = "array", .protocol_family = "array", .dialect_version = 1};
};

// [length, first character] of each text.
std::string AnswerTo(const std::string& body) {
  const json::value texts = ParseJson(body).value();
  json::array vectors;
  for (const json::value& text : texts.as_array()) {
    vectors.push_back(json::array{static_cast<double>(text.get_string().size()), text.get_string()[0] / 256.0});
  }
  return std::string(json::serialize(vectors));
}

struct Embedded {
  bool done = false;
  StatusOr<v1::EmbedResponse> response = absl::UnknownError("not yet");
};

class EmbedTest : public testing::Test {
 protected:
  EmbedTest() {
    world_.make_backend = [this] { return std::make_unique<ArrayBackend>(texts_max_); };
    world_.provider.usual = [](const HttpRequest& request) { return Reaction{.body = AnswerTo(request.body)}; };
  }
  ~EmbedTest() override { world_.Crash(); }

  void Restart() {
    world_.Crash();
    embeddings_.reset();
    world_.Restart();
    embeddings_ = std::make_unique<Embeddings>(Embeddings::Deps{.loop = *world_.loop_,
                                                                .pool = world_.pool(),
                                                                .store = *world_.store_,
                                                                .calls = world_.calls(),
                                                                .models = world_.calls(),
                                                                .answers = world_.calls()});
  }
  std::shared_ptr<Embedded> Begin(const std::vector<std::string>& texts, CallContext context = {},
                                  int32_t dimensions = 0) {
    if (!embeddings_) Restart();
    v1::EmbedRequest request;
    request.set_model("writer");
    if (dimensions > 0) request.set_dimensions(dimensions);
    for (const std::string& text : texts) request.add_texts(text);
    auto embedded = std::make_shared<Embedded>();
    world_.loop_->Spawn(Await(*embeddings_, std::move(context), std::move(request), embedded));
    return embedded;
  }
  StatusOr<v1::EmbedResponse> Embed(const std::vector<std::string>& texts, CallContext context = {},
                                    int32_t dimensions = 0) {
    const std::shared_ptr<Embedded> embedded = Begin(texts, std::move(context), dimensions);
    world_.RunUntil([&] { return embedded->done; });
    return embedded->response;
  }
  // The texts of each request that the provider got.
  std::vector<std::string> Sent() const {
    std::vector<std::string> bodies;
    for (const Provider::Received& received : world_.provider.received) bodies.push_back(received.body);
    return bodies;
  }
  // Returns true if the raw answer of an attempt is stored and not settled.
  bool HasRawAnswer() const {
    const std::string begin = KeyBuilder(Table::kPending);
    const auto end = world_.disk.data().lower_bound(PrefixEnd(begin));
    for (auto entry = world_.disk.data().lower_bound(begin); entry != end; ++entry) {
      storage::v1::PendingRecord record;
      if (DecodeValue(entry->first, entry->second, record).ok() && !record.raw().empty()) return true;
    }
    return false;
  }
  static std::vector<float> VectorOf(const v1::Embedding& embedding) {
    return {embedding.vector().begin(), embedding.vector().end()};
  }
  static int Cached(const v1::EmbedResponse& response) {
    int count = 0;
    for (const v1::Embedding& embedding : response.embeddings()) count += embedding.cache_hit() ? 1 : 0;
    return count;
  }

  int32_t texts_max_ = 4;
  World world_;
  std::unique_ptr<Embeddings> embeddings_;

 private:
  static Task<void> Await(Embeddings& embeddings, CallContext context, v1::EmbedRequest request,
                          std::shared_ptr<Embedded> embedded) {
    embedded->response = co_await embeddings.Embed(std::move(context), std::move(request));
    embedded->done = true;
  }
};

TEST_F(EmbedTest, VectorsHaveTheOrderOfTheTextsAndEqualTextsAreSentOnce) {
  const StatusOr<v1::EmbedResponse> response = Embed({"bb", "a", "bb"});
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->embeddings_size(), 3);
  EXPECT_THAT(VectorOf(response->embeddings(0)), ElementsAre(2, 'b' / 256.0f));
  EXPECT_THAT(VectorOf(response->embeddings(1)), ElementsAre(1, 'a' / 256.0f));
  EXPECT_EQ(VectorOf(response->embeddings(2)), VectorOf(response->embeddings(0)));
  EXPECT_THAT(Sent(), ElementsAre(R"(["bb","a"])"));
  EXPECT_EQ(response->model(), "m");
  EXPECT_EQ(response->input_tokens(), 2);
  EXPECT_THAT(response->attempts(), SizeIs(1));
  EXPECT_EQ(world_.Count(Table::kPending), 0);
  EXPECT_EQ(world_.Count(Table::kAnswer), 2);
}

TEST_F(EmbedTest, OnlyTextsThatAreNotCachedAreSentAlsoAfterARestart) {
  ASSERT_TRUE(Embed({"a", "b", "c"}).ok());
  Restart();
  const StatusOr<v1::EmbedResponse> response = Embed({"c", "d", "a", "b"});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_THAT(Sent(), ElementsAre(R"(["a","b","c"])", R"(["d"])"));
  EXPECT_EQ(Cached(*response), 3);
  EXPECT_FALSE(response->embeddings(1).cache_hit());
  EXPECT_THAT(VectorOf(response->embeddings(2)), ElementsAre(1, 'a' / 256.0f));
  EXPECT_EQ(response->input_tokens(), 1);
  const StatusOr<v1::EmbedResponse> again = Embed({"d"});
  EXPECT_EQ(again->cost_nano_usd(), 0);
  EXPECT_THAT(again->attempts(), IsEmpty());
}

TEST_F(EmbedTest, BatchesEndAtTheLimitOfTextsAndOfTokens) {
  ASSERT_TRUE(Embed({"a", "b", "c", "d", "e"}).ok());
  EXPECT_THAT(Sent(), ElementsAre(R"(["a","b","c","d"])", R"(["e"])"));
  world_.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->set_embed_texts(1);
  Restart();
  ASSERT_TRUE(Embed({"h", "i"}).ok());
  EXPECT_THAT(Sent(), SizeIs(4));
  world_.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->set_embed_texts(0);
  Restart();
  // 180 bytes count as 91 tokens at most.
  ASSERT_TRUE(Embed({std::string(180, 'x'), "f", std::string(180, 'y'), "g"}).ok());
  EXPECT_THAT(Sent(), SizeIs(6));
}

TEST_F(EmbedTest, ConcurrentRequestsShareTheirTexts) {
  const auto first = Begin({"a", "b"});
  const auto second = Begin({"b", "c"});
  const auto third = Begin({"b", "a"});
  world_.RunUntil([&] { return first->done && second->done && third->done; });
  ASSERT_TRUE(second->response.ok() && third->response.ok());
  EXPECT_THAT(Sent(), ElementsAre(R"(["a","b"])", R"(["c"])"));
  EXPECT_EQ(Cached(*second->response), 1);
  EXPECT_EQ(Cached(*third->response), 2);
  EXPECT_THAT(world_.Settled(), SizeIs(2));
}

TEST_F(EmbedTest, ACachedTextWaitsForNobody) {
  ASSERT_TRUE(Embed({"a"}).ok());
  world_.provider.script.push_back(Reaction{.latency = 10s, .body = "[[1]]"});
  const auto slow = Begin({"a", "b"});
  world_.RunFor(1s);
  EXPECT_FALSE(slow->done);
  CallContext context;
  context.deadline = world_.clock.Now() + 1s;
  EXPECT_TRUE(Embed({"a"}, context).ok());
}

TEST_F(EmbedTest, ACrashBetweenTheRawAnswerAndTheSettlementPaysNothingTwice) {
  Begin({"a", "b", "c"});
  ASSERT_TRUE(world_.RunUntil([&] { return HasRawAnswer(); }));
  EXPECT_EQ(world_.Count(Table::kAnswer), 0);
  Restart();
  // Another request has one of the texts, the next one the others.
  const StatusOr<v1::EmbedResponse> response = Embed({"x", "b"});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_THAT(VectorOf(response->embeddings(1)), ElementsAre(1, 'b' / 256.0f));
  EXPECT_TRUE(response->embeddings(1).cache_hit());
  EXPECT_EQ(Cached(*Embed({"a", "b", "c"})), 3);
  EXPECT_THAT(Sent(), ElementsAre(R"(["a","b","c"])", R"(["x"])"));
  EXPECT_EQ(world_.Count(Table::kPending), 0);
  EXPECT_THAT(world_.Settled(), SizeIs(2));
}

TEST_F(EmbedTest, ACrashDuringAnAttemptAsksForItsTextsAgainAndCountsIt) {
  world_.provider.script.push_back(Reaction{.latency = 10s});
  Begin({"a", "b"});
  world_.RunFor(1s);
  Restart();
  const StatusOr<v1::EmbedResponse> response = Embed({"b"});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_THAT(Sent(), ElementsAre(R"(["a","b"])", R"(["a","b"])"));
  ASSERT_THAT(world_.Settled(), SizeIs(2));
  EXPECT_EQ(world_.Settled()[0].outcome(), v1::ATTEMPT_OUTCOME_UNKNOWN);
  EXPECT_EQ(world_.Count(Table::kPending), 0);
}

TEST_F(EmbedTest, ACrashAtAnyMomentLosesNoAnswerThatWasStored) {
  for (int moment = 0; moment < 80; ++moment) {
    const std::string name = std::to_string(moment);
    const size_t received = world_.provider.received.size();
    const int64_t answers = world_.Count(Table::kAnswer);
    Begin({"a" + name, "b" + name});
    world_.RunFor(moment * 1ms);
    const bool is_stored = HasRawAnswer() || world_.Count(Table::kAnswer) > answers;
    const size_t sent = world_.provider.received.size() - received;
    Restart();
    const StatusOr<v1::EmbedResponse> response = Embed({"b" + name});
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_THAT(VectorOf(response->embeddings(0)), ElementsAre(1 + name.size(), 'b' / 256.0f));
    EXPECT_EQ(world_.provider.received.size() - received, is_stored ? sent : sent + 1)
        << "crash after " << name << " ms";
    EXPECT_EQ(world_.Count(Table::kPending), 0);
  }
}

TEST_F(EmbedTest, AClientThatLeavesWastesNoAttempt) {
  Restart();
  CallContext context;
  context.stop = world_.NewStop();
  const auto left = Begin({"a", "b"}, context);
  ASSERT_TRUE(world_.RunUntil([&] { return !world_.provider.received.empty(); }));
  context.stop->Stop();
  world_.RunUntil([&] { return left->done; });
  EXPECT_EQ(ReasonOf(left->response.status()), Reason::kCancelled);
  const StatusOr<v1::EmbedResponse> response = Embed({"c", "a"});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_THAT(Sent(), ElementsAre(R"(["a","b"])", R"(["c"])"));
  EXPECT_EQ(Cached(*Embed({"a", "b"})), 2);
  EXPECT_EQ(world_.Count(Table::kPending), 0);
}

TEST_F(EmbedTest, ADeadlineEndsTheWaitForTextsOfAnotherRequest) {
  world_.provider.script.push_back(Reaction{.latency = 10s, .body = "[[1]]"});
  const auto first = Begin({"a"});
  world_.RunFor(10ms);
  CallContext context;
  context.deadline = world_.clock.Now() + 1s;
  EXPECT_EQ(ReasonOf(Embed({"a"}, context).status()), Reason::kDeadline);
  world_.RunUntil([&] { return first->done; });
  EXPECT_TRUE(first->response.ok());
}

TEST_F(EmbedTest, BadAnswersAreBoundedAndRecorded) {
  world_.config.mutable_models(0)->mutable_retry()->set_max_attempts(3);
  for (const char* body : {"[[1,2]]", "[[1,2],[1]]", "[[1,2],[]]"}) {
    world_.provider.received.clear();
    world_.provider.usual = [body](const HttpRequest&) { return Reaction{.body = body}; };
    const StatusOr<v1::EmbedResponse> response = Embed({"a", "b"});
    EXPECT_EQ(ReasonOf(response.status()), Reason::kBadResponse) << body;
    EXPECT_THAT(Sent(), SizeIs(3));
  }
  EXPECT_THAT(world_.Settled(), SizeIs(9));
  EXPECT_EQ(world_.Settled()[0].outcome(), v1::ATTEMPT_OUTCOME_ANSWERED_BAD);
  EXPECT_EQ(world_.Count(Table::kPending), 0);
  EXPECT_EQ(world_.Count(Table::kAnswer), 0);
  backend::EmbedRequest asked;
  asked.texts = {"a"};
  asked.dimensions = 2;
  const std::vector<std::vector<float>> endless(1, {1, std::numeric_limits<float>::infinity()});
  const std::vector<std::vector<float>> short_one(1, {1.0f});
  EXPECT_EQ(ReasonOf(JudgeVectors(endless, "stop", asked).status), Reason::kBadResponse);
  EXPECT_EQ(ReasonOf(JudgeVectors(short_one, "stop", asked).status), Reason::kBadResponse);
}

TEST_F(EmbedTest, FailuresAreRetriedAndARefusalFailsTheRequest) {
  world_.provider.script.push_back(Reaction{.status = 503, .body = ""});
  EXPECT_TRUE(Embed({"a"}).ok());
  EXPECT_THAT(Sent(), SizeIs(2));
  world_.provider.script.push_back(Reaction{.status = 400, .body = ""});
  EXPECT_EQ(ReasonOf(Embed({"b"}).status()), Reason::kRequestRefused);
  EXPECT_EQ(world_.Count(Table::kPending), 0);
  EXPECT_TRUE(Embed({"b"}).ok());
}

TEST_F(EmbedTest, ABackendThatDoesNotEmbedIsAClearError) {
  texts_max_ = 0;
  const StatusOr<v1::EmbedResponse> response = Embed({"a"});
  EXPECT_EQ(ReasonOf(response.status()), Reason::kRequestRefused);
  EXPECT_THAT(std::string(MessageOf(response.status())), HasSubstr("plain/m (backend kind `array`) does not embed"));
}

TEST_F(EmbedTest, TargetsOfDifferentModelsAreRefused) {
  v1::TargetConfig& target = *world_.config.mutable_models(0)->add_targets();
  target.set_backend("other");
  target.set_model("another");
  const StatusOr<v1::EmbedResponse> response = Embed({"a"});
  EXPECT_EQ(ReasonOf(response.status()), Reason::kInvalidField);
  EXPECT_THAT(std::string(MessageOf(response.status())), HasSubstr("can't be compared"));
  target.set_model("m");
  Restart();
  EXPECT_TRUE(Embed({"a"}).ok());
}

TEST_F(EmbedTest, WrongRequestsAreRefused) {
  EXPECT_EQ(ReasonOf(Embed({}).status()), Reason::kInvalidField);
  EXPECT_THAT(std::string(MessageOf(Embed({"a", ""}).status())), HasSubstr("texts[1]: it is empty"));
  EXPECT_EQ(ReasonOf(Embed(std::vector<std::string>(2049, "a")).status()), Reason::kInvalidField);
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(EmbedTest, MoreNumbersThanAResponseMayHaveAreRefusedBeforeAnythingIsSent) {
  const Status status = Embed(std::vector<std::string>(129, "a"), {}, 65536).status();
  EXPECT_EQ(ReasonOf(status), Reason::kInvalidField);
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("texts: at most 128 with `dimensions` 65536"));
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(EmbedTest, MoreNumbersThanAResponseMayHaveEndTheRequestWithItsFirstVector) {
  const size_t numbers = 5000;
  std::string vector = "[[0";
  for (size_t i = 1; i < numbers; ++i) vector += ",0";
  texts_max_ = 1;
  world_.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->mutable_max_concurrency()->set_slots(1);
  world_.provider.usual = [&](const HttpRequest&) { return Reaction{.body = vector + "]]"}; };
  std::vector<std::string> texts(2000, "a");
  texts[0] = "b";
  for (int time = 0; time < 2; ++time) {  // the second time, it is cached
    const Status status = Embed(texts).status();
    EXPECT_EQ(ReasonOf(status), Reason::kInvalidField) << status;
    EXPECT_THAT(std::string(MessageOf(status)),
                HasSubstr("vectors of 5000 numbers: ask for at most 1677 texts at once"));
  }
  EXPECT_THAT(Sent(), SizeIs(testing::Le(2u)));
}

TEST(VectorsTest, AnAnswerWithoutHttpKeepsItsVectors) {
  backend::Answer answer;
  answer.vectors = {{1.0f, -0.5f}, {0.1f, 3e-30f}};
  const AttemptResult result = UnpackAnswer(PackAnswer(answer));
  ASSERT_TRUE(std::holds_alternative<backend::Answer>(result));
  EXPECT_EQ(std::get<backend::Answer>(result).vectors, answer.vectors);
}

TEST(VectorsTest, AVectorIsFourBytesForEachNumber) {
  const std::vector<float> vector = {1.0f, -0.5f};
  const std::string bytes = PackVector(vector);
  EXPECT_EQ(bytes, std::string("\x00\x00\x80\x3f\x00\x00\x00\xbf", 8));
  EXPECT_EQ(UnpackVector(bytes), vector);
  EXPECT_EQ(UnpackVector(""), std::nullopt);
  EXPECT_EQ(UnpackVector("abc"), std::nullopt);
}

}  // namespace
}  // namespace millrace
