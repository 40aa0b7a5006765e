// Fields that a definition reads, against what its items can have: from the definition alone, and with the beginnings
// of the sources.
#include "server/config/fields_read.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "server/config/check.h"
#include "server/config/pipeline_file.h"
#include "server/stages/registry.h"

namespace millrace {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const StageRegistry& Kinds() {
  static const StageRegistry kinds = BuiltinStages();
  return kinds;
}

v1::Pipeline PipelineOf(std::string_view stages, const std::map<std::string, std::string>& files = {}) {
  const FileLoader load = [&](std::string_view path) -> StatusOr<std::string> {
    const auto found = files.find(std::string(path));
    if (found == files.end()) return MakeError(Reason::kFileError, "no such file");
    return found->second;
  };
  const StatusOr<PipelineFile> file = ReadPipeline("name: p\n" + std::string(stages), "p.yaml", load);
  EXPECT_TRUE(file.ok()) << file.status();
  return file.ok() ? file->pipeline : v1::Pipeline();
}

SourceFields Header(const std::vector<std::string>& columns) {
  SourceFields source{.fields = {}, .seen = "the header"};
  for (const std::string& column : columns) source.fields.Member(column);
  return source;
}

SourceFields Items(const std::vector<const char*>& items) {
  SourceFields source{.fields = {}, .seen = "the first " + std::to_string(items.size()) + " items"};
  for (const char* item : items) source.fields.AddValue(boost::json::parse(item));
  return source;
}

std::vector<std::string> Problems(std::string_view stages, const SourcesSeen& sources = {},
                                  const std::map<std::string, std::string>& files = {}) {
  std::vector<std::string> lines;
  for (const FieldViolation& violation : FieldsReadUnmade(PipelineOf(stages, files), Kinds(), sources)) {
    lines.push_back(violation.field + ": " + violation.description);
  }
  return lines;
}

constexpr char kTitles[] = "stages:\n- {name: titles, fetch: {csv: {path: t.csv}}}\n";

// One stage behind a CSV file with the columns id, title and date.
std::vector<std::string> ProblemsBehindTitles(std::string_view stage) {
  return Problems(std::string(kTitles) + "- {name: s, needs: [titles], " + std::string(stage) + "}\n",
                  {{"titles", Header({"id", "title", "date"})}});
}

TEST(FieldsReadTest, RefusesAMisspeltNameInAPromptWithItsPlaceAndTheNearestColumn) {
  EXPECT_THAT(
      ProblemsBehindTitles(R"(synthesize: {model: m, prompt: "About:\n {{titel}}"})"),
      ElementsAre("stages[1].synthesize.prompt: line 2, column 2: no stage before makes the field \"titel\", and it is "
                  "not in the header of \"titles\"; did you mean \"title\"? If all items may lack it, add it to "
                  "`optional` of the stage \"titles\""));
  EXPECT_THAT(ProblemsBehindTitles(
                  R"(synthesize: {model: m, prompt: "{{title}} {{date}} {{id}}", system: "{{ input.title }}"})"),
              ElementsAre(AllOf(HasSubstr("stages[1].synthesize.system: line 1, column 1: "),
                                HasSubstr("did you mean \"title\"?"))));
}

TEST(FieldsReadTest, ChecksEveryPlaceThatNamesAField) {
  const std::vector<std::string> stages = {
      "when: {field: nope, exists: true}, prepare: {rules: [{set: {field: a, value: 1}}]}",
      "prepare: {rules: [{when: {not: {field: nope, equals: 1}}, set: {field: a, value: 1}}]}",
      "prepare: {rules: [{set: {field: a, from: nope}}]}",
      "prepare: {rules: [{set: {field: a, template: '{{nope}}'}}]}",
      "prepare: {rules: [{validate: {condition: {field: nope, exists: true}}}]}",
      "prepare: {rules: [{extract: {from: nope, pattern: x, field: a}}]}",
      "prepare: {rules: [{replace: {field: nope, pattern: x, with: y}}]}",
      "prepare: {rules: [{look_up: {gazetteer: g.csv, in: [title, nope], set: [{field: a, column: b}]}}]}",
      "synthesize: {model: m, prompt: '{{title}}{{#nope}}x{{/nope}}'}",
      "synthesize: {model: m, prompt: '{{title}}{{^nope}}x{{/nope}}'}",
      "synthesize: {model: m, prompt: '{{title}}', fallback: {rules: [{set: {field: a, from: nope}}]}}",
      "cluster: {lexical: {fields: [nope]}, passes: [{threshold: 1}]}",
      "cluster: {lexical: {fields: [title]}, passes: [{threshold: 1}], within: nope}",
      "cluster: {lexical: {fields: [title]}, passes: [{threshold: 1}], time_field: nope}",
      "cluster: {lexical: {fields: [title]}, passes: [{threshold: 1}], title_field: nope}",
      "cluster: {lexical: {fields: [title]}, passes: [{threshold: 1}], keep: [nope]}",
      "merge: {fields: [nope], rules: [{name: r, join: true}]}",
      "merge: {fields: [title], rules: [{name: r, join: true, when: {field: left.nope, equals: 1}}]}",
      "merge: {fields: [title], rules: [{name: r, join: true, when: {field: shared.nope, equals: true}}]}",
      "merge: {fields: [title], rules: [{name: r, join: true}], keep: [{field: nope, as: b}]}",
      "store: {csv: {path: o.csv, columns: [id, nope]}}",
      "store: {sqlite: {path: o.db, tables: [{table: t, key: [id], columns: {id: id, a: item.nope}}]}}",
      "store: {sqlite: {path: o.db, tables: [{table: t, key: [id], columns: {id: id, a: nope}}]}}",
      "store: {sqlite: {path: o.db, tables: [{table: t, key: [nope]}]}}",
      "store: {sqlite: {path: o.db, tables: [{table: t, key: [id], each: nope, columns: {id: item.id, v: value}}]}}",
      "expect: {unique: [nope]}, store: {jsonl: {path: o.jsonl}}",
      "expect: {max_null_share: {nope: 0.5}}, store: {jsonl: {path: o.jsonl}}",
      "expect: {newest_within: {field: nope, age: 1d}}, store: {jsonl: {path: o.jsonl}}",
  };
  for (const std::string& stage : stages) {
    const std::map<std::string, std::string> files = {{"g.csv", "name,b\nx,y\n"}};
    EXPECT_THAT(Problems(std::string(kTitles) + "- {name: s, needs: [titles], " + stage + "}\n",
                         {{"titles", Header({"id", "title", "date"})}}, files),
                ElementsAre(HasSubstr("the field \"nope\"")))
        << stage;
  }
  EXPECT_THAT(
      Problems(std::string(kTitles) + "measures:\n- {name: a, mean: {stage: titles, field: nope}}\n"
                                      "- {name: b, share: {stage: titles, where: {field: nope, exists: true}}}\n",
               {{"titles", Header({"id", "title", "date"})}}),
      ElementsAre(HasSubstr("measures[0].mean.field: "), HasSubstr("measures[1].share.where.compare.field: ")));
  EXPECT_THAT(Problems("stages:\n- {name: titles, expect: {unique: [nope]}, fetch: {csv: {path: t.csv}}}\n",
                       {{"titles", Header({"id"})}}),
              ElementsAre(HasSubstr("stages[0].expect.unique[0]: ")));
}

TEST(FieldsReadTest, AcceptsWhatIsThere) {
  EXPECT_THAT(
      ProblemsBehindTitles("synthesize: {model: m, prompt: '{{title}} {{#date}}on {{date}}{{/date}}{{! note }}'}"),
      IsEmpty());
  EXPECT_THAT(ProblemsBehindTitles("cluster: {lexical: {fields: [title]}, passes: [{threshold: 1}]}"), IsEmpty());
  EXPECT_THAT(ProblemsBehindTitles("merge: {fields: [title], rules: [{name: r, join: true, when: {all: [{field: "
                                   "similarity, at_least: 0.5}, {field: days_apart, less: 2}, {field: left.date, "
                                   "exists: true}]}}]}"),
              IsEmpty());
  EXPECT_THAT(
      ProblemsBehindTitles("store: {sqlite: {path: o.db, tables: [{table: t, key: [id], columns: {id: item.id, a: "
                           "title, b: item.date}}]}}"),
      IsEmpty());
}

TEST(FieldsReadTest, ARuleSeesWhatTheRulesBeforeItWrote) {
  EXPECT_THAT(
      ProblemsBehindTitles("prepare: {rules: [{set: {field: a.b, value: 1}}, {set: {field: c, from: a.b}}, "
                           "{extract: {from: c, pattern: x, field: d}}, {set: {field: e, template: '{{d}}'}}]}"),
      IsEmpty());
  EXPECT_THAT(ProblemsBehindTitles("prepare: {rules: [{set: {field: c, from: a}}, {set: {field: a, value: 1}}]}"),
              ElementsAre(HasSubstr("stages[1].prepare.rules[0].set.from: ")));
  EXPECT_THAT(ProblemsBehindTitles("synthesize: {model: m, prompt: '{{title}} {{answer}}'}"),
              ElementsAre(HasSubstr("the field \"answer\"")));
}

TEST(FieldsReadTest, KnowsTheFieldsOfAnswersByTheirSchema) {
  const auto behind = [](std::string_view read) {
    return Problems(std::string(kTitles) + R"(- name: s
  needs: [titles]
  synthesize:
    model: m
    prompt: '{{title}}'
    output_field: story
    output_schema:
      type: object
      properties:
        headline: {type: string}
        people: {type: array, items: {type: object, properties: {name: {type: string}}}}
        free: {type: object}
- {name: t, needs: [s], )" +
                    std::string(read) + "}\n");
  };
  EXPECT_THAT(behind("synthesize: {model: m, prompt: '{{story.headline}} {{#story.people}}{{name}}{{/story.people}} "
                     "{{story.people.0.name}} {{story.free.x}}'}"),
              IsEmpty());
  EXPECT_THAT(behind("store: {csv: {path: o.csv, columns: [story.headlin]}}"), IsEmpty());  // the source is not known
  const SourcesSeen seen = {{"titles", Header({"title"})}};
  const std::string stages = std::string(kTitles) + R"(- name: s
  needs: [titles]
  synthesize: {model: m, prompt: '{{title}}', output_schema: {type: object, properties: {mood: {type: string}, people: {type: array, items: {type: object, properties: {name: {type: string}}}}}}}
)";
  EXPECT_THAT(
      Problems(stages + "- {name: t, needs: [s], store: {csv: {path: o, columns: [moood, people.0.nam, mood.x]}}}\n",
               seen),
      ElementsAre(HasSubstr("did you mean \"mood\"?"), HasSubstr("the field \"people.0.nam\""),
                  HasSubstr("the field \"mood.x\"")));
  EXPECT_THAT(
      Problems(stages +
                   "- {name: t, needs: [s], store: {sqlite: {path: o, tables: [{table: p, key: [id, n], each: people, "
                   "columns: {id: item.id, n: index, name: value.nmae}}]}}}\n",
               seen),
      ElementsAre(HasSubstr("the field \"people.0.nmae\"")));
}

