"""Rows that ask whether a server slows down as its store fills.

Both do 1,000,000 calls or items; `MILLRACE_BENCH_COUNT=200000` makes them quicker to run. Rates are ratios of one run;
CPU time a call and bytes an item are judged as they are, on whatever machine this is."""

import os
import re
import subprocess
import time

from server import CALLS_PIPELINE, GENERATE_LOAD, Server, write_items
from table import row, say

COUNT = int(os.environ.get("MILLRACE_BENCH_COUNT", "1000000"))
WINDOW = COUNT // 10
INSTANT = "simulated: {}"  # in the process, and no latency


def disk_bytes(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@row
def generate(folder):
    """1,000,000 calls of Generate, each a new question, 64 at once: the last tenth beside the first.

    `MILLRACE_BENCH_COUNT` is the number of calls (default 1,000,000)."""
    server = Server(folder, INSTANT, 100, "{interval: 50ms}").start()
    load = subprocess.run([str(GENERATE_LOAD), "--server", server.address, "--pid", str(server.process.pid), "--calls",
                           str(COUNT), "--window", str(WINDOW)], capture_output=True, text=True, check=True).stdout
    windows = [(float(rate), float(cpu)) for rate, cpu in re.findall(r": (\S+) calls/s, (\S+) us", load)]
    (first_rate, first_cpu), (last_rate, last_cpu) = windows[0], windows[-1]
    say(f"Generate: calls/s in the last {WINDOW:,} of {COUNT:,} calls / in the first", f"{last_rate / first_rate:.2f}", ">= 0.95")
    say(f"Generate: process CPU a call in the first {WINDOW:,}", f"{first_cpu:.1f} us", "<= 115 us")
    say(f"Generate: process CPU a call in the last {WINDOW:,}", f"{last_cpu:.1f} us", "<= 115 us")
    say("Generate: calls/s by tenth", ", ".join(f"{rate:.0f}" for rate, _ in windows), "beside")
    say("Generate: process CPU a call by tenth, us", ", ".join(f"{cpu:.0f}" for _, cpu in windows), "beside")
    say("Generate: peak RSS", f"{server.peak_rss_mb():.0f} MB", "<= 200 MB")
    server.stop()
    say("Generate: bytes on disk a call", f"{disk_bytes(folder / 'data') / COUNT:.0f}", "beside")


def time_at(samples, items):
    """(seconds, seconds of CPU) when so many items were stored, between the two samples around it."""
    for (before, after) in zip(samples, samples[1:]):
        if after[0] >= items:
            share = (items - before[0]) / (after[0] - before[0])
            return tuple(b + share * (a - b) for b, a in zip(before[1:], after[1:]))
    return samples[-1][1:]


@row
def growth(folder):
    """A pipeline of 1,000,000 items, one call each: the last tenth beside the first.

    `MILLRACE_BENCH_COUNT` is the number of items (default 1,000,000)."""
    write_items(folder / "items.csv", COUNT)
    server = Server(folder, INSTANT, 100, "{interval: 50ms}").start()
    samples = [(0, 0.0, server.cpu_seconds())]
    begin = time.monotonic()
    name = server.command("run", CALLS_PIPELINE, "-p", f"input={folder}/items.csv", "-p", f"output={folder}/out.db",
                          "--detach")["run"]["name"]
    while True:
        time.sleep(1)  # each sample costs the server a request, so take few
        run = server.command("runs")["runs"][0]
        done = next(int(stage.get("ok", 0)) for stage in run["stages"] if stage["stage"] == "answered")
        if done > samples[-1][0]:
            samples.append((done, time.monotonic() - begin, server.cpu_seconds()))
        if run["state"] != "RUN_STATE_RUNNING":
            break
    assert run["name"] == name and run["state"] == "RUN_STATE_SUCCEEDED", run
    tenths = [time_at(samples, i * WINDOW) for i in range(11)]
    rates = [WINDOW / (after[0] - before[0]) for before, after in zip(tenths, tenths[1:])]
    cpus = [1e6 * (after[1] - before[1]) / WINDOW for before, after in zip(tenths, tenths[1:])]
    say(f"pipeline: items/s in the last {WINDOW:,} of {COUNT:,} items / in the first", f"{rates[-1] / rates[0]:.2f}", ">= 0.95")
    say("pipeline: items/s by tenth", ", ".join(f"{rate:.0f}" for rate in rates), "beside")
    say("pipeline: process CPU an item by tenth, us", ", ".join(f"{cpu:.0f}" for cpu in cpus), "beside")
    say("pipeline: peak RSS", f"{server.peak_rss_mb():.0f} MB", "<= 200 MB")
    server.stop()
    say("pipeline: bytes on disk an item", f"{disk_bytes(folder / 'data') / COUNT:.0f}", "beside")
