"""The table of figures. `tests/bench/run [row ...]` prints each row as it is measured; times are ratios of one run.

A figure beyond its bound is marked MISSED, and so is a program that says by its exit status that one of its own is; the
script then ends with 1.

Rows: attacks generate growth traces faults sick mixed inflight calls virtual engine second kills seeds mutants memory start quality prepare."""

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import attacks  # noqa: E402, F401: its rows register themselves
import growth  # noqa: E402, F401
import traces  # noqa: E402, F401
import sick  # noqa: E402, F401
from server import BOUND, BUILD, CALLS_PIPELINE, MILLRACE, ROOT, Provider, Server, seconds, write_items  # noqa: E402
from table import JUDGED, ROWS, judge, loop_figures, row, run_pipeline, run_program, say  # noqa: E402

def measure_fdatasync(folder):
    """Median time of an fdatasync of 4 KiB appended, in milliseconds."""
    times = []
    with open(pathlib.Path(folder) / "probe", "wb") as file:
        for _ in range(200):
            file.write(b"x" * 4096)
            file.flush()
            begin = time.monotonic()
            os.fdatasync(file.fileno())
            times.append(time.monotonic() - begin)
    return 1000 * statistics.median(times)


def machine_times():
    """What a hypervisor has taken of the machine's CPU time so far, and all of it, in ticks."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return fields[7], sum(fields)


def hold_calls(place, durability):
    """20,000 calls of 50 ms, 100 at once: wall over bound, the server's status, a probe's fdatasync, and the share of
    the machine's time that its hypervisor gave to others meanwhile."""
    place.mkdir(parents=True)
    write_items(place / "items.csv", 20000)
    provider = Provider(place, 50)
    server = Server(place, provider.backend, 100, durability).start()
    stolen, all_of_it = machine_times()
    run = run_pipeline(server, place)["run"]
    now_stolen, now_all = machine_times()
    assert run["state"] == "RUN_STATE_SUCCEEDED", run
    provider.stop()
    bound = subprocess.run([str(BOUND), "--ledger", str(provider.ledger), "--slots", "100"], capture_output=True,
                           text=True, check=True).stdout.strip()
    fdatasync = measure_fdatasync(place)
    status = server.status()
    server.stop()
    return float(bound.split()[-1]), status, fdatasync, (now_stolen - stolen) / (now_all - all_of_it)


@row
def calls(folder):
    """20,000 items, calls held 50 ms, 100 at once: wall over bound.

    Where the hypervisor gave more than 2 % of the machine's time to others, it is tried again; of up to five tries the
    least disturbed one counts."""
    for durability in ("{interval: 50ms}", "sync"):
        tries = []
        while len(tries) < 5 and all(stolen > 0.02 for *_, stolen in tries):
            tries.append(hold_calls(folder / durability.strip("{}").split(":")[0] / str(len(tries)), durability))
        ratio, status, fdatasync, stolen = min(tries, key=lambda one: one[-1])
        say(f"20,000 calls of 50 ms, 100 at once, {durability}: wall / bound", f"{ratio:.4f}",
            "<= 1.05" if "interval" in durability else "<= 1.35 (fdatasync <= 6 ms)",
            applies="interval" in durability or fdatasync <= 6)
        loop_figures(status, durability, "<= 5 ms")
        say(f"{durability}: median fdatasync, the store's and a probe's of 4 KiB",
            f"{1000 * seconds(status.get('fsyncP50', '0s')):.2f}, {fdatasync:.2f} ms", "beside")
        say(f"{durability}: tries; of each wall / bound, and what the hypervisor gave to others",
            ", ".join(f"{one[0]:.3f} ({100 * one[-1]:.1f} %)" for one in tries), "beside")


@row
def virtual(_):
    """The same calls in virtual time."""
    run_program(BUILD / "tests/bench/virtual_bench")


@row
def engine(_):
    """Cost of an item for the engine thread, by step."""
    run_program(BUILD / "tests/bench/engine_bench")


@row
def second(folder):
    """A second run over the same input."""
    count = 20000
    write_items(folder / "items.csv", count)
    server = Server(folder, "simulated: {}", 100, "{interval: 50ms}").start()
    first = run_pipeline(server, folder)["run"]
    items = [dump_items(server, first["name"])]
    tables = [dump_table(folder / "out.db")]
    begin = server.cpu_seconds()
    run = run_pipeline(server, folder)["run"]
    cpu = server.cpu_seconds() - begin
    items.append(dump_items(server, run["name"]))
    tables.append(dump_table(folder / "out.db"))
    stages = run["stages"]
    say("second run: calls", sum(int(s.get("calls", 0)) for s in stages), "0")
    say("second run: items computed", sum(int(s.get("computed", 0)) for s in stages if s["kind"] not in ("fetch", "store")), "0")
    say("second run: bytes that differ when read back",
        sum(a != b for pair in ((items[0], items[1]), (tables[0], tables[1])) for a, b in zip(*pair)) +
        abs(len(items[0]) - len(items[1])) + abs(len(tables[0]) - len(tables[1])), "0")
    say("second run: process CPU per item", f"{1e6 * cpu / count:.1f} us", "<= 100 us")
    loop_figures(server.status(), "second run")
    server.stop()