TEST(FieldsReadTest, AFieldThatSomeFirstItemsHaveMayBeRead) {
  const std::string stages =
      "stages:\n- {name: in, fetch: {inline: {}}}\n"
      "- {name: s, needs: [in], synthesize: {model: m, prompt: '{{text}} {{author.name}} {{note}}'}}\n";
  EXPECT_THAT(
      Problems(stages, {{"in", Items({R"({"text":"a"})", R"({"text":"b","author":{"name":"c"},"note":null})"})}}),
      IsEmpty());
  EXPECT_THAT(Problems(stages, {{"in", Items({R"({"text":"a"})", R"({"text":"b","author":{"nam":"c"},"note":1})"})}}),
              ElementsAre(AllOf(HasSubstr("\"author.name\", and it is not in the first 2 items of \"in\""),
                                HasSubstr("did you mean \"author.nam\"?"))));
}

TEST(FieldsReadTest, AFieldThatAllItemsMayLackIsMarked) {
  EXPECT_THAT(
      Problems("stages:\n- {name: in, optional: [note, author.name], fetch: {csv: {path: t.csv}}}\n"
               "- {name: s, needs: [in], synthesize: {model: m, prompt: '{{title}} {{note}} {{author.name}}'}}\n"
               "- {name: t, needs: [s], store: {csv: {path: o.csv, columns: [note, answer]}}}\n",
               {{"in", Header({"title"})}}),
      IsEmpty());
  EXPECT_THAT(
      Problems(std::string(kTitles) +
                   "- {name: s, needs: [titles], optional: [note], synthesize: {model: m, prompt: '{{note}}'}}\n",
               {{"titles", Header({"title"})}}),
      IsEmpty());
}

