#include "server/config/binding.h"

#include <gmock/gmock.h>

#include "tests/config/support.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

v1::ParameterValue Text(std::string text) {
  v1::ParameterValue value;
  value.set_string(std::move(text));
  return value;
}

v1::ParameterValue Int(int64_t number) {
  v1::ParameterValue value;
  value.set_int_(number);
  return value;
}

v1::Pipeline Pipeline(std::string_view text) {
  const StatusOr<PipelineFile> file = ReadTestPipeline(text);
  EXPECT_THAT(Problems(file.status()), IsEmpty());
  return file.ok() ? file->pipeline : v1::Pipeline();
}

TEST(BindParametersTest, PutsDefaultsAndValuesInTheirFields) {
  const v1::Pipeline pipeline = Pipeline(ReadFile("tests/config/data/news.yaml"));
  const StatusOr<BoundPipeline> bound = BindParameters(
      pipeline, TestStages(), {{"input", Text("x y.csv")}, {"min_titles", Int(5)}, {"window", Text("36h")}});
  ASSERT_TRUE(bound.ok()) << bound.status();
  EXPECT_EQ(bound->pipeline.bindings_size(), 0);
  EXPECT_EQ(bound->pipeline.stages(0).fetch().csv().path(), "x y.csv");
  EXPECT_EQ(bound->pipeline.stages(2).cluster().time_window().seconds(), 36 * 3600);
  EXPECT_EQ(bound->pipeline.stages(2).cluster().passes(0).threshold(), 0.35);
  EXPECT_EQ(bound->pipeline.stages(2).cluster().passes(0).min_size(), 5);
  EXPECT_EQ(bound->pipeline.stages(3).when().compare().at_least(), 5);
  EXPECT_EQ(bound->pipeline.stages(4).store().sqlite().path(), "out.db");
  EXPECT_EQ(bound->parameters.size(), 6u);
  EXPECT_EQ(bound->parameters.at("min_titles").int_(), 5);
  EXPECT_EQ(bound->parameters.at("thorough").bool_(), false);
}

TEST(BindParametersTest, RefusesTwoStoresThatWouldWriteTheSameFile) {
  const v1::Pipeline pipeline = Pipeline(R"(name: p
parameters: {one: a.jsonl, two: b.jsonl}
stages:
- {name: a, fetch: {inline: {}}}
- {name: b, needs: [a], store: {jsonl: {path: $(one)}}}
- {name: c, needs: [a], store: {jsonl: {path: $(two)}}}
)");
  EXPECT_TRUE(BindParameters(pipeline, TestStages(), ParameterValues()).ok());
  const StatusOr<BoundPipeline> bound = BindParameters(pipeline, TestStages(), {{"two", Text("./a.jsonl")}});
  EXPECT_EQ(ReasonOf(bound.status()), Reason::kInvalidField);
  EXPECT_THAT(Problems(bound.status()),
              ElementsAre("stages[2].store.jsonl.path: the stages \"b\" and \"c\" would both write ./a.jsonl"));
}

TEST(BindParametersTest, RefusesAStoreThatWouldWriteAFileThatIsRead) {
  const v1::Pipeline pipeline = Pipeline(R"(name: p
parameters: {one: {string: {}}, two: {string: {}}}
stages:
- {name: a, fetch: {csv: {path: $(one)}}}
- {name: b, needs: [a], store: {jsonl: {path: $(two)}}}
)");
  EXPECT_TRUE(BindParameters(pipeline, TestStages(), {{"one", Text("x")}, {"two", Text("y")}}).ok());
  EXPECT_THAT(
      Problems(BindParameters(pipeline, TestStages(), {{"one", Text("in/../x")}, {"two", Text("./x")}}).status()),
      ElementsAre("stages[1].store.jsonl.path: the stage \"b\" would overwrite ./x: the stage \"a\" reads it"));
}

