#include "server/text/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <boost/json.hpp>
#include <map>

#include "server/text/field_tree.h"

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
  EXPECT_THAT(Rendered("a\n b {{> other}}", "{}"), HasSubstr("TEMPLATE: line 2, column 4: a template can't include"));
  EXPECT_THAT(Rendered("{{=<% %>=}}", "{}"), HasSubstr("TEMPLATE: line 1, column 1: a template can't change"));
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

TEST(TemplateTest, SaysHowToWriteWhatBelongsToOtherTemplateLanguages) {
  const std::map<std::string, std::string> remedies = {
      {"{{title | upper}}", "\"title | upper\" is not the name of a field: templates have no filters; write {{title}}"},
      {"{{title|default('x')}}", "templates have no filters; write {{title}}"},
      {"{{#if title}}x{{/if}}", "write {{#title}}…{{/title}}"},
      {"{{#each this.items}}x{{/each}}", "write {{#items}}…{{/items}}"},
      {"{{#title}}a{{else}}b{{/title}}", "templates have no else; write {{^name}}…{{/name}}"},
      {"{{this}}", "the value of a section is {{.}}"},
      {"{{this.title}}", "write {{title}}"},
      {"{{@index}}", "a section over a list does not count"},
      {"{{../title}}", "write {{title}}"},
      {"{{.title}}", "a name does not begin with a dot; write {{title}}"},
      {"{{- title -}}", "tags don't trim the text around them; write {{title}}"},
      {"{{~title~}}", "write {{title}}"},
      {"{{tags[0]}}", "write {{tags.0}}"},
      {"{{author['name']}}", "write {{author.name}}"},
      {"{{title.upper()}}", "templates have no expressions"},
      {"{{ score == 5 }}", "templates have no expressions"},
      {"{{title or 'none'}}", "templates have no expressions"},
      {"{{'text'}}", "templates have no expressions"},
      {"a\n{% for t in tags %}{{t}}{% endfor %}", "line 2, column 1: `{% for t in tags %}` is not Mustache"},
      {"{%- if title -%}x{% endif %}", "is not Mustache; write {{name}} for a field, {{#name}}…{{/name}}"},
      {"<%= title %>", "`<%= title %>` is not Mustache"},
      {"{{title and {{text}}", "the tag is not closed"},
      {"{{}}", "the tag names no field"},
  };
  for (const auto& [text, remedy] : remedies) EXPECT_THAT(Rendered(text, "{}"), HasSubstr(remedy)) << text;
}

TEST(TemplateTest, TakesNamesOfColumnsAsTheyAre) {
  EXPECT_EQ(Rendered("{{Price (USD)}} {{Paid?}} {{Terms and conditions}} {{name#2}} {{a-b}} {{ Zürich }} {{50%}}",
                     R"-({"Price (USD)":"1","Paid?":"2","Terms and conditions":"3","name#2":"4","a-b":"5","Zürich":"6",
                         "50%":"7"})-"),
            "1 2 3 4 5 6 7");
  EXPECT_EQ(Rendered("100{% of {\"a\": {\"b\": 1}} { title }", R"({"title":"x"})"),
            "100{% of {\"a\": {\"b\": 1}} { title }");
}

TEST(TemplateTest, ANameWithDotsWinsOverAPath) {
  EXPECT_EQ(Rendered("{{address.city}}", R"({"address.city":"Bern"})"), "Bern");
  EXPECT_EQ(Rendered("{{address.city}}", R"({"address":{"city":"Rome"},"address.city":"Bern"})"), "Bern");
  EXPECT_EQ(Rendered("{{geo.point.lat}}", R"({"geo.point":{"lat":47}})"), "47");
}

TEST(TemplateTest, TheInnermostFirstPartOfANameDecides) {
  const std::string item =
      R"({"author":{"name":"parent"},"books":[{"author":{"name":"A"}},{"author":{}},{},{"author":"B"},
                              {"author":null}]})";
  EXPECT_EQ(Rendered("{{#books}}[{{author.name}}]{{/books}}", item), "[A][][parent][][]");
}

TEST(TemplateTest, SaysWhichNamesNoItemHas) {
  FieldTree item;
  item.AddValue(boost::json::parse(R"({"title":"x","author":{"name":"y"},"tags":[{"label":"z"}],"note":null})"));
  const auto missing = [&](std::string_view text) {
    std::vector<std::string> names;
    const auto parsed = Template::Parse(text);
    if (!parsed.ok()) return std::vector<std::string>{std::string(MessageOf(parsed.status()))};
    for (const TemplateName& name : parsed->Missing(item)) {
      names.push_back(fmt::format("{}:{} {}", name.line, name.column, name.name));
    }
    return names;
  };
  EXPECT_THAT(missing("{{title}} {{author.name}} {{note}} {{note.text}} {{tags.0.label}} {{.}}"), testing::IsEmpty());
  EXPECT_THAT(missing("{{#tags}}{{label}} of {{title}}{{/tags}}{{#author}}{{name}}{{/author}}"), testing::IsEmpty());
  EXPECT_THAT(missing("{{titel}}\n {{author.nmae}} {{titel}}"), ElementsAre("1:1 titel", "2:2 author.nmae"));
  EXPECT_THAT(missing("{{#tags}}{{lable}}{{/tags}}{{^titel}}{{text}}{{/titel}}{{#nothing}}{{inside}}{{/nothing}}"),
              ElementsAre("1:10 lable", "1:28 titel", "1:38 text", "1:56 nothing"));
  EXPECT_THAT(missing("{{title.length}} {{input.title}}"), ElementsAre("1:1 title.length", "1:18 input.title"));
}

TEST(TemplateTest, KnowsATextThatIsTheSameForAllItems) {
  EXPECT_TRUE(Template::Parse("Summarize {title} {{! the item }}")->is_constant());
  EXPECT_FALSE(Template::Parse("{{title}}")->is_constant());
  EXPECT_FALSE(Template::Parse("{{^a}}b{{/a}}")->is_constant());
}

}  // namespace
}  // namespace millrace
