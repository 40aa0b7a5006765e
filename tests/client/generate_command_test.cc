// `millrace generate --stream` against a server that answers as the test says.
#include <gmock/gmock.h>

#include "client/cli/output.h"
#include "tests/api/served.h"
#include "tests/client/whole_command.h"

namespace millrace::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class GenerateCommandTest : public testing::Test {
 protected:
  // Streams parts (`<` for a restart) and then the answer.
  Ended Stream(std::vector<std::string> parts, StatusOr<v1::GenerateResponse> answer,
               std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"generate", "m", "question", "--stream", "--server", served_.target()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    served_.on.Do([&] {
      served_.on.apis.parts = std::move(parts);
      served_.on.apis.answer = std::move(answer);
    });
    return RunWhole(std::move(arguments));
  }
  static v1::GenerateResponse Answer(const std::string& text) {
    v1::GenerateResponse answer;
    answer.set_text(text);
    answer.set_backend("b");
    answer.set_model("m-1");
    return answer;
  }

  Served served_;
};

TEST_F(GenerateCommandTest, TheTextIsPrintedOnceWithoutItsControlCharacters) {
  const Ended ended = Stream({"one\ntw", "o \x1b[2J"}, Answer("one\ntwo \x1b[2J three"));
  EXPECT_EQ(ended.exit, kDone) << ended.err;
  EXPECT_EQ(ended.out, "one\ntwo \\x1b[2J three\n");
  EXPECT_THAT(ended.err, HasSubstr("b/m-1, 0 + 0 tokens"));
}

TEST_F(GenerateCommandTest, ARememberedAnswerIsPrintedWhole) {
  EXPECT_EQ(Stream({}, Answer("whole\n")).out, "whole\n");
}

TEST_F(GenerateCommandTest, ARestartIsSaidOnStandardError) {
  const Ended ended = Stream({"one", "<", "uno"}, Answer("uno due"));
  EXPECT_EQ(ended.out, "one\nuno due\n");
  EXPECT_THAT(ended.err, HasSubstr("millrace: the answer begins again\n"));
}

TEST_F(GenerateCommandTest, AnAnswerThatDiffersFromItsTextIsPrintedAfterIt) {
  const Ended ended = Stream({"Here: {}"}, Answer("{}"));
  EXPECT_EQ(ended.out, "Here: {}\n{}\n");
  EXPECT_THAT(ended.err, HasSubstr("the answer is not the text so far, but:"));
}

TEST_F(GenerateCommandTest, AnErrorAfterTextStandsOnALineOfItsOwn) {
  const Ended ended = Stream({"one"}, MakeError(Reason::kRefusal, "no"));
  EXPECT_EQ(ended.exit, kRunFailed);
  EXPECT_EQ(ended.out, "one\n");
  EXPECT_THAT(ended.err, HasSubstr("millrace: no"));
}

TEST_F(GenerateCommandTest, AFailureIsFollowedByWhatItsCallerCanDo) {
  EXPECT_THAT(Stream({}, MakeError(Reason::kTruncated, "cut")).err,
              HasSubstr("millrace: cut (TRUNCATED)\n  allow a longer answer by --max-tokens\n"));
  EXPECT_THAT(Stream({}, MakeError(Reason::kTargetFailed, "refused")).err, HasSubstr("  `millrace backends` shows"));
  const Ended ended = Stream({}, MakeError(Reason::kProviderCredentials, "cloud/m: HTTP 401; correct the key"));
  EXPECT_THAT(ended.err, testing::EndsWith("correct the key (PROVIDER_CREDENTIALS)\n")) << "the server said it";
}

TEST_F(GenerateCommandTest, JsonHasALineForEachEvent) {
  const Ended ended = Stream({"one"}, Answer("one"), {"--format", "json"});
  EXPECT_THAT(ended.out, StartsWith("{\"delta\":\"one\"}\n{\"answer\":{\"text\":\"one\""));
  EXPECT_THAT(ended.err, Not(HasSubstr("tokens")));
}

}  // namespace
}  // namespace millrace::cli
