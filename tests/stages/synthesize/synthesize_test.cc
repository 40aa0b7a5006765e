#include "server/stages/synthesize/synthesize.h"

#include <gmock/gmock.h>

#include "tests/stages/barrier.h"

namespace millrace {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

// A model that gives one answer, or one error, and keeps what it was asked.
class OneAnswer final : public CallHandler {
 public:
  explicit OneAnswer(StatusOr<std::string> answer) : answer_(std::move(answer)) {}

  Task<CallOutcome> Handle(CallContext context, CallRequest request) override {
    items_.insert(items_.end(), context.item_ids.begin(), context.item_ids.end());
    asked_.push_back(std::move(request));
    CallOutcome outcome;
    outcome.status = answer_.status();
    if (answer_.ok()) outcome.text = *answer_;
    co_return outcome;
  }

  const std::vector<CallRequest>& asked() const { return asked_; }
  const std::vector<std::string>& items() const { return items_; }

 private:
  const StatusOr<std::string> answer_;
  std::vector<CallRequest> asked_;
  std::vector<std::string> items_;
};

constexpr char kItem[] = R"({"id":"a","title":"Flood","note":"kept"})";

v1::Stage Stage(const std::string& prompt, const std::string& output_schema) {
  v1::Stage stage;
  stage.set_name("story");
  stage.mutable_synthesize()->set_model("writer");
  stage.mutable_synthesize()->set_prompt(prompt);
  stage.mutable_synthesize()->set_output_schema(output_schema);
  return stage;
}

StageItem Process(const v1::Stage& definition, CallHandler& calls, bool degraded = false,
                  const v1::Pipeline& pipeline = {}) {
  const NoFiles files;
  StatusOr<StageWork> work = SynthesizeKind().make({pipeline, definition, files});
  EXPECT_TRUE(work.ok()) << work.status();
  if (!work.ok()) return {};
  SimulatedClock clock;
  Loop loop(clock);
  const std::unique_ptr<Pool> pool = MakeInlinePool(loop);
  CallingContext context{.stage = ContextOf(loop, *pool, definition), .calls = calls, .call = {}};
  ParsedItem input;
  input.item.id = "a";
  input.item.json = std::make_shared<const std::string>(kItem);
  input.item.degraded = degraded;
  input.value = *ParseJson(kItem);
  std::optional<StageItem> made;
  const auto run = [](const CallingStage& stage, CallingContext& context, ParsedItem input,
                      std::optional<StageItem>& made) -> Task<void> {
    made = co_await stage.Process(context, std::move(input));
  };
  loop.Spawn(run(WorkAs<CallingStage>(*work), context, std::move(input), made));
  loop.RunUntil([&] { return made.has_value(); });
  return made ? *std::move(made) : StageItem();
}

TEST(SynthesizeTest, APromptFileIsAskedAsItsAuthorSeesIt) {
  v1::Stage stage = Stage("", "");
  stage.mutable_synthesize()->set_prompt_file("p.txt");
  for (const char* content : {"About:\n{{title}}\n", "About:\r\n{{title}}\r\n",
                              "\xef\xbb\xbf"
                              "About:\r\n{{title}}\n"}) {
    v1::Pipeline pipeline;
    (*pipeline.mutable_files())["p.txt"] = content;
    OneAnswer calls("a story");
    Process(stage, calls, false, pipeline);
    ASSERT_EQ(calls.asked().size(), 1u);
    EXPECT_EQ(calls.asked()[0].question.messages.back().content, "About:\nFlood\n");
  }
}

TEST(SynthesizeTest, AsksOnceWithTheItemInThePromptAndKeepsTextInAnswer) {
  OneAnswer calls("It rained.");
  const StageItem made = Process(Stage("Tell of {{title}}", ""), calls);
  EXPECT_EQ(made.state, v1::ITEM_STATE_OK);
  EXPECT_EQ(made.json, R"({"id":"a","title":"Flood","note":"kept","answer":"It rained."})");
  ASSERT_EQ(calls.asked().size(), 1u);
  EXPECT_EQ(calls.asked()[0].model_alias, "writer");
  EXPECT_EQ(calls.asked()[0].question.messages.back().content, "Tell of Flood");
  EXPECT_THAT(calls.items(), ElementsAre("a"));
}

TEST(SynthesizeTest, AMemberThatNobodyAskedForReplacesNothing) {
  OneAnswer calls(R"({"story":"s","title":"T","id":"hacked","note":"gone","more":1})");
  const StageItem made = Process(
      Stage("x", R"({"type":"object","properties":{"story":{"type":"string"},"title":{"type":"string"}}})"), calls);
  EXPECT_EQ(made.json, R"({"id":"a","title":"T","note":"kept","story":"s","more":1})");
}

TEST(SynthesizeTest, AnAnswerThatIsNotAnObjectIsAField) {
  OneAnswer calls("[1,2]");
  EXPECT_EQ(Process(Stage("x", R"({"type":"array"})"), calls).json,
            R"({"id":"a","title":"Flood","note":"kept","answer":[1,2]})");
  v1::Stage named = Stage("x", R"({"type":"array"})");
  named.mutable_synthesize()->set_output_field("places");
  EXPECT_EQ(Process(named, calls).json, R"({"id":"a","title":"Flood","note":"kept","places":[1,2]})");
}

TEST(SynthesizeTest, AFallbackMakesADegradedItemWithTheReason) {
  OneAnswer calls(MakeError(Reason::kRefusal, "no"));
  EXPECT_EQ(Process(Stage("x", ""), calls).state, v1::ITEM_STATE_FAILED);
  v1::Stage stage = Stage("x", "");
  v1::SetField& set = *stage.mutable_synthesize()->mutable_fallback()->add_rules()->mutable_set();
  set.set_field("answer");
  set.set_value(R"("none")");
  const StageItem made = Process(stage, calls);
  EXPECT_EQ(made.state, v1::ITEM_STATE_DEGRADED);
  EXPECT_EQ(made.reason, v1::ERROR_REASON_REFUSAL);
  EXPECT_THAT(made.json, HasSubstr(R"("answer":"none")"));
}

TEST(SynthesizeTest, WhatIsMadeOfADegradedItemIsDegradedForNoReasonOfItsOwn) {
  OneAnswer calls("It rained.");
  const StageItem made = Process(Stage("x", ""), calls, true);
  EXPECT_EQ(made.state, v1::ITEM_STATE_DEGRADED);
  EXPECT_EQ(made.reason, v1::ERROR_REASON_UNSPECIFIED);
}

TEST(SynthesizeTest, TellsAllThatIsWrongOfADefinition) {
  v1::Stage stage = Stage("{{#a}}{{b", R"({"type":"objekt"})");
  stage.mutable_synthesize()->set_system("{{");
  const v1::Pipeline pipeline;
  const NoFiles files;
  const Status status = SynthesizeKind().make({pipeline, stage, files}).status();
  std::vector<std::string> fields;
  for (const FieldViolation& violation : ViolationsOf(status)) fields.push_back(violation.field);
  EXPECT_THAT(fields, UnorderedElementsAre("synthesize.system", "synthesize.prompt", "synthesize.output_schema"));
}

}  // namespace
}  // namespace millrace
