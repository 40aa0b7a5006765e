#!/usr/bin/env python3
"""The house rules as a test: `tests/tidy/tidy.py [--all | --since REVISION] [--lower] [folder]`.

Fails if a rule has more offences than ratchets.txt allows it (none, for most rules). A rule with fewer than its limit is
reported, so that the limit can be lowered.

--all             prints every offence, those within their limits too
--since REVISION  prints every offence in a line that is new or changed since a revision of git, such as main
--lower           rewrites ratchets.txt with the smaller numbers
folder            another root than this repository"""

import argparse
import collections
import pathlib
import sys

import citations
import hygiene
import idioms
import includes
import language
import leaks
import naming
import protos
import reasons
import sizes
from ratchets import Ratchets
from tree import Tree

HERE = pathlib.Path(__file__).resolve().parent
RATCHETS = HERE / "ratchets.txt"
FEW = 10  # offences that are printed of a rule that has a limit
GROUPS = (sizes, includes, citations, language, idioms, naming, leaks, protos, reasons, hygiene)


def offences_of(tree):
    """{rule: its offences}."""
    found = collections.defaultdict(list)
    for group in GROUPS:
        for rule in group.RULES:
            for offence in rule(tree):
                found[offence.rule].append(offence)
    return found


def print_offences(offences, limit):
    """Prints the offences of a rule; only the first few if most of them are old."""
    shown = offences[:FEW] if limit else offences
    print(*shown, sep="\n")
    if len(shown) < len(offences):
        print(f"… and {len(offences) - len(shown)} more; `tests/tidy/tidy.py --since main` prints those that are new")


def judge(found, ratchets, prints_offences=True):
    """Prints the rules with more offences than their limit, and those with fewer; true if none has more."""
    is_tidy = True
    for rule in sorted(set(found) | set(ratchets.rules())):
        count, limit = len(found.get(rule, ())), ratchets.limit(rule)
        if count > limit:
            is_tidy = False
            if prints_offences:
                print_offences(found[rule], limit)
            print(f"{rule}: {count} offences, {limit} allowed (tests/tidy/ratchets.txt)\n")
        elif count < limit:
            print(f"{rule}: {count} offences, fewer than the {limit} allowed: lower line {ratchets.line(rule)} of "
                  "tests/tidy/ratchets.txt (tests/tidy/tidy.py --lower)")
    return is_tidy


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--all", action="store_true")
    arguments.add_argument("--since", metavar="REVISION")
    arguments.add_argument("--lower", action="store_true")
    arguments.add_argument("folder", nargs="?", default=HERE.parent.parent)
    options = arguments.parse_args()

    tree = Tree(options.folder)
    found = offences_of(tree)
    ratchets = Ratchets(RATCHETS.read_text())
    if options.all or options.since:
        new = tree.lines_since(options.since) if options.since else None
        every = sorted(offence for offences in found.values() for offence in offences)
        for offence in every:
            if new is None or (offence.path, offence.line) in new:
                print(offence)
    is_tidy = judge(found, ratchets, prints_offences=not (options.all or options.since))
    if options.lower:
        RATCHETS.write_text(ratchets.lowered({rule: len(offences) for rule, offences in found.items()}))
    lines = sum(1 for _ in language.comments_of(tree))
    upside_down = len(found["upside-down"])
    print(f"{len(tree.files)} files, {lines} lines of comments; {upside_down} of them begin upside down "
          f"({upside_down / max(1, lines):.1%}; the aim is {language.UPSIDE_DOWN_SHARE_MAX:.0%})")
    return 0 if is_tidy else 1


if __name__ == "__main__":
    sys.exit(main())