TEST(FieldsReadTest, OneOfSeveralSourcesIsEnough) {
  const std::string stages =
      "stages:\n- {name: a, fetch: {csv: {path: a.csv}}}\n- {name: b, fetch: {csv: {path: b.csv}}}\n"
      "- {name: s, needs: [a, b], synthesize: {model: m, prompt: '{{x}} {{y}} {{z}}'}}\n";
  EXPECT_THAT(Problems(stages, {{"a", Header({"x"})}, {"b", Header({"y"})}}),
              ElementsAre(HasSubstr("\"z\", and it is not in the header of \"a\" or the header of \"b\"")));
  EXPECT_THAT(Problems(stages, {{"a", Header({"x"})}}), IsEmpty());  // b may have any field
}

TEST(FieldsReadTest, AColumnWithDotsIsAField) {
  EXPECT_THAT(Problems(std::string(kTitles) +
                           "- {name: s, needs: [titles], store: {csv: {path: o, columns: [address.city]}}}\n",
                       {{"titles", Header({"address.city"})}}),
              IsEmpty());
  EXPECT_THAT(Problems(std::string(kTitles) +
                           "- {name: s, needs: [titles], store: {csv: {path: o, columns: [address.city]}}}\n",
                       {{"titles", Header({"address", "city"})}}),
              ElementsAre(AllOf(HasSubstr("\"address.city\""), HasSubstr("did you mean \"city\"?"))));
}

