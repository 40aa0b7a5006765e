"""Sick providers in real time: half of all attempts failing, one sick backend of three, equal calls in flight, and
thousands of calls in flight at once."""

import os
import re
import subprocess
import time

from server import CALLS_PIPELINE, GENERATE_LOAD, Provider, Server, write_items
from table import row, run_pipeline, say

SCALE = float(os.environ.get("MILLRACE_BENCH_SCALE", "1"))  # of numbers of calls, for a quick look


def summary(provider):
    """Ends the provider; its counts: requests, answers, most at once, hung."""
    provider.process.terminate()
    text = provider.process.communicate(timeout=60)[0]
    return [int(number) for number in re.findall(r"(\d+) (?:requests|answers|at once|hung)", text)]


@row
def faults(folder):
    """3,000 items of 20 ms, 100 at once, half of the attempts failing in seven ways."""
    items = int(3000 * SCALE)
    hold, first_byte = 0.02, 1.0
    write_items(folder / "items.csv", items)
    kinds = "429,500,503,reset,hang,cut,garbage"
    provider = Provider(folder, 1000 * hold, "--fail-share", "0.5", "--faults", kinds)
    server = Server(folder, provider.backend, 100, "{interval: 50ms}", first_byte=f"{first_byte:.0f}s")
    # An attempt without a whole answer may be billed, and 3 of 14 are such here.
    config = server.config.read_text().replace("    retry: {initial_backoff: 50ms, max_backoff: 1s}\n", "    max_extra: 20\n")
    server.config.write_text(config)
    server.start()
    begin = time.monotonic()
    run = run_pipeline(server, folder, check=False)["run"]
    wall = time.monotonic() - begin
    ok = sum(int(stage.get("ok", 0)) for stage in run["stages"] if stage["stage"] == "answered")
    server.stop()
    requests, _, _, hung = summary(provider)
    service = requests * hold + hung * (first_byte - hold)
    say(f"half of all attempts failing ({requests:,} for {items:,} items): items ok", f"{100 * ok / items:.2f} %", ">= 99.9 %")
    say("half of all attempts failing: wall / (sum of service times / 100)", f"{wall / (service / 100):.2f}", "<= 1.5")


class ThreeBackends(Server):
    """A server with one model for each of three providers."""

    def __init__(self, folder, backends):
        super().__init__(folder, "simulated: {}", 1, "{interval: 50ms}")
        config = self.config.read_text().split("backends:\n")[0] + "backends:\n"
        config += "".join(f"  - {{name: provider{i}, {backend}}}\n" for i, backend in enumerate(backends)) + "models:\n"
        for i in range(len(backends)):
            config += (f"  - name: model{i}\n"
                       f"    targets: [{{backend: provider{i}, model: m, limits: {{max_concurrency: 16}}}}]\n")
        self.config.write_text(config, encoding="utf-8")


def load(server, model, calls, first):
    return subprocess.Popen([str(GENERATE_LOAD), "--server", server.address, "--pid", str(server.process.pid), "--model",
                             model, "--calls", str(calls), "--first", str(first), "--callers", "16", "--window",
                             str(calls), "--despite-errors"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def throughput(folder, fault, first):
    """Calls/s of the two healthy models together, while the third has calls that all meet `fault`."""
    folder.mkdir()
    calls = int(2000 * SCALE)
    providers = []
    for i in range(3):
        place = folder / f"p{i}"
        place.mkdir()
        more = ("--fail-share", "1", "--faults", fault) if fault and i == 2 else ()
        providers.append(Provider(place, 50, *more))
    server = ThreeBackends(folder, [provider.backend for provider in providers]).start()
    third = load(server, "model2", 1000000, first + 5_000_000)
    healthy = [load(server, f"model{i}", calls, first + i * 1_000_000) for i in range(2)]
    rates = [float(re.findall(r": (\S+) calls/s", process.communicate()[0])[-1]) for process in healthy]
    third.kill()
    third.communicate()
    peak = server.peak_rss_mb()
    server.stop()
    for provider in providers:
        provider.stop()
    return sum(rates), peak


@row
def sick(folder):
    """Three backends of 50 ms, 16 calls at once each; one of them sick."""
    alone, _ = throughput(folder / "healthy", None, 0)
    for number, fault in enumerate(("hang", "drip", "flood", "garbage")):
        rate, peak = throughput(folder / fault, fault, (number + 1) * 10_000_000)
        say(f"one backend of three: {fault}: calls/s of the two others / with three healthy ones", f"{100 * rate / alone:.1f} %",
            ">= 95 %")
        say(f"one backend of three: {fault}: peak RSS", f"{peak:.0f} MB", "beside")


@row
def mixed(folder):
    """10,000 equal calls and 10,000 different ones, mixed, held 50 ms, 100 at once."""
    half = int(10000 * SCALE)
    with open(folder / "items.csv", "w", encoding="utf-8") as file:
        file.write("id,text\n")
        for i in range(half):
            file.write(f"equal-{i},the same\nother-{i},number {i}\n")
    provider = Provider(folder, 50)
    server = Server(folder, provider.backend, 100, "{interval: 50ms}").start()
    pipeline = folder / "equal.yaml"
    pipeline.write_text(CALLS_PIPELINE.read_text().replace("about item {{id}}: {{text}}", "about {{text}}"))
    run = server.command("run", pipeline, "-p", f"input={folder}/items.csv", "-p", f"output={folder}/out.db")["run"]
    assert run["state"] == "RUN_STATE_SUCCEEDED", run
    server.stop()
    requests = summary(provider)[0]
    say(f"{half:,} equal and {half:,} different calls mixed: calls sent per distinct request", f"{requests / (half + 1):.3f}",
        "1.000")


@row
def inflight(folder):
    """5,000 calls of Generate, then of StreamGenerate, in flight at once, each held 5 s."""
    for name, options in (("calls", ()), ("streams", ("--stream",))):
        hold_many(folder / name, name, options)


def hold_many(folder, name, options):
    folder.mkdir()
    calls = int(5000 * SCALE)
    provider = Provider(folder, 5000)
    server = Server(folder, provider.backend, calls, "{interval: 50ms}").start()
    before = server.peak_rss_mb()
    subprocess.run([str(GENERATE_LOAD), "--server", server.address, "--pid", str(server.process.pid), "--calls", str(calls),
                    "--callers", str(calls), "--connections", str(calls // 90 + 1), "--window", str(calls), *options],
                   check=True, capture_output=True)
    peak = server.peak_rss_mb()
    server.stop()
    _, answers, most, _ = summary(provider)
    say(f"{calls:,} {name} in flight: at the provider at once", most, f">= {calls}")
    say(f"{calls:,} {name} in flight: answered", answers, str(calls))
    say(f"{calls:,} {name} in flight: peak RSS (before: {before:.0f} MB)", f"{peak:.0f} MB", "<= 600 MB")
