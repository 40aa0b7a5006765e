"""A comment that names a status code with its reasons, `NOT_FOUND (RUN_NOT_FOUND)`, agrees with the table of reasons."""

import re

TABLE = "server/base/reason.cc"
_ROW = re.compile(r'\{Reason::k\w+, "([A-Z_]+)", StatusCode::k(\w+)\}')
_CODES = ("CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
          "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
          "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED")
# A code and what follows it in parentheses: reasons, each perhaps with an explanation.
_CITED = re.compile(r"(?<![\w-])(" + "|".join(_CODES) + r") \(([^()]*)\)")
_NAME = re.compile(r"(?<![\w`-])[A-Z]+(?:_[A-Z]+)*(?![\w-])")


def _code_of(camel_case):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", camel_case).upper()


def _blocks(file):
    """(text, [(index in the text, line)]) of comments on adjacent lines: a list of errors may go over several."""
    text, starts, last = "", [], None
    for line, part in file.scanned.comments:
        if last is not None and line > last + 1:
            yield text, starts
            text, starts = "", []
        starts.append((len(text), line))
        text, last = text + part + " ", line
    if starts:
        yield text, starts


def codes_of_reasons(tree):
    if TABLE not in tree.by_path:
        return
    codes = {name: _code_of(code) for name, code in _ROW.findall(tree.by_path[TABLE].text)}
    for file in tree.of("c++", "proto"):
        for text, starts in _blocks(file):
            for cited in _CITED.finditer(text):
                for name in _NAME.finditer(cited[2]):
                    is_reason = name[0] in codes
                    if codes.get(name[0]) == cited[1] or (not is_reason and "_" not in name[0]):
                        continue
                    at = cited.start(2) + name.start()
                    line = max(line for start, line in starts if start <= at)
                    has = f"has the code {codes[name[0]]}, not {cited[1]}" if is_reason else "is not a reason"
                    yield file.offence(line, "codes-of-reasons", f"`{name[0]}` {has} ({TABLE})")


RULES = [codes_of_reasons]
