"""Rules about includes: they point down, from floor to floor, and never in a circle. floors.txt has the floors."""

import collections
import functools
import re

FLOORS = "tests/tidy/floors.txt"

# A folder in whose headers and sources no header of these libraries is seen, however indirectly.
SHELTERED = "server/engine"
FOREIGN = {
    "gRPC": r"grpc(?:pp|\+\+)?/|.*\.grpc\.pb\.h$",
    "RocksDB": r"rocksdb/",
    "Beast": r"boost/beast",
    "YAML": r"yaml-cpp/",
}

# Folders (and all below them) whose modules, foo.h with foo.cc, form no circle either.
MODULES_IN_ORDER = ("server/engine", "server/base")

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)


def module_of(path):
    """`server/base/loop` for its header and its source."""
    return re.sub(r"\.(h|cc)$", "", path)


@functools.lru_cache(maxsize=None)
def includes_of(file):
    """(line, path, is quoted) of each include. Comments do not count."""
    return [(file.text.count("\n", 0, found.start()) + 1, found[2], found[1] == '"')
            for found in _INCLUDE.finditer(file.scanned.text_code)]


class Floors:
    """The table of floors.txt."""

    def __init__(self, text):
        self.allowed = {}  # folder or module: patterns
        self.lines = {}
        for number, line in enumerate(text.split("\n"), 1):
            line = line.partition("#")[0].strip()
            if line:
                name, _, patterns = line.partition(":")
                self.allowed[name.strip()] = patterns.split()
                self.lines[name.strip()] = number

    def place_of(self, path):
        """The module of a file if it has a line of its own, otherwise its folder."""
        module = module_of(path)
        return module if module in self.allowed else path.rpartition("/")[0]

    def line_of(self, place):
        """The line that counts for a place; None if there is none."""
        while place not in self.allowed:
            if "/" not in place:
                return "*" if "*" in self.allowed else None
            place = place.rpartition("/")[0]
        return place

    def allows(self, source, target):
        """May the place `source` include the place `target`?"""
        line = self.line_of(source)
        if line == self.line_of(target):
            return True
        return any(_matches(pattern, target) for pattern in self.allowed[line])


def _matches(pattern, folder):
    if pattern == "*" or pattern == folder:
        return True
    above = pattern.rstrip("*").rstrip("/")
    return pattern.endswith("*") and (folder.startswith(above + "/") or (pattern.endswith("/**") and folder == above))


def _floors(tree):
    return Floors(tree.by_path[FLOORS].text if FLOORS in tree.by_path else "*: *")


def _is_ours(tree, path):
    """A header of the project, written or generated from a proto."""
    return path in tree.by_path or "protos/" + re.sub(r"(\.grpc)?\.pb\.h$", ".proto", path) in tree.by_path


def floors(tree):
    table = _floors(tree)
    without_line = set()
    for file in tree.of("c++"):
        source = table.place_of(file.path)
        if table.line_of(source) is None:
            if source not in without_line:
                yield file.offence(1, "floors", f"{source} has no floor: add a line to {FLOORS}")
            without_line.add(source)
            continue
        for line, path, quoted in includes_of(file):
            if not quoted or not _is_ours(tree, path):
                continue
            target = table.place_of(path)
            if not table.allows(source, target):
                yield file.offence(line, "floors", f"{source} may not include {target} ({path}): move what both need to "
                                                   "a lower floor, or pass it as an argument (tests/tidy/floors.txt)")


def dead_floors(tree):
    """A line of floors.txt for what is no more would hide the next folder of that name."""
    table = _floors(tree)
    modules = {module_of(file.path) for file in tree.of("c++")}
    for place, line in table.lines.items():
        if place != "*" and place not in modules and place not in tree.folders:
            yield tree.by_path[FLOORS].offence(line, "dead-floors", f"`{place}` does not exist: remove or rename the line")


def _arrows(tree, place_of, considered):
    """{place: {place: (file, line, header)}} over the project's own includes: the first that makes each arrow."""
    arrows = collections.defaultdict(dict)
    for file in tree.of("c++"):
        source = place_of(file.path)
        for line, path, quoted in includes_of(file):
            target = place_of(path)
            if quoted and path in tree.by_path and source != target and considered(source) and considered(target):
                arrows[source].setdefault(target, (file, line, path))
    return arrows


def _circles(arrows):
    """The sets of places that reach each other (Tarjan's algorithm), each as one short circle: a list of places."""
    order, low, stack, groups = {}, {}, [], []

    def visit(place):
        order[place] = low[place] = len(order)
        stack.append(place)
        for target in sorted(arrows.get(place, ())):
            if target not in order:
                visit(target)
            if target in stack:
                low[place] = min(low[place], low[target])
        if low[place] == order[place]:
            group = stack[stack.index(place):]
            del stack[stack.index(place):]
            if len(group) > 1:
                groups.append(group)

    for place in sorted(arrows):
        if place not in order:
            visit(place)
    return [_shortest_circle(arrows, set(group)) for group in groups]


def _shortest_circle(arrows, group):
    best = None
    for start in sorted(group):
        before, queue = {start: None}, collections.deque([start])
        while queue:
            place = queue.popleft()
            if start in arrows[place]:
                circle = [place]
                while before[circle[-1]] is not None:
                    circle.append(before[circle[-1]])
                if best is None or len(circle) < len(best):
                    best = circle[::-1]
                break
            for target in sorted(arrows[place]):
                if target in group and target not in before:
                    before[target] = place
                    queue.append(target)
    return best


def _circle_offences(rule, arrows, remedy):
    for circle in _circles(arrows):
        pairs = list(zip(circle, circle[1:] + circle[:1]))
        file, line, _ = arrows[pairs[-1][0]][pairs[-1][1]]
        way = "; ".join(f"{a} includes {arrows[a][b][2]} ({arrows[a][b][0].path}:{arrows[a][b][1]})" for a, b in pairs)
        yield file.offence(line, rule, f"a circle of includes: {way}. {remedy}")


def folder_circles(tree):
    table = _floors(tree)
    arrows = _arrows(tree, table.place_of, lambda place: not place.startswith("tests"))
    yield from _circle_offences("folder-circles", arrows, "Move what both need below both.")


def module_circles(tree):
    for folder in MODULES_IN_ORDER:
        arrows = _arrows(tree, module_of, lambda module, below=folder + "/": module.startswith(below))
        yield from _circle_offences("module-circles", arrows, "Move what both need into a module of its own.")


def sheltered_engine(tree):
    for file in tree.of("c++"):
        if not file.path.startswith(SHELTERED + "/"):
            continue
        for library, way in _foreign_headers(tree, file).items():
            yield file.offence(1, "sheltered-engine", f"sees {library}: {' includes '.join(way)}. "
                                                      "Put an interface of ours in between")


def _foreign_headers(tree, file):
    """{library: the files from `file` to the library's header} over everything that the file includes."""
    found, seen, queue = {}, {file.path}, collections.deque([(file, [file.path])])
    while queue:
        current, way = queue.popleft()
        for _, path, _ in includes_of(current):
            for library, pattern in FOREIGN.items():
                if re.match(pattern, path):
                    found.setdefault(library, way + [path])
            if path in tree.by_path and path not in seen:
                seen.add(path)
                queue.append((tree.by_path[path], way + [path]))
    return found


RULES = [floors, dead_floors, folder_circles, module_circles, sheltered_engine]
