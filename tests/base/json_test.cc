#include "server/base/json.h"
#include "server/base/canonical_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "server/base/digest.h"
#include "server/base/random.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

fs::path DataDir() {
  const char* dir = std::getenv("MILLRACE_DATA");
  return dir != nullptr ? dir : "../shared/data";
}

std::string Canonical(std::string_view text) {
  const StatusOr<std::string> canonical = CanonicalJson(text);
  return canonical.ok() ? *canonical : "refused: " + std::string(MessageOf(canonical.status()));
}

std::string ErrorOf(std::string_view text, const JsonLimits& limits = {}) {
  const StatusOr<json::value> value = ParseJson(text, limits);
  const StatusOr<std::string> canonical = CanonicalJson(text, limits);
  EXPECT_EQ(ParseExact(text, limits).status(), canonical.status()) << text;
  if (canonical.ok() != value.ok()) {
    // The only difference: a double has a largest number.
    EXPECT_NE(MessageOf(value.status()).find("exponent overflow"), std::string_view::npos) << text;
  } else {
    EXPECT_EQ(value.status(), canonical.status()) << text;
  }
  if (!value.ok()) {
    EXPECT_EQ(ReasonOf(value.status()), Reason::kNotJson);
  }
  return std::string(MessageOf(value.status()));
}

TEST(ParseJsonTest, KeepsTheOrderOfMembersAndLongIntegers) {
  const StatusOr<json::value> value = ParseJson(R"({"b":1,"a":[-9223372036854775808,18446744073709551615]})");
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(value->as_object().begin()->key(), "b");
  EXPECT_EQ(value->at("a").at(0).as_int64(), INT64_MIN);
  EXPECT_EQ(value->at("a").at(1).as_uint64(), UINT64_MAX);
}

TEST(ParseJsonTest, TakesTheNearestDouble) {
  // 5e-324, and halfway cases in which fast algorithms are wrong by one unit.
  for (const auto& [text, number] : std::map<std::string, double>{{"5e-324", 5e-324},
                                                                  {"9007199254740993.0", 9007199254740992.0},
                                                                  {"1.7976931348623157e308", 1.7976931348623157e308},
                                                                  {"8.41e+21", 8.41e21},
                                                                  {"6631236846766476e-331", 6631236846766476e-331},
                                                                  {"123456789012345678901", 123456789012345678901.0},
                                                                  {"1e-999", 0.0}}) {
    const StatusOr<json::value> value = ParseJson(text);
    ASSERT_TRUE(value.ok()) << text;
    EXPECT_EQ(value->as_double(), number) << text;
  }
}

TEST(ParseJsonTest, NamesTheByteAtWhichTheTextIsWrong) {
  EXPECT_EQ(ErrorOf("[1, 2, x]"), "invalid JSON at byte 7: syntax error");
  EXPECT_EQ(ErrorOf("{\"a\": 1"), "invalid JSON at byte 7: incomplete JSON");
  EXPECT_EQ(ErrorOf("1 2"), "invalid JSON at byte 2: text follows the value");
  EXPECT_EQ(ErrorOf(""), "invalid JSON at byte 0: incomplete JSON");
  EXPECT_EQ(ErrorOf("[1e400]"), "invalid JSON at byte 6: exponent overflow");
  EXPECT_EQ(ErrorOf("[" + std::string(310, '9') + "]"), "invalid JSON at byte 311: exponent overflow");
}

TEST(ParseJsonTest, RefusesADuplicateNameHoweverItIsWritten) {
  EXPECT_EQ(ErrorOf(R"({"a":1,"b":2,"a":3})"),
            "invalid JSON at byte 18: the object that ends here has a duplicate name \"a\"");
  EXPECT_EQ(ErrorOf(R"({"a":1,"\u0061":1})"),
            "invalid JSON at byte 17: the object that ends here has a duplicate name \"a\"");
  EXPECT_EQ(ErrorOf(R"([{"x":{"":1,"":2}}])"),
            "invalid JSON at byte 16: the object that ends here has a duplicate name \"\"");
  EXPECT_EQ(ErrorOf(R"([{"a":1},{"a":{"a":1}}])"), "");
}

