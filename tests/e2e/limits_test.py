#!/usr/bin/env python3
"""A millraced at the limits of its machine: few file descriptors and far more slots, a full disk while it ends.
Real processes on loopback: limits_test.py. MILLRACE_BUILD names the build."""

import collections
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "bench"))
from server import CALLS_PIPELINE, MILLRACE, MILLRACED, Provider, Server, start, write_items  # noqa: E402

DISK = "MILLRACE_LIMITS_DISK"  # set: a small disk is mounted there


def answered(ledger):
    """Requests that the provider answered in full, counted by what they asked."""
    asked = {}
    counts = collections.Counter()
    for line in ledger.read_text().splitlines():
        kind, number, _, *rest = line.split()
        if kind == "request":
            asked[number] = rest[0]
        elif kind == "answer":
            counts[asked[number]] += 1
    return counts


def wait_until(condition, seconds=60):
    """Watches files that others write: there is nothing to be notified by."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        time.sleep(0.02)


def end_watching(run):
    """Ends a command that waits for its server to come back."""
    run.terminate()
    run.wait(timeout=60)


class LimitsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def keep_full(self, path, over):
        with open(path, "wb", buffering=0) as ballast:
            while not over.is_set():
                try:
                    ballast.write(b"x" * 4096)
                except OSError:
                    over.wait(0.002)

    def begin_run(self, server):
        """A run by a client of its own; its process."""
        return start([str(MILLRACE), "--server", server.address, "run", str(CALLS_PIPELINE), "-p",
                      f"input={self.folder}/items.csv", "-p", f"output={self.folder}/out.db", "-p", "concurrency=4000"],
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def test_3000_slots_with_1024_descriptors_leave_the_store_its_own(self):
        write_items(self.folder / "items.csv", 4000)
        provider = Provider(self.folder, 300)
        server = Server(self.folder, provider.backend, 3000)
        server.start(files_max=1024)
        self.assertIn("asks for 3000 calls in flight at providers, but the limit of 1024 open files leaves 384",
                      server.log.read_text())
        run = self.begin_run(server)
        wait_until(lambda: provider.ledger.exists() and sum(answered(provider.ledger).values()) > 1000)
        descriptors = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        self.assertLess(descriptors, 1024)
        self.assertGreater(descriptors, 280)  # one origin gets three quarters of the 384
        self.assertEqual(server.stop(), 0)
        end_watching(run)
        log = server.log.read_text()
        self.assertNotIn("store: ", log)  # it was never reopened
        self.assertNotIn("could not be stored", log)
        # Questions that were answered before the end are not asked again.
        server.start()
        self.assertEqual(self.begin_run(server).wait(timeout=120), 0)
        self.assertEqual(server.stop(), 0)
        provider.stop()
        counts = answered(provider.ledger)
        self.assertEqual(len(counts), 4000)
        self.assertEqual([asked for asked, count in counts.items() if count > 1], [])

    @unittest.skipUnless(os.environ.get(DISK), "runs on a small disk, by test_a_full_disk")
    def test_on_a_small_disk(self):
        disk = pathlib.Path(os.environ[DISK])
        # More bytes than the log has reserved, in answers that are too small to be compressed.
        write_items(self.folder / "items.csv", 4000)
        provider = Provider(self.folder, 4000, "--answer-bytes", 3400)
        server = Server(self.folder, provider.backend, 4000)
        server.config.write_text(server.config.read_text().replace(f"data_dir: {self.folder / 'data'}",
                                                                   f"data_dir: {disk / 'data'}")
                                 + "limits: {disk_reserve: 0}\n")
        server.start()
        run = self.begin_run(server)
        wait_until(lambda: provider.ledger.exists() and provider.ledger.read_text().count("request") >= 4000)
        # The answers come, and the store can't take them: whatever it frees by reopening, another program takes.
        over = threading.Event()
        filler = threading.Thread(target=self.keep_full, args=(disk / "ballast", over))
        filler.start()
        try:
            status = server.stop(90)
        finally:
            over.set()
            filler.join()
        end_watching(run)
        log = server.log.read_text()
        self.assertEqual(status, 3, log[-3000:])
        self.assertRegex(log, r"[1-9][0-9]* received answers could not be stored")
        provider.stop()

    def test_a_full_disk_at_the_end_is_said_by_the_exit_status(self):
        if os.environ.get(DISK):
            return
        if subprocess.run(["unshare", "-Urm", "true"], check=False, stderr=subprocess.DEVNULL).returncode:
            self.skipTest("this system does not let an ordinary user mount a small disk (unshare -Urm)")
        disk = self.folder / "disk"
        disk.mkdir()
        script = f'mount -t tmpfs -o size=40m none "$1" && exec python3 "$2" LimitsTest.test_on_a_small_disk'
        done = subprocess.run(["unshare", "-Urm", "sh", "-c", script, "sh", str(disk), __file__], check=False,
                              env={**os.environ, DISK: str(disk)}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    if not MILLRACED.exists():
        sys.exit(f"{MILLRACED} does not exist: set MILLRACE_BUILD")
    unittest.main()
