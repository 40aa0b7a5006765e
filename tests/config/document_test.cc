#include "server/config/document.h"

#include <gmock/gmock.h>
#include <yaml-cpp/yaml.h>

#include <boost/json.hpp>

#include "server/base/canonical_json.h"
#include "server/base/json.h"
#include "server/config/field_value.h"
#include "tests/config/support.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string ErrorOf(std::string_view text, const YamlLimits& limits = {}) {
  return std::string(MessageOf(ReadYaml(text, "f", limits).status()));
}

TEST(DocumentTest, EveryNodeKnowsItsPlace) {
  const StatusOr<YamlNode> node = ReadYaml("a: 1\nb:\n  - x\n  - {c: 'y'}\n", "f");
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ(JsonOf(*node), R"({"a":1,"b":["x",{"c":"y"}]})");
  EXPECT_EQ(node->members[0].place, (Place{1, 1}));
  EXPECT_EQ(node->members[0].value.place, (Place{1, 4}));
  EXPECT_EQ(node->members[1].value.elements[1].members[0].value.place, (Place{4, 9}));
  EXPECT_TRUE(node->members[1].value.elements[1].members[0].value.quoted);
  EXPECT_FALSE(node->members[0].value.quoted);
}

TEST(DocumentTest, RefusesWhatMakesYamlSurprising) {
  EXPECT_EQ(ErrorOf("a: 1\nb: 2\na: 3\n"), "f:3:1: the key \"a\" is there already, in line 1");
  EXPECT_EQ(ErrorOf("{a: 1, 'a': 2}"), "f:1:8: the key \"a\" is there already, in line 1");
  EXPECT_THAT(ErrorOf("a: &x 1\nb: *x\n"), HasSubstr("f:1:4: anchors are not taken"));
  EXPECT_THAT(ErrorOf("a: &x [*x]\n"), HasSubstr("anchors are not taken"));
  EXPECT_THAT(ErrorOf("a: !!python/object:os.system ls\n"), HasSubstr("f:1:4: tags are not taken"));
  EXPECT_THAT(ErrorOf("--- a\n--- b\n"), HasSubstr("a second document begins"));
  EXPECT_THAT(ErrorOf("? [a]\n: 1\n"), HasSubstr("a key must be text"));
  EXPECT_THAT(ErrorOf("~: 1\n"), HasSubstr("a key must be text"));
  EXPECT_THAT(ErrorOf("\xef\xbb\xbf"
                      "a: 1\n"),
              HasSubstr("f:1:1: begins with a byte order mark"));
  EXPECT_THAT(ErrorOf(std::string_view("\xff\xfe"
                                       "a\0:\0",
                                       6)),
              HasSubstr("looks like UTF-16"));
  EXPECT_THAT(ErrorOf(std::string_view("\0a\0:", 4)), HasSubstr("looks like UTF-16"));
  EXPECT_THAT(ErrorOf("a: b\nc: \xff\n"), HasSubstr("f:2:4: byte 0xff is not UTF-8"));
  EXPECT_THAT(ErrorOf("a: \x1b[31m\n"), HasSubstr("f:1:4: control character 0x1b"));
}

