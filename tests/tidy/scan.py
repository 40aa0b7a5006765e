"""Splits sources into code, comments and string literals, well enough for the rules; it is not a compiler."""

import ast
import functools
import io
import re
import tokenize
from typing import NamedTuple


class Scanned(NamedTuple):
    code: str  # the text with blanks for comments and for what stands between quotes; same length and lines
    text_code: str  # the text with blanks for comments only
    comments: list  # (line, text) for each line of a comment, without its marker
    strings: list  # (line, text) for each string literal, without quotes


class Function(NamedTuple):
    name: str
    line: int  # of its head's first line
    lines: int  # from its head to its closing brace
    begin: int  # index of its body's `{` in the code
    end: int  # index behind its body's `}`


_C_TOKEN = re.compile(
    r"""(?P<comment>//(?:[^\n\\]|\\.|\\\n)*|/\*.*?\*/)
      | (?:\b(?:u8|[uUL]))?R"(?P<mark>[^()\\\s]{0,16})\((?P<raw>.*?)\)(?P=mark)"
      | (?<![\w])(?:u8|[uUL])?"(?P<string>(?:[^"\\\n]|\\.)*)" | "(?P<string2>(?:[^"\\\n]|\\.)*)"
      | \b\d[\w'.]*
      | '(?P<char>(?:[^'\\\n]|\\.)+)'""",
    re.DOTALL | re.VERBOSE)


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def _comment_lines(comment):
    """The lines of a C comment without their markers."""
    if comment.startswith("//"):
        return [line.strip() for line in comment.lstrip("/").lstrip("!<").split("\n")]
    return [re.sub(r"^\s*\*+\s?", "", line).strip() for line in comment[2:-2].split("\n")]


def scan_c(text):
    """C++ and protos."""
    code, text_code, comments, strings = [], [], [], []
    last, line, counted = 0, 1, 0
    for token in _C_TOKEN.finditer(text):
        kind = token.lastgroup
        if kind is None:  # a number
            continue
        start, end = token.span()
        line, counted = line + text.count("\n", counted, start), start
        code.append(text[last:start])
        text_code.append(text[last:start])
        last, whole = end, token[0]
        if kind == "comment":
            comments += [(line + i, part) for i, part in enumerate(_comment_lines(whole))]
            code.append(_blank(whole))
            text_code.append(_blank(whole))
            continue
        inner = next(group for group in ("raw", "string", "string2", "char") if token[group] is not None)
        begin, stop = token.start(inner) - start, token.end(inner) - start
        if inner == "raw":
            code.append('"' + _blank(whole[1:-1]) + '"')
        else:
            code.append(whole[:begin] + _blank(whole[begin:stop]) + whole[stop:])
        text_code.append(whole)
        if inner != "char":
            strings.append((line, token[inner]))
    code.append(text[last:])
    text_code.append(text[last:])
    return Scanned("".join(code), "".join(text_code), comments, strings)


def scan_hash(text):
    """Files whose comments begin with `#`, at the beginning of a line or after a blank."""
    comments, code = [], []
    for number, line in enumerate(text.split("\n"), 1):
        found = re.search(r"(?:^|\s)#(?![!{])(.*)", line)
        inside = found and line[:found.start()].count('"') % 2 == 1
        if not found or inside or (number == 1 and line.startswith("#!")):
            code.append(line)
            continue
        comments.append((number, found[1].strip()))
        code.append(line[:found.start()] + " " * (len(line) - found.start()))
    joined = "\n".join(code)
    return Scanned(joined, joined, comments, [])


def scan_python(text):
    """Python; its docstrings are comments here."""
    lines = text.split("\n")
    comments, strings = [], []
    documentation = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node) is not None:
            documentation.add(node.body[0].lineno)
    code = [list(line) for line in lines]

    def blank(start, end):
        for row in range(start[0], end[0] + 1):
            first = start[1] if row == start[0] else 0
            last = end[1] if row == end[0] else len(lines[row - 1])
            code[row - 1][first:last] = " " * (last - first)

    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith("#!"):
            comments.append((token.start[0], token.string.lstrip("#").strip()))
            blank(token.start, token.end)
        elif token.type == tokenize.STRING:
            row = token.start[0]
            inner = token.string.lstrip("rbfRBFu").strip("\"'")
            target = comments if row in documentation else strings
            target += [(row + i, part.strip()) for i, part in enumerate(inner.split("\n"))]
            blank(token.start, token.end)
    joined = "\n".join("".join(line) for line in code)
    return Scanned(joined, text, comments, strings)


@functools.lru_cache(maxsize=2000)
def without_preprocessor(code):
    """The code with blanks for preprocessor directives, their continued lines included."""
    return re.sub(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", lambda found: _blank(found[0]), code, flags=re.MULTILINE)


_BRACE = re.compile(r"[{}]")
_BREAK = re.compile(r"[{};]|\b(?:public|private|protected)\s*:(?!:)")
_CONTAINER = re.compile(r"(?:^|[\s>\])])(namespace|class|struct|union|enum|extern)\b(?![^(]*\)\s*(?:const|noexcept|override)*\s*$)")
_FUNCTION_END = re.compile(r"\)\s*(?:const|noexcept|override|final|mutable|try|&&?|\s)*(?:->[^;{}]*)?$")
_INITIALIZERS = re.compile(r"\)\s*(?:noexcept\s*)?:(?!:)")  # of a constructor
_NAME = re.compile(r"((?:[\w:]+(?:<[^<>()]*>)?::)?(?:~?\w+|operator\s*(?:\(\)|[^\s\w(]+|[\w:<> *&]+)))\s*\(")


def matching_brace(code, begin):
    """The index behind the brace that closes the one at `begin`."""
    depth = 0
    for found in _BRACE.finditer(code, begin):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return found.end()
    return len(code)


class Scope(NamedTuple):
    head: str  # what stands before its `{`
    begin: int
    end: int


@functools.lru_cache(maxsize=2000)
def scopes_and_functions(code):
    """The namespaces, classes and enums of C++ code, and the outermost functions: (scopes, functions)."""
    code = without_preprocessor(code)
    scopes, functions = [], []
    at, head = 0, 0
    for found in _BREAK.finditer(code):
        if found.start() < at:
            continue  # inside a body or an initializer that was passed over
        if found[0] != "{":
            head = found.end()
            continue
        before = code[head:found.start()]
        stripped = before.strip()
        initializers = _INITIALIZERS.search(before)
        if _CONTAINER.search(_without_templates(stripped)) and not _FUNCTION_END.search(stripped):
            scopes.append(Scope(stripped, found.start(), matching_brace(code, found.start())))
            head = found.end()
        elif initializers and re.search(r"[\w>]\s*$", before[initializers.end():]):
            at = matching_brace(code, found.start())  # `: member_{…}`
        elif _FUNCTION_END.search(stripped) or (initializers and stripped[-1:] in ")}"):
            at = head = matching_brace(code, found.start())
            start = head_start = found.start() - len(before.lstrip())
            line = code.count("\n", 0, head_start) + 1
            name = _NAME.search(stripped)
            lines = code.count("\n", start, at) + 1
            functions.append(Function(name[1] if name else "?", line, lines, found.start(), at))
        else:
            at = matching_brace(code, found.start())  # a value in braces
    return scopes, functions


def _without_templates(head):
    """A head without its `template <…>`, in which `class` names a parameter."""
    found = re.match(r"template\s*<", head)
    if not found:
        return head
    depth, i = 1, found.end()
    while i < len(head) and depth:
        depth += {"<": 1, ">": -1}.get(head[i], 0)
        i += 1
    return head[i:]
