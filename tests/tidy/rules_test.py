#!/usr/bin/env python3
"""Each rule finds one planted offence, at its line, and passes a near miss that is fine."""

import contextlib
import io
import pathlib
import tempfile
import unittest
from typing import NamedTuple

import includes
import tidy
from ratchets import Ratchets
from scan import scan_c, scopes_and_functions
from tree import Tree, words_of

FLOORS = {"tests/tidy/floors.txt": "server/base:\nserver/engine: server/base\n"}
REASONS = {"server/base/reason.cc": '    {Reason::kFileGone, "FILE_GONE", StatusCode::kNotFound},\n'
                                    '    {Reason::kDiskLow, "DISK_LOW", StatusCode::kResourceExhausted},\n'}


class Case(NamedTuple):
    rule: str
    path: str  # of the file with the offence, and of its near miss
    bad: str
    line: int  # of the offence
    fine: str
    others: dict = {}  # more files of the tree, by path


def body(lines):
    """A function with so many lines, its head and last brace included; braces in strings and comments don't count."""
    fill = '  Say("{", R"({{)", \'{\', 1\'000);  // {\n'
    return "void Long() {\n" + fill * (lines - 2) + "}\n"


def scanned_lines(count):
    return "int value;\n" * count


CASES = [
    Case("file-size", "server/a.cc", scanned_lines(451), 451, scanned_lines(450)),
    Case("file-size", "protos/a.proto", scanned_lines(451), 451, scanned_lines(450)),
    Case("function-size", "server/a.cc", "\n" + body(91), 2, body(90) + body(90)),
    Case("function-size", "server/a.cc", "class A {\n" + body(91) + "};\n", 2, "class A {\n" + body(90) * 2 + "};\n"),
    Case("function-size", "tools/a.py", "def long():\n" + "    pass\n" * 90, 1, "def long():\n" + "    pass\n" * 89),
    Case("floors", "server/base/low.cc", '#include "server/engine/high.h"\n', 1, '// #include "server/engine/high.h"\n',
         {"server/engine/high.h": "", **FLOORS}),
    Case("floors", "server/base/low.cc", '\n#include "server/new/room.h"\n', 2, '#include "other/room.h"\n',
         {"server/new/room.h": "", "tests/tidy/floors.txt": "server/base:\nserver/new:\n"}),
    Case("dead-floors", "tests/tidy/floors.txt", "server/base:\nserver/gone:\n", 2, "server/base:\nserver/base/low:\n",
         {"server/base/low.h": ""}),
    Case("folder-circles", "server/engine/high.h", '#include "server/base/low.h"\n', 1, "",
         {"server/base/low.h": '#include "server/engine/high.h"\n', **FLOORS}),
    Case("module-circles", "server/base/b.h", '#include "server/base/a.h"\n', 1, "",
         {"server/base/a.h": "", "server/base/a.cc": '#include "server/base/a.h"\n#include "server/base/b.h"\n'}),
    Case("sheltered-engine", "server/engine/run.cc", '#include "server/base/net.h"\n', 1, "// <boost/beast.hpp>\n",
         {"server/base/net.h": "#include <boost/beast/http.hpp>\n"}),
    Case("dead-citations", "server/a.cc", "\n// See server/gone.h.\n", 2, '// See llm/life.h, life.h.\nSay("gone.h");\n',
         {"server/llm/life.h": ""}),
    Case("dead-citations", "docs/a.md", "See `tests/gone`.\n", 1, "See `tests/e2e`, `titles.csv`, `<sys/stat.h>`, foo.h.\n",
         {"tests/e2e/a_test.cc": ""}),
    Case("dead-citations", "server/a.h", "// Keeps the promise of DESIGN.\n", 1, "// Keeps the promise of ARCHITECTURE.\n",
         {"ARCHITECTURE.md": ""}),
    Case("dead-citations", "server/a.h", "// As in twice.h.\n", 1, "// As in server/llm/twice.h.\n",
         {"server/llm/twice.h": "", "server/http/twice.h": ""}),
    Case("upside-down", "server/a.cc", "// Of a run: its name.\n", 1, '// Offers a run. What it is.\nSay("// Of a run");\n'),
    Case("upside-down", "a.proto", "int a;  // Where a run ends.\n", 1, "int a;  // The run's end.\n"),
    Case("phrase: anew", "server/a.cc", 'Say("begins anew");\n', 1, '// renewed\nSay("anew");\n'),
    Case("phrase: is no", "README.md", "\nThere is no end.\n", 2, "It is no longer there, is not open, is now open.\n"),
    Case("phrase: goes on", "tests/a_test.cc", "TEST(Run, GoesOnAfterAFailure) {}\n", 1, "TEST(Run, Continues) {}\n"),
    Case("phrase: told", "server/a.h", "// The client is told.\n", 1, "// They are told apart; the client is notified.\n"),
    Case("by-hand: co_return", "server/a.cc", "if (!a.ok()) co_return a.status();\n", 1, "if (!a.ok()) co_return Twice(a);\n"),
    Case("by-hand: co_return", "server/a.cc", "if (!a.b.ok()) {\n  co_return a.b;\n}\n", 1, "// if (!a.ok()) co_return a;\n"),
    Case("by-hand: return", "server/a.cc", "if (!a.ok()) return std::move(a).status();\n", 1,
         "#define TRY(a)   \\\n  if (!a.ok()) return b.status();\nif (!a.ok()) return b;\n"),
    Case("kinds-by-name", "server/llm/a.cc", 'if (m.kind != "local") x();\n', 1, 'if (kind == Kind::kList) x("local");\n'),
    Case("kinds-by-name", "server/engine/a.cc", "switch (stage.kind_case()) {}\n", 1, "switch (rule.kind_case()) {}\n"),
    Case("kinds-by-name", "server/config/a.cc", "if (stage.has_fetch()) x();\n", 1, "// has_fetch()\nx.has_fetched();\n"),
    Case("kinds-by-name", "server/a.cc", "Use(stage.fetch().csv());\n", 1, "Use(host.store().Get());\nUse(message.fetch());\n"),
    Case("kinds-by-name", "server/a.cc", 'Path("stages[{}].fetch.path");\n', 1, 'Path("stages[{}].needs");\n'),
    Case("naming", "server/a.h", "struct bad_name {};\n", 1, "struct GoodName {};\nstruct std::hash<A> {};\n"),
    Case("naming", "server/a.h", "using bad_name = int;\n", 1, "using GoodName = int;\nusing std::vector;\n"),
    Case("naming", "server/a.cc", "void badName() {}\n", 1, "void GoodName() {}\nint accessor() { return 0; }\n"),
    Case("naming", "server/a.cc", "void A() {\n  const int badName = 0;\n}\n", 2, "void A() {\n  const int good = 0;\n}\n"),
    Case("naming", "server/a.cc", "constexpr int limit = 3;\n", 1, "constexpr int kLimit = 3;\nconstexpr int F() { return 1; }\n"),
    Case("naming", "server/a.h", "class A {\n  int bad;\n};\n", 2, "class A {\n public:\n  int F() const;\n\n private:\n  "
                                                                  "std::function<void(int)> good_ = {};\n};\n"),
    Case("naming", "server/a.cc", "struct A::B {\n void F() {}\n\n private:\n  int bad;\n};\n", 5, "struct A::B {\n  int good;\n};\n"),
    Case("naming", "server/a.h", "struct A {\n  int bad_ = 0;\n};\n", 2, "struct A {\n  int good;\n\n private:\n  int own_;\n};\n"),
    Case("machine-paths", "tools/run", "cat /" + "home/someone/x\n", 1,
         "cat /usr/local/x $dir/" + "home/x a/" + "work/x /dev/null\n"),
    Case("registries", "README.md", "See https://pypi" + ".org/x.\n", 1, "See https://example.org/x.\n"),
    Case("undocumented", "protos/millrace/v1/a.proto", "// A.\nmessage A {\n  int32 a = 1;\n}\n", 3,
         "// A.\nmessage A {\n  option (x) = {\n    b: 1\n  };\n  reserved 2;\n  // a.\n  map<int32, A> a = 1 [(x) = {b: 1; }];\n"
         "  A b = 3;  // b.\n}\n"),
    Case("undocumented", "protos/millrace/v1/a.proto", "// A.\nmessage A {\n  A a = 1;  // a.\n  A b = 2;\n}\n", 4,
         "// A.\nmessage A {\n  A a = 1;  // a.\n  // b.\n  A b = 2\n      [(x) = 3];\n}\n"),
    Case("undocumented", "protos/millrace/v1/a.proto", "// A.\nenum A {\n  A_UNSPECIFIED = 0;\n  A_B = 1;\n}\n", 4,
         "// A.\nenum A {\n  A_UNSPECIFIED = 0;\n  A_B = 1;  // b.\n}\n"),
    Case("undocumented", "protos/millrace/v1/a.proto", "// S.\nservice S {\n  rpc A(B) returns (C);\n}\n", 3,
         "// S.\nservice S {\n  // a.\n  rpc A(B) returns (C) {}\n}\n"),
    Case("codes-of-reasons", "server/a.h", "// NOT_FOUND (FILE_GONE, with a\n// long name; DISK_LOW).\n", 2,
         "// Errors: NOT_FOUND (FILE_GONE: it\n// is not JSON), CANCELLED (the client has gone).\n", REASONS),
    Case("codes-of-reasons", "server/a.h", "// NOT_FOUND (FILE_LOST).\n", 1, "// Takes FILE_LOST; see Find (FILE_LOST).\n", REASONS),
    Case("conflict-marks", "README.md", "\n" + "<" * 7 + " ours\n", 2, "Title\n" + "=" * 7 + "\n" + " <" * 7 + "\n"),
    Case("trailing-blanks", "README.md", "a\nb \n", 2, " a\n\n b\n"),
    Case("tabs", "server/a.cc", "\tint a;\n", 1, '  Say("\\t");\n', {"Makefile": "a:\n\techo\n"}),
    Case("final-newline", "README.md", "a\nb", 2, "a\nb\n"),
    Case("final-newline", "README.md", "a\n\n", 2, ""),
    Case("todo", "server/a.cc", "// TODO: later\n", 1, '// TODO(#12): later\nSay("TODO");\n'),
    Case("dead-code", "server/a.cc", "// Old:\n// Foo(1);\n// return x;\n", 3, "// Foo(1);\n\n// returns x; then waits.\n"),
]