TEST(BindParametersTest, APathThatIsNotReadNeedNotBeGiven) {
  const v1::Pipeline pipeline = Pipeline(R"(name: p
parameters: {one: {string: {pattern: '.+[.]csv'}}, two: {string: {}}, both: {string: {}}, n: {int: {}}}
stages:
- {name: a, fetch: {csv: {path: $(one), id_column: $(both)}}}
- {name: b, fetch: {jsonl: {path: $(two)}}}
- {name: c, fetch: {csv: {path: '$(n)$(both)'}}}
)");
  const auto missing = [&](const std::set<std::string>& client_inputs, const ParameterValues& values) {
    return Problems(BindParameters(pipeline, TestStages(), values, client_inputs).status());
  };
  const auto must = [](std::string name) { return "parameters." + name + ": must be given; it has no default"; };
  EXPECT_THAT(missing({}, {}), ElementsAre(must("both"), must("n"), must("one"), must("two")));
  EXPECT_THAT(missing({"a"}, {}), ElementsAre(must("both"), must("n"), must("two")));
  EXPECT_THAT(missing({"b", "absent"}, {}), ElementsAre(must("both"), must("n"), must("one")));
  // `both` names a column that is read, and `n` is not text.
  EXPECT_THAT(missing({"a", "b", "c"}, {}), ElementsAre(must("both"), must("n")));

  const StatusOr<BoundPipeline> bound = BindParameters(
      pipeline, TestStages(), {{"both", Text("id")}, {"n", Int(1)}, {"two", Text("t")}}, {"a", "b", "c"});
  ASSERT_TRUE(bound.ok()) << bound.status();
  EXPECT_EQ(bound->pipeline.stages(0).fetch().csv().path(), "-");
  EXPECT_EQ(bound->pipeline.stages(1).fetch().jsonl().path(), "t");
  EXPECT_EQ(bound->pipeline.stages(2).fetch().csv().path(), "1id");
  EXPECT_EQ(bound->parameters.at("one").string(), "-");
}

TEST(BindParametersTest, FillsTheDefaultsOfAbsentFields) {
  const StatusOr<BoundPipeline> bound =
      BindParameters(Pipeline(ReadFile("tests/config/data/news.yaml")), TestStages(), ParameterValues());
  ASSERT_TRUE(bound.ok()) << bound.status();
  EXPECT_EQ(bound->pipeline.stages(0).concurrency(), 1000);
  EXPECT_EQ(bound->pipeline.stages(0).fetch().csv().delimiter(), ",");
  EXPECT_EQ(bound->pipeline.stages(1).max_failures().share(), 1);
  EXPECT_EQ(bound->pipeline.stages(2).cluster().max_memory(), int64_t{1} << 30);
  EXPECT_EQ(bound->pipeline.stages(2).cluster().passes(1).min_size(), 2);
  EXPECT_EQ(bound->pipeline.stages(2).cluster().singletons(), v1::SINGLETONS_DROP);
  EXPECT_EQ(bound->pipeline.stages(3).synthesize().repairs(), 1);
  EXPECT_EQ(bound->pipeline.stages(3).synthesize().max_tokens(), 1024);
  EXPECT_FALSE(bound->pipeline.stages(0).has_expect());
}

TEST(BindParametersTest, ReadsTextAsTheParametersType) {
  const v1::Pipeline pipeline = Pipeline(ReadFile("tests/config/data/news.yaml"));
  const StatusOr<BoundPipeline> bound = BindParameters(
      pipeline, TestStages(), {{"min_titles", Text("7")}, {"threshold", Text("40%")}, {"thorough", Text("true")}});
  ASSERT_TRUE(bound.ok()) << bound.status();
  EXPECT_EQ(bound->parameters.at("min_titles").int_(), 7);
  EXPECT_EQ(bound->parameters.at("threshold").float_(), 0.4);
  EXPECT_TRUE(bound->parameters.at("thorough").bool_());
}

