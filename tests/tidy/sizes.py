"""Rules about sizes: one concept a file, and functions that fit on a screen or two."""

import ast

from scan import scopes_and_functions

FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 90

# Files that are one table: cutting them in two would only hide rows.
TABLES = {
    "tools/titles/events.cc": "one table of the texts from which titles are made",
}


def file_size(tree):
    for file in tree.of("c++", "proto", "python"):
        lines = file.text.count("\n")
        if lines > FILE_LINES_MAX and file.path not in TABLES:
            yield file.offence(lines, "file-size", f"{lines} lines; at most {FILE_LINES_MAX}: split it by concepts")


def function_size(tree):
    for file in tree.of("c++", "python"):
        for name, line, lines in _functions(file):
            if lines > FUNCTION_LINES_MAX and file.path not in TABLES:
                yield file.offence(line, "function-size", f"`{name}` has {lines} lines; at most {FUNCTION_LINES_MAX}: "
                                                          "move a step of it into a function of its own")


def _functions(file):
    if file.language == "c++":
        return [function[:3] for function in scopes_and_functions(file.scanned.code)[1]]
    return [(node.name, node.lineno, node.end_lineno - node.lineno + 1) for node in ast.walk(ast.parse(file.text))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


RULES = [file_size, function_size]
