"""Finds properties that hold in real arithmetic and fail as executed in f32.

For every output of examples/mnist_24x24.onnx and either direction: `secateur bound` encloses the output's extreme value on
a box around a digit; the threshold is put 1e-8 beyond the proved end; then `secateur verify` is asked with
`--semantics real` and `--semantics f32`, and `secateur-check` about every certificate. Run from the project's root:

    python3 bench-suites/results/f32/find.py > bench-suites/results/f32/table.md
"""

import re
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "examples/mnist_24x24.onnx"
SOURCE = ROOT / "examples/mnist_0_20_unsat.vnnlib"
# Share of the source's radius, and how far beyond the proved end thresholds lie.
SHARE, BEYOND = 0.1, 1e-8
KEPT = (1, ">=")


def box():
    ends = {">=": {}, "<=": {}}
    for relation, index, value in re.findall(r"\((>=|<=) X_(\d+) ([-0-9.e]+)\)", SOURCE.read_text()):
        ends[relation][int(index)] = float(value)
    return [(ends[">="][i], ends["<="][i]) for i in range(len(ends[">="]))]


def write(path, output, relation, threshold):
    lines = [f"; In real arithmetic no input of this box takes Y_{output} to {threshold!r}; as executed in f32, one does.", ""]
    lines += [f"(declare-const X_{i} Real)" for i in range(len(box()))]
    lines += [f"(declare-const Y_{j} Real)" for j in range(10)]
    for i, (low, high) in enumerate(box()):
        middle, radius = (low + high) / 2, (high - low) / 2 * SHARE
        lines += [f"(assert (>= X_{i} {middle - radius!r}))", f"(assert (<= X_{i} {middle + radius!r}))"]
    lines.append(f"(assert ({relation} Y_{output} {threshold!r}))")
    path.write_text("\n".join(lines) + "\n")


def run(program, *arguments):
    return subprocess.run([ROOT / program, *arguments], capture_output=True, text=True).stdout


def main():
    directory = Path(tempfile.mkdtemp())
    spec, certificate = directory / "spec.vnnlib", directory / "certificate"
    print("| output | threshold | real | f32 | both certificates |\n|---|---|---|---|---|")
    for output in range(10):
        for relation, sign in ((">=", 1), ("<=", -1)):
            write(spec, output, relation, 30.0 * sign)
            found = run("secateur", "bound", "--full", "--epsilon", "1e-12", MODEL, spec, "--timeout", "5", "--quiet")
            end = 30.0 * sign - sign * float(re.search(r"lower (\S+)", found)[1])
            threshold = end + sign * BEYOND
            write(spec, output, relation, threshold)
            verdicts, checks = [], []
            for semantics in ("real", "f32"):
                certificate.unlink(missing_ok=True)
                options = ["--semantics", semantics, "--timeout", "10", "--quiet", "--certificate", certificate]
                verdicts.append(run("secateur", "verify", MODEL, spec, *options).split()[0])
                if certificate.exists():
                    check = run("secateur-check", "--semantics", semantics, MODEL, spec, certificate)
                    checks.append(check.split(":")[0].strip())
            print(f"| Y_{output} {relation} | {threshold!r} | {' | '.join(verdicts)} | {', '.join(checks)} |")
            if (output, relation) == KEPT:
                write(ROOT / "examples/mnist_f32.vnnlib", output, relation, threshold)


main()