TEST(ParseJsonTest, RefusesTextsThatAreTooDeepOrTooLarge) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(ErrorOf(nested(192)), "");
  EXPECT_EQ(ErrorOf(nested(193)), "invalid JSON at byte 192: too deep");
  EXPECT_EQ(ErrorOf(nested(100000)), "invalid JSON at byte 192: too deep");
  EXPECT_EQ(ErrorOf("[1,2]", {.bytes = 5}), "");
  EXPECT_EQ(ErrorOf("[1,2] ", {.bytes = 5}), "JSON of 6 bytes is over the limit of 5");
}

TEST(ParseJsonTest, RefusesBrokenUtf8AndLoneSurrogates) {
  for (const std::string text : {"\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"",
                                 R"("\ud800")", R"("\udc00")", R"("\ud800\ud800")", R"("\ud800x")"}) {
    EXPECT_NE(ErrorOf(text), "") << text;
  }
  EXPECT_EQ(Canonical(R"("\ud83d\ude00")"), "\"😀\"");
}

TEST(CanonicalJsonTest, GivesTheVectorsOfTheFormatsPage) {
  // The vectors are lines of JSON in the block of docs/formats.md that begins with ```canonical-json-vectors.
  const std::string page = ReadFile("docs/formats.md");
  const std::string opening = "```canonical-json-vectors\n";
  const size_t begin = page.find(opening);
  ASSERT_NE(begin, std::string::npos);
  std::istringstream block(page.substr(begin + opening.size(), page.find("\n```", begin) - begin - opening.size()));
  int count = 0;
  for (std::string line; std::getline(block, line); ++count) {
    const StatusOr<json::value> vector = ParseJson(line);
    ASSERT_TRUE(vector.ok()) << line;
    const std::string text(vector->at("text").as_string());
    const std::string canonical(vector->at("canonical").as_string());
    EXPECT_EQ(Canonical(text), canonical);
    EXPECT_EQ(Canonical(canonical), canonical);
    EXPECT_EQ(Digest::Of(Canonical(text)).Hex(), vector->at("sha256").as_string()) << text;
  }
  EXPECT_GE(count, 10);
}

