#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/ollama/context.h"
#include "backends/ollama/options.h"
#include "tests/backends/ollama_support.h"

namespace millrace::backend {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

SendHttp Sent(const v1::OllamaBackend& config, const Question& question) {
  return std::get<SendHttp>(MakeOllamaBackend(config)->Start(question, 1)->Next(Resume()));
}

std::vector<std::string> Violations(const std::string& options, const std::string& unchecked = "") {
  v1::OllamaBackend config;
  config.set_options(options);
  config.set_options_unchecked(unchecked);
  std::vector<FieldViolation> violations;
  ollama::CheckOptions(config, violations);
  std::vector<std::string> texts;
  for (const FieldViolation& violation : violations) texts.push_back(violation.field + ": " + violation.description);
  return texts;
}

TEST(OllamaQuestionTest, AChatIsARequestOfTheProtocol) {
  const SendHttp sent = Sent(OllamaConfig(), OllamaRequest());
  EXPECT_EQ(sent.method, "POST");
  EXPECT_EQ(sent.url, "http://127.0.0.1:11434/api/chat");
  EXPECT_TRUE(sent.billable);
  EXPECT_TRUE(std::holds_alternative<NoAuth>(sent.auth));
  EXPECT_EQ(sent.body,
            R"({"model":"tiny","messages":[{"role":"system","content":"Be short."},)"
            R"({"role":"user","content":"Say \"hi\"."}],"stream":true,"think":false,"truncate":false,"shift":false,)"
            R"("options":{"num_ctx":4096,"num_predict":64}})");
}

TEST(OllamaQuestionTest, BoundsThatNoGrammarCanHaveAreLoosened) {
  Request request = OllamaRequest();
  request.output_schema =
      R"({"type":"object","properties":{"maxLength":{"type":"string","minLength":3000},)"
      R"("b":{"items":{"maxLength":2000,"minLength":1},"maxItems":2001},"c":{"const":{"maxItems":5000}}}})";
  EXPECT_THAT(Sent(OllamaConfig(), request).body,
              HasSubstr(R"("format":{"type":"object","properties":{"maxLength":{"type":"string","minLength":2000},)"
                        R"("b":{"items":{"maxLength":2000,"minLength":1}},"c":{"const":{"maxItems":5000}}}})"));
}

TEST(OllamaQuestionTest, TheConfigurationIsSent) {
  v1::OllamaBackend config = OllamaConfig();
  config.mutable_api_key()->set_env("KEY");
  config.set_options(R"({"num_gpu":20,"temperature":0.5,"stop":["a"],"num_predict":32,"f16_kv":true,"num_ctx":8192})");
  config.set_options_unchecked(R"({"new_one":{"a":[1]}})");
  config.set_keep_alive("10m");
  config.set_think("high");
  Request request = OllamaRequest();
  request.output_schema = R"({"type":"object","properties":{"b":{},"a":{}}})";
  request.temperature = 0;
  request.top_p = 0.5;
  request.seed = 9007199254740993;
  const SendHttp sent = Sent(config, request);
  EXPECT_THAT(sent.body,
              HasSubstr(R"("think":"high","truncate":false,"shift":false,)"
                        R"("format":{"type":"object","properties":{"b":{},"a":{}}},"options":{"num_gpu":20,)"
                        R"("temperature":0E0,"stop":["a"],"new_one":{"a":[1]},"num_ctx":8192,"num_predict":32,)"
                        R"("top_p":5E-1,"seed":9007199254740993},"keep_alive":"10m"})"));
  EXPECT_EQ(std::get<HeaderAuth>(sent.auth).header, "Authorization");
  EXPECT_EQ(std::get<HeaderAuth>(sent.auth).scheme, "Bearer ");
  EXPECT_EQ(Sent(config, request).body, sent.body) << "equal questions give equal bytes";
  config.set_keep_alive("-1");
  config.set_think("true");
  config.set_options(R"({"num_predict":-1})");
  EXPECT_THAT(Sent(config, request).body,
              testing::AllOf(HasSubstr(R"("keep_alive":-1)"), HasSubstr(R"("think":true)"),
                             HasSubstr(R"("num_predict":64)"), HasSubstr(R"("num_ctx":4096)")));
}

TEST(OllamaQuestionTest, EmbeddingsAreARequestOfTheProtocol) {
  const SendHttp sent = Sent(OllamaConfig(), EmbedRequest{.model = "tiny", .texts = {"a", "b c"}, .dimensions = 16});
  EXPECT_EQ(sent.url, "http://127.0.0.1:11434/api/embed");
  EXPECT_EQ(sent.body,
            R"({"model":"tiny","input":["a","b c"],"truncate":false,"dimensions":16,"options":{"num_ctx":4096}})");
}