TEST(DocumentTest, AMistakeIsExplainedAtThePlaceToChange) {
  struct Row {
    const char* text;
    const char* error;  // its beginning
  };
  for (const Row& row : std::vector<Row>{
           {"a:\n\tb: 1\n", "f:2:1: the line is indented with a tab; indent it with blanks"},
           {"a: |\n\tb\n", "f:2:1: the line is indented with a tab"},
           {"stages:\n\t- name: x\n", "f:2:1: the line is indented with a tab"},
           {"a: b: c\n",
            "f:1:4: the value of `a` has a colon and a blank in it; put quotes around it, or write `a: |`"},
           {"s:\n  - prompt: Label this: {{x}}\n", "f:2:13: the value of `prompt` has a colon and a blank in it"},
           {"a: 1\nmodel:labeller\nb: 3\n", "f:2:6: a blank is missing after the colon"},
           {"a: b\n  c: d\n",
            "f:2:3: the line is indented more than line 1, which has a value already; indent it by 0"},
           {"a: 1\nsome text\nb: 3\n", "f:3:2: line 2 above is not `key: value`"},
           {"s:\n  - name: a\n   fetch: {}\n", "f:3:4: its indentation of 3 fits nothing above; what belongs together"},
           {"s:\n  - name: a\n  fetch: {}\n",
            "f:3:3: its indentation of 2 fits nothing above; what belongs together is indented alike: line 2 has 4"},
           {"p: |\n  abc\n def\n", "f:3:2: the line is not `key: value`; add the colon, or indent the line"},
           {"a:\n  b: c\n\n  # d\n d: e\n",
            "f:5:2: its indentation of 1 fits nothing above; what belongs together is indented alike: line 2 has 2"},
           {"a: 'it's'\n", "f:1:8: text follows the closing `'`; put quotes around the whole value (inside '…'"},
           {"a: \"x\" y\n", "f:1:8: text follows the closing `\"`; put quotes around the whole value (inside \"…\""},
           {"a: [x] and\n", "f:1:8: text follows the closing `]`; put quotes around the whole value"},
           {"a: , b\n", "f:1:4: a value can't begin with `,`; put quotes around it"},
           {"a: @x\n", "f:1:4: a value can't begin with `@`; put quotes around it"},
           {"a: %x\n", "f:1:4: a value can't begin with `%`; put quotes around it"},
           {"a: [1, 2\n", "f:1:4: `[` is not closed by `]`; close it, or put quotes around text that begins with it"},
           {"a: 1\nb: [x, [y]\nc: d\n", "f:2:4: `[` is not closed by `]`"},
           {"a: {b: c\n", "f:1:4: `{` is not closed by `}`"},
           {"a: ]\n", "f:1:4: `]` closes nothing; put quotes around text that begins with it"},
           {"a: - b\n", "f:1:4: `- ` can't begin a list here"},
           {"a: {{x}}\n", "f:1:4: text that begins with {{ needs quotes: \"{{field}} …\""},
           {"a: 1\nb: [{{x}}, c]\n", "f:2:5: text that begins with {{ needs quotes"},
           {"a: *x\n", "f:1:4: a value that begins with `*`, `&` or `!` needs quotes"},
           {"a: \"x\\qy\"\n", R"(f:1:8: in "…", a backslash begins an escape such as \n; write \\ for a backslash)"},
           {"a: >-x\n  b\n", "f:1:6: only `-`, `+` or a digit from 1 to 9 may follow `|` or `>`"},
           {"- a\nb: c\n", "f:2:1: the line does not belong to what is above it"},
       }) {
    EXPECT_THAT(ErrorOf(row.text), testing::StartsWith(row.error)) << row.text;
  }
}

// yaml-cpp takes the rest of the file for the text of a quote that is not closed, so that stages below it vanish.
TEST(DocumentTest, AMissingClosingQuoteIsNotTheEndOfTheFile) {
  for (const std::string text : {R"("x)", "'x", R"("x \")", "'x''", R"(! "x)", "\"", "'"}) {
    EXPECT_EQ(ErrorOf("a: b\nc: " + text + "\nd: e\n"), "f:2:4: the closing quote of this text is missing") << text;
  }
  EXPECT_THAT(ErrorOf("a: b\n\"c: d\n"), HasSubstr("f:2:1: the closing quote of this text is missing"));
  for (const std::string text :
       {"\"x\n  y\"", "''", R"("")", "'it''s'", "'''x'''", R"("\\")", "! 'x'", "'x\n\n  ''y'", R"("'")", R"('"')"}) {
    EXPECT_EQ(ErrorOf("c: " + text + "\n"), "") << text;
  }
}

TEST(DocumentTest, ACommentDoesNotCutATemplate) {
  for (const std::string text : {"Ticket #{{id}}", "About {{title}} # and {{text}}"}) {
    EXPECT_EQ(ErrorOf("a: " + text + "\n"),
              "f:1:4: the text ends before ` #`, which begins a comment; put quotes around the whole text")
        << text;
  }
  for (const std::string text :
       {"Ticket#{{id}}", "title  # for {{title}}", "[a, b]  # {{a}}", "'x'  #{{y}}", "5 # five"}) {
    EXPECT_EQ(ErrorOf("a: " + text + "\n"), "") << text;
  }
}

