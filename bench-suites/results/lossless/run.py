#!/usr/bin/env python3
"""Reduces networks on the boxes of properties, and finds the largest magnitude sparsity that is certified.

    python3 bench-suites/results/lossless/run.py SECATEUR BENCH OUT

SECATEUR is the program, BENCH the directory of public suites, OUT gets reduced.csv and sparsity.csv. Seeds are the defaults; each
reduction has 60 seconds, each proof of equivalence 10. Lines are written as soon as they are known.
"""
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

program, bench, out = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
acas = ["1_1", "2_4", "3_3", "5_8"]
questions = [
    ("acasxu", f"ACASXU_run2a_{net}_batch_2000", prop, delta)
    for net in acas
    for prop in ["prop_1", "prop_3"]
    for delta in ["0.01", "0.1"]
] + [
    ("mnist_fc", f"mnist-net_256x{depth}", prop, delta)
    for depth in [2, 4, 6]
    for prop in ["prop_0_0.03", "prop_11_0.03"]
    for delta in ["0.1", "0.5"]
]


def run(*arguments):
    """The record of a run, or None."""
    done = subprocess.run([program, *map(str, arguments), "--json", "-", "--quiet"], capture_output=True, text=True)
    return json.loads(done.stdout) if done.stdout else None


with tempfile.TemporaryDirectory() as scratch, open(out / "reduced.csv", "w", newline="") as reduced, open(
    out / "sparsity.csv", "w", newline=""
) as sparsity:
    first, second = (csv.writer(file, lineterminator="\n") for file in (reduced, sparsity))
    first.writerow(
        "suite,network,property,verdict,parameters_before,parameters_after,relus_before,relus_after,dead,merged,idle,seconds".split(",")
    )
    second.writerow("suite,network,property,delta,verdict,sparsity,seconds_of_the_last_proof".split(","))
    made = f"{scratch}/out.onnx"
    seen = set()
    for suite, network, prop, delta in questions:
        model, spec = bench / suite / "onnx" / f"{network}.onnx.gz", bench / suite / "vnnlib" / f"{prop}.vnnlib.gz"
        if not (model.exists() and spec.exists()):
            print(f"missing: {model} or {spec}", file=sys.stderr)
            continue
        if (network, prop) not in seen:
            seen.add((network, prop))
            r = run("reduce", model, spec, "-o", made, "--timeout", 60)
            sizes = [r["before"]["parameters"], r["after"]["parameters"], r["before"]["relus"], r["after"]["relus"]]
            first.writerow([suite, network, prop, r["verdict"], *sizes, r["dead"], r["merged"], r["idle"], f"{r['seconds']:.2f}"])
            reduced.flush()
        options = ["--method", "magnitude", "--sparsity", "0.95", "--largest", "--certify", "--spec", spec]
        r = run("prune", model, *options, "--delta", delta, "--timeout", 10, "-o", made)
        certified = r["certified"]
        second.writerow([suite, network, prop, delta, certified["verdict"], f"{r['sparsity']:.4f}", f"{certified['seconds']:.2f}"])
        sparsity.flush()
