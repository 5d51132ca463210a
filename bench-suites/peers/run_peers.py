#!/usr/bin/env python3
"""Runs other verifiers on a suite, as far as they are installed, and writes one results file for each.

    run_peers.py SUITE OUT [--timeout S] [--filter RE] [--tools nnenum,abcrown,marabou]

SUITE is a directory with `instances.csv` (network, property, limit in seconds) and perhaps `expected.csv`. For each tool that is
found, OUT/TOOL.csv gets a line per instance with the columns of `secateur bench --results`; lines that are there already are not
run again. A tool that is not found is named on standard error, and that is no error.

| tool | found by | called as |
|---|---|---|
| nnenum | NNENUM_HOME, its source directory | python3 -m nnenum.nnenum NET PROPERTY LIMIT RESULT |
| α,β-CROWN | ABCROWN_HOME, its `complete_verifier` directory; ABCROWN_CONFIG | python3 abcrown.py --device cpu … |
| Marabou | MARABOU, its program, or the Python package maraboupy | Marabou NET PROPERTY --timeout LIMIT |

Each instance runs in a process group of its own: the time is that of the whole process, the memory that of its largest part, and
at the limit (and five seconds for start and end) the group is killed. PEER_PYTHON names the interpreter for tools in Python.
"""

import argparse
import csv
import gzip
import importlib.util
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COLUMNS = ["suite", "onnx", "vnnlib", "limit", "verdict", "expected", "seconds", "memory", "domains", "lower", "upper",
           "method", "detail", "fault"]
PYTHON = os.environ.get("PEER_PYTHON", sys.executable)
# What a tool may take beyond its limit for starting and ending.
GRACE = 5.0

MARABOU_PYTHON = """
import sys
from maraboupy import Marabou
network = Marabou.read_onnx(sys.argv[1])
options = Marabou.createOptions(timeoutInSeconds=int(float(sys.argv[3])), verbosity=0)
print("VERDICT", network.solve(propertyFilename=sys.argv[2], options=options, verbose=False)[0])
"""


def nnenum():
    home = os.environ.get("NNENUM_HOME")
    if not home:
        return None

    def call(network, prop, limit, folder):
        result = folder / "result"
        command = [PYTHON, "-m", "nnenum.nnenum", network, prop, str(limit), str(result)]
        return command, {"PYTHONPATH": str(Path(home) / "src"), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}, result

    return call


def abcrown():
    home = os.environ.get("ABCROWN_HOME")
    if not home:
        return None

    def call(network, prop, limit, folder):
        result = folder / "result"
        command = [PYTHON, str(Path(home) / "abcrown.py"), "--device", "cpu", "--onnx_path", network, "--vnnlib_path", prop,
                   "--timeout", str(limit), "--results_file", str(result)]
        if config := os.environ.get("ABCROWN_CONFIG"):
            command += ["--config", config]
        return command, {}, result

    return call


def marabou():
    program = os.environ.get("MARABOU") or shutil.which("Marabou")
    if program:
        return lambda network, prop, limit, folder: ([program, network, prop, "--timeout", str(int(limit))], {}, None)
    if importlib.util.find_spec("maraboupy") or os.environ.get("PEER_PYTHON"):
        probe = subprocess.run([PYTHON, "-c", "import maraboupy"], capture_output=True)
        if probe.returncode == 0:
            return lambda network, prop, limit, folder: ([PYTHON, "-c", MARABOU_PYTHON, network, prop, str(limit)], {}, None)
    return None


TOOLS = {"nnenum": nnenum, "abcrown": abcrown, "marabou": marabou}


def verdict_of(text):
    """The verdict in a tool's own words: of the last line that has one."""
    words = {"unsat": "unsat", "holds": "unsat", "verified": "unsat", "safe": "unsat", "safe-incomplete": "unsat",
             "sat": "sat", "violated": "sat", "unsafe": "sat", "unsafe-pgd": "sat", "unsafe-bab": "sat", "falsified": "sat",
             "timeout": "timeout", "timed": "timeout", "unknown": "unknown", "error": "error"}
    for line in reversed(text.splitlines()):
        for word in re.findall(r"[a-z][a-z-]*", line.lower()):
            if word in words:
                return words[word]
    return None


def plain(path, folder):
    """A file, unpacked if only a packed one exists."""
    if path.exists():
        return str(path)
    out = folder / path.name
    with gzip.open(f"{path}.gz", "rb") as packed:
        out.write_bytes(packed.read())
    return str(out)


def run(command, environment, limit):
    """Output, seconds, peak bytes, whether it was killed."""
    with tempfile.TemporaryFile() as output:
        begin = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                   env={**os.environ, **environment}, start_new_session=True)
        killed = False
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - begin > limit + GRACE:
                killed = True
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.01)
        seconds = time.monotonic() - begin
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss if not usage.ru_maxrss else usage.ru_maxrss
    return text, seconds, children * 1024, killed


def rows(file):
    with open(file, newline="") as lines:
        return [row for row in csv.reader(lines) if row]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--timeout", type=float, help="cap on every instance's own limit, in seconds")
    parser.add_argument("--filter", default="", help="only instances whose `network property` matches")
    parser.add_argument("--tools", default=",".join(TOOLS))
    arguments = parser.parse_args()
    instances = rows(arguments.suite / "instances.csv")
    expected = arguments.suite / "expected.csv"
    known = {(row[0], row[1]): row[2] for row in rows(expected)[1:]} if expected.exists() else {}
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.tools.split(","):
        if name not in TOOLS:
            parser.error(f"unknown tool {name}: expected {', '.join(TOOLS)}")
        call = TOOLS[name]()
        if call is None:
            print(f"{name} was not found: left out", file=sys.stderr)
            continue
        path = arguments.out / f"{name}.csv"
        done = {(row[1], row[2]) for row in rows(path)[1:]} if path.exists() else set()
        with open(path, "a", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            if not done and out.tell() == 0:
                writer.writerow(COLUMNS)
            for onnx, vnnlib, limit in instances:
                if (onnx, vnnlib) in done or not re.search(arguments.filter, f"{onnx} {vnnlib}"):
                    continue
                limit = min(float(limit), arguments.timeout or float(limit))
                with tempfile.TemporaryDirectory() as folder:
                    folder = Path(folder)
                    network, prop = (plain(arguments.suite / file, folder) for file in (onnx, vnnlib))
                    command, environment, result = call(network, prop, limit, folder)
                    text, seconds, memory, killed = run(command, environment, limit)
                    said = result.read_text() if result and result.exists() else text
                verdict = "timeout" if killed or seconds > limit + GRACE else verdict_of(said) or "error"
                detail = "" if verdict != "error" else " ".join(text.split())[-200:]
                answer = known.get((onnx, vnnlib), "")
                writer.writerow([arguments.suite.name, onnx, vnnlib, limit, verdict, answer if answer in ("sat", "unsat") else "",
                                 f"{seconds:.3f}", memory, "", "", "", name, detail, "false"])
                out.flush()
                print(f"{name:8} {verdict:8} {seconds:8.2f} s  {onnx} {vnnlib}", file=sys.stderr)


if __name__ == "__main__":
    main()
