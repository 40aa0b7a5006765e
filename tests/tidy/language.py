"""Rules about plain English in comments, documents, messages and names of tests."""

import re

from tree import words_of

# A comment line that begins with one of these is nearly always a sentence that is upside down: its topic comes first and
# its subject last, or never.
UPSIDE_DOWN = re.compile(r"(Of|What|Where|Who|Whether|The same|Those|One that)\b")
UPSIDE_DOWN_SHARE_MAX = 0.01  # of all comment lines: the aim, which ratchets.txt approaches

# Phrases that are nearly always one of ours and not English: (pattern, what to say).
PHRASES = {
    "stands there": (r"stands? there", "say where it is: `is in the file`, `is duplicated`"),
    "anew": (r"anew", "`again`, or say what is repeated"),
    "told": (r"(?<!be )told(?! apart)", "name who does it: `reports`, `prints`, `returns`"),
    "came to": (r"c[ao]mes? to(?! (?:the|a) (?:client|server))", "`became`, `reached`, `ended with`"),
    "came of": (r"c[ao]mes? of", "`resulted in`, `its outcome`"),
    "goes on": (r"go(?:es)? on|went on", "`continues`"),
    "is no": (r"(?:is|are|was|were) no(?! longer| more than| less than)", "`is not a`, `does not exist`"),
    "mended": (r"mend(?:s|ed|ing)?", "`repaired`, `fixed`"),
    "asked for again": (r"asked for again", "`requested again`, `retried`"),
    "may be tried": (r"may be tried", "`can be retried`"),
    "there is not": (r"(?:which|that) there is not", "`which does not exist`"),
    "worked on": (r"(?:is|are|be|being|was|were) worked on", "`is processed`"),
}

# The product's folders, whose string literals reach users as messages.
MESSAGES = ("server/", "client/", "backends/")
# Text that quotes the phrases on purpose.
QUOTES = ("tests/tidy/",)

_TEST_NAME = re.compile(r"\bTEST(?:_[FP])?\(\s*\w+,\s*(\w+)\)")


def comments_of(tree):
    """(file, line, text) of each line of a comment that says something."""
    for file in tree.of("c++", "proto", "python", "hash"):
        for line, text in file.scanned.comments:
            if text:
                yield file, line, text


def upside_down(tree):
    for file, line, text in comments_of(tree):
        found = UPSIDE_DOWN.match(text)
        if found:
            yield file.offence(line, "upside-down", f"the line begins with `{found[0]}`: begin with the subject, and say "
                                                    "`if` for a condition")


def upside_down_share(tree):
    """(count, share of all comment lines), for the report."""
    count = sum(1 for _ in upside_down(tree))
    return count, count / max(1, sum(1 for _ in comments_of(tree)))


def _prose(tree):
    """(file, line, text) of all that is written for people."""
    yield from comments_of(tree)
    for file in tree.of("markdown"):
        for line, text in enumerate(file.lines, 1):
            yield file, line, text
    for file in tree.of("c++"):
        if file.path.startswith(MESSAGES):
            for line, text in file.scanned.strings:
                if " " in text:
                    yield file, line, text
        for found in _TEST_NAME.finditer(file.scanned.code):
            yield file, file.text.count("\n", 0, found.start()) + 1, words_of(found[1])


def phrases(tree):
    patterns = {name: re.compile(r"\b(?:" + pattern + r")\b", re.IGNORECASE) for name, (pattern, _) in PHRASES.items()}
    for file, line, text in _prose(tree):
        if file.path.startswith(QUOTES):
            continue
        for name, pattern in patterns.items():
            for found in pattern.finditer(text):
                yield file.offence(line, f"phrase: {name}", f"`{found[0]}`: say {PHRASES[name][1]}")


RULES = [upside_down, phrases]
