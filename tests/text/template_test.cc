#include "server/text/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Rendered(std::string_view text, std::string_view item, size_t bytes_max = 1 << 20) {
  const auto parsed = Template::Parse(text);
  if (!parsed.ok()) return ReasonNameOf(parsed.status()) + ": " + std::string(MessageOf(parsed.status()));
  const auto rendered =
      parsed->Render(boost::json::parse(boost::json::string_view(item.data(), item.size())), bytes_max);
  return rendered.ok() ? *rendered : ReasonNameOf(rendered.status());
}

TEST(TemplateTest, InsertsFieldsWithoutEscapingThem) {
  EXPECT_EQ(Rendered("Title: {{title}} & {{{title}}}", R"({"title":"<b>\"A & B\"</b>"})"),
            "Title: <b>\"A & B\"</b> & <b>\"A & B\"</b>");
}

TEST(TemplateTest, NeverRendersAnItemsTextAgain) {
  EXPECT_EQ(Rendered("{{a}}", R"({"a":"{{b}}{{#b}}x{{/b}}{{> b}}","b":"secret"})"), "{{b}}{{#b}}x{{/b}}{{> b}}");
}

TEST(TemplateTest, WritesValuesOtherThanTextAsJson) {
  EXPECT_EQ(Rendered("{{n}} {{f}} {{t}} {{no}} [{{null}}{{absent}}] {{list}} {{o}} {{big}}",
                     R"({"n":7,"f":0.5,"t":true,"no":false,"null":null,"list":["a",1.0],"o":{"k":"v\"\n"},
                         "big":18446744073709551615})"),
            "7 0.5 true false [] [\"a\", 1] {\"k\": \"v\\\"\\n\"} 18446744073709551615");
}

TEST(TemplateTest, FindsPathsInObjectsAndLists) {
  EXPECT_EQ(Rendered("{{a.b}} {{list.1}} {{a.none}}", R"({"a":{"b":"deep"},"list":["x","y"]})"), "deep y ");
}

TEST(TemplateTest, IteratesListsAndSearchesOutsideForFieldsThatAnElementLacks) {
  EXPECT_EQ(Rendered("{{#members}}{{name}} of {{team}};{{/members}}",
                     R"({"team":"T","members":[{"name":"a"},{"name":"b","team":"U"}]})"),
            "a of T;b of U;");
  EXPECT_EQ(Rendered("{{#words}}<{{.}}>{{/words}}", R"({"words":["a","b",3]})"), "<a><b><3>");
  EXPECT_EQ(Rendered("{{#rows}}({{#.}}{{.}}{{/.}}){{/rows}}", R"({"rows":[[1,2],[3]]})"), "(12)(3)");
}

TEST(TemplateTest, SkipsSectionsOfEmptyFalseAndNullValues) {
  const std::string_view text = "{{#a}}yes{{/a}}{{^a}}no{{/a}}";
  for (const char* nothing : {R"({"a":""})", R"({"a":false})", R"({"a":null})", R"({"a":[]})", "{}"}) {
    EXPECT_EQ(Rendered(text, nothing), "no") << nothing;
  }
  for (const char* something : {R"({"a":"x"})", R"({"a":true})", R"({"a":0})", R"({"a":[1]})", R"({"a":{}})"}) {
    EXPECT_EQ(Rendered(text, something), "yes") << something;
  }
}

TEST(TemplateTest, DropsLinesThatHoldOnlySectionTags) {
  EXPECT_EQ(Rendered("A\n{{#list}}\n- {{.}}\n{{/list}}\nB\n", R"({"list":["x","y"]})"), "A\n- x\n- y\nB\n");
}

TEST(TemplateTest, RefusesPartialsAndNewDelimiters) {
  EXPECT_THAT(Rendered("{{> other}}", "{}"), HasSubstr("TEMPLATE: a template can't include"));
  EXPECT_THAT(Rendered("{{=<% %>=}}", "{}"), HasSubstr("TEMPLATE: a template can't change"));
}

TEST(TemplateTest, RefusesTagsThatAreNotClosed) {
  for (const char* text : {"{{", "{{{", "a {{b", "{{#a}}", "{{/a}}", "{{#a}}{{/b}}", "{{#a}}{{#b}}{{/a}}{{/b}}"}) {
    EXPECT_THAT(Rendered(text, "{}"), testing::StartsWith("TEMPLATE: ")) << text;
  }
}

TEST(TemplateTest, RefusesSectionsWithoutEnd) {
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += "{{#a}}";
  for (int i = 0; i < 10'000; ++i) text += "{{/a}}";
  EXPECT_THAT(Rendered(text, "{}"), HasSubstr("more than 256 sections"));
}

TEST(TemplateTest, StopsAtItsLimitOfBytes) {
  EXPECT_EQ(Rendered("{{a}}", R"({"a":"12345678"})", 8), "12345678");
  EXPECT_EQ(Rendered("{{a}}", R"({"a":"123456789"})", 8), "TEMPLATE");
  EXPECT_EQ(Rendered("123456789", "{}", 8), "TEMPLATE");
}

TEST(TemplateTest, StopsListsInListsBeforeTheyTakeLong) {
  std::string list = "[0";
  for (int i = 0; i < 2000; ++i) list += ",0";
  const std::string item = "{\"a\":" + list + "]}";
  EXPECT_EQ(Rendered("{{#a}}{{#a}}{{#a}}{{#a}}{{/a}}{{/a}}{{/a}}{{/a}}", item), "TEMPLATE");
  EXPECT_EQ(Rendered("{{#a}}" + std::string(200'000, 'x') + "{{/a}}", item), "TEMPLATE");
}

TEST(TemplateTest, NamesTheFieldsThatItReadsOutsideOfSections) {
  const auto parsed =
      Template::Parse("{{title}} {{a.b}}{{#list}}{{inner}}{{/list}}{{^none}}{{other}}{{/none}}{{title}}");
  ASSERT_TRUE(parsed.ok());
  EXPECT_THAT(parsed->Fields(), ElementsAre("a.b", "list", "none", "other", "title"));
}

}  // namespace
}  // namespace millrace
