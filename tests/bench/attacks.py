"""Inputs that once took a server's memory or its threads: each alone and all together, against a real millraced. For each:
the peak RSS of the server, and the time until a small healthy run that begins meanwhile has ended."""

import json
import pathlib
import subprocess
import threading
import time

from server import MILLRACE, Server
from table import row, say

HEALTHY = """
name: healthy
stages:
  - name: items
    fetch: {csv: {path: FOLDER/small.csv, id_column: id}}
  - name: made
    needs: [items]
    prepare: {rules: [{replace: {field: text, pattern: '\\s+', with: ' '}}, {set: {field: size, value: 1}}]}
  - name: answered
    needs: [made]
    synthesize: {model: writer, prompt: "{{text}}", output_field: answer}
"""


def stage(rules):
    return f"  - name: made\n    needs: [items]\n    prepare: {{rules: {json.dumps(rules)}}}\n"


def pipeline(name, source, rest):
    return f"name: {name}\nstages:\n  - name: items\n    fetch: {{jsonl: {{path: FOLDER/{source}, id_field: id}}}}\n{rest}"


def write_inputs(folder):
    with open(folder / "small.csv", "w", encoding="utf-8") as file:
        file.write("id,text\n" + "".join(f"i{i},the quick  brown fox {i}\n" for i in range(50)))
    def lines(name, count, text):
        with open(folder / name, "w", encoding="utf-8") as file:
            for i in range(count):
                file.write(json.dumps({"id": f"i{i}", "text": text}) + "\n")
    lines("one.jsonl", 4, "x")
    lines("mega.jsonl", 4, "a" * 1_000_000)
    lines("many.jsonl", 150, "c" * 1_000_000)
    with open(folder / "names.csv", "w", encoding="utf-8") as file:
        file.write("name,place\n")
        for i in range(150_000):
            file.write(f"name{i} of{i % 977},place{i % 100}\n")


class Attacks:
    """The attacks on one server. Each returns at once; `end` ends what still runs."""

    def __init__(self, server, folder):
        self.server, self.folder, self.processes = server, folder, []

    def run(self, name, text, *more):
        path = self.folder / f"{name}.yaml"
        path.write_text(text.replace("FOLDER", str(self.folder)), encoding="utf-8")
        self.processes.append(subprocess.Popen([str(MILLRACE), "--server", self.server.address, "run", str(path), "--detach",
                                                *map(str, more)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def replace(self):
        """`\\0` 2,000 times for a field of 1 MB: 2 GB."""
        self.run("replace", pipeline("replace", "mega.jsonl", stage(
            [{"replace": {"field": "text", "pattern": ".+", "with": "\\0" * 2000}}])))

    def copies(self):
        """60 copies of an object of 2 MB."""
        self.run("copies", pipeline("copies", "mega.jsonl", stage(
            [{"set": {"field": f"large.f{i}", "from": "text"}} for i in range(2)]
            + [{"set": {"field": f"f{i}", "from": "large"}} for i in range(60)])))

    def search(self):
        """A search for every match that takes the square of 1 MB."""
        self.run("search", pipeline("search", "mega.jsonl", stage(
            [{"replace": {"field": "text", "pattern": "a(.*b)?", "with": "x"}}])))

    def patterns(self):
        """Six definitions with patterns that take long to compile, whose callers leave after a second."""
        rules = [{"extract": {"from": "text", "pattern": "[a-z]{1,1000}" * 9, "field": f"f{i}"}} for i in range(60)]
        for number in range(6):
            path = self.folder / f"patterns{number}.yaml"
            path.write_text(pipeline(f"patterns{number}", "one.jsonl", stage(rules)).replace("FOLDER", str(self.folder)))
            self.processes.append(subprocess.Popen(
                ["timeout", "1", str(MILLRACE), "--server", self.server.address, "apply", str(path)],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def unique(self):
        """`uniqueItems` for an array of 30,000 elements, in each of 4 answers."""
        schema = {"type": "object", "properties": {"list": {
            "type": "array", "uniqueItems": True, "x-millrace-local": {"const": list(range(30_000))}}}}
        self.run("unique", pipeline("unique", "one.jsonl", "  - name: made\n    needs: [items]\n    synthesize: {model: "
                                    f"writer, prompt: '{{{{text}}}}', output_schema: {json.dumps(schema)}}}\n"))

    def sink(self):
        """A sink of 150 items of 3 MB, which the store keeps in a few bytes."""
        copies = stage([{"set": {"field": f"f{i}", "from": "text"}} for i in range(2)])
        self.run("sink", pipeline("sink", "many.jsonl", copies + "  - name: out\n    needs: [made]\n    store: {jsonl: {path: "
                                  "FOLDER/out.jsonl}}\n"))

    def gazetteers(self):
        """40 runs with one gazetteer of 3 MB, which wait for a client's items."""
        look_up = [{"look_up": {"gazetteer": "names.csv", "in": ["text"], "set": [{"field": "p", "column": "place"}]}}]
        text = f"name: gazetteers\nstages:\n  - name: items\n    fetch: {{inline: {{}}}}\n{stage(look_up)}"
        path = self.folder / "gazetteers.yaml"
        path.write_text(text, encoding="utf-8")
        for _ in range(40):
            subprocess.run([str(MILLRACE), "--server", self.server.address, "run", str(path), "--detach"], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()


NAMES = ("replace", "copies", "search", "patterns", "unique", "sink", "gazetteers")


def attack(folder, names):
    """Peak RSS in MB, and the seconds that a healthy run took that began a second after the attack."""
    folder.mkdir(parents=True)
    write_inputs(folder)
    server = Server(folder, "local: {}", 100, "{interval: 50ms}").start()
    attacks = Attacks(server, folder)
    threads = [threading.Thread(target=getattr(attacks, name)) for name in names]
    for thread in threads:
        thread.start()
    time.sleep(1)
    healthy = folder / "healthy.yaml"
    healthy.write_text(HEALTHY.replace("FOLDER", str(folder)), encoding="utf-8")
    begin = time.monotonic()
    run = server.command("run", healthy, check=False).get("run", {})
    took = time.monotonic() - begin
    for thread in threads:
        thread.join()
    time.sleep(10)  # the attack continues alone
    peak, alive = server.peak_rss_mb(), server.process.poll() is None
    attacks.end()
    if alive:
        server.stop()
    return peak, took, alive and run.get("state") == "RUN_STATE_SUCCEEDED"


@row
def attacks(folder):
    """Attacks on memory and threads, each alone and all together."""
    for names in [(name,) for name in NAMES] + [NAMES]:
        what = names[0] if len(names) == 1 else "all together"
        peak, took, is_well = attack(pathlib.Path(folder) / what.replace(" ", "-"), names)
        say(f"attack {what}: peak RSS", f"{peak:.0f} MB", "<= 400 MB")
        say(f"attack {what}: time of a healthy run meanwhile", f"{took:.2f} s" if is_well else "did not end well", "<= 2 s")
