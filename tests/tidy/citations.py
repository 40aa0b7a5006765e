"""Comments and documents cite only files that are in the repository, so that a reader can open them."""

import re

# A word that looks like one of our files. Names of data (`titles.csv`, `millrace.yaml`) are mostly the users' own: they
# count only with a folder of the repository before them.
_FILE = re.compile(r"(?<![\w./<>*{$~-])((?:[\w.-]+/)*[\w-][\w.-]*\.(?:h|cc|md|proto|py|cmake|mustache|csv|yaml|json|txt))\b"
                   r"(?![\w/*{<>-])")
_ALWAYS = ("h", "cc", "md", "proto", "py", "cmake")
# A path of two parts or more without an extension: `server/llm`, `tests/bench/run`.
_PATH = re.compile(r"(?<![\w./<>*{$~:-])((?:[\w.-]+/)+[\w-]*[\w])/?(?![\w/*{<>.-]*[/*{<>])")
# Documents that are sometimes cited in capitals and without their extension.
_DOCUMENT = re.compile(r"(?<![\w./-])(DESIGN|RELIABILITY|REDESIGN|STYLE|JOBS|PEERS|ROADMAP|ARCHITECTURE|CONTRIBUTING)"
                       r"(?![\w/-])(?!\.md)")

# Headers of other projects that comments may name.
_FOREIGN = re.compile(r"(?:absl|boost|google|grpc|grpcpp|rocksdb|linux|sys|std)/|.*\.pb\.(?:h|cc)$")
# Folders that are made by a build.
_MADE = ("build",)
# Stems that stand for any file in a description.
_PLACEHOLDERS = ("a", "b", "x", "foo", "bar", "a_test", "foo_test")


def _cited(text):
    """(cited word, is a file) of a line."""
    text = re.sub(r"\w+://\S+", " ", text)
    found = {match[1]: True for match in _FILE.finditer(text)}
    for match in _PATH.finditer(text):
        if not any(match[1] in word for word in found):
            found[match[1]] = False
    return found.items()


def _resolves(tree, file, cited, names):
    """Is it a file or folder of the repository, by its path from the root, from the file's folder or from server/, by
    the last parts of its path, or by its stem?"""
    while cited.startswith("./"):
        cited = cited[2:]
    folders = (file.folder, "", "server", "protos", "protos/millrace/v1", "backends")
    places = [(folder + "/" + cited).lstrip("/") for folder in folders]
    if any(place in tree.by_path or place in tree.folders for place in places):
        return True
    if "/" in cited:
        if any(place + end in tree.by_path for place in places for end in (".h", ".cc", ".proto")):
            return True
        return any(path.endswith("/" + cited) for path in tree.by_path)
    return len(names.get(cited, ())) == 1


def dead_citations(tree):
    names, tops = {}, {path.partition("/")[0] for path in tree.by_path if "/" in path}
    for path in tree.by_path:
        names.setdefault(path.rpartition("/")[2], set()).add(path)
    for file in tree.of("c++", "proto", "python", "hash", "markdown"):
        lines = enumerate(file.lines, 1) if file.language == "markdown" else file.scanned.comments
        for line, text in lines:
            for cited, is_file in _cited(text):
                top, extension = cited.partition("/")[0], cited.rpartition(".")[2]
                must_exist = top in tops if "/" in cited else False
                if is_file and cited.rpartition("/")[2].partition(".")[0] in _PLACEHOLDERS:
                    continue
                if is_file and extension in _ALWAYS:
                    must_exist = top not in _MADE and not _FOREIGN.match(cited)
                if must_exist and not _resolves(tree, file, cited, names):
                    several = len(names.get(cited, ())) > 1
                    problem = "there are several of that name: cite its path" if several else "is not in the repository"
                    yield file.offence(line, "dead-citations", f"`{cited}` {problem}")
            for found in _DOCUMENT.finditer(text):
                if found[1] + ".md" not in tree.by_path:
                    yield file.offence(line, "dead-citations", f"`{found[1]}` is not a document of the repository: say "
                                                               "here what it says")


RULES = [dead_citations]
