"""The files of the repository as the rules see them: their text, code, comments and string literals."""

import functools
import os
import pathlib
import re
import subprocess
from typing import NamedTuple

from scan import scan_c, scan_hash, scan_python

# Stored by older versions of the server, byte for byte: only the rule about machine paths reads them.
FIXTURES = "tests/storage/fixtures/"


class Offence(NamedTuple):
    """A place that breaks a rule. A rule with a limit in ratchets.txt may have that many of them."""

    path: str
    line: int
    rule: str
    text: str  # what is wrong, and what to do about it

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


class File:
    """One file. `path` is relative to the repository's root."""

    def __init__(self, root, path):
        self.path = path
        self.name = path.rpartition("/")[2]
        self.folder = path.rpartition("/")[0]
        self.extension = self.name.rpartition(".")[2] if "." in self.name else ""
        self._absolute = root / path

    @functools.cached_property
    def bytes(self):
        return self._absolute.read_bytes()

    @functools.cached_property
    def text(self):
        return self.bytes.decode("utf-8", "replace")

    @functools.cached_property
    def lines(self):
        return self.text.split("\n")

    @functools.cached_property
    def language(self):
        """c++, proto, python, hash (shell, CMake, YAML, Make: comments begin with #), markdown, data or binary."""
        if self.path.startswith(FIXTURES) or b"\0" in self.bytes:
            return "binary"
        if self.extension in ("h", "cc"):
            return "c++"
        if self.extension == "proto":
            return "proto"
        if self.extension == "md":
            return "markdown"
        first = self.lines[0]
        if self.extension == "py" or (first.startswith("#!") and "python" in first):
            return "python"
        if first.startswith("#!") or self.extension in ("cmake", "yaml", "sh"):
            return "hash"
        if self.name in ("CMakeLists.txt", "Makefile", "packages.txt", ".gitignore", ".clang-tidy", ".clang-format"):
            return "hash"
        return "data"

    @functools.cached_property
    def scanned(self):
        """Its parts (scan.Scanned); empty for documents and data."""
        if self.language in ("c++", "proto"):
            return scan_c(self.text)
        if self.language == "python":
            return scan_python(self.text)
        return scan_hash(self.text if self.language == "hash" else "")

    def offence(self, line, rule, text):
        return Offence(self.path, line, rule, text)

    def offence_at(self, position, rule, text):
        """An offence at an index into the text, or into the code, which has the same length."""
        return self.offence(self.text.count("\n", 0, position) + 1, rule, text)


class Tree:
    """All files of the repository that git knows or would add; all files below `root` if there is no git."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.files = [File(self.root, path) for path in sorted(self._paths()) if (self.root / path).is_file()]
        self.by_path = {file.path: file for file in self.files}

    def _paths(self):
        if (self.root / ".git").exists():
            command = ["git", "-C", str(self.root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
            return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")) - {""}
        return self._paths_on_disk()

    def _paths_on_disk(self):
        paths = set()
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if not name.startswith("build") and name != "__pycache__"]
            paths |= {os.path.relpath(os.path.join(folder, name), self.root) for name in names}
        return paths

    def lines_since(self, revision):
        """(path, line) of each line that is new or changed since a revision of git, in files that git knows."""
        command = ["git", "-C", str(self.root), "diff", "--unified=0", "--no-color", "--no-ext-diff", revision]
        found, path = set(), ""
        for line in subprocess.run(command, check=True, capture_output=True).stdout.decode("utf-8", "replace").split("\n"):
            if line.startswith("+++ "):
                path = line[len("+++ b/"):]
            hunk = re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line)
            if hunk:
                found |= {(path, int(hunk[1]) + i) for i in range(int(hunk[2] or 1))}
        return found

    def of(self, *languages):
        return [file for file in self.files if file.language in languages]

    @functools.cached_property
    def folders(self):
        """Every folder that holds a file, itself or through another folder."""
        found = set()
        for path in self.by_path:
            while "/" in path:
                path = path.rpartition("/")[0]
                found.add(path)
        return found


def words_of(camel_case):
    """`ACancelledRunStartsNoCall` as lower-case words with spaces."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", camel_case).lower()
