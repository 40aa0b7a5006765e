// Rules of the public Mustache specification (github.com/mustache/spec) for comments, interpolation, sections and
// inverted sections, one case a rule, named after the specification's and with data of our own. docs/templates.md lists
// the rules that do not hold here on purpose: text is not escaped for HTML, a name with dots wins over a path, and
// partials, delimiters and lambdas do not exist.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/text/template.h"

namespace millrace {
namespace {

struct Rule {
  const char* name;
  const char* data;
  const char* text;
  const char* expected;
};

void Check(const std::vector<Rule>& rules) {
  for (const Rule& rule : rules) {
    const StatusOr<Template> parsed = Template::Parse(rule.text);
    ASSERT_TRUE(parsed.ok()) << rule.name << ": " << parsed.status();
    const StatusOr<std::string> rendered = parsed->Render(boost::json::parse(rule.data), 1 << 20);
    ASSERT_TRUE(rendered.ok()) << rule.name << ": " << rendered.status();
    EXPECT_EQ(*rendered, rule.expected) << rule.name;
  }
}

TEST(MustacheSpecTest, Comments) {
  Check({
      {"Inline", "{}", "mill{{! a note }}race", "millrace"},
      {"Multiline", "{}", "mill{{!\n  a note of\n  two lines\n}}race\n", "millrace\n"},
      {"Standalone", "{}", "up\n{{! a note }}\ndown\n", "up\ndown\n"},
      {"Indented Standalone", "{}", "up\n   {{! a note }}\ndown\n", "up\ndown\n"},
      {"Standalone Line Endings", "{}", "*\r\n{{! a note }}\r\n*", "*\r\n*"},
      {"Standalone Without Previous Line", "{}", "  {{! a note }}\n*", "*"},
      {"Standalone Without Newline", "{}", "*\n  {{! a note }}", "*\n"},
      {"Multiline Standalone", "{}", "up\n{{!\na note\n}}\ndown\n", "up\ndown\n"},
      {"Indented Multiline Standalone", "{}", "up\n  {{!\n    a note\n  }}\ndown\n", "up\ndown\n"},
      {"Indented Inline", "{}", "  1 {{! 2 }}\n", "  1 \n"},
      {"Surrounding Whitespace", "{}", "mill {{! a note }} race", "mill  race"},
      {"Variable Name Collision", R"({"! n":1,"! n ":2,"!n":3,"n":4})", "<{{! n }}>", "<>"},
  });
}

TEST(MustacheSpecTest, Interpolation) {
  Check({
      {"No Interpolation", "{}", "Water in {the race}\n", "Water in {the race}\n"},
      {"Basic Interpolation", R"({"river":"Aare"})", "The {{river}}.\n", "The Aare.\n"},
      {"No Re-interpolation", R"({"a":"{{b}}","b":"x"})", "{{a}}: {{b}}", "{{b}}: x"},
      {"Triple Mustache", R"({"marks":"& \" < >"})", "{{{marks}}}", "& \" < >"},
      {"Ampersand", R"({"marks":"& \" < >"})", "{{&marks}}", "& \" < >"},
      {"Basic Integer Interpolation", R"({"n":85})", "{{n}} l/s", "85 l/s"},
      {"Triple Mustache Integer Interpolation", R"({"n":85})", "{{{n}}} l/s", "85 l/s"},
      {"Ampersand Integer Interpolation", R"({"n":85})", "{{&n}} l/s", "85 l/s"},
      {"Basic Decimal Interpolation", R"({"n":1.25})", "{{n}} l/s", "1.25 l/s"},
      {"Triple Mustache Decimal Interpolation", R"({"n":1.25})", "{{{n}}} l/s", "1.25 l/s"},
      {"Ampersand Decimal Interpolation", R"({"n":1.25})", "{{&n}} l/s", "1.25 l/s"},
      {"Basic Null Interpolation", R"({"none":null})", "({{none}})", "()"},
      {"Triple Mustache Null Interpolation", R"({"none":null})", "({{{none}}})", "()"},
      {"Ampersand Null Interpolation", R"({"none":null})", "({{&none}})", "()"},
      {"Basic Context Miss Interpolation", "{}", "({{none}})", "()"},
      {"Triple Mustache Context Miss Interpolation", "{}", "({{{none}}})", "()"},
      {"Ampersand Context Miss Interpolation", "{}", "({{&none}})", "()"},
      {"Dotted Names - Basic", R"({"mill":{"name":"M"}})", "{{mill.name}}={{#mill}}{{name}}{{/mill}}", "M=M"},
      {"Dotted Names - Triple Mustache", R"({"mill":{"name":"M"}})", "{{{mill.name}}}={{#mill}}{{{name}}}{{/mill}}",
       "M=M"},
      {"Dotted Names - Ampersand", R"({"mill":{"name":"M"}})", "{{&mill.name}}={{#mill}}{{&name}}{{/mill}}", "M=M"},
      {"Dotted Names - Arbitrary Depth", R"({"a":{"b":{"c":{"d":{"e":{"name":"deep"}}}}}})", "{{a.b.c.d.e.name}}",
       "deep"},
      {"Dotted Names - Broken Chains", R"({"a":{}})", "<{{a.b.c}}>", "<>"},
      {"Dotted Names - Broken Chain Resolution", R"({"a":{"b":{}},"c":{"name":"M"}})", "<{{a.b.c.name}}>", "<>"},
      {"Dotted Names - Initial Resolution", R"({"a":{"b":{"c":{"name":"inner"}}},"b":{"c":{"name":"outer"}}})",
       "{{#a}}{{b.c.name}}{{/a}}", "inner"},
      {"Dotted Names - Context Precedence", R"({"a":{"b":{}},"b":{"c":"outer"}})", "<{{#a}}{{b.c}}{{/a}}>", "<>"},
      {"Implicit Iterators - Basic", R"("Aare")", "The {{.}}.", "The Aare."},
      {"Implicit Iterators - Triple Mustache", R"("& \" < >")", "{{{.}}}", "& \" < >"},
      {"Implicit Iterators - Ampersand", R"("& \" < >")", "{{&.}}", "& \" < >"},
      {"Implicit Iterators - Basic Integer", "85", "{{.}} l/s", "85 l/s"},
      {"Interpolation - Surrounding Whitespace", R"({"s":"~"})", "| {{s}} |", "| ~ |"},
      {"Triple Mustache - Surrounding Whitespace", R"({"s":"~"})", "| {{{s}}} |", "| ~ |"},
      {"Ampersand - Surrounding Whitespace", R"({"s":"~"})", "| {{&s}} |", "| ~ |"},
      {"Interpolation - Standalone", R"({"s":"~"})", "  {{s}}\n", "  ~\n"},
      {"Triple Mustache - Standalone", R"({"s":"~"})", "  {{{s}}}\n", "  ~\n"},
      {"Ampersand - Standalone", R"({"s":"~"})", "  {{&s}}\n", "  ~\n"},
      {"Interpolation With Padding", R"({"s":"~"})", "|{{ s }}|", "|~|"},
      {"Triple Mustache With Padding", R"({"s":"~"})", "|{{{ s }}}|", "|~|"},
      {"Ampersand With Padding", R"({"s":"~"})", "|{{& s }}|", "|~|"},
  });
}