def tree_of(files, folder):
    for path, text in files.items():
        file = pathlib.Path(folder) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Tree(folder)


def found_in(files):
    with tempfile.TemporaryDirectory() as folder:
        return tidy.offences_of(tree_of(files, folder))


class RulesTest(unittest.TestCase):
    def test_each_rule_finds_its_offence_and_passes_the_near_miss(self):
        for case in CASES:
            with self.subTest(rule=case.rule, bad=case.bad[:60]):
                found = found_in({**case.others, case.path: case.bad})[case.rule]
                self.assertEqual([(offence.path, offence.line) for offence in found], [(case.path, case.line)], found)
                self.assertRegex(str(found[0]), rf"^{case.path}:{case.line}: {case.rule}: .{{20}}")
                self.assertEqual(found_in({**case.others, case.path: case.fine})[case.rule], [])

    def test_each_rule_has_a_case(self):
        covered = {case.rule.partition(":")[0].replace("-", "_") for case in CASES}
        other_names = {"phrases": "phrase", "blanks": "trailing_blanks"}
        for group in tidy.GROUPS:
            for rule in group.RULES:
                self.assertIn(other_names.get(rule.__name__, rule.__name__), covered)

    def test_files_that_are_tables_may_be_long(self):
        self.assertEqual(found_in({"tools/titles/events.cc": body(451)})["file-size"], [])

    def test_a_circle_is_reported_by_its_shortest_way(self):
        arrows = {"a": {"b": 0}, "b": {"c": 0, "a": 0}, "c": {"a": 0}, "d": {"a": 0}}
        self.assertEqual(includes._circles(arrows), [["a", "b"]])


