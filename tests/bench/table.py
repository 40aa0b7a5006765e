"""The table of figures: rows register themselves here, and figures are printed and judged."""

import pathlib
import re
import subprocess

from server import CALLS_PIPELINE, ROOT, seconds

ROWS = {}
JUDGED = []  # of each figure that has a bound: is it within?


def row(function):
    ROWS[function.__name__] = function
    return function


def number(text):
    """The first number of a text, without its thousands separators; None where there is none."""
    found = re.search(r"-?\d[\d,]*(?:\.\d+)?", str(text))
    return float(found[0].replace(",", "")) if found else None


def is_within(value, bound):
    """`bound`: `<= 1.05`, `>= 95%`, `0`. None if it is not a bound ("beside"). A figure that is not a number is beyond it."""
    sign = re.match(r"(<=|>=)?\s*\d", bound)
    if not sign:
        return None
    measured, limit = number(value), number(bound)
    if measured is None:
        return False
    return {"<=": measured <= limit, ">=": measured >= limit, None: measured == limit}[sign[1]]


def judge(within):
    """Counts a figure; the mark that it gets."""
    if within is not None:
        JUDGED.append(within)
    return "   MISSED" if within is False else ""


def say(figure, value, bound, applies=True):
    """A line of the table, judged where its bound applies."""
    print(f"  {figure:<78} {value:>16}   {bound}{judge(is_within(value, bound) if applies else None)}", flush=True)


def run_program(*command):
    """A program that prints figures of its own and fails where one is beyond its bound. It counts as one figure."""
    status = subprocess.run([str(part) for part in command], check=False, cwd=ROOT).returncode
    if mark := judge(status == 0):
        print(f"  {pathlib.Path(command[0]).name} ended with {status}{mark}", flush=True)


def run_pipeline(server, folder, *more, check=True):
    return server.command("run", CALLS_PIPELINE, "-p", f"input={folder}/items.csv", "-p", f"output={folder}/out.db", *more,
                          check=check)


def loop_figures(status, what, lag_bound="beside"):
    """The loop's figures of a server's status; its lag is judged where calls take their time."""
    say(f"{what}: handlers' CPU time p99.9", f"{1000 * seconds(status.get('handlerCpuP999', '0s')):.3f} ms", "<= 1 ms")
    say(f"{what}: loop lag p99.9", f"{1000 * seconds(status.get('loopLagP999', '0s')):.3f} ms", lag_bound)
