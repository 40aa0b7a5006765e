// A kind of stage that this file alone makes: a class, a StageKind, and one line that adds it. A new kind of the
// product has one part more, a member of Stage.kind with its message. Here `merge` stands in for that member: the toy
// kinds leave it free, and its `keep` names the models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/stages/stage_work.h"
#include "tests/engine/world.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Asks its models in turn about the text of an item.
class Panel final : public CallingStage {
 public:
  explicit Panel(std::vector<std::string> models) : models_(std::move(models)) {}

  Task<StageItem> Process(CallingContext& context, ParsedItem item) const override {
    json::object& object = item.value.as_object();
    const std::string& model = models_[static_cast<size_t>(item.item.ordinal) % models_.size()];
    CallRequest request;
    request.model_alias = model;
    request.question.messages.push_back({"user", model + ": " + std::string(object.at("text").as_string())});
    CallContext call = context.call;
    CallOutcome outcome = co_await context.calls.Handle(std::move(call), std::move(request));
    StageItem made;
    made.stopped = outcome.stopped;
    object["opinion"] = outcome.text;
    made.json = json::serialize(object);
    made.call_keys = std::move(outcome.call_keys);
    made.totals = outcome.totals;
    made.settlement = std::move(outcome.settlement);
    co_return made;
  }

 private:
  const std::vector<std::string> models_;
};

std::vector<std::string> ModelsOf(const v1::Stage& stage) {
  std::vector<std::string> models;
  for (const v1::GroupField& field : stage.merge().keep()) models.push_back(field.field());
  return models;
}

StageKind PanelKind() {
  StageKind kind;
  kind.name = "merge";
  kind.shape = StageShape::kCalling;
  kind.make = [](const StageDefinition& definition) -> StatusOr<StageWork> {
    return std::make_unique<Panel>(ModelsOf(definition.stage));
  };
  kind.models = ModelsOf;
  return kind;
}

v1::Pipeline PanelOf(const std::vector<std::string>& models) {
  v1::Pipeline pipeline = MakePipeline({"in:fetch", "panel:prepare:in", "out:store:panel"});
  v1::Merge& merge = *StageOf(pipeline, "panel").mutable_merge();
  for (const std::string& model : models) merge.add_keep()->set_field(model);
  return pipeline;
}

TEST(OwnKindTest, RunsLikeAnyOther) {
  World world;
  world.kinds.Add(PanelKind());
  const v1::Run run = world.Wait(world.Create(PanelOf({"anna", "ben"}), MakeItems(3)).name());
  EXPECT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_EQ(world.Stage(run, "panel").kind(), "merge");
  EXPECT_EQ(world.Stage(run, "panel").calls(), 3);
  std::vector<std::string> opinions;
  for (const v1::Item& item : world.Items(run.name(), "panel")) {
    opinions.push_back(std::string(ParseJson(item.json())->at("opinion").as_string()));
  }
  EXPECT_THAT(opinions, ElementsAre("BEN: TEXT A0", "ANNA: TEXT A1", "BEN: TEXT A2"));
  EXPECT_THAT(world.outside.sink, ElementsAre(ElementsAre("a0", "a1", "a2")));
  // The run is not in memory any more: its plan is made of the shapes of its kinds.
  EXPECT_THAT(world.States(run.name(), "panel"), ElementsAre("a0=OK", "a1=OK", "a2=OK"));
}

TEST(OwnKindTest, EveryModelIsPartOfItsMemoKeys) {
  World world;
  world.kinds.Add(PanelKind());
  const auto reused = [&] {
    const v1::Run run = world.Wait(world.Create(PanelOf({"anna", "ben"}), MakeItems(4)).name());
    return world.Stage(run, "panel").reused();
  };
  EXPECT_EQ(reused(), 0);
  EXPECT_EQ(reused(), 4);
  world.outside.changed.insert("ben");
  EXPECT_EQ(reused(), 0);
}

TEST(OwnKindTest, AModelThatIsNotConfiguredIsRefused) {
  World world;
  world.kinds.Add(PanelKind());
  v1::CreateRunRequest request;
  *request.mutable_definition() = PanelOf({"anna", "nobody"});
  const Status status = world.Do(world.engine->runs().CreateRun({}, std::move(request))).status();
  EXPECT_EQ(ReasonOf(status), Reason::kModelNotFound);
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("stage `panel`"));
  EXPECT_THAT(world.outside.sink, IsEmpty());
}

TEST(OwnKindTest, AKindThatMakesAnotherShapeThanItSaysIsRefused) {
  World world;
  StageKind kind = PanelKind();
  kind.shape = StageShape::kBarrier;
  world.kinds.Add(std::move(kind));
  v1::CreateRunRequest request;
  *request.mutable_definition() = PanelOf({"anna"});
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().CreateRun({}, std::move(request))).status()), Reason::kInternal);
}

}  // namespace
}  // namespace millrace