TEST(CanonicalJsonTest, PrintsDoublesAsEcmascriptDoes) {
  // RFC 8785, appendix B.
  const std::vector<std::pair<uint64_t, std::string>> samples = {
      {0x0000000000000000, "0"},
      {0x8000000000000000, "0"},
      {0x0000000000000001, "5e-324"},
      {0x8000000000000001, "-5e-324"},
      {0x7fefffffffffffff, "1.7976931348623157e+308"},
      {0xffefffffffffffff, "-1.7976931348623157e+308"},
      {0x4340000000000000, "9007199254740992"},
      {0xc340000000000000, "-9007199254740992"},
      {0x4430000000000000, "295147905179352830000"},
      {0x44b52d02c7e14af5, "9.999999999999997e+22"},
      {0x44b52d02c7e14af6, "1e+23"},
      {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
      {0x444b1ae4d6e2ef4e, "999999999999999700000"},
      {0x444b1ae4d6e2ef4f, "999999999999999900000"},
      {0x444b1ae4d6e2ef50, "1e+21"},
      {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
      {0x3eb0c6f7a0b5ed8d, "0.000001"},
      {0x41b3de4355555553, "333333333.3333332"},
      {0x41b3de4355555554, "333333333.33333325"},
      {0x41b3de4355555555, "333333333.3333333"},
      {0x41b3de4355555556, "333333333.3333334"},
      {0x41b3de4355555557, "333333333.33333343"},
      {0xbecbf647612f3696, "-0.0000033333333333333333"},
      {0x43143ff3c1cb0959, "1424953923781206.2"},
  };
  for (const auto& [bits, text] : samples) EXPECT_EQ(CanonicalJson(json::value(std::bit_cast<double>(bits))), text);
}

TEST(CanonicalJsonTest, IsEqualForATextAndItsValue) {
  Random random(7);
  const std::vector<std::string> names = {"a", "b", "é", "\uE000", "😀", "", "A", "long name", "\"", "\n"};
  const auto make = [&](const auto& self, int depth) -> json::value {
    switch (random.Below(depth > 4 ? 5 : 7)) {
      case 0:
        return static_cast<int64_t>(random.Next());
      case 1:
        return random.Normal() * 1e6;
      case 2:
        return json::string(names[random.Below(names.size())]);
      case 3:
        return random.Next();
      case 4:
        return nullptr;
      case 5: {
        json::array array;
        for (uint64_t i = random.Below(5); i > 0; --i) array.push_back(self(self, depth + 1));
        return array;
      }
      default: {
        json::object object;
        for (uint64_t i = random.Below(8); i > 0; --i)
          object[names[random.Below(names.size())]] = self(self, depth + 1);
        return object;
      }
    }
  };
  for (int i = 0; i < 2000; ++i) {
    const json::value value = make(make, 0);
    const std::string canonical = CanonicalJson(value);
    EXPECT_EQ(Canonical(canonical), canonical);
    EXPECT_EQ(Canonical(json::serialize(value)), canonical);
  }
}

// A parser must accept the files `y_` of JSONTestSuite, must refuse `n_` and may choose for `i_`. json_choices.txt
// lists our choices, and the files for which our rules are stricter.
TEST(JsonCorpusTest, EveryFileIsAcceptedOrRefusedAsExpected) {
  const fs::path folder = DataDir() / "bad-inputs" / "json";
  if (!fs::exists(folder)) GTEST_SKIP() << "the corpus of JSON files is not on this machine (MILLRACE_DATA)";
  std::map<std::string, std::string> expected;  // file → accepted or refused
  std::istringstream list(ReadFile("tests/base/json_choices.txt"));
  for (std::string line; std::getline(list, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string file, choice, reason;
    words >> file >> choice;
    std::getline(words >> std::ws, reason);
    EXPECT_NE(reason, "") << file << " has no reason";
    EXPECT_TRUE(expected.emplace(file, choice).second) << file << " is listed twice";
  }
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string file = entry.path().filename();
    if (entry.path().extension() != ".json") continue;
    ++files;
    std::string choice = file[0] == 'y' ? "accepted" : "refused";
    if (const auto found = expected.extract(file)) {
      EXPECT_TRUE(file[0] == 'i' || found.mapped() != choice) << file << " need not be listed";
      choice = found.mapped();
    } else {
      EXPECT_NE(file[0], 'i') << file << " is not in the list of choices";
    }
    const std::string text = ReadFile(entry.path());
    const StatusOr<json::value> value = ParseExact(text);
    const StatusOr<std::string> canonical = CanonicalJson(text);
    EXPECT_EQ(value.ok() ? "accepted" : "refused", choice) << file << ": " << value.status();
    EXPECT_EQ(canonical.status(), value.status()) << file;
    if (!value.ok()) continue;
    EXPECT_EQ(CanonicalJson(*value), *canonical) << file;
    const StatusOr<json::value> again = ParseExact(WriteJson(*value));
    ASSERT_TRUE(again.ok()) << file;
    EXPECT_EQ(*again, *value) << file;
  }
  EXPECT_GT(files, 200);
  EXPECT_TRUE(expected.empty()) << expected.begin()->first << " is in the list of choices and not in the corpus";
}

TEST(FindPathTest, FollowsNamesAndIndices) {
  const json::value value = *ParseJson(R"({"a":{"b":[10,{"c":null}]},"":1})");
  EXPECT_EQ(FindPath(value, "a.b.0")->as_int64(), 10);
  EXPECT_TRUE(FindPath(value, "a.b.1.c")->is_null());
  EXPECT_EQ(FindPath(value, ""), &value);
  for (const char* path : {"b", "a.b.2", "a.b.x", "a.b.-1", "a.b.99999999999999999999", "a.b.0.c"}) {
    EXPECT_EQ(FindPath(value, path), nullptr) << path;
  }
}

TEST(FindPathTest, ANameWithDotsWinsOverAPath) {
  const json::value value = *ParseJson(R"({"a.b":1,"a":{"b":2,"c.d":{"e":3}},"x.y":{"z":4}})");
  EXPECT_EQ(FindPath(value, "a.b")->as_int64(), 1);
  EXPECT_EQ(FindPath(value, "a.c.d.e")->as_int64(), 3);
  EXPECT_EQ(FindPath(value, "x.y.z")->as_int64(), 4);
  EXPECT_EQ(FindPath(value, "x"), nullptr);
  EXPECT_EQ(FindPath(value, "x.z"), nullptr);
  std::string_view rest = "x.y.z";
  EXPECT_NE(FindMember(value.as_object(), rest), nullptr);
  EXPECT_EQ(rest, "z");
  const std::string dots(300, '.');
  EXPECT_EQ(FindPath(value, dots), nullptr);
}

}  // namespace
}  // namespace millrace