TEST(DocumentTest, RefusesBombsBeforeTheyGrow) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last + ", " + last + ", " + last + "]\n";
  }
  EXPECT_THAT(ErrorOf(bomb), HasSubstr("anchors are not taken"));
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(ErrorOf(nested(64)), "");
  EXPECT_EQ(ErrorOf(nested(65)), "f:1:65: nested deeper than 64");
  for (const size_t depth : {500u, 50'000u}) {
    for (const std::string opening :
         {"[", "{", "{a: ", "- ", "? ", "[? ", "- - ", "a: {", "!!x ", "&a ", "\"", "|", ">"}) {
      std::string text;
      for (size_t i = 0; i < depth; ++i) text += opening;
      EXPECT_NE(ErrorOf(text), "") << opening << " " << depth;
    }
  }
  std::string block;
  for (int i = 0; i < 100; ++i) block += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  EXPECT_EQ(ErrorOf(block), "f:65:65: nested deeper than 64");
}

TEST(DocumentTest, BoundsNodesAndBytes) {
  std::string list;
  for (int i = 0; i < 9'999; ++i) list += "- x\n";
  EXPECT_EQ(ErrorOf(list), "");
  EXPECT_EQ(ErrorOf(list + "- x\n"), "f:10000:3: more than 10000 keys and values");
  EXPECT_EQ(ErrorOf(std::string((1u << 20) + 1, ' ')), "f: has 1048577 bytes, over the limit of 1048576");
  EXPECT_EQ(ErrorOf("# " + std::string((1u << 20) - 3, 'x') + "\n"), "");
}

// The characters that the test suite shows instead of blanks (yaml-test-suite, ReadMe).
std::string Unveil(std::string text) {
  const auto replace = [&](std::string_view from, std::string_view to) {
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
      text.replace(at, from.size(), to);
    }
  };
  replace("␣", " ");
  replace("—", "");
  replace("»", "\t");
  replace("↵", "");
  replace("∎\n", "");
  replace("←", "\r");
  replace("⇔", "\xef\xbb\xbf");
  return text;
}

// Returns the outcome of a case: accepted, refused, or misread (a value other than the suite says).
std::string Outcome(const std::string& yaml, const YAML::Node& json, std::string& detail) {
  const StatusOr<YamlNode> node = ReadYaml(yaml, "f");
  if (!node.ok()) {
    detail = MessageOf(node.status());
    return "refused";
  }
  if (!json.IsDefined() || !json.IsScalar()) return "accepted";
  const StatusOr<std::string> expected = CanonicalJson(json.as<std::string>());
  const StatusOr<std::string> read = CanonicalJson(JsonOf(*node));
  if (!expected.ok() || *expected == *read) return "accepted";
  detail = "read " + *read + ", expected " + *expected;
  return "misread";
}

// Cases that end otherwise than the suite says are listed in yaml_differences.txt, each with its reason.
TEST(YamlCorpusTest, EveryCaseEndsAsTheSuiteSaysOrAsListed) {
  const std::filesystem::path folder = DataDir() / "bad-inputs" / "yaml";
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << "the corpus of YAML files is not on this machine (MILLRACE_DATA)";
  std::map<std::string, std::string> listed;  // case → outcome
  std::istringstream list(ReadFile("tests/config/yaml_differences.txt"));
  for (std::string line; std::getline(list, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string name, outcome, reason;
    words >> name >> outcome;
    std::getline(words >> std::ws, reason);
    EXPECT_NE(reason, "") << name << " has no reason";
    EXPECT_TRUE(listed.emplace(name, outcome).second) << name << " is listed twice";
  }
  int cases = 0;
  std::set<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".yaml") files.insert(entry.path());
  }
  for (const std::filesystem::path& file : files) {
    const YAML::Node suite = YAML::Load(ReadFile(file));
    for (size_t i = 0; i < suite.size(); ++i) {
      const YAML::Node& test = suite[i];
      if (!test["yaml"].IsDefined()) continue;  // a repetition of the case before, with another output
      ++cases;
      const std::string name = file.stem().string() + "/" + std::to_string(i);
      const bool must_fail = test["fail"].IsDefined() && test["fail"].as<bool>();
      std::string detail;
      const std::string outcome = Outcome(Unveil(test["yaml"].as<std::string>()), test["json"], detail);
      const std::string said = must_fail ? "refused" : "accepted";
      if (const auto found = listed.extract(name)) {
        EXPECT_NE(outcome, said) << name << " ends as the suite says: it need not be listed";
        EXPECT_EQ(outcome, found.mapped()) << name << ": " << detail;
      } else {
        EXPECT_EQ(outcome, said) << "not listed: " << name << " " << outcome << " " << detail;
      }
    }
  }
  EXPECT_GT(cases, 250);
  EXPECT_TRUE(listed.empty()) << listed.begin()->first << " is listed and not in the corpus";
}

}  // namespace
}  // namespace millrace
