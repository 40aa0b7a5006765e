#include "server/config/reader.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>

#include "millrace/v1/server_config.pb.h"
#include "server/config/field_value.h"
#include "server/config/rules.h"
#include "tests/config/support.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

v1::Pipeline NewsPipeline() {
  const StatusOr<PipelineFile> file = ReadTestPipeline(ReadFile("tests/config/data/news.yaml"));
  EXPECT_THAT(Problems(file.status()), IsEmpty()) << file.status();
  return file.ok() ? file->pipeline : v1::Pipeline();
}

std::vector<std::string> ProblemsOf(std::string_view stage) {
  return Problems(ReadTestPipeline(PipelineText(stage)).status());
}

v1::Stage StageOf(std::string_view stage) {
  const StatusOr<PipelineFile> file = ReadTestPipeline(PipelineText(stage));
  EXPECT_THAT(Problems(file.status()), IsEmpty());
  return file.ok() && file->pipeline.stages_size() == 2 ? file->pipeline.stages(1) : v1::Stage();
}

TEST(ReaderTest, ReadsShortFormsByTheKindOfTheScalar) {
  const v1::Pipeline pipeline = NewsPipeline();
  ASSERT_EQ(pipeline.stages_size(), 5);
  EXPECT_EQ(pipeline.parameters().at("input").string().default_(), "data/titles.csv");
  EXPECT_EQ(pipeline.parameters().at("threshold").float_().default_(), 0.35);
  EXPECT_TRUE(pipeline.parameters().at("thorough").bool_().has_default_());
  EXPECT_EQ(pipeline.parameters().at("window").string().default_(), "14d");
  EXPECT_EQ(pipeline.stages(0).max_failures().share(), 0.05);
  EXPECT_EQ(pipeline.stages(3).max_failures().count(), 10);
  EXPECT_EQ(pipeline.stages(1).prepare().rules(1).drop().reason(), "names no place");
  EXPECT_EQ(pipeline.stages(2).cache().mode(), v1::CachePolicy::MODE_OFF);
  EXPECT_EQ(pipeline.stages(2).cluster().lexical().fields(0).field(), "title");
  EXPECT_EQ(pipeline.stages(2).cluster().keep(1).field(), "theater");
  EXPECT_EQ(pipeline.stages(1).prepare().rules(3).validate().condition().all().conditions_size(), 2);
  EXPECT_EQ(pipeline.measures(2).share().where().compare().one_of().values_size(), 3);
}

TEST(ReaderTest, ReadsDurationsSizesPercentagesAndEnums) {
  const v1::Pipeline pipeline = NewsPipeline();
  ASSERT_EQ(pipeline.stages_size(), 5);
  EXPECT_EQ(pipeline.stages(3).timeout().seconds(), 5400);
  EXPECT_EQ(pipeline.stages(3).cache().ttl().seconds(), 720 * 3600);
  EXPECT_EQ(pipeline.stages(0).fetch().csv().max_field_bytes(), 65536);
  EXPECT_EQ(pipeline.stages(2).cluster().lexical().max_document_share(), 0.2);
  EXPECT_EQ(pipeline.stages(1).prepare().rules(0).look_up().set(1).pick(), v1::LookUpField::PICK_EVERY);
  EXPECT_EQ(pipeline.stages(4).store().sqlite().tables(1).key_size(), 2);
  EXPECT_EQ(pipeline.stages(4).store().sqlite().tables(0).key(0), "id");
  EXPECT_TRUE(pipeline.stages(3).synthesize().has_temperature());
}

TEST(ReaderTest, KeepsTheOrderAndTheNumbersOfJson) {
  const v1::Pipeline pipeline = NewsPipeline();
  ASSERT_EQ(pipeline.stages_size(), 5);
  EXPECT_EQ(pipeline.stages(3).synthesize().output_schema(),
            R"({"type":"object","required":["summary","kind"],"properties":{"summary":{"type":"string",)"
            R"("x-millrace-local":"first_line","maxLength":400},"kind":{"enum":["attack","election","no"]}}})");
  EXPECT_EQ(pipeline.stages(1).prepare().rules(2).set().value(), "1.5");
  EXPECT_EQ(
      StageOf("prepare: {rules: [{set: {field: x, value: 12345678901234567890123}}]}").prepare().rules(0).set().value(),
      "12345678901234567890123");
  const auto equals = [](std::string_view value) {
    return StageOf("when: {compare: {field: x, equals: " + std::string(value) + "}}\nprepare: {rules: [{drop: {}}]}")
        .when()
        .compare()
        .equals();
  };
  EXPECT_EQ(equals("no"), R"("no")");
  EXPECT_EQ(equals("true"), "true");
  EXPECT_EQ(equals("'true'"), R"("true")");
  EXPECT_EQ(equals("~"), "null");
  EXPECT_EQ(equals("2024-01-01"), R"("2024-01-01")");
  EXPECT_EQ(equals("+1e3"), "1000");
  EXPECT_EQ(equals("{b: [], a: {}}"), R"({"b":[],"a":{}})");
}