TEST(BindParametersTest, ReportsEveryWrongValue) {
  const v1::Pipeline pipeline = Pipeline(ReadFile("tests/config/data/news.yaml"));
  v1::Pipeline without_default = pipeline;
  (*without_default.mutable_parameters())["input"].mutable_string()->clear_default_();
  const Status status = BindParameters(without_default, TestStages(),
                                       {{"imput", Text("x")},
                                        {"min_titles", Int(0)},
                                        {"output", Text("out.sqlite")},
                                        {"threshold", Text("high")},
                                        {"thorough", Int(1)}})
                            .status();
  EXPECT_EQ(ReasonOf(status), Reason::kInvalidField);
  EXPECT_THAT(Problems(status), ElementsAre("parameters.imput: unknown parameter; did you mean \"input\"?",
                                            "parameters.input: must be given; it has no default",
                                            "parameters.min_titles: must be at least 1, got 0",
                                            "parameters.output: must match .+\\.db, got \"out.sqlite\"",
                                            "parameters.thorough: expected true or false, got \"1\"",
                                            "parameters.threshold: expected a number, got text \"high\""));
}

TEST(BindParametersTest, ChecksTheRulesOfAFieldOnceItIsBound) {
  const v1::Pipeline pipeline =
      Pipeline(PipelineText("concurrency: $(n)\ntimeout: $(n)s\nsynthesize: {model: m, prompt: x}"));
  EXPECT_TRUE(BindParameters(pipeline, TestStages(), {{"n", Int(4)}}).ok());
  EXPECT_EQ(BindParameters(pipeline, TestStages(), {{"n", Int(4)}})->pipeline.stages(1).timeout().seconds(), 4);
  EXPECT_THAT(Problems(BindParameters(pipeline, TestStages(), {{"n", Int(200000)}}).status()),
              ElementsAre("stages[1].concurrency: must be at most 100000, got 200000"));
  EXPECT_THAT(
      Problems(BindParameters(pipeline, TestStages(), {{"n", Int(-1)}}).status()),
      ElementsAre(HasSubstr("stages[1].timeout: expected a duration such as 30s or 1h30m, got \"-1s\" (from $(n)s)")));
}

TEST(BindParametersTest, KeepsTheTypeWhereATemplateIsOneParameter) {
  const auto value = [](std::string_view yaml, const ParameterValues& values) -> std::string {
    const StatusOr<BoundPipeline> bound = BindParameters(
        Pipeline(PipelineText("prepare: {rules: [{set: {field: x, value: " + std::string(yaml) + "}}]}")), TestStages(),
        values);
    EXPECT_TRUE(bound.ok()) << bound.status();
    return bound.ok() ? bound->pipeline.stages(1).prepare().rules(0).set().value() : "";
  };
  EXPECT_EQ(value("$(n)", {}), "3");
  EXPECT_EQ(value("$(b)", {}), "true");
  EXPECT_EQ(value("$(s)", {{"s", Text("12")}}), R"("12")");
  EXPECT_EQ(value("'$(n) of $(f), $$(n)'", {}), R"x("3 of 0.5, $(n)")x");
  EXPECT_EQ(value("{z: $(n), a: ['x $(s)', $(s), $$(s), 1]}", {{"s", Text("a\"b")}}),
            R"x({"z":3,"a":["x a\"b","a\"b","$(s)",1]})x");
}

