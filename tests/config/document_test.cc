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
  EXPECT_THAT(ErrorOf("a:\n\tb: 1\n"), HasSubstr("no YAML"));
  EXPECT_THAT(ErrorOf("a: [1, 2\n"), HasSubstr("no YAML"));
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