TEST(OllamaQuestionTest, TheContextGrowsWithThePromptAndNeverShrinks) {
  const std::unique_ptr<Backend> backend = MakeOllamaBackend(OllamaConfig());
  const auto context = [&](size_t bytes, std::string model = "tiny") {
    Request request = OllamaRequest(std::string(bytes, 'x'));
    request.model = std::move(model);
    const SendHttp sent = std::get<SendHttp>(backend->Start(request, 1)->Next(Resume()));
    return sent.body.substr(sent.body.find("\"num_ctx\""));
  };
  EXPECT_THAT(context(100), HasSubstr("\"num_ctx\":4096,"));
  EXPECT_THAT(context(15'000), HasSubstr("\"num_ctx\":8192,"));
  EXPECT_THAT(context(100), HasSubstr("\"num_ctx\":8192,")) << "a smaller one would load the model again";
  EXPECT_THAT(context(100, "other"), HasSubstr("\"num_ctx\":4096,"));
  EXPECT_THAT(context(1'000'000), HasSubstr("\"num_ctx\":32768,")) << "the server itself may know that it fits";
}

TEST(OllamaQuestionTest, APromptThatCannotFitIsNotSent) {
  std::string text;
  for (int i = 0; i < 32'768; ++i) text += "word ";
  Action action = MakeOllamaBackend(OllamaConfig())->Start(OllamaRequest(text), 1)->Next(Resume());
  ASSERT_TRUE(std::holds_alternative<Fail>(action));
  EXPECT_EQ(std::get<Fail>(action).failure.outcome, Outcome::kRefused);
  EXPECT_EQ(std::get<Fail>(action).failure.reason, Reason::kPromptTooLong);
  EXPECT_EQ(std::get<Fail>(action).failure.message,
            "the prompt has at least 32770 tokens, and `num_ctx_max` is 32768; raise it or shorten the prompt");
}

TEST(OllamaQuestionTest, BoundsOfTokensHoldForKnownTokenizers) {
  // 44 bytes, 9 words; 10 tokens in most tokenizers.
  const std::string_view english = "The quick brown fox jumps over the lazy dog.";
  EXPECT_EQ(ollama::TokensAtLeast(english), 9);
  EXPECT_EQ(ollama::TokensAtMost(english), 18);
  EXPECT_EQ(ollama::TokensAtLeast(""), 0);
  EXPECT_EQ(ollama::TokensAtLeast(" \t\r\n"), 0);
  EXPECT_EQ(ollama::TokensAtMost(""), 0);
  std::string chinese;
  for (int i = 0; i < 16; ++i) chinese += "\xe4\xb8\xad";
  EXPECT_EQ(ollama::TokensAtLeast(chinese), 3);
  EXPECT_EQ(ollama::TokensAtMost(chinese), 32);
  Request request;
  request.messages = {{"assistant", "<think>one two three</think>four"}, {"user", "five"}};
  EXPECT_EQ(ollama::PromptTokensAtLeast(request), 1) << "the server leaves thoughts out";
  EXPECT_EQ(ollama::ContextFor(4096), 4096);
  EXPECT_EQ(ollama::ContextFor(4097), 8192);
}

TEST(OllamaOptionsTest, WrongOptionsAreRefusedWithARemedy) {
  EXPECT_THAT(Violations(R"({"num_ctx":4096,"temperature":1,"use_mmap":false,"stop":[],"num_gpu":-1,"f16_kv":true})"),
              IsEmpty());
  EXPECT_THAT(Violations(""), IsEmpty());
  EXPECT_THAT(Violations("[1]"), ElementsAre("options: expected a mapping of names to values"));
  EXPECT_THAT(Violations(R"({"num_ctxx":1})"),
              ElementsAre("options.num_ctxx: unknown option; did you mean \"num_ctx\"?; to send it anyway, write it "
                          "under options_unchecked"));
  EXPECT_THAT(Violations(R"({"keep_alive":"5m"})"),
              ElementsAre("options.keep_alive: is not an option of a model; write `keep_alive` beside `options`"));
  EXPECT_THAT(
      Violations(
          R"({"num_ctx":"4096","top_k":1.5,"use_mmap":1,"stop":["a",1],"num_batch":0,"seed":1e300,"top_p":true})"),
      ElementsAre("options.num_ctx: expected a whole number", "options.top_k: expected a whole number",
                  "options.use_mmap: expected true or false", "options.stop: expected a list of texts",
                  "options.num_batch: expected a whole number from 1 to 2147483647",
                  "options.seed: expected a whole number of 32 bits", "options.top_p: expected a number"));
  EXPECT_THAT(Violations("", R"({"num_gpu":1,"x":null})"),
              ElementsAre("options_unchecked.num_gpu: is known; write it under options, where its value is checked"));
}

TEST(OllamaOptionsTest, RemovedAndReloadingOptionsGiveOneWarningEach) {
  v1::OllamaBackend config;
  config.set_options(R"({"f16_kv":true,"low_vram":true,"num_thread":4,"num_batch":256,"repeat_penalty":1.1})");
  const ollama::Options options = ollama::ReadOptions(config);
  ASSERT_EQ(options.warnings.size(), 3u);
  EXPECT_THAT(options.warnings[0], testing::AllOf(HasSubstr("`f16_kv`"), HasSubstr("OLLAMA_KV_CACHE_TYPE")));
  EXPECT_THAT(options.warnings[1], testing::AllOf(HasSubstr("`low_vram`"), HasSubstr("`num_gpu`")));
  EXPECT_THAT(options.warnings[2], HasSubstr("another value of `num_thread`, `num_batch`;"));
  EXPECT_THAT(boost::json::serialize(options.sent), Not(HasSubstr("f16_kv")));
}

TEST(OllamaOptionsTest, OnlyOptionsThatChangeAnswersArePartOfTheKey) {
  v1::OllamaBackend config;
  config.set_options(R"({"top_p":0.90,"num_gpu":1,"num_thread":2,"min_p":1})");
  config.set_options_unchecked(R"({"a":2})");
  EXPECT_EQ(ollama::ReadOptions(config).for_key, R"({"a":2,"min_p":1,"top_p":0.9})");
  config.set_options(R"({"num_gpu":2})");
  config.clear_options_unchecked();
  EXPECT_EQ(ollama::ReadOptions(config).for_key, "");
}

}  // namespace
}  // namespace millrace::backend
