"""Every message, field, enum, value, service and rpc of the protos has a comment: they are the manual of the API."""

import re

_DECLARATION = re.compile(r"(message|enum|service|rpc|oneof|extend)\s+([\w.]+)")
_FIELD = re.compile(r"(?:repeated |optional |map ?<[^>]*> |required )?\s*(?:[\w.]+\s+)?(\w+)\s*=\s*(-?\d+|0x[0-9a-fA-F]+)\b")
_PASSED = re.compile(r"(?:syntax|edition|package|import|option|reserved|extensions)\b")


def _statements(code):
    """(begin, end, text) of each declaration: up to its `;`, or its `{` if a block follows. Options in brackets belong
    to it."""
    begin, brackets = 0, 0
    for found in re.compile(r"[;{}\[\]]").finditer(code):
        character = found[0]
        brackets += {"[": 1, "]": -1}.get(character, 0)
        if brackets or character in "[]":
            continue
        yield begin, found.end(), code[begin:found.start()].strip(), character
        begin = found.end()


def undocumented(tree):
    for file in tree.of("proto"):
        if not file.path.startswith("protos/millrace/"):
            continue  # copies of other projects' protos
        commented = {line for line, _ in file.scanned.comments}
        code_lines = [""] + file.scanned.code.split("\n")
        depth_of_options = 0
        for begin, end, text, closing in _statements(file.scanned.code):
            if depth_of_options:  # `option (x) = {…};`
                depth_of_options += {"{": 1, "}": -1}.get(closing, 0)
                continue
            if _PASSED.match(text):
                depth_of_options = 1 if closing == "{" else 0
                continue
            name = _documented_name(text)
            if name is None:
                continue
            start = begin + len(file.scanned.code[begin:end]) - len(file.scanned.code[begin:end].lstrip())
            first = file.scanned.code.count("\n", 0, start) + 1
            last = file.scanned.code.count("\n", 0, end) + 1
            is_led = first - 1 in commented and not code_lines[first - 1].strip()
            if not is_led and not commented & set(range(first, last + 1)):
                yield file.offence(first, "undocumented", f"`{name}` has no comment: say what it means, with its unit, "
                                                          "range and default, above it")


def _documented_name(text):
    """The name of a declaration that must have a comment; None for others."""
    declaration = _DECLARATION.match(text)
    if declaration:
        return None if declaration[1] in ("oneof", "extend") else declaration[2]
    field = _FIELD.match(text)
    if field and not (field[2] == "0" and field[1].endswith("_UNSPECIFIED")):
        return field[1]
    return None


RULES = [undocumented]