TEST(FieldsReadTest, NamesThePlaceInATemplateFile) {
  EXPECT_THAT(
      Problems(std::string(kTitles) + "- {name: s, needs: [titles], synthesize: {model: m, prompt_file: p.mustache}}\n",
               {{"titles", Header({"title"})}}, {{"p.mustache", "Hi\n\n  {{titl}}\n"}}),
      ElementsAre(HasSubstr("stages[1].synthesize.prompt_file: p.mustache:3:3: ")));
}

TEST(FieldsReadTest, AParameterMayNameAField) {
  const std::string stages =
      "parameters: {column: {string: {}}}\nstages:\n- {name: in, fetch: {csv: {path: t.csv}}}\n"
      "- {name: c, needs: [in], cluster: {lexical: {fields: [title]}, passes: [{threshold: 1}]}}\n"
      "- {name: s, needs: [c], prepare: {rules: [{set: {field: $(column), value: 1}}, {set: {field: b, from: "
      "made}}]}}\n";
  EXPECT_THAT(Problems(stages), IsEmpty());
}

TEST(DoubtsTest, NamesPromptsThatAreTheSameForAllItems) {
  const auto doubts = [](std::string_view stage) {
    std::vector<std::string> lines;
    const v1::Pipeline pipeline =
        PipelineOf(std::string(kTitles) + "- {name: s, needs: [titles], " + std::string(stage) + "}\n");
    for (const FieldViolation& doubt : PipelineDoubts(pipeline, Kinds())) {
      lines.push_back(doubt.field + ": " + doubt.description);
    }
    return lines;
  };
  EXPECT_THAT(doubts("synthesize: {model: m, prompt: Tell a joke}"),
              ElementsAre("stages[1].synthesize.prompt: it reads no field, so the question is the same for all items; "
                          "write {{name}} where the field `name` belongs"));
  EXPECT_THAT(doubts("synthesize: {model: m, prompt: 'Summarize {title}'}"),
              ElementsAre(HasSubstr("if {title} is meant to be a field, write {{title}}")));
  EXPECT_THAT(doubts("synthesize: {model: m, prompt: 'Summarize {{title}}'}"), IsEmpty());
  EXPECT_THAT(doubts("synthesize: {model: m, system: '{{title}}', prompt: Summarize}"), IsEmpty());
}

TEST(DoubtsTest, NamesMembersOfSchemasThatAreHardlyMeant) {
  const auto doubts = [](std::string_view schema) {
    std::vector<std::string> lines;
    const v1::Pipeline pipeline = PipelineOf(std::string(kTitles) +
                                             "- {name: s, needs: [titles], synthesize: {model: m, prompt: '{{title}}', "
                                             "output_schema: " +
                                             std::string(schema) + "}}\n");
    for (const FieldViolation& doubt : PipelineDoubts(pipeline, Kinds())) {
      lines.push_back(doubt.field + ": " + doubt.description);
    }
    return lines;
  };
  EXPECT_THAT(
      doubts("{type: object, properties: {mood: {type: string}}, required: [moood]}"),
      ElementsAre("stages[1].synthesize.output_schema: `required` names \"moood\", which `properties` lack; did you "
                  "mean \"mood\"?"));
  EXPECT_THAT(doubts("{type: object, properties: {a: {type: array, items: {propertys: {}}}}}"),
              ElementsAre(HasSubstr("\"propertys\" is not a keyword of JSON Schema; did you mean \"properties\"?")));
  EXPECT_THAT(doubts("{type: object, properties: {id: {type: string}}}"),
              ElementsAre(HasSubstr("replaces the field `id`")));
  EXPECT_THAT(
      doubts("{type: object, additionalProperties: false, properties: {required: {type: string, x-millrace-local: "
             "first_line}}, required: [required]}"),
      IsEmpty());
}

}  // namespace
}  // namespace millrace
