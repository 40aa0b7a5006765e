#include "server/base/date.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <utility>
#include <vector>

#include "server/base/json.h"

namespace millrace {
namespace {

// Returns the date as RFC 3339; "none" if the text is not one.
std::string Read(std::string_view text) {
  const std::optional<Date> date = ParseDate(text);
  return date ? FormatDate(*date) : "none";
}

std::string ReadAs(std::string_view text, const std::string& format) {
  const std::optional<Date> date = ParseDateAs(text, format);
  return date ? FormatDate(*date) : "none";
}

std::string ReadValue(std::string_view text) {
  const std::optional<Date> date = DateOf(*ParseExact(text));
  return date ? FormatDate(*date) : "none";
}

TEST(ParseDateTest, TakesRfc3339WithItsFreedomsAndWhatIsCloseToIt) {
  const std::vector<std::pair<std::string, std::string>> samples = {
      {"2024-01-31", "2024-01-31"},
      {"20240131", "2024-01-31"},
      {"2024-01-31T10:00:00Z", "2024-01-31T10:00:00Z"},
      {"2024-01-31t10:00:00z", "2024-01-31T10:00:00Z"},
      {"2024-01-31 10:00:00Z", "2024-01-31T10:00:00Z"},
      {"2024-01-31  10:00:00", "2024-01-31T10:00:00Z"},
      {"2024-01-31T10:00:00", "2024-01-31T10:00:00Z"},
      {"2024-01-31T10:00", "2024-01-31T10:00:00Z"},
      {"2024-01-31 10:00:00 UTC", "2024-01-31T10:00:00Z"},
      {"2024-01-31T10:00:00 GMT", "2024-01-31T10:00:00Z"},
      {"2024-01-31T10:00:00+01:00", "2024-01-31T09:00:00Z"},
      {"2024-01-31T10:00:00+0100", "2024-01-31T09:00:00Z"},
      {"2024-01-31T10:00:00+01", "2024-01-31T09:00:00Z"},
      {"2024-01-31 10:00:00 -0530", "2024-01-31T15:30:00Z"},
      {"2024-01-31T00:30:00+01:00", "2024-01-30T23:30:00Z"},
      {"2024-01-31T10:00:00.5Z", "2024-01-31T10:00:00.5Z"},
      {"2024-01-31T10:00:00,25Z", "2024-01-31T10:00:00.25Z"},
      {"2024-01-31T10:00:00.123456789Z", "2024-01-31T10:00:00.123456Z"},
      {"20240131T100000Z", "2024-01-31T10:00:00Z"},
      {"20240131T1000", "2024-01-31T10:00:00Z"},
      {" 2024-01-31\n", "2024-01-31"},
      {"2024-02-29", "2024-02-29"},
      {"1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z"},
      {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"},
  };
  for (const auto& [text, date] : samples) EXPECT_EQ(Read(text), date) << text;
}

TEST(ParseDateTest, RefusesWhatReadersUnderstandDifferentlyOrNotAtAll) {
  for (const char* text : {"",
                           " ",
                           "01/03/2017",
                           "01.03.2017",
                           "01-03-2017",
                           "2017/03/01",
                           "3/1/17",
                           "2024-1-1",
                           "2024",
                           "2024-01",
                           "24-01-01",
                           "2023-02-29",
                           "2024-13-01",
                           "2024-00-01",
                           "2024-01-32",
                           "2024-01-31T",
                           "2024-01-31T24:00:00Z",
                           "2024-01-31T10:60:00Z",
                           "2024-01-31T10:00:61Z",
                           "2024-01-31T10",
                           "2024-01-31T10:00:00.Z",
                           "2024-01-31T10:00:00+1",
                           "2024-01-31T10:00:00+24:00",
                           "2024-01-31T10:00:00+01:60",
                           "2024-01-31T10:00:00ZZ",
                           "2024-01-31T10:00:00 CET",
                           "2024-01-31x",
                           "202401",
                           "2024013",
                           "yesterday",
                           "Wed, 31 Jan 2024 10:00:00 GMT"}) {
    EXPECT_EQ(Read(text), "none") << text;
  }
}

TEST(ParseDateAsTest, ReadsDatesByAFormat) {
  EXPECT_EQ(ReadAs("01/03/2017", "%d/%m/%Y"), "2017-03-01");
  EXPECT_EQ(ReadAs("01/03/2017", "%m/%d/%Y"), "2017-01-03");
  EXPECT_EQ(ReadAs("1/3/2017 14:05", "%d/%m/%Y %H:%M"), "2017-03-01T14:05:00Z");
  EXPECT_EQ(ReadAs("31 Jan 2024", "%d %b %Y"), "2024-01-31");
  EXPECT_EQ(ReadAs("Wed, 31 Jan 2024 10:00:00 +0100", "%a, %d %b %Y %H:%M:%S %z"), "2024-01-31T09:00:00Z");
  EXPECT_EQ(ReadAs("01/03/17", "%d/%m/%y"), "2017-03-01");
  EXPECT_EQ(ReadAs("2024-060", "%Y-%j"), "2024-02-29");
  EXPECT_EQ(ReadAs("31/02/2024", "%d/%m/%Y"), "none");
  EXPECT_EQ(ReadAs("01/03/17", "%d/%m/%Y"), "none");
  EXPECT_EQ(ReadAs("01/03/2017 10:00", "%d/%m/%Y"), "none");
  EXPECT_EQ(ReadAs("n/a", "%d/%m/%Y"), "none");
}

TEST(ParseDateAsTest, KnowsFormatsThatNameNoDay) {
  for (const char* good : {"%d/%m/%Y", "%F", "%D", "%e %B %y", "%Y-%j", "%d.%m.%Y %T %z"}) {
    EXPECT_EQ(FaultOfDateFormat(good), std::nullopt) << good;
  }
  EXPECT_EQ(FaultOfDateFormat("%m/%d"), "it has no year (`%Y`)");
  EXPECT_EQ(FaultOfDateFormat("%Y-%d"), "it has no month (`%m` or `%b`)");
  EXPECT_EQ(FaultOfDateFormat("%Y-%m"), "it has no day (`%d`)");
  EXPECT_EQ(FaultOfDateFormat("%Y-%m-%d %Q"), "`%Q` is not known");
  EXPECT_EQ(FaultOfDateFormat("%Y-%m-%d %"), "it ends within a `%`");
  EXPECT_EQ(FaultOfDateFormat("DD/MM/YYYY"), "it has no year (`%Y`)");
}

TEST(DateOfTest, ReadsNumbersByTheirDigitsAsSecondsOrAsMilliseconds) {
  EXPECT_EQ(ReadValue("20240131"), "2024-01-31");
  EXPECT_EQ(ReadValue("\"20240131\""), "2024-01-31");
  EXPECT_EQ(ReadValue("20240131100000"), "2024-01-31T10:00:00Z");
  EXPECT_EQ(ReadValue("\"20240131100000\""), "2024-01-31T10:00:00Z");
  EXPECT_EQ(ReadValue("1706695200"), "2024-01-31T10:00:00Z");
  EXPECT_EQ(ReadValue("\"1706695200\""), "2024-01-31T10:00:00Z");
  EXPECT_EQ(ReadValue("1706695200.5"), "2024-01-31T10:00:00.5Z");
  EXPECT_EQ(ReadValue("1706695200500"), "2024-01-31T10:00:00.5Z");
  EXPECT_EQ(ReadValue("\"1706695200500\""), "2024-01-31T10:00:00.5Z");
  EXPECT_EQ(ReadValue("1.7066952005e12"), "2024-01-31T10:00:00.5Z");
  EXPECT_EQ(ReadValue("0"), "1970-01-01T00:00:00Z");
  for (const char* none : {"2024", "202401", "\"2024\"", "\"240131\"", "true", "null", "{}", "[20240131]", "1e300",
                           "253402300800001", "\"\"", "\"01/03/2017\""}) {
    EXPECT_EQ(ReadValue(none), "none") << none;
  }
}

TEST(DateOfTest, TellsNoDateFromOneThatCantBeRead) {
  const json::value empty("");
  const json::value blank(" \t");
  const json::value null(nullptr);
  const json::value word("yesterday");
  EXPECT_TRUE(SaysNothing(nullptr));
  EXPECT_TRUE(SaysNothing(&empty));
  EXPECT_TRUE(SaysNothing(&blank));
  EXPECT_TRUE(SaysNothing(&null));
  EXPECT_FALSE(SaysNothing(&word));
}

TEST(IsRfc3339Test, IsStrict) {
  EXPECT_TRUE(IsRfc3339DateTime("2024-02-29T23:59:60.5Z"));
  EXPECT_TRUE(IsRfc3339DateTime("2024-02-29t23:59:00z"));
  EXPECT_TRUE(IsRfc3339Date("2024-02-29"));
  EXPECT_TRUE(IsRfc3339Time("08:30:06+01:00"));
  for (const char* text :
       {"2024-02-29 10:00:00Z", "2024-02-29T10:00:00", "2024-02-29T10:00Z", "2024-02-29T10:00:00+0100",
        "20240229T100000Z", "2024-02-29", "2024-02-29T10:00:00,5Z", " 2024-02-29T10:00:00Z"}) {
    EXPECT_FALSE(IsRfc3339DateTime(text)) << text;
  }
  EXPECT_FALSE(IsRfc3339Date("2023-02-29"));
  EXPECT_FALSE(IsRfc3339Date("20240229"));
  EXPECT_FALSE(IsRfc3339Time("08:30:06"));
  EXPECT_FALSE(IsRfc3339Time("083006Z"));
}

}  // namespace
}  // namespace millrace
