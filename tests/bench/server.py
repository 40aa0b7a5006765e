"""A millraced of its own for benchmarks and tests: configuration, start, figures, kill. Standard library only."""

import atexit
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MILLRACE_BUILD", ROOT / "build"))
MILLRACED = BUILD / "server" / "millraced"
MILLRACE = BUILD / "client" / "cli" / "millrace"
OPENAI_SERVER = BUILD / "tests" / "bench" / "millrace_openai_server"
BOUND = BUILD / "tests" / "bench" / "millrace_bound"
GENERATE_LOAD = BUILD / "tests" / "bench" / "millrace_generate_load"
CALLS_PIPELINE = ROOT / "tests" / "bench" / "data" / "calls.yaml"


def start(command, **how):
    """A process that does not outlive this one, however it ends: by the end of a row, an error or Ctrl-C."""
    process = subprocess.Popen(command, **how)

    def end():
        if process.poll() is None:
            process.kill()
            process.wait()

    atexit.register(end)
    return process


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_items(path, count):
    """A CSV with `count` items of about 60 bytes."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("id,text\n")
        for i in range(count):
            file.write(f"item-{i:07},the quick brown fox number {i} jumps\n")


class Server:
    """One life of a millraced over a folder. `backend` is a YAML mapping of BackendConfig without its name."""

    def __init__(self, folder, backend, slots, durability="sync", first_byte="120s"):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.config = self.folder / "millraced.yaml"
        self.config.write_text(
            f"grpc: {{address: 127.0.0.1:{self.port}}}\n"
            f"data_dir: {self.folder / 'data'}\n"
            f"durability: {durability}\n"
            f"files: {{read: [{self.folder}], write: [{self.folder}]}}\n"
            f"backends:\n  - {{name: provider, {backend}}}\n"
            "models:\n  - name: writer\n"
            f"    targets: [{{backend: provider, model: m, limits: {{max_concurrency: {slots}}}}}]\n"
            f"    retry: {{initial_backoff: 50ms, max_backoff: 1s}}\n"
            f"    timeout: {{first_byte: {first_byte}}}\n",
            encoding="utf-8")
        self.log = self.folder / "millraced.log"
        self.process = None
        self.serving_after = None

    def start(self, files_max=None):
        """Starts it and waits until its log says that it serves; `serving_after` is how long that took, in seconds.
        `files_max`: its limit of open files, soft and hard."""
        self.serving_after = None
        begin = time.monotonic()
        self.process = start([str(MILLRACED), "--config", str(self.config)], stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                             preexec_fn=files_max and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE,
                                                                                  (files_max, files_max))))
        served = threading.Event()
        threading.Thread(target=self._keep_log, args=(self.process.stderr, begin, served), daemon=True).start()
        if not served.wait(60) or self.serving_after is None:
            raise RuntimeError(f"millraced does not serve ({self.process.poll()}): "
                               + self.log.read_text(errors="replace")[-2000:])
        self.status()  # what the log says is true
        return self

    def _keep_log(self, lines, begin, served):
        """Copies the log to its file as it is written; `served` is set by the line that says so, or by the log's end."""
        with open(self.log, "ab", buffering=0) as file:
            for line in lines:
                if b" serving on " in line:
                    self.serving_after = time.monotonic() - begin
                file.write(line)
                if self.serving_after is not None:
                    served.set()
        served.set()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def command(self, *arguments, check=True):
        """Runs `millrace` against it; the protobuf JSON of its answer."""
        result = subprocess.run([str(MILLRACE), "--server", self.address, *map(str, arguments), "--format", "json"],
                                capture_output=True, text=True, check=False)
        if check and result.returncode != 0:
            raise RuntimeError(f"millrace {' '.join(map(str, arguments))}: {result.returncode}: {result.stderr[-2000:]}")
        return json.loads(result.stdout) if result.stdout.strip() else {}

    def status(self):
        return self.command("status")

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_rss_mb(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, patience=60):
        """SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=patience)


class Provider:
    """The loopback OpenAI-like server with its ledger."""

    def __init__(self, folder, hold_ms, *more):
        self.ledger = pathlib.Path(folder) / "ledger.txt"
        self.process = start([str(OPENAI_SERVER), "--port", "0", "--hold-ms", str(hold_ms), "--ledger", str(self.ledger),
                              *map(str, more)], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[-1])

    @property
    def backend(self):
        return f"openai: {{base_url: 'http://127.0.0.1:{self.port}/v1'}}"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)


def seconds(duration):
    """A protobuf JSON duration as a number of seconds."""
    return float(duration.rstrip("s")) if duration else 0.0
