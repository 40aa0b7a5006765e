"""The naming rules of .clang-tidy, as far as they can be seen without a compiler: `make lint` runs the real ones.

CamelCase types and functions (accessors may be snake_case), snake_case variables, kConstants, and private members that
end with `_`. Declarations in a form that is not recognised pass."""

import re

from scan import scopes_and_functions, without_preprocessor

_CAMEL = re.compile(r"[A-Z][A-Za-z0-9]*$")
_SNAKE = re.compile(r"[a-z][a-z0-9_]*$")
_CONSTANT = re.compile(r"k[A-Z0-9][A-Za-z0-9]*$")

# Names that the language or a library asks for.
_GIVEN = {
    "main", "promise_type", "value_type", "iterator", "const_iterator", "iterator_category", "difference_type", "reference",
    "pointer", "is_transparent", "executor_type", "result_type", "allocator_type", "type",
    "duration", "rep", "period", "time_point", "is_steady",  # a clock of std::chrono
    "max_object_size", "max_array_size", "max_key_size", "max_string_size",  # a handler of Boost.JSON
    "cloneInto", "sizeOf",  # a constraint of valijson
    # an adapter of valijson
    "getArrayOptional", "getObjectOptional", "getArraySize", "getObjectSize", "getBool", "getDouble", "getInteger", "getString",
    "hasStrictTypes", "isArray", "isBool", "isDouble", "isInteger", "isNull", "isNumber", "isObject", "isString", "equalTo",
    "adapterName",
}

_TYPE = re.compile(r"\b(?:(?<!friend )(?:class|struct|union|enum(?:\s+(?:class|struct))?))\s+(?:\[\[\w+\]\]\s+)?(\w+)"
                   r"(?:\s+final)?\s*(?::(?!:)[^;{(]*)?\{")
_ALIAS = re.compile(r"\busing\s+(\w+)\s*=")
_CONSTEXPR = re.compile(r"\bconstexpr\s+(?:static\s+|inline\s+)?(?:[\w:]+(?:<[^;={}]*?>)?[\s*&]+)+?(\w+)(?:\[[^\]]*\])*\s*[={]")
_LOCAL = re.compile(r"(?<![\w.>:])(?:const\s+)?(?:auto|bool|int|size_t|double|u?int\d+_t|std::string|std::string_view|Status)"
                    r"(?:\s*[&*]+\s*|\s+)(\w+)\s*(?:=(?!=)|;|\{)")
_PARAMETER = re.compile(r"[\w>&*]\s+[&*]*(\w+)\s*(?:=[^,]*)?$|[&*](\w+)\s*(?:=[^,]*)?$")
_FUNCTION = re.compile(r"(?:^|[\s*&])((?:\w+::)*~?(\w+))\s*\(")
_MEMBER = re.compile(r"(?:[\w:]+(?:<[^;(]*>)?(?:::\w+)?(?:\s*[*&]+\s*|\s+))+(\w+)\s*(?:\[[^\]]*\]\s*)?(?:=[^;]*|\{.*\}\s*)?$", re.DOTALL)
_MARK = re.compile(r"[;{}()]")
_ACCESS = re.compile(r"\b(public|private|protected)\s*:(?!:)")


def _types(code):
    for pattern in (_TYPE, _ALIAS):
        for found in pattern.finditer(code):
            if not _CAMEL.match(found[1]):
                yield found.start(1), found[1], "a type is CamelCase"


def _constants(code):
    for found in _CONSTEXPR.finditer(code):
        if not _CONSTANT.match(found[1]):
            yield found.start(1), found[1], "a constexpr variable is kCamelCase"


def _functions(code, functions):
    for function in functions:
        name = function.name.split("::")[-1].lstrip("~")
        if not re.match(r"\w+$", name) or name.isupper() or name.startswith(("operator", "TEST")):
            continue  # a macro, such as TEST_F
        if not _CAMEL.match(name) and not _SNAKE.match(name):
            yield function.begin, name, "a function is CamelCase (an accessor snake_case)"


def _locals(code, functions):
    for function in functions:
        for found in _LOCAL.finditer(code, function.begin, function.end):
            if not _SNAKE.match(found[1]) and not _CONSTANT.match(found[1]):
                yield found.start(1), found[1], "a variable is snake_case"
            elif found[1].endswith("_"):
                yield found.start(1), found[1], "only private members end with `_`"


def _members(code, scopes, functions):
    """The data members of classes: private ones end with `_`, and those of structs don't."""
    for scope in scopes:
        found = re.search(r"\b(class|struct)\s+(?:\[\[\w+\]\]\s+)?[\w:]+(?:\s+final)?\s*(?::[^:].*)?$", scope.head, re.DOTALL)
        if not found or re.search(r"\benum\b", scope.head):
            continue
        inner = [s for s in scopes if scope.begin < s.begin < scope.end]
        access = "private" if found[1] == "class" else "public"
        for start, statement in _statements(code, scope, inner, functions):
            for word in _ACCESS.finditer(statement):
                access = word[1]
            declaration = _ACCESS.sub(" ", statement).strip()
            name = _member_name(declaration)
            if name is None:
                continue
            if access == "private" and not name.endswith("_"):
                yield start, name, "a private member ends with `_`"
            elif access == "public" and name.endswith("_"):
                yield start, name, "only private members end with `_`"


def _statements(code, scope, inner, functions):
    """(index of the end, text) of each statement directly in a class: what stands between semicolons and bodies."""
    bodies = {f.begin: f.end for f in functions} | {s.begin: s.end for s in inner}
    at, begin, label, depth = scope.begin + 1, scope.begin + 1, "", 0
    while found := _MARK.search(code, at, scope.end - 1):
        at = found.end()
        if found.start() in bodies:
            labels = _ACCESS.findall(code, begin, found.start())
            label = labels[-1] + ":" if labels else label
            at = begin = bodies[found.start()]
        elif found[0] != ";":
            depth += 1 if found[0] in "{(" else -1
        elif depth == 0:
            yield found.start(), label + code[begin:found.start()]
            begin, label = at, ""


def _member_name(declaration):
    if re.match(r"(?:using|friend|typedef|static|constexpr|template|enum|class|struct|union|inline|virtual|explicit)\b", declaration):
        return None
    declaration = re.sub(r"^(?:mutable|const|volatile)\s+", "", declaration)
    without_value = re.sub(r"\s*(?:=(?!=).*|\{.*\})$", "", declaration, flags=re.DOTALL)
    flat = without_value
    while "<" in flat:  # function types in templates have parentheses: std::function<void()> done
        shorter = re.sub(r"<[^<>]*>", "", flat)
        if shorter == flat:
            return None
        flat = shorter
    if "(" in flat or "operator" in flat:
        return None
    found = _MEMBER.match(flat)
    return found[1] if found and found[0] == flat else None


def naming(tree):
    for file in tree.of("c++"):
        code = without_preprocessor(file.scanned.code)
        scopes, functions = scopes_and_functions(file.scanned.code)
        checks = (_types(code), _constants(code), _functions(code, functions), _locals(code, functions),
                  _members(code, scopes, functions))
        for at, name, rule in (offence for check in checks for offence in check):
            if name not in _GIVEN:
                yield file.offence_at(at, "naming", f"`{name}`: {rule}")


RULES = [naming]