class FloorsTest(unittest.TestCase):
    TABLE = includes.Floors("a:\nb: a c/*  # why\nb/wire: *\nd: c/**\n")

    def test_a_folder_may_include_itself_and_what_its_line_says(self):
        for source, target in [("a", "a"), ("b", "a"), ("b", "c/x"), ("b/new", "b"), ("b", "b/new"), ("d", "c"), ("d", "c/x/y")]:
            self.assertTrue(self.TABLE.allows(source, target), (source, target))
        for source, target in [("a", "b"), ("b", "c"), ("b", "d"), ("b", "b/wire")]:
            self.assertFalse(self.TABLE.allows(source, target), (source, target))

    def test_a_module_may_have_a_line_of_its_own(self):
        self.assertEqual(self.TABLE.place_of("b/wire.cc"), "b/wire")
        self.assertEqual(self.TABLE.place_of("b/other.cc"), "b")


    def test_a_folder_without_a_line_is_reported_once(self):
        files = {"server/new/a.cc": "", "server/new/b.cc": "", "tests/tidy/floors.txt": "server/base:\n"}
        self.assertEqual([str(o) for o in found_in(files)["floors"]],
                         ["server/new/a.cc:1: floors: server/new has no floor: add a line to tests/tidy/floors.txt"])
        self.assertEqual(found_in({**files, "tests/tidy/floors.txt": "server/new:\n"})["floors"], [])


