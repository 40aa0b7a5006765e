"""ratchets.txt: how many offences a rule still has. The numbers only fall."""

import re


class Ratchets:
    """The limit of each rule; 0 for a rule that is not in the file."""

    def __init__(self, text):
        self._lines = text.split("\n")
        self._limits = {}  # rule: (limit, index of its line)
        for index, line in enumerate(self._lines):
            found = re.match(r"\s*(\d+)\s+(.+?)\s*$", line)
            if found and not line.lstrip().startswith("#"):
                self._limits[found[2]] = (int(found[1]), index)

    def rules(self):
        return list(self._limits)

    def limit(self, rule):
        return self._limits.get(rule, (0, None))[0]

    def line(self, rule):
        return self._limits[rule][1] + 1

    def lowered(self, counts):
        """The file's text with smaller numbers for the rules that have fewer offences; rules without any are left out."""
        lines = list(self._lines)
        for rule, (limit, index) in self._limits.items():
            count = counts.get(rule, 0)
            if count < limit:
                lines[index] = f"{count:4} {rule}" if count else None
        return "\n".join(line for line in lines if line is not None)