TEST(BindParametersTest, TextWithoutParametersStaysAsItIs) {
  v1::Pipeline pipeline = Pipeline(PipelineText("prepare: {rules: [{set: {field: x, value: {a: $(s)}}}]}"));
  ASSERT_EQ(pipeline.bindings_size(), 1);
  pipeline.mutable_bindings(0)->set_template_(R"x({"a":"$(s)","b":"\u0024(absent)","c":"\u0024(n)","d":"\u0024("})x");
  EXPECT_THAT(Bindings(pipeline).Check(), IsEmpty());
  const StatusOr<BoundPipeline> bound = BindParameters(pipeline, TestStages(), {{"s", Text("12")}});
  ASSERT_TRUE(bound.ok()) << bound.status();
  EXPECT_EQ(bound->pipeline.stages(1).prepare().rules(0).set().value(),
            R"x({"a":"12","b":"$(absent)","c":"$(n)","d":"$("})x");
}

TEST(BindParametersTest, NeverReadsAValueAsATemplate) {
  const v1::Pipeline pipeline = Pipeline(PipelineText("prepare: {rules: [{drop: '$(s) $(n)'}]}"));
  const StatusOr<BoundPipeline> bound = BindParameters(pipeline, TestStages(), {{"s", Text("$(n) $$( $(")}});
  ASSERT_TRUE(bound.ok()) << bound.status();
  EXPECT_EQ(bound->pipeline.stages(1).prepare().rules(0).drop().reason(), "$(n) $$( $( 3");
}

TEST(BindParametersTest, BindsAShortFormByTheKindOfTheValue) {
  const v1::Pipeline pipeline = Pipeline(PipelineText("max_failures: $(s)\nprepare: {rules: [{drop: {}}]}"));
  EXPECT_EQ(BindParameters(pipeline, TestStages(), {{"s", Text("5%")}})->pipeline.stages(1).max_failures().share(),
            0.05);
  EXPECT_EQ(BindParameters(pipeline, TestStages(), {{"s", Text("7")}})->pipeline.stages(1).max_failures().count(), 7);
  EXPECT_THAT(Problems(BindParameters(pipeline, TestStages(), {{"s", Text("x")}}).status()),
              ElementsAre(HasSubstr("stages[1].max_failures: expected a whole number or a percentage")));
}

TEST(BindingsTest, RefusesPathsThatLeadNowhere) {
  v1::Pipeline pipeline = Pipeline(PipelineText("prepare: {rules: [{drop: {}}]}"));
  const auto problem = [&](std::string path, std::string text) {
    v1::Pipeline bound = pipeline;
    v1::Binding* binding = bound.add_bindings();
    binding->set_path(std::move(path));
    binding->set_template_(std::move(text));
    const std::vector<FieldViolation> violations = Bindings(bound).Check();
    return violations.empty() ? "" : violations[0].field + ": " + violations[0].description;
  };
  EXPECT_EQ(problem("stages[1].concurrency", "$(n)"), "");
  EXPECT_EQ(problem("stages[1].concurency", "$(n)"),
            "bindings[0].path: \"stages[1].concurency\" has no \"concurency\"; did you mean \"concurrency\"?");
  EXPECT_EQ(problem("stages[2].timeout", "$(d)"), "bindings[0].path: \"stages[2].timeout\": the list has 2 elements");
  EXPECT_EQ(problem("stages[1].needs", "$(s)"),
            "bindings[0].path: \"stages[1].needs\" is a list; name an element, such as [0]");
  EXPECT_EQ(problem("stages[1].fetch.csv.path", "$(s)"),
            "bindings[0].path: \"stages[1].fetch.csv.path\": prepare is set instead of fetch");
  EXPECT_EQ(problem("stages[1].name", "$(s)"), "stages[1].name: can't depend on a parameter");
  EXPECT_EQ(problem("stages[1].needs[0]", "$(s)"), "stages[1].needs[0]: can't depend on a parameter");
  EXPECT_EQ(problem("parameters.n.int.default", "$(s)"), "parameters.n.int.default: can't depend on a parameter");
  EXPECT_EQ(problem("stages[1].concurrency", "$(x"),
            "stages[1].concurrency: \"$(x\" names no parameter; write $$( for the text $(");
  for (const char* path : {"", "[", "[0]", ".", "stages", "stages[", "stages[x]", "stages[0", "stages[0]x", "stages..a",
                           "stages[\"a\"]", "files[\"a", "files[\"a\\", "stages[99999999999999999999]"}) {
    EXPECT_NE(problem(path, "$(n)"), "") << path;
  }
}

TEST(BindParametersTest, ReportsOnlyThatThereAreTooManyValues) {
  const v1::Pipeline pipeline = Pipeline(PipelineText("prepare: {rules: [{drop: {}}]}"));
  ParameterValues values;
  for (int i = 0; i < 200'000; ++i) values["x" + std::to_string(i)] = Int(i);
  EXPECT_THAT(Problems(BindParameters(pipeline, TestStages(), values).status()), ElementsAre("parameters: too many"));
}

}  // namespace
}  // namespace millrace
