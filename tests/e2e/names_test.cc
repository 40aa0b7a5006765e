// Names that do not exist, as users misspell them: no call is paid for, and the message has the place and the nearest
// name.
#include <atomic>
#include <fstream>
#include <sstream>

#include "tests/e2e/story.h"
#include "tests/http/toxic_server.h"

namespace millrace {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kAnswer[] =
    R"({"choices":[{"message":{"role":"assistant","content":"A story."},"finish_reason":"stop"}],)"
    R"("usage":{"prompt_tokens":3,"completion_tokens":4}})";

std::string FileText(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A provider that counts its requests.
class NamesTest : public StoryTest {
 protected:
  NamesTest()
      : provider_([this](ToxicConnection& connection, int) {
          while (!connection.ReadRequest().empty()) {
            ++paid_;
            if (!connection.Write(fmt::format("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}"
                                              "\r\n\r\n{}",
                                              std::string_view(kAnswer).size(), kAnswer))) {
              return;
            }
          }
        }) {
    workspace_.Write("millrace.yaml", fmt::format("files: {{read: [.], write: [.]}}\n"
                                                  "backends:\n"
                                                  "  - {{name: cloud, openai: {{base_url: '{}'}}}}\n"
                                                  "models:\n"
                                                  "  - {{name: writer, targets: [{{backend: cloud, model: m}}]}}\n",
                                                  provider_.url("/v1")));
  }

  // Writes the pipeline with this prompt. `fetch`: the stage that reads, after its name.
  void Prompt(const std::string& prompt,
              const std::string& fetch = "fetch: {csv: {path: $(input), id_column: id}}") const {
    workspace_.Write("stories.yaml", fmt::format(R"(name: stories
parameters: {{input: titles.csv}}
stages:
  - name: titles
    {}
  - name: story
    needs: [titles]
    synthesize:
      model: writer
      prompt: "{}"
  - name: saved
    needs: [story]
    store: {{jsonl: {{path: stories.jsonl}}}}
)",
                                                 fetch, prompt));
  }

  std::atomic<int> paid_{0};
  ToxicServer provider_;
};

TEST_F(NamesTest, AMisspeltFieldOver7483TitlesCostsNoCall) {
  const std::string titles = FileText(MILLRACE_TITLES);
  ASSERT_EQ(Lines(titles), 7484u) << MILLRACE_TITLES;
  workspace_.Write("titles.csv", titles);
  Prompt("Tell the story of: {{titel}}");
  for (const char* command : {"plan", "run"}) {
    const Finished refused = Millrace({command, "stories.yaml"});
    EXPECT_EQ(refused.exit, 2) << refused.out;
    EXPECT_THAT(
        refused.err,
        AllOf(HasSubstr("stories.yaml:10:15: stages[1].synthesize.prompt: line 1, column 20: no stage before makes "
                        "the field \"titel\", and it is not in the header of \"titles\"; did you mean \"title\"?"),
              HasSubstr("add it to `optional` of the stage \"titles\"")));
  }
  EXPECT_EQ(paid_, 0);
  EXPECT_THAT(Millrace({"runs"}).out, Not(HasSubstr("r-")));
}

TEST_F(NamesTest, AFieldThatSomeLinesLackMayBeReadAndOneThatAllLackIsMarked) {
  const std::string lines = "fetch: {jsonl: {path: titles.jsonl, id_field: id}}";
  workspace_.Write("titles.jsonl",
                   "{\"id\":\"a\",\"title\":\"Flood\"}\n{\"id\":\"b\",\"title\":\"Fire\",\"place\":\"Bern\"}\n");
  Prompt("{{title}} {{place}}", lines);
  EXPECT_EQ(Millrace({"run", "stories.yaml"}).exit, 0);
  EXPECT_EQ(paid_, 2);
  Prompt("{{title}} {{plcae}}", lines);
  const Finished refused = Millrace({"run", "stories.yaml"});
  EXPECT_EQ(refused.exit, 2);
  EXPECT_THAT(refused.err,
              AllOf(HasSubstr("it is not in the first 2 items of \"titles\""), HasSubstr("mean \"place\"?")));
  EXPECT_EQ(paid_, 2);
  Prompt("{{title}} {{plcae}}", lines + "\n    optional: [plcae]");
  const Finished marked = Millrace({"run", "stories.yaml"});
  EXPECT_EQ(marked.exit, 0) << marked.err;
}

TEST_F(NamesTest, AnUploadIsCheckedBeforeItsFirstCall) {
  Prompt("{{titel}}");
  const Finished refused = Millrace({"run", "stories.yaml", "--input", "titles=titles.csv"});
  EXPECT_EQ(refused.exit, 1) << refused.err;
  EXPECT_THAT(refused.out + refused.err, AllOf(HasSubstr("the field \"titel\""), HasSubstr("did you mean \"title\"?")));
  EXPECT_EQ(paid_, 0);
}

TEST_F(NamesTest, ValidateRefusesWhatIsNotMustache) {
  for (const char* prompt : {"{{title | upper}}", "{% for t in titles %}{{t}}{% endfor %}", "{{#if title}}x{{/if}}"}) {
    Prompt(prompt);
    const Finished refused = Millrace({"validate", "stories.yaml"});
    EXPECT_EQ(refused.exit, 2) << prompt;
    EXPECT_THAT(refused.err, AllOf(HasSubstr("stories.yaml:10:15: stages[1].synthesize.prompt: line 1, column 1: "),
                                   HasSubstr("write {{")))
        << prompt;
  }
  EXPECT_EQ(paid_, 0);
}

TEST_F(NamesTest, APromptThatIsTheSameForAllItemsIsAWarning) {
  Prompt("Tell the story of {title}");
  const Finished valid = Millrace({"validate", "stories.yaml"});
  EXPECT_EQ(valid.exit, 0) << valid.err;
  EXPECT_THAT(valid.err,
              HasSubstr("warning: stories.yaml:10:15: stages[1].synthesize.prompt: it reads no field, so the "
                        "question is the same for all items; if {title} is meant to be a field, write "
                        "{{title}}"));
  EXPECT_THAT(Millrace({"plan", "stories.yaml"}).err, HasSubstr("the question is the same for all items"));
  workspace_.Write("titles.csv", "id,title,team\na,x,red\nb,y,red\n");
  Prompt("Tell the story of {{team}}");
  EXPECT_THAT(Millrace({"plan", "stories.yaml"}).err,
              HasSubstr("warning: stage \"story\" asks the same question about all of its 2 items"));
  Prompt("Tell the story of {title}");
  const Finished run = Millrace({"run", "stories.yaml"});
  EXPECT_EQ(run.exit, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("warning: stages[1].synthesize.prompt: it reads no field"));
}

TEST_F(NamesTest, ValidateKnowsTheModelsOfAConfiguration) {
  Prompt("{{title}}");
  const Finished valid = Millrace({"validate", "stories.yaml"});
  EXPECT_EQ(valid.exit, 0) << valid.err;
  EXPECT_THAT(valid.out, HasSubstr("millrace.yaml has its models"));
  workspace_.Write(
      "other.yaml",
      "backends:\n  - {name: b, simulated: {}}\nmodels:\n  - {name: wrter, targets: [{backend: b, model: m}]}\n");
  const Finished unknown = Millrace({"validate", "stories.yaml", "--config", "other.yaml"});
  EXPECT_EQ(unknown.exit, 2) << unknown.out;
  EXPECT_THAT(unknown.err, HasSubstr("stories.yaml:9:14: stages[1].synthesize.model: other.yaml configures no model "
                                     "\"writer\"; did you mean \"wrter\"?"));
}

}  // namespace
}  // namespace millrace
