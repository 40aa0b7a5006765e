// Feeds decoders of what comes from outside with mutated bytes: an exchange of each backend in each form of its
// responses, and the search for JSON in answers. Whatever comes, a decoder ends, in a state that its header names, and
// it does not matter in which pieces the bytes come. `make test` runs a fixed number of rounds;
// `MILLRACE_FUZZ_MINUTES=10 build/tests/fuzz/fuzz_test` makes each test run for so long, with other bytes in each
// round.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "server/base/json.h"
#include "server/text/faulty_fields.h"
#include "server/text/salvage.h"
#include "server/text/schema.h"
#include "tests/contract/dialect.h"
#include "tests/contract/drive.h"
#include "tests/fuzz/mutate.h"

namespace millrace {
namespace {

using std::string_view_literals::operator""sv;

constexpr uint64_t kRounds = 10'000;

// Calls `round` with sources of chance that repeat from one run of the program to the next.
void Repeat(const std::function<void(Random& random)>& round) {
  const char* minutes = std::getenv("MILLRACE_FUZZ_MINUTES");
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(minutes == nullptr ? 0 : std::atoi(minutes));
  uint64_t rounds = 0;
  while (rounds < kRounds || std::chrono::steady_clock::now() < end) {
    SCOPED_TRACE("round " + std::to_string(rounds));
    Random random(rounds++);
    round(random);
    if (testing::Test::HasFailure()) return;
  }
  testing::Test::RecordProperty("rounds", std::to_string(rounds));
}

const std::vector<std::string_view> kJsonTokens = {"\r\n"sv,
                                                   "\n\n"sv,
                                                   "\0"sv,
                                                   "\xff"sv,
                                                   "\xef\xbb\xbf"sv,
                                                   "\\ud83d"sv,
                                                   "{"sv,
                                                   "}"sv,
                                                   "["sv,
                                                   "]"sv,
                                                   "\""sv,
                                                   ","sv,
                                                   ":"sv,
                                                   "null"sv,
                                                   "1e999"sv,
                                                   "-1"sv,
                                                   "data: "sv,
                                                   "event: x"sv,
                                                   "[DONE]"sv,
                                                   "<think>"sv,
                                                   "</think>"sv,
                                                   "```"sv,
                                                   "```json"sv,
                                                   "error"sv,
                                                   "\x00\x00\x00"sv,
                                                   "stop"sv,
                                                   "length"sv,
                                                   "choices"sv,
                                                   "\"done\":true"sv,
                                                   "messageStop"sv};

class ExchangeFuzzTest : public testing::TestWithParam<backend::NamedDialect> {};

// Returns responses of the dialect, good and bad ones.
std::vector<backend::Response> ResponsesOf(const backend::Dialect& dialect) {
  using backend::Ending;
  std::vector<backend::Response> responses;
  const auto add = [&responses](std::optional<backend::Response> response) {
    if (response) responses.push_back(*std::move(response));
  };
  for (const Ending ending : {Ending::kStop, Ending::kLength, Ending::kContentFilter, Ending::kRefusal}) {
    add(dialect.Say({.pieces = {"hel", "lo ", "w\\u00f6rld \\ud83d\\ude00"}, .ending = ending, .more = {}}));
  }
  add(dialect.FailInside());
  add(dialect.Refuse(429));
  add(dialect.Refuse(400));
  return responses;
}

TEST_P(ExchangeFuzzTest, EndsAlikeInWhateverPiecesTheBytesCome) {
  const std::unique_ptr<backend::Dialect> dialect = GetParam().make();
  const std::unique_ptr<backend::Backend> backend = dialect->MakeBackend("http://provider:80");
  const std::vector<backend::Response> responses = ResponsesOf(*dialect);
  ASSERT_FALSE(responses.empty());
  std::vector<std::string> bodies;
  for (const backend::Response& response : responses) bodies.push_back(response.body);

  backend::Request request;
  request.model = dialect->model();
  request.messages = {{"user", "hello"}};
  request.wants_deltas = true;
  int answered = 0;
  int failed = 0;
  Repeat([&](Random& random) {
    backend::Response response = responses[random.Below(responses.size())];
    response.body = Mutated(bodies, kJsonTokens, random);
    const auto read = [&](size_t piece) {
      const std::unique_ptr<backend::Exchange> exchange = backend->Start(request, 1);
      backend::RequestOf(*exchange);
      return backend::Drive(*exchange, response, piece);
    };
    const backend::Ended at_once = read(response.body.size() + 1);
    const backend::Ended in_pieces = read(1 + random.Below(40));
    EXPECT_EQ(backend::Shown(at_once.action), backend::Shown(in_pieces.action)) << response.body;
    ++(std::holds_alternative<backend::Done>(at_once.action) ? answered : failed);
  });
  EXPECT_GT(answered, 0);
  EXPECT_GT(failed, 0);
}

INSTANTIATE_TEST_SUITE_P(AllDialects, ExchangeFuzzTest, testing::ValuesIn(backend::Dialects()),
                         [](const auto& info) { return info.param.name; });

constexpr char kSchema[] =
    R"({"type":"object","properties":{"name":{"type":"string","minLength":1},"year":{"type":"integer"},)"
    R"("tags":{"type":"array","items":{"type":"string"}}},"required":["name","year"],"additionalProperties":false})";

const std::vector<std::string> kAnswers = {
    R"({"name": "Ulm", "year": 854, "tags": ["a", "b"]})",
    "<think>{\"name\": 1}</think>Sure:\n```json\n{\"name\": \"Ulm\", \"year\": 854}\n```\nOr not?",
    R"(The answer is {"name": "Ulm", "year": "long ago"} or [1, {"year": 2}].)",
    R"({"name": "Ulm"})",
};

TEST(AnswerFuzzTest, JsonThatIsFoundFits) {
  const StatusOr<Schema> schema = Schema::Parse(kSchema);
  ASSERT_TRUE(schema.ok());
  int found = 0;
  Repeat([&](Random& random) {
    const StatusOr<std::string> fitting = FittingJson(Mutated(kAnswers, kJsonTokens, random), *schema);
    if (!fitting.ok()) return;
    ++found;
    EXPECT_TRUE(schema->Check(*ParseExact(*fitting)).ok()) << *fitting;
  });
  EXPECT_GT(found, 0);
}

TEST(AnswerFuzzTest, FaultyFieldsAreThoseThatSpoilTheAnswer) {
  const StatusOr<Schema> schema = Schema::Parse(kSchema);
  ASSERT_TRUE(schema.ok());
  int found = 0;
  Repeat([&](Random& random) {
    const std::optional<FaultyFields> faulty = FindFaultyFields(Mutated(kAnswers, kJsonTokens, random), kSchema);
    if (!faulty) return;
    ++found;
    const StatusOr<Schema> part = Schema::Parse(faulty->schema);
    ASSERT_TRUE(part.ok()) << faulty->schema;
    // Good values for all fields that may be asked for, of which the part takes its own.
    json::object good;
    const json::value asked = *ParseJson(faulty->schema);
    for (const auto& property : asked.at("properties").as_object()) {
      if (property.key() == "name") good["name"] = "Ulm";
      if (property.key() == "year") good["year"] = 854;
      if (property.key() == "tags") good["tags"] = json::array();
    }
    EXPECT_TRUE(part->Check(good).ok()) << faulty->schema;
    const StatusOr<std::string> whole = WithFields(faulty->answer, json::serialize(good));
    ASSERT_TRUE(whole.ok());
    EXPECT_TRUE(schema->Check(*ParseExact(*whole)).ok()) << *whole << " " << faulty->faults;
  });
  EXPECT_GT(found, 0);
}

}  // namespace
}  // namespace millrace
