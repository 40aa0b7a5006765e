"""Rules about how code is written: the macros for errors, and kinds that are asked what they are."""

import re

# `if (!x.ok()) co_return x.status();` and its variants, with or without braces and std::move.
_BY_HAND = re.compile(
    r"if \(!([\w.:>()-]+?)(?:\.|->)ok\(\)\)\s*\{?\s*(co_)?return (?:std::move\()?\*?\1\)?(?:(?:\.|->)status\(\))?;")

# Places that recognise a kind of stage or backend by its name or number. A kind says what it can do in its registration
# (StageKind, BackendKind), so that a new one is one folder and one line.
_STAGES = "fetch|prepare|synthesize|cluster|merge|store"
_BACKENDS = "local|simulated|openai|bedrock"
_KINDS = {
    "a kind's name is compared": r'\b(?:kind(?:\(\))?|KindName\([^()]*\)) ?[!=]= ?"|"(?:[a-z]+)" ?== ?\w*kind\b',
    "a kind's number is asked": r"\b(?:stage|config|backend|entry|definition)\w*(?:\.|->)kind_case\(\)",
    "a case of a kind": rf"\bcase (?:v1::)?(?:Stage|BackendConfig)::k[A-Z]\w*:",
    "a kind is asked for": rf"\bhas_(?:{_STAGES}|{_BACKENDS})\(\)",
    "a kind's options are read": rf"\b(?:stage(?:s\(\w+\))?(?:\.|->)(?:{_STAGES})|backend(?:\.|->)(?:{_BACKENDS}))\(\)",
    "a path names a kind": rf'stages\[\{{\}}\]\.(?:{_STAGES})\b',
}
# The registries, in which each kind is named once, and the folders of the kinds themselves.
_MAY_KNOW_KINDS = re.compile(r"server/stages/(?:builtin|registry|stage)\.(?:h|cc)$|server/stages/\w+/|backends/|tests/|tools/")


def by_hand(tree):
    for file in tree.of("c++"):
        for found in _BY_HAND.finditer(file.scanned.code):
            word = "co_return" if found[2] else "return"
            macros = "MR_CO_RETURN_IF_ERROR or MR_CO_ASSIGN_OR_RETURN" if found[2] else "MR_RETURN_IF_ERROR or MR_ASSIGN_OR_RETURN"
            yield file.offence_at(found.start(), f"by-hand: {word}", f"`{' '.join(found[0].split())}`: use {macros} "
                                                                     "(server/base/status.h)")


def kinds_by_name(tree):
    patterns = {name: re.compile(pattern) for name, pattern in _KINDS.items()}
    for file in tree.of("c++"):
        if _MAY_KNOW_KINDS.match(file.path):
            continue
        for name, pattern in patterns.items():
            for found in pattern.finditer(file.scanned.text_code):
                yield file.offence_at(found.start(), "kinds-by-name", f"{name} (`{found[0]}`): add what you need to "
                                                                      "know to the kind's registration, and read it there")


RULES = [by_hand, kinds_by_name]