TEST(ReaderTest, MakesBindingsOfParametersAndLeavesTheirFieldsGiven) {
  const v1::Pipeline pipeline = NewsPipeline();
  std::vector<std::string> bindings;
  for (const v1::Binding& binding : pipeline.bindings())
    bindings.push_back(binding.path() + " = " + binding.template_());
  EXPECT_THAT(bindings, ElementsAre("stages[0].fetch.csv.path = $(input)", "stages[2].cluster.time_window = $(window)",
                                    "stages[2].cluster.passes[0].threshold = $(threshold)",
                                    "stages[2].cluster.passes[0].min_size = $(min_titles)",
                                    "stages[3].when.compare.at_least = $(min_titles)",
                                    "stages[4].store.sqlite.path = $(output)"));
  EXPECT_EQ(pipeline.stages(3).when().compare().operator_case(), v1::Comparison::kAtLeast);
  EXPECT_EQ(pipeline.stages(3).synthesize().prompt(), "Describe {{title}} in a sentence. Costs $(5).\n");
}

TEST(ReaderTest, TellsEveryProblemWithItsPlaceInOnePass) {
  const Status status = ReadTestPipeline(R"(nmae: x
stages:
- name: A
  fetch: {csv: {path: a.csv, delimter: ";"}}
- name: b
  needs: [A, c]
  concurency: 5
  concurrency: 0
  timeout: 30
  cluster:
    lexical: {fields: [title], linkage: averge}
    passes:
    - threshold: "high"
    - {threshold: 2, min_size: yes}
    singletons: throw
)")
                            .status();
  EXPECT_THAT(
      Problems(status),
      ElementsAre(
          "p.yaml:1:1: nmae: unknown key; did you mean \"name\"?", "p.yaml:1:1: name: must be set",
          "p.yaml:3:9: stages[0].name: it must match [a-z0-9][a-z0-9-]{0,62}, got \"A\"",
          "p.yaml:4:30: stages[0].fetch.csv.delimter: unknown key; did you mean \"delimiter\"?",
          "p.yaml:6:11: stages[1].needs[0]: it must match [a-z0-9][a-z0-9-]{0,62}, got \"A\"",
          "p.yaml:6:14: stages[1].needs[1]: unknown stage \"c\"; known: A, b",
          "p.yaml:7:3: stages[1].concurency: unknown key; did you mean \"concurrency\"?",
          "p.yaml:8:16: stages[1].concurrency: must be at least 1, got \"0\"",
          "p.yaml:9:12: stages[1].timeout: expected a duration such as 30s or 1h30m, got \"30\"; the unit is missing",
          "p.yaml:11:41: stages[1].cluster.lexical.linkage: expected one of average, single, complete, got \"averge\"; "
          "did you mean \"average\"?",
          "p.yaml:13:18: stages[1].cluster.passes[0].threshold: expected a number, got text \"high\"; leave out the "
          "quotes",
          "p.yaml:14:19: stages[1].cluster.passes[1].threshold: must be at most 1, got 2",
          "p.yaml:14:32: stages[1].cluster.passes[1].min_size: expected a whole number, got \"yes\"",
          "p.yaml:15:17: stages[1].cluster.singletons: expected one of drop, keep, got \"throw\""));
  EXPECT_EQ(ReasonOf(status), Reason::kInvalidDefinition);
  EXPECT_EQ(MessageOf(status), "p.yaml:1:1: nmae: unknown key; did you mean \"name\"? (and 13 more)");
}