class RatchetsTest(unittest.TestCase):
    def judge(self, count, limit):
        """(is tidy, what is printed) for a tree with `count` offences of a rule whose limit is `limit`."""
        with tempfile.TemporaryDirectory() as folder, io.StringIO() as printed, contextlib.redirect_stdout(printed):
            found = tidy.offences_of(tree_of({"README.md": "a \n" * count}, folder))
            is_tidy = tidy.judge(found, Ratchets(f"# Limits.\n{limit} trailing-blanks\n"))
            return is_tidy, printed.getvalue()

    def test_more_offences_than_the_limit_fail_and_are_printed(self):
        is_tidy, printed = self.judge(2, 1)
        self.assertFalse(is_tidy)
        self.assertIn("README.md:2: trailing-blanks", printed)
        self.assertIn("2 offences, 1 allowed", printed)

    def test_as_many_offences_as_the_limit_pass_without_a_word(self):
        self.assertEqual(self.judge(2, 2), (True, ""))

    def test_fewer_offences_pass_and_ask_for_a_lower_limit(self):
        is_tidy, printed = self.judge(0, 2)
        self.assertTrue(is_tidy)
        self.assertIn("lower line 2 of tests/tidy/ratchets.txt", printed)

    def test_lowering_keeps_comments_and_drops_rules_without_offences(self):
        ratchets = Ratchets("# Why.\n   7 a: b\n   2 c\n   1 d\n")
        self.assertEqual(ratchets.lowered({"a: b": 3, "d": 4}), "# Why.\n   3 a: b\n   1 d\n")


class ScanTest(unittest.TestCase):
    def test_braces_in_literals_and_comments_do_not_count(self):
        code = 'namespace n {\nint A() { return f("}", R"x(})" } )x", \'}\', 1\'0); /* } */ }\nint B() {\n  return 1;\n}\n}\n'
        functions = scopes_and_functions(scan_c(code).code)[1]
        self.assertEqual([(f.name, f.line, f.lines) for f in functions], [("A", 2, 1), ("B", 3, 3)])

    def test_constructors_lambdas_and_values_in_braces_are_understood(self):
        code = ("A::A(int x) : a_{x}, b_(x) {\n  Run([] {\n  });\n}\nint v[] = {1,\n2};\n"
                "Task<int> A::F() const noexcept {\n}\nauto G() -> int {\n}\nenum class E { kA };\n")
        functions = scopes_and_functions(scan_c(code).code)[1]
        self.assertEqual([(f.name, f.lines) for f in functions], [("A::A", 4), ("A::F", 2), ("G", 2)])

    def test_names_of_tests_are_split_into_words(self):
        self.assertEqual(words_of("ACancelledRunGoesOnWithTheURL"), "a cancelled run goes on with the url")


if __name__ == "__main__":
    unittest.main()
