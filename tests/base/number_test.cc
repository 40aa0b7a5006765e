#include "server/base/number.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <vector>

#include "server/base/canonical_json.h"
#include "server/base/json.h"
#include "server/base/random.h"

namespace millrace {
namespace {

json::value ValueOf(std::string_view text) {
  const StatusOr<json::value> value = ParseExact(text);
  EXPECT_TRUE(value.ok()) << text << ": " << value.status();
  return value.ok() ? *value : json::value();
}

std::string Laid(std::string_view text) {
  const std::optional<Decimal> number = ParseDecimal(text);
  if (!number) return "none";
  std::string out;
  AppendDecimal(*number, out);
  return out;
}

TEST(ParseExactTest, GivesBackEveryNumberWithItsCharacters) {
  for (const std::string_view text :
       {R"([19.90,1.0,1e5,1E5,1e+5,-0,-0.0,0.1e1,1e400,-1e-400,123456789012345678901234567890])",
        R"([9223372036854775807,9223372036854775808,-9223372036854775808,18446744073709551616,0.1000])",
        R"([0.1000000000000000055511151231257827021181583404541015625,1e999999999,100000000000000000000.10])",
        R"({"b":{"price":19.90,"a":[1.50]},"a":"19.90","":null,"t":true})", R"([])", R"({})", R"({"a":{},"b":[]})"}) {
    EXPECT_EQ(WriteJson(ValueOf(text)), text);
  }
}

TEST(ParseExactTest, TakesTextsAndNumbersApart) {
  const json::value value = ValueOf(R"(["19.90",19.90,7,true,null,""])");
  const std::vector<bool> numbers = {false, true, true, false, false, false};
  for (size_t i = 0; i < numbers.size(); ++i) {
    EXPECT_EQ(IsNumber(value.at(i)), numbers[i]) << i;
    EXPECT_EQ(IfText(value.at(i)) != nullptr, i == 0 || i == 5) << i;
  }
  EXPECT_EQ(NumberText(value.at(1)), "19.90");
  EXPECT_EQ(NumberText(value.at(0)), std::nullopt);
  EXPECT_EQ(ToDouble(value.at(1)), 19.9);
  EXPECT_EQ(ToDouble(ValueOf("-1e400")), -HUGE_VAL);
}

TEST(ParseExactTest, RefusesWhatParseJsonRefusesExceptForLargeNumbers) {
  for (const std::string_view text : {"[1,]", "{\"a\":1,\"a\":2}", "\"\xff\"", "01", "1.", ".5", "+1", "NaN", "1 2"}) {
    EXPECT_EQ(ParseExact(text).status(), ParseJson(text).status()) << text;
    EXPECT_FALSE(ParseExact(text).ok()) << text;
  }
  EXPECT_FALSE(ParseJson("1e400").ok());
  EXPECT_TRUE(ParseExact("1e400").ok());
}

TEST(DecimalTest, HasOneFormForANumber) {
  for (const std::string_view one : {"1", "1.0", "1e0", "10e-1", "0.1e1", "1.000E+00"}) {
    EXPECT_EQ(ParseDecimal(one), ParseDecimal("1")) << one;
  }
  for (const std::string_view zero : {"0", "-0", "0.0", "0e9", "-0.00e-7"}) EXPECT_EQ(ParseDecimal(zero), Decimal());
  for (const std::string_view wrong : {"", "-", "1.", ".", "e5", "1e", "1e+", "1x", "0x1", "1e9999999999999999"}) {
    EXPECT_EQ(ParseDecimal(wrong), std::nullopt) << wrong;
  }
}

TEST(DecimalTest, IsLaidOutAsEcmascriptDoesWithAllDigits) {
  const std::vector<std::pair<std::string, std::string>> samples = {
      {"19.90", "19.9"},
      {"1e20", "100000000000000000000"},
      {"1e21", "1e+21"},
      {"1000000000000000000000", "1e+21"},
      {"123456789012345678901234567890", "123456789012345678901234567890"},
      {"1.2345678901234567890123456789e29", "123456789012345678901234567890"},
      {"-0.000001", "-0.000001"},
      {"0.0000001", "1e-7"},
      {"1.5e400", "1.5e+400"},
      {"0.10000000000000000555", "0.10000000000000000555"},
      {"1e-400", "1e-400"},
  };
  for (const auto& [text, laid] : samples) EXPECT_EQ(Laid(text), laid) << text;
}

TEST(DecimalTest, DifferentNumbersHaveDifferentCanonicalForms) {
  // Neighbours that one double would stand for.
  const std::vector<std::string> numbers = {"9007199254740992",
                                            "9007199254740993",
                                            "9007199254740992.5",
                                            "0.1",
                                            "0.10000000000000001",
                                            "0.1000000000000000055",
                                            "1e400",
                                            "2e400",
                                            "1e-400",
                                            "0",
                                            "123456789012345678901234567890",
                                            "123456789012345678901234567891"};
  for (const std::string& a : numbers) {
    for (const std::string& b : numbers) {
      EXPECT_EQ(*CanonicalJson(a) == *CanonicalJson(b), a == b) << a << " and " << b;
      EXPECT_EQ(CanonicalJson(ValueOf(a)), *CanonicalJson(a));
    }
  }
}

TEST(DecimalTest, OrdersByValue) {
  const std::vector<std::string> ascending = {"-1e400",
                                              "-123456789012345678901234567891",
                                              "-123456789012345678901234567890",
                                              "-2",
                                              "-1.5",
                                              "-0.1",
                                              "0",
                                              "1e-400",
                                              "0.1",
                                              "0.10000000000000001",
                                              "0.2",
                                              "1",
                                              "9223372036854775807",
                                              "9223372036854775808",
                                              "1e20",
                                              "1e400"};
  for (size_t i = 0; i < ascending.size(); ++i) {
    for (size_t j = 0; j < ascending.size(); ++j) {
      const int order = CompareNumbers(ValueOf(ascending[i]), ValueOf(ascending[j]));
      EXPECT_EQ(order < 0, i < j) << ascending[i] << " and " << ascending[j];
      EXPECT_EQ(order == 0, i == j) << ascending[i] << " and " << ascending[j];
    }
  }
  // A double stands for the number that was written.
  EXPECT_EQ(CompareNumbers(json::value(0.1), ValueOf("0.1")), 0);
  EXPECT_GT(CompareNumbers(ValueOf("0.10000000000000001"), json::value(0.1)), 0);
}

TEST(DecimalTest, IsAMultipleByDigits) {
  const auto multiple = [](std::string_view number, std::string_view step) {
    return IsMultiple(*ParseDecimal(number), *ParseDecimal(step));
  };
  EXPECT_TRUE(multiple("19.99", "0.01"));
  EXPECT_TRUE(multiple("0.3", "0.1"));
  EXPECT_TRUE(multiple("1e308", "0.123456789") == false);
  EXPECT_TRUE(multiple("12391239123", "1e-8"));
  EXPECT_TRUE(multiple("123456789012345678901234567890", "10"));
  EXPECT_TRUE(multiple("1e400", "7e2") == false);
  EXPECT_TRUE(multiple("7e999999", "7"));
  EXPECT_TRUE(multiple("-4.5", "1.5"));
  EXPECT_TRUE(multiple("0", "3"));
  EXPECT_FALSE(multiple("19.995", "0.01"));
  EXPECT_FALSE(multiple("0.00751", "0.0001"));
  EXPECT_FALSE(multiple("9007199254740993", "2"));
  EXPECT_FALSE(multiple("5", "10"));
  Random random(11);
  for (int i = 0; i < 2000; ++i) {
    const uint64_t number = random.Below(100000);
    const uint64_t step = 1 + random.Below(300);
    EXPECT_EQ(multiple(std::to_string(number) + "e-3", std::to_string(step) + "e-3"), number % step == 0)
        << number << " " << step;
  }
}

TEST(NumberInTextTest, TakesWhatAPersonWouldCallANumber) {
  const std::vector<std::pair<std::string, std::string>> samples = {
      {"4.5", "4.5"},
      {" -3 ", "-3"},
      {"+7", "7"},
      {"007", "7"},
      {".5", "0.5"},
      {"5.", "5"},
      {"1e5", "1e5"},
      {"000", "0"},
      {"19.90", "19.90"},
      {"-0.5E-3", "-0.5E-3"},
      {"123456789012345678901234567890", "123456789012345678901234567890"}};
  for (const auto& [text, number] : samples) {
    EXPECT_EQ(NumberInText(text), number) << text;
    EXPECT_TRUE(LooksLikeNumber(text)) << text;
    EXPECT_TRUE(ParseExact(*NumberInText(text)).ok()) << text;
  }
  for (const std::string_view text : {"1,234", "1,234,567.89", "-1,234"}) {
    EXPECT_EQ(NumberInText(text), std::nullopt) << text;
    EXPECT_TRUE(LooksLikeNumber(text)) << text;
  }
  for (const std::string_view text : {"", " ", "n/a", "1.2.3", "12-3", "0x1f", "inf", "nan", "1e", "+-5", "1,23",
                                      ",234", "2024-01-01", "5 apples", ".", "1,2345", "1,234.5x"}) {
    EXPECT_EQ(NumberInText(text), std::nullopt) << text;
    EXPECT_FALSE(LooksLikeNumber(text)) << text;
  }
}

TEST(EqualJsonTest, ComparesNumbersByValueAndMembersInAnyOrder) {
  EXPECT_TRUE(EqualJson(ValueOf(R"({"a":[1.0,{"x":null}],"b":"1"})"), ValueOf(R"({"b":"1","a":[1,{"x":null}]})")));
  EXPECT_TRUE(EqualJson(ValueOf("1e400"), ValueOf("10e399")));
  EXPECT_FALSE(EqualJson(ValueOf("1e400"), ValueOf("1e401")));
  EXPECT_FALSE(EqualJson(ValueOf("1.5"), ValueOf("\"1.5\"")));
  EXPECT_FALSE(EqualJson(ValueOf("[1]"), ValueOf("[1,2]")));
  EXPECT_FALSE(EqualJson(ValueOf(R"({"a":1})"), ValueOf(R"({"b":1})")));
}

}  // namespace
}  // namespace millrace