TEST(MustacheSpecTest, Sections) {
  Check({
      {"Truthy", R"({"b":true})", "<{{#b}}shown{{/b}}>", "<shown>"},
      {"Falsey", R"({"b":false})", "<{{#b}}shown{{/b}}>", "<>"},
      {"Null is falsey", R"({"b":null})", "<{{#b}}shown{{/b}}>", "<>"},
      {"Context", R"({"mill":{"name":"M"}})", "<{{#mill}}at {{name}}{{/mill}}>", "<at M>"},
      {"Parent contexts", R"({"a":"A","b":"outer","in":{"b":"B"},"c":{"d":"D"}})", "{{#in}}{{a}},{{b}},{{c.d}}{{/in}}",
       "A,B,D"},
      {"Variable test", R"({"s":"x"})", "{{#s}}{{.}} is {{s}}{{/s}}", "x is x"},
      {"List Contexts", R"({"tops":[{"t":{"up":"A","low":"a"},"mids":[{"m":"1","ends":[{"e":"x"},{"e":"y"}]}]}]})",
       "{{#tops}}{{#mids}}{{t.low}}{{m}}.{{#ends}}{{t.up}}{{m}}{{e}}.{{/ends}}{{/mids}}{{/tops}}", "a1.A1x.A1y."},
      {"Deeply Nested Contexts", R"({"a":{"one":1},"b":{"two":2},"c":{"three":3,"d":{"four":4,"five":5}}})",
       "{{#a}}\n{{one}}\n{{#b}}\n{{one}}{{two}}{{one}}\n{{#c}}\n{{two}}{{three}}\n{{#d}}\n{{three}}{{four}}{{one}}\n{{#"
       "five}}\n"
       "{{five}}{{.}}6\n{{/five}}\n{{four}}\n{{/d}}\n{{/c}}\n{{/b}}\n{{one}}\n{{/a}}\n",
       "1\n121\n23\n341\n556\n4\n1\n"},
      {"List", R"({"list":[{"n":1},{"n":2},{"n":3}]})", "<{{#list}}{{n}}{{/list}}>", "<123>"},
      {"Empty List", R"({"list":[]})", "<{{#list}}shown{{/list}}>", "<>"},
      {"Doubled", R"({"b":true,"two":"2nd"})", "{{#b}}\n- 1st\n{{/b}}\n- {{two}}\n{{#b}}\n- 3rd\n{{/b}}\n",
       "- 1st\n- 2nd\n- 3rd\n"},
      {"Nested (Truthy)", R"({"b":true})", "| A {{#b}}B {{#b}}C{{/b}} D{{/b}} E |", "| A B C D E |"},
      {"Nested (Falsey)", R"({"b":false})", "| A {{#b}}B {{#b}}C{{/b}} D{{/b}} E |", "| A  E |"},
      {"Context Misses", "{}", "[{{#none}}shown{{/none}}]", "[]"},
      {"Implicit Iterator - String", R"({"list":["a","b","c"]})", "{{#list}}({{.}}){{/list}}", "(a)(b)(c)"},
      {"Implicit Iterator - Integer", R"({"list":[1,2,3]})", "{{#list}}({{.}}){{/list}}", "(1)(2)(3)"},
      {"Implicit Iterator - Decimal", R"({"list":[1.5,2.25]})", "{{#list}}({{.}}){{/list}}", "(1.5)(2.25)"},
      {"Implicit Iterator - Array", R"({"list":[[1,2],["a","b"]]})", "{{#list}}({{#.}}{{.}}{{/.}}){{/list}}",
       "(12)(ab)"},
      {"Implicit Iterator - Triple mustache", R"({"list":["&","<"]})", "{{#list}}({{{.}}}){{/list}}", "(&)(<)"},
      {"Implicit Iterator - Ampersand", R"({"list":["&","<"]})", "{{#list}}({{&.}}){{/list}}", "(&)(<)"},
      {"Implicit Iterator - Root-level", R"([{"v":"a"},{"v":"b"}])", "{{#.}}({{v}}){{/.}}", "(a)(b)"},
      {"Dotted Names - Truthy", R"({"a":{"b":{"c":true}}})", "<{{#a.b.c}}shown{{/a.b.c}}>", "<shown>"},
      {"Dotted Names - Falsey", R"({"a":{"b":{"c":false}}})", "<{{#a.b.c}}shown{{/a.b.c}}>", "<>"},
      {"Dotted Names - Broken Chains", R"({"a":{}})", "<{{#a.b.c}}shown{{/a.b.c}}>", "<>"},
      {"Surrounding Whitespace", R"({"b":true})", " | {{#b}}\t|\t{{/b}} | \n", " | \t|\t | \n"},
      {"Internal Whitespace", R"({"b":true})", " | {{#b}} {{! a note }}\n {{/b}} | \n", " |  \n  | \n"},
      {"Indented Inline Sections", R"({"b":true})", " {{#b}}A{{/b}}\n {{#b}}B{{/b}}\n", " A\n B\n"},
      {"Standalone Lines", R"({"b":true})", "up\n{{#b}}\n|\n{{/b}}\ndown\n", "up\n|\ndown\n"},
      {"Indented Standalone Lines", R"({"b":true})", "up\n  {{#b}}\n|\n  {{/b}}\ndown\n", "up\n|\ndown\n"},
      {"Standalone Line Endings", R"({"b":true})", "*\r\n{{#b}}\r\n{{/b}}\r\n*", "*\r\n*"},
      {"Standalone Without Previous Line", R"({"b":true})", "  {{#b}}\n#{{/b}}\n/", "#\n/"},
      {"Standalone Without Newline", R"({"b":true})", "#{{#b}}\n/\n  {{/b}}", "#\n/\n"},
      {"Padding", R"({"b":true})", "|{{# b }}={{/ b }}|", "|=|"},
  });
}

