"""Files are whole and clean: no marks of a merge, no stray blanks, nothing left over from work in progress."""

import re

# Text whose lines are given by others.
_GIVEN = ("LICENSE", "third_party/")
_TABS = ("Makefile",)  # in which a tab is syntax
_CONFLICT = re.compile(r"(?:<{7}|>{7}|\|{7})(?: |$)")
_TODO = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))")

# A comment line that can only be code.
_CODE_LINE = re.compile(
    r"(?:[\w:.>()\[\]*-]+ ?= ?[^=].*;|[\w:.>-]+\([^)]*\);|(?:if|for|while|switch) ?\(.*\) ?\{?|"
    r"(?:co_)?return\b.*;|\} ?(?:else ?\{)?|(?:const |auto |int |std::)[\w:<>&* ]+ ?(?:=.*)?[;{]|#include .*)$")


def conflict_marks(tree):
    for file in _texts(tree):
        for number, line in enumerate(file.lines, 1):
            if _CONFLICT.match(line):
                yield file.offence(number, "conflict-marks", "a merge was not finished: choose one side")


def blanks(tree):
    for file in _texts(tree):
        for number, line in enumerate(file.lines, 1):
            if line != line.rstrip(" \t\r"):
                yield file.offence(number, "trailing-blanks", "the line ends with a blank: remove it")
            if "\t" in line and file.language in ("c++", "proto", "python", "hash", "markdown") and file.name not in _TABS:
                yield file.offence(number, "tabs", "a tab: use spaces, or `\\t` in a string")


def final_newline(tree):
    for file in _texts(tree):
        if file.text and not file.text.endswith("\n"):
            yield file.offence(len(file.lines), "final-newline", "the last line has no newline: add it")
        elif file.text.endswith("\n\n"):
            yield file.offence(len(file.lines) - 1, "final-newline", "the file ends with an empty line: remove it")


def todo(tree):
    for file in tree.of("c++", "proto", "python", "hash"):
        for line, text in file.scanned.comments:
            found = _TODO.search(text)
            if found and not file.path.startswith("tests/tidy/"):
                yield file.offence(line, "todo", f"`{found[0]}` without an issue: do it now, or write `{found[0]}(#12)`")


def dead_code(tree):
    """Two lines of a comment, one after the other, that can only be code."""
    for file in tree.of("c++"):
        before = (-1, False)
        for line, text in file.scanned.comments:
            is_code = bool(_CODE_LINE.match(text))
            if is_code and before == (line - 1, True):
                yield file.offence(line, "dead-code", f"`{text}` is code in a comment: delete it, git remembers it")
            before = (line, is_code)


def _texts(tree):
    for file in tree.files:
        if file.language != "binary" and not file.path.startswith(_GIVEN):
            yield file


RULES = [conflict_marks, blanks, final_newline, todo, dead_code]