TEST(ReaderTest, RefusesWhatDoesNotFitItsField) {
  const auto problem = [](std::string_view stage) {
    const std::vector<std::string> problems = ProblemsOf(stage);
    return problems.size() == 1 ? problems[0] : "not one problem: " + std::to_string(problems.size());
  };
  const std::string rest = "\nprepare: {rules: [{drop: {}}]}";
  EXPECT_THAT(problem("when: [1]" + rest), HasSubstr("stages[1].when: expected a mapping, got a list"));
  EXPECT_THAT(problem("when:\n  compare: {field: x, less: 1, greater: 0}" + rest),
              HasSubstr("less and greater are both given; only one may be"));
  EXPECT_THAT(problem("when: {compare: {field: x}}" + rest),
              HasSubstr("stages[1].when.compare: one of equals, not_equals, less"));
  EXPECT_THAT(problem("when: {compare: {field: x, equals: 007}}" + rest), HasSubstr("put quotes around it"));
  EXPECT_THAT(problem("when: {compare: {field: x, exists: yes}}" + rest),
              HasSubstr("expected true or false, got \"yes\""));
  EXPECT_THAT(problem("when: {compare: {field: x, matches: '('}}" + rest), HasSubstr("not an RE2 pattern: missing )"));
  EXPECT_THAT(problem("max_failures: many" + rest),
              HasSubstr("expected a whole number or a percentage such as 5% or a mapping, got \"many\""));
  EXPECT_THAT(problem("max_failures: 200%" + rest),
              HasSubstr("stages[1].max_failures.share: must be at most 1, got 2"));
  EXPECT_THAT(problem("concurrency: 99999999999999999999" + rest), HasSubstr("expected a whole number"));
  EXPECT_THAT(problem("concurrency: 3000000000" + rest), HasSubstr("expected a whole number"));
  EXPECT_THAT(problem("concurrency: $(n" + rest), HasSubstr("\"$(n\" names no parameter; write $$( for the text $("));
  EXPECT_THAT(problem("concurrency: $(m)" + rest), HasSubstr("unknown parameter \"m\"; known: b, d, f, n, s"));
  EXPECT_THAT(problem("expect: {max_null_share: {a.b: x}}" + rest),
              HasSubstr("p.yaml:7:34: stages[1].expect.max_null_share[\"a.b\"]: expected a number, got \"x\""));
  EXPECT_THAT(problem("prepare: {rules: }"), HasSubstr("stages[1].prepare.rules: expected a list, got nothing"));
  EXPECT_THAT(problem("prepare: {rules: []}"), HasSubstr("stages[1].prepare.rules: must have an entry"));
  EXPECT_THAT(problem("cluster: {lexical: {fields: [t], max_document_share: 0}, passes: [{threshold: 1}]}"),
              HasSubstr("can't be 0; leave it out for the default (0.2)"));
  EXPECT_THAT(problem("prepare: {rules: [{look_up: {gazetteer: none.csv, in: t, set: [{field: a, column: b}]}}]}"),
              HasSubstr("can't read the definition file \"none.csv\": no such file"));
}

TEST(ReaderTest, RefusesADocumentThatIsNotAMapping) {
  EXPECT_THAT(Problems(ReadTestPipeline("").status()), ElementsAre("p.yaml:1:1: expected a mapping, got nothing"));
  EXPECT_THAT(Problems(ReadTestPipeline("- a").status()), ElementsAre("p.yaml:1:1: expected a mapping, got a list"));
}

// The reader and the checks rely on these properties of the messages that they walk.
TEST(MessagesTest, EveryFieldOfAPipelineSaysWhatItAffects) {
  std::set<const google::protobuf::Descriptor*> seen;
  const auto visit = [&](const auto& self, const google::protobuf::Descriptor* descriptor, bool is_pipeline) -> void {
    if (!seen.insert(descriptor).second || descriptor->file()->package() != "millrace.v1") return;
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const google::protobuf::FieldDescriptor* field = descriptor->field(i);
      if (is_pipeline && !descriptor->options().map_entry()) {
        EXPECT_NE(RulesOf(*field).effect(), v1::FIELD_EFFECT_UNSPECIFIED) << field->full_name();
      }
      using Type = google::protobuf::FieldDescriptor;
      EXPECT_TRUE(!field->is_repeated() || field->cpp_type() == Type::CPPTYPE_MESSAGE ||
                  field->cpp_type() == Type::CPPTYPE_STRING)
          << field->full_name() << " is a list of scalars";
      EXPECT_NE(field->cpp_type(), Type::CPPTYPE_FLOAT) << field->full_name();
      if (field->is_map()) {
        EXPECT_EQ(field->message_type()->map_key()->cpp_type(), Type::CPPTYPE_STRING) << field->full_name();
      }
      if (field->message_type() != nullptr) self(self, field->message_type(), is_pipeline);
    }
  };
  visit(visit, v1::Pipeline::descriptor(), true);
  visit(visit, v1::ServerConfig::descriptor(), false);
  EXPECT_GT(seen.size(), 50u);
}

TEST(MessagesTest, EveryDefaultAndPatternCanBeRead) {
  std::set<const google::protobuf::Descriptor*> seen;
  const auto visit = [&](const auto& self, const google::protobuf::Descriptor* descriptor) -> void {
    if (!seen.insert(descriptor).second || descriptor->file()->package() != "millrace.v1") return;
    const std::unique_ptr<google::protobuf::Message> message(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const google::protobuf::FieldDescriptor* field = descriptor->field(i);
      if (!RulesOf(*field).default_value().empty()) {
        EXPECT_EQ(SetScalar({message.get(), field, -1}, {RulesOf(*field).default_value(), false}), std::nullopt)
            << field->full_name();
      }
      if (field->message_type() != nullptr) self(self, field->message_type());
    }
    // A default keeps the rules of its field.
    std::vector<std::string> wrong;
    for (const FieldViolation& violation : CheckRules(*message)) {
      if (!violation.description.starts_with("must be set") && !violation.description.starts_with("must have an") &&
          !violation.description.starts_with("one of ") && !violation.description.ends_with(" must be set")) {
        wrong.push_back(violation.field + " " + violation.description);
      }
    }
    EXPECT_THAT(wrong, IsEmpty()) << descriptor->full_name();
  };
  visit(visit, v1::Pipeline::descriptor());
  visit(visit, v1::ServerConfig::descriptor());
}

}  // namespace
}  // namespace millrace
