#include "server/config/check.h"

#include <gmock/gmock.h>

#include "server/config/shared_outputs.h"
#include "server/files/file_access.h"
#include "tests/config/support.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> ProblemsOf(std::string_view text) { return Problems(ReadTestPipeline(text).status()); }

TEST(CheckPipelineTest, AcceptsTheSamePipelineAsAMessage) {
  const StatusOr<PipelineFile> file = ReadTestPipeline(ReadFile("tests/config/data/news.yaml"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(CheckPipeline(file->pipeline, TestStages()).ok());
}

TEST(CheckPipelineTest, NamesTheWayRoundACycle) {
  EXPECT_THAT(ProblemsOf(R"(name: p
stages:
- {name: a, fetch: {inline: {}}}
- {name: b, needs: [a, d], prepare: {rules: [{drop: {}}]}}
- {name: c, needs: [b], prepare: {rules: [{drop: {}}]}}
- {name: d, needs: [c], prepare: {rules: [{drop: {}}]}}
- {name: e, needs: [e], prepare: {rules: [{drop: {}}]}}
)"),
              ElementsAre("p.yaml:4:20: stages[1].needs: is a cycle: b needs d needs c needs b",
                          "p.yaml:7:20: stages[4].needs: is a cycle: e needs e"));
}

TEST(CheckPipelineTest, RefusesWrongNeeds) {
  EXPECT_THAT(
      ProblemsOf(R"(name: p
stages:
- {name: a, fetch: {inline: {}}, needs: [b], when: {compare: {field: x, exists: true}}}
- {name: b, prepare: {rules: [{drop: {}}]}}
- {name: b, needs: [b, b], store: {jsonl: {path: x}}}
- {name: c, needs: [nowhere], prepare: {rules: [{drop: {}}]}}
- {name: d}
)"),
      ElementsAre("p.yaml:3:41: stages[0].needs: a fetch takes no items of other stages",
                  "p.yaml:3:52: stages[0].when: a fetch has no items to choose from",
                  "p.yaml:4:3: stages[1]: needs must name the stages whose items it takes",
                  "p.yaml:5:10: stages[2].name: stages[1] has the name \"b\" too",
                  "p.yaml:5:24: stages[2].needs[1]: \"b\" is named twice",
                  "p.yaml:6:21: stages[3].needs[0]: unknown stage \"nowhere\"; known: a, b, c, d",
                  "p.yaml:7:3: stages[4]: one of fetch, prepare, synthesize, cluster, merge, store must be set"));
}

TEST(CheckPipelineTest, RefusesATimeLimitOnAStageThatCallsNoModel) {
  const auto with = [](const std::string& kind) {
    return ReadTestPipeline(PipelineText("timeout: 5s\n" + kind)).status();
  };
  EXPECT_EQ(with("synthesize: {model: m, prompt: x}"), absl::OkStatus());
  EXPECT_THAT(std::string(MessageOf(with("prepare: {rules: [{drop: {}}]}"))),
              HasSubstr("only a stage that calls models has a time limit for an item"));
}

TEST(CheckPipelineTest, RefusesStoresThatWouldReplaceEachOthersFile) {
  EXPECT_THAT(ProblemsOf(R"(name: p
parameters: {output: x, other: x}
stages:
- {name: a, fetch: {inline: {}}}
- {name: b, needs: [a], store: {jsonl: {path: out/b}}}
- {name: c, needs: [a], store: {csv: {path: ./out//b, columns: [id]}}}
- {name: d, needs: [a], store: {jsonl: {path: $(output)}}}
- {name: e, needs: [a], store: {jsonl: {path: $(output)}}}
- {name: f, needs: [a], store: {jsonl: {path: $(other)}}}
)"),
              ElementsAre("p.yaml:6:45: stages[2].store.csv.path: the stages \"b\" and \"c\" would both write ./out//b",
                          "p.yaml:8:47: stages[4].store.jsonl.path: the stages \"d\" and \"e\" would both write x",
                          "p.yaml:9:47: stages[5].store.jsonl.path: the stages \"d\" and \"f\" would both write x"));
}

TEST(CheckPipelineTest, RefusesStoresThatWouldOverwriteAnInput) {
  EXPECT_THAT(
      ProblemsOf(R"(name: p
parameters: {input: in/x.jsonl, other: {string: {}}}
stages:
- {name: a, fetch: {csv: {path: a.csv}}}
- {name: b, fetch: {jsonl: {path: $(input)}}}
- {name: c, fetch: {jsonl: {path: $(other)}}}
- {name: d, needs: [a], store: {csv: {path: ./a.csv, columns: [id]}}}
- {name: e, needs: [b], store: {jsonl: {path: in/./x.jsonl}}}
- {name: f, needs: [c], store: {jsonl: {path: $(other)}}}
- {name: g, needs: [a], prepare: {rules: [{look_up: {gazetteer: places.csv, in: t, set: [{field: a, column: b}]}}]}}
- {name: h, needs: [g], store: {csv: {path: places.csv, columns: [id]}}}
- {name: i, needs: [a], store: {csv: {path: b.csv, columns: [id]}}}
)"),
      ElementsAre(
          "p.yaml:7:45: stages[3].store.csv.path: the stage \"d\" would overwrite ./a.csv: the stage \"a\" reads it",
          "p.yaml:8:47: stages[4].store.jsonl.path: the stage \"e\" would overwrite in/./x.jsonl: the stage \"b\" "
          "reads it",
          "p.yaml:9:47: stages[5].store.jsonl.path: the stage \"f\" would overwrite $(other): the stage \"c\" reads it",
          "p.yaml:11:45: stages[7].store.csv.path: the stage \"h\" would overwrite places.csv: the pipeline is defined "
          "by it"));
}

TEST(SharedOutputsTest, KnowsAFileByWhereItsPathsLead) {
  struct Linked final : FileAccess {
    StatusOr<std::string> ForReading(std::string_view path) const override {
      if (path == "link.csv") return "/data/a.csv";
      return MakeError(Reason::kFileError, "absent");
    }
    StatusOr<std::string> ForWriting(std::string_view path) const override { return "/data/" + std::string(path); }
  };
  const StatusOr<PipelineFile> file = ReadTestPipeline(R"(name: p
stages:
- {name: a, fetch: {csv: {path: link.csv}}}
- {name: b, fetch: {csv: {path: absent.csv}}}
- {name: c, needs: [a], store: {csv: {path: a.csv, columns: [id]}}}
- {name: d, needs: [a], store: {csv: {path: b.csv, columns: [id]}}}
)");
  ASSERT_TRUE(file.ok()) << file.status();
  const Linked files;
  const std::vector<FieldViolation> violations = SharedOutputs(file->pipeline, TestStages(), &files);
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].field, "stages[2].store.csv.path");
  EXPECT_EQ(violations[0].description, "the stage \"c\" would overwrite a.csv: the stage \"a\" reads it");
}

TEST(CheckPipelineTest, StoresMayShareADatabase) {
  EXPECT_THAT(ProblemsOf(R"(name: p
stages:
- {name: a, fetch: {inline: {}}}
- {name: b, needs: [a], store: {sqlite: {path: x.db, tables: [{table: b, columns: {id: id}}]}}}
- {name: c, needs: [a], store: {sqlite: {path: x.db, tables: [{table: c, columns: {id: id}}]}}}
)"),
              testing::IsEmpty());
}

TEST(CheckPipelineTest, RefusesFieldsThatNothingMakes) {
  EXPECT_THAT(
      ProblemsOf(R"(name: p
stages:
- {name: a, fetch: {inline: {}}}
- {name: b, needs: [a], cluster: {lexical: {fields: [whatever]}, passes: [{threshold: 1}]}}
- name: c
  needs: [b]
  when: {compare: {field: sise, greater: 3}}
  prepare:
    rules:
    - {set: {field: mine, value: 1}}
    - {when: {compare: {field: mine, equals: 1}}, extract: {from: titel, pattern: x, field: y}}
- name: d
  needs: [c]
  merge:
    fields: [title]
    rules:
    - {name: r, when: {all: [{compare: {field: similarity, greater: 0.5}}, {compare: {field: left.sizes, less: 3}},
                             {compare: {field: shared.members, greater: 1}}]}, join: true}
- {name: e, needs: [d], store: {csv: {path: x, columns: [id, theater, mergd]}}}
measures:
- {name: m, mean: {stage: b, field: members}}
- {name: n, sum: {stage: b, field: member}}
)"),
      ElementsAre(
          "p.yaml:7:27: stages[2].when.compare.field: no stage before makes the field \"sise\"; did you mean \"size\"?",
          "p.yaml:11:67: stages[2].prepare.rules[1].extract.from: no stage before makes the field \"titel\"; did you "
          "mean \"title\"?",
          "p.yaml:17:94: stages[3].merge.rules[0].when.all.conditions[1].compare.field: no stage before makes the "
          "field \"sizes\"; did you mean \"size\"?",
          "p.yaml:19:71: stages[4].store.csv.columns[2]: no stage before makes the field \"mergd\"; did you mean "
          "\"merged\"?",
          "p.yaml:22:36: measures[1].sum.field: no stage before makes the field \"member\"; did you mean "
          "\"members\"?"));
}

TEST(CheckPipelineTest, RefusesMeasuresOfNothing) {
  EXPECT_THAT(ProblemsOf(R"(name: p
stages: [{name: a, fetch: {inline: {}}}]
measures:
- {name: m, count: {stage: b}}
- {name: m, ratio: {of: m, to: later}}
- {name: later, count: {stage: a}}
)"),
              ElementsAre("p.yaml:4:28: measures[0].count.stage: unknown stage \"b\"; known: a",
                          "p.yaml:5:10: measures[1].name: duplicate measure \"m\"",
                          "p.yaml:5:32: measures[1].ratio.to: no measure \"later\" comes before this one; known: m"));
}

StatusOr<PipelineFile> ReadWithBuiltinStages(std::string_view text) {
  const FileLoader files = [](std::string_view path) -> StatusOr<std::string> {
    if (path == "open.txt") return "Tell {{#of}}it";
    if (path == "places.csv") return "name,theater\nChile,Americas\n";
    if (path == "weights.csv") return "name,weight\nChile,heavy\n";
    return MakeError(Reason::kFileError, "no such file");
  };
  const StageRegistry stages = BuiltinStages();
  return ReadPipeline(text, "p.yaml", files, &stages);
}

TEST(CheckPipelineTest, ReportsDefinitionsThatAKindRefuses) {
  const StatusOr<PipelineFile> file = ReadWithBuiltinStages(R"(name: p
parameters: {open: '{{#x}}', from: {string: {}}, into: {string: {}}}
stages:
- {name: a, fetch: {csv: {path: $(from), delimiter: "\n"}}}
- name: b
  needs: [a]
  synthesize:
    model: local
    system: $(open)
    prompt: '{{#a}}{{b'
    output_schema: {type: objekt, properties: 5}
    fallback: {rules: [{set: {field: s, template: '{{x'}}]}
    nonsense: 1
- {name: c, needs: [a], synthesize: {model: local, prompt_file: open.txt, output_schema: {$ref: 'http://evil/x'}}}
- name: d
  needs: [a]
  prepare:
    rules:
    - {look_up: {gazetteer: weights.csv, in: t, set: [{field: w, column: weight}]}}
    - {look_up: {gazetteer: places.csv, in: t, set: [{field: w, column: weight}]}}
- {name: e, needs: [a], store: {sqlite: {path: $(into), tables: [{table: sqlite_x, columns: {id: id}, key: [id]}]}}}
)");
  EXPECT_THAT(
      Problems(file.status()),
      ElementsAre(
          "p.yaml:4:53: stages[0].fetch.csv.delimiter: expected one ASCII character other than a quote, a line end or "
          "NUL",
          "p.yaml:9:13: stages[1].synthesize.system: line 1, column 1: the section \"x\" is not closed",
          "p.yaml:10:13: stages[1].synthesize.prompt: line 1, column 7: the tag is not closed",
          "p.yaml:11:20: stages[1].synthesize.output_schema: the schema at its top: type: expected one of array, "
          "boolean, "
          "integer, null, number, object, string, got \"objekt\"",
          "p.yaml:12:51: stages[1].synthesize.fallback.rules[0].set.template: line 1, column 1: the tag is not closed",
          HasSubstr("p.yaml:13:5: stages[1].synthesize.nonsense: unknown key"),
          "p.yaml:14:65: stages[2].synthesize.prompt_file: line 1, column 6: the section \"of\" is not closed",
          "p.yaml:14:90: stages[2].synthesize.output_schema: the schema at /$ref: expected `#` or `#/…`: other "
          "documents are not "
          "fetched",
          "p.yaml:19:29: stages[3].prepare.rules[0].look_up.gazetteer: weights.csv: gazetteer, row 1 after the header: "
          "weight: expected a number above 0, got heavy",
          "p.yaml:20:53: stages[3].prepare.rules[1].look_up.set: places.csv has no column weight",
          "p.yaml:21:74: stages[4].store.sqlite.tables[0].table: names that begin with `sqlite_` or `millrace_` are "
          "reserved"));
}

TEST(CheckPipelineTest, LeavesToBindingWhatAParameterWithoutDefaultDecides) {
  const std::string text = R"(name: p
parameters: {t: {float: {}}, s: {string: {}}}
stages:
- {name: a, fetch: {csv: {path: $(s), delimiter: $(s)}}}
- {name: b, needs: [a], synthesize: {model: local, prompt: $(s), output_schema: {const: $(s)}}}
- {name: c, needs: [b], cluster: {lexical: {fields: [title]}, passes: [{threshold: $(t)}, {threshold: 0.5}]}}
- name: d
  needs: [c]
  merge: {fields: [title], rules: [{name: r, when: {compare: {field: $(s), greater: 0.5}}, join: true}]}
- {name: e, needs: [d], store: {sqlite: {path: out.db, tables: [{table: x, columns: {id: id}, key: [$(s)]}]}}}
)";
  const StatusOr<PipelineFile> file = ReadWithBuiltinStages(text);
  EXPECT_THAT(Problems(file.status()), testing::IsEmpty());
}

TEST(CheckPipelineTest, RefusesDefinitionFilesThatAreNotText) {
  v1::Pipeline pipeline = ReadTestPipeline(ReadFile("tests/config/data/news.yaml"))->pipeline;
  (*pipeline.mutable_files())["places.csv"] = "name\nCh\xffle\n";
  EXPECT_THAT(Problems(CheckPipeline(pipeline, BuiltinStages())),
              ElementsAre("stages[1].prepare.rules[0].look_up.gazetteer: the definition file \"places.csv\" is not "
                          "UTF-8: byte 7 (0xff)"));
}

TEST(CheckPipelineTest, RequiresEveryDefinitionFileAndBoundsTheirSize) {
  v1::Pipeline pipeline = ReadTestPipeline(ReadFile("tests/config/data/news.yaml"))->pipeline;
  (*pipeline.mutable_files())["places.csv"] = std::string(5u << 20, 'x');
  EXPECT_THAT(Problems(CheckPipeline(pipeline, TestStages())),
              ElementsAre("files: definition files have 5242880 bytes together, over the limit of 4194304"));
  pipeline.clear_files();
  (*pipeline.mutable_files())["place.csv"] = "";
  EXPECT_THAT(
      Problems(CheckPipeline(pipeline, TestStages())),
      ElementsAre("stages[1].prepare.rules[0].look_up.gazetteer: the definition file \"places.csv\" was not sent "
                  "with the pipeline; did you mean \"place.csv\"?"));
}

TEST(CheckPipelineTest, RefusesParametersWhoseDefaultsBreakTheirOwnBounds) {
  EXPECT_THAT(ProblemsOf(R"(name: p
parameters:
  a: {int: {default: 5, max: 3}}
  b: {string: {default: x, pattern: 'y+'}}
  c: {string: {pattern: '('}}
  d: {float: {min: 2, max: 1}}
  Bad: 3
stages: [{name: a, fetch: {inline: {}}}]
)"),
              ElementsAre("p.yaml:3:6: parameters.a: its default must be at most 3, got 5",
                          "p.yaml:4:6: parameters.b: its default must match y+, got \"x\"",
                          "p.yaml:5:25: parameters.c.string.pattern: not an RE2 pattern: missing ): (",
                          "p.yaml:6:6: parameters.d: min is above max: no value is allowed",
                          "p.yaml:7:8: parameters.Bad: the key must match [a-z][a-z0-9_]{0,62}, got \"Bad\""));
}

TEST(CheckPipelineTest, BoundsTheNumberOfStages) {
  std::string text = "name: p\nstages:\n- {name: s0, fetch: {inline: {}}}\n";
  for (int i = 1; i <= 100; ++i) {
    text += "- {name: s" + std::to_string(i) + ", needs: [s" + std::to_string(i - 1) +
            "], prepare: {rules: [{drop: {}}]}}\n";
  }
  EXPECT_THAT(ProblemsOf(text), ElementsAre("p.yaml:3:1: stages: must be at most 100 entries, got 101 entries"));
}

TEST(CheckPipelineTest, ReportsOnlyThatAHugeMessageIsHuge) {
  v1::Pipeline pipeline;
  pipeline.set_name("p");
  for (int i = 0; i < 200'000; ++i) {
    v1::Stage& stage = *pipeline.add_stages();
    stage.set_name("s" + std::to_string(i));
    stage.add_needs("s" + std::to_string(i + 1));
    stage.add_needs("t" + std::to_string(i));
    stage.mutable_prepare()->add_rules()->mutable_drop();
  }
  EXPECT_THAT(Problems(CheckPipeline(pipeline, TestStages())),
              ElementsAre("stages: must be at most 100 entries, got 200000 entries"));
}

TEST(CheckPipelineTest, GivesPlacesToProblemsThatAServerFinds) {
  const StatusOr<PipelineFile> file = ReadTestPipeline(ReadFile("tests/config/data/news.yaml"));
  ASSERT_TRUE(file.ok());
  const Status status =
      MakeFieldError(Reason::kInvalidDefinition, "m", {{"stages[3].synthesize.model", "unknown model"}});
  EXPECT_THAT(Problems(WithPlaces(status, *file)),
              ElementsAre("p.yaml:50:14: stages[3].synthesize.model: unknown model"));
  EXPECT_TRUE(WithPlaces(absl::OkStatus(), *file).ok());
}

}  // namespace
}  // namespace millrace
