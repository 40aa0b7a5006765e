"""The cost of traces: the same calls with traces off, with 1 % of them kept, and with all of them kept."""

import os
import re
import statistics
import subprocess

from server import BUILD, GENERATE_LOAD, Server
from table import row, say

RECEIVER = BUILD / "tests" / "bench" / "millrace_otlp_receiver"
CALLS = int(os.environ.get("MILLRACE_BENCH_COUNT", "100000"))
ROUNDS = 3
SHARES = {"off": None, "1 %": "0.01", "100 %": "1"}


class Receiver:
    """A receiver that only counts."""

    def __init__(self):
        self.process = subprocess.Popen([str(RECEIVER)], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[-1])

    def stop(self):
        """The number of spans that it got."""
        self.process.terminate()
        return int(self.process.communicate(timeout=60)[0].split()[0])


def measure(folder, share, receiver, first):
    """(calls/s, microseconds of the server's CPU a call, its counts of spans)."""
    folder.mkdir(parents=True)
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            del os.environ[name]
    if share is not None:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{receiver.port}"
        os.environ["OTEL_TRACES_SAMPLER"] = "parentbased_traceidratio"
        os.environ["OTEL_TRACES_SAMPLER_ARG"] = share
    server = Server(folder, "simulated: {}", 100, "{interval: 50ms}").start()
    load = subprocess.run([str(GENERATE_LOAD), "--server", server.address, "--pid", str(server.process.pid), "--calls",
                           str(CALLS), "--first", str(first), "--window", str(CALLS)],
                          capture_output=True, text=True, check=True).stdout
    rate, cpu = re.findall(r": (\S+) calls/s, (\S+) us", load)[-1]
    spans = server.status().get("traces", {})
    server.stop()
    return float(rate), float(cpu), spans


@row
def traces(folder):
    """100,000 calls of Generate, three times in turn with traces off, 1 % and 100 % kept: medians."""
    receiver = Receiver()
    results = {name: [] for name in SHARES}
    for turn in range(ROUNDS):
        for name, share in SHARES.items():
            results[name].append(measure(folder / f"{turn}-{name.split()[0]}", share, receiver, 0))
    rates = {name: statistics.median(rate for rate, _, _ in some) for name, some in results.items()}
    cpus = {name: statistics.median(cpu for _, cpu, _ in some) for name, some in results.items()}
    say("traces: calls/s with 1 % kept / without", f"{rates['1 %'] / rates['off']:.3f}", ">= 0.99")
    say("traces: calls/s with 100 % kept / without", f"{rates['100 %'] / rates['off']:.3f}", ">= 0.90")
    say("traces: process CPU a call, us: off, 1 %, 100 %", ", ".join(f"{cpu:.1f}" for cpu in cpus.values()), "beside")
    say("traces: dropped spans a call at 100 %",
        f"{statistics.median(int(s.get('dropped', 0)) for _, _, s in results['100 %']) / CALLS:.3f}", "beside")
    receiver.stop()