TEST(MustacheSpecTest, InvertedSections) {
  Check({
      {"Falsey", R"({"b":false})", "<{{^b}}shown{{/b}}>", "<shown>"},
      {"Truthy", R"({"b":true})", "<{{^b}}shown{{/b}}>", "<>"},
      {"Null is falsey", R"({"b":null})", "<{{^b}}shown{{/b}}>", "<shown>"},
      {"Context", R"({"mill":{"name":"M"}})", "<{{^mill}}at {{name}}{{/mill}}>", "<>"},
      {"List", R"({"list":[{"n":1},{"n":2}]})", "<{{^list}}{{n}}{{/list}}>", "<>"},
      {"Empty List", R"({"list":[]})", "<{{^list}}shown{{/list}}>", "<shown>"},
      {"Doubled", R"({"b":false,"two":"2nd"})", "{{^b}}\n- 1st\n{{/b}}\n- {{two}}\n{{^b}}\n- 3rd\n{{/b}}\n",
       "- 1st\n- 2nd\n- 3rd\n"},
      {"Nested (Falsey)", R"({"b":false})", "| A {{^b}}B {{^b}}C{{/b}} D{{/b}} E |", "| A B C D E |"},
      {"Nested (Truthy)", R"({"b":true})", "| A {{^b}}B {{^b}}C{{/b}} D{{/b}} E |", "| A  E |"},
      {"Context Misses", "{}", "[{{^none}}shown{{/none}}]", "[shown]"},
      {"Dotted Names - Truthy", R"({"a":{"b":{"c":true}}})", "<{{^a.b.c}}shown{{/a.b.c}}>", "<>"},
      {"Dotted Names - Falsey", R"({"a":{"b":{"c":false}}})", "<{{^a.b.c}}shown{{/a.b.c}}>", "<shown>"},
      {"Dotted Names - Broken Chains", R"({"a":{}})", "<{{^a.b.c}}shown{{/a.b.c}}>", "<shown>"},
      {"Surrounding Whitespace", R"({"b":false})", " | {{^b}}\t|\t{{/b}} | \n", " | \t|\t | \n"},
      {"Internal Whitespace", R"({"b":false})", " | {{^b}} {{! a note }}\n {{/b}} | \n", " |  \n  | \n"},
      {"Indented Inline Sections", R"({"b":false})", " {{^b}}A{{/b}}\n {{^b}}B{{/b}}\n", " A\n B\n"},
      {"Standalone Lines", R"({"b":false})", "up\n{{^b}}\n|\n{{/b}}\ndown\n", "up\n|\ndown\n"},
      {"Standalone Indented Lines", R"({"b":false})", "up\n  {{^b}}\n|\n  {{/b}}\ndown\n", "up\n|\ndown\n"},
      {"Standalone Line Endings", R"({"b":false})", "*\r\n{{^b}}\r\n{{/b}}\r\n*", "*\r\n*"},
      {"Standalone Without Previous Line", R"({"b":false})", "  {{^b}}\n^{{/b}}\n/", "^\n/"},
      {"Standalone Without Newline", R"({"b":false})", "^{{^b}}\n/\n  {{/b}}", "^\n/\n"},
      {"Padding", R"({"b":false})", "|{{^ b }}={{/ b }}|", "|=|"},
  });
}

}  // namespace
}  // namespace millrace