def dump_items(server, run):
    """The items of the stage before the store, as text, without what names the run or the time."""
    result = subprocess.run([str(MILLRACE), "--server", server.address, "items", run, "--stage", "answered", "--all",
                             "--format", "jsonl"], capture_output=True, text=True, check=True)
    return result.stdout


def dump_table(path):
    return subprocess.run(["sqlite3", "-readonly", str(path), "SELECT * FROM answers ORDER BY id"], capture_output=True,
                          text=True, check=True).stdout


@row
def kills(_):
    """20,000 calls held 50 ms, 20 at once, through 100 kills."""
    run_program(BUILD / "tests/e2e/millrace_kill_loop", "--rounds", "100", "--calls", "20000")


@row
def seeds(_):
    """Seeds of the simulator."""
    run_program(BUILD / "tests/simulator/millrace_seeds", "--first", "1", "--count", "2000")


@row
def mutants(_):
    """Mutants of the simulator."""
    run_program(BUILD / "tests/simulator/millrace_seeds", "--mutants")


@row
def memory(folder):
    """Peak RSS at 100,000 and 1,000,000 items."""
    peaks = []
    for count in (100000, 1000000):
        place = folder / str(count)
        place.mkdir()
        write_items(place / "items.csv", count)
        server = Server(place, "simulated: {}", 100, "{interval: 50ms}").start()
        begin = time.monotonic()
        run = run_pipeline(server, place)["run"]
        assert run["state"] == "RUN_STATE_SUCCEEDED", run
        took = time.monotonic() - begin
        dump_items(server, run["name"])
        peaks.append(server.peak_rss_mb())
        say(f"peak RSS at {count:,} items ({count / took:,.0f} items a second)", f"{peaks[-1]:.0f} MB", "<= 200 MB")
        loop_figures(server.status(), f"{count:,} items")
        server.stop()
        shutil.rmtree(place)
    say("peak RSS at 1,000,000 items over that at 100,000", f"{peaks[1] / peaks[0]:.2f}", "<= 1.15")


@row
def start(folder):
    """Time to SERVING."""
    demo = folder / "demo"
    demo.mkdir()
    server = Server(demo, "local: {}", 8)
    store = ROOT / "demo/out/store"
    if store.is_dir():
        shutil.copytree(store, demo / "data")
        opened = [server.start().serving_after]
        server.stop()
        for _ in range(4):
            opened.append(server.start().serving_after)
            server.stop()
        say("millraced to SERVING: the demo's store (median of 5)", f"{1000 * statistics.median(opened):.0f} ms", "<= 150 ms")
    else:
        print("  skipped: the demo's store is absent (make demo)")
    place = folder / "killed"
    place.mkdir()
    write_items(place / "items.csv", 100000)
    server = Server(place, "simulated: {profile: {latency: 1ms}}", 100, "{interval: 50ms}").start()
    server.command("run", CALLS_PIPELINE, "-p", f"input={place}/items.csv", "-p", f"output={place}/out.db", "--detach")
    while True:
        run = server.command("runs")["runs"][0]
        ended = sum(int(s.get("ok", 0)) for s in run["stages"] if s["stage"] == "answered")
        if ended > 60000 or run["state"] != "RUN_STATE_RUNNING":
            break
    server.kill()
    say(f"millraced to SERVING: a run of 100,000 items killed after {ended:,}",
        f"{1000 * server.start().serving_after:.0f} ms", "<= 2,000 ms")
    server.stop()


@row
def quality(_):
    """Quality of news-events on the labelled sets."""
    run_program(BUILD / "tests/bench/quality_bench")


@row
def prepare(_):
    """CPU per title of the rules and gazetteers of news-events."""
    run_program(BUILD / "tests/bench/prepare_bench")


def main():
    wanted = sys.argv[1:] or list(ROWS)
    unknown = [name for name in wanted if name not in ROWS]
    if unknown:
        sys.exit(f"no such row: {', '.join(unknown)}; rows: {' '.join(ROWS)}")
    for name in wanted:
        print(f"{name}: {ROWS[name].__doc__.splitlines()[0]}", flush=True)
        with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
            try:
                ROWS[name](pathlib.Path(folder))
            except Exception as error:  # the other rows are worth having
                judge(False)
                print(f"  {name} can't be measured: {type(error).__name__}: {error}   MISSED", flush=True)
    print(f"{sum(JUDGED)} of {len(JUDGED)} figures within their bounds", flush=True)
    return 0 if all(JUDGED) else 1


if __name__ == "__main__":
    sys.exit(main())
