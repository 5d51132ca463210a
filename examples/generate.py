#!/usr/bin/env python3
"""Builds the small networks of this directory, their properties, their verdicts and MANIFEST.tsv.

    python examples/generate.py [--mnist DIRECTORY_WITH_THE_FOUR_IDX_FILES]

Needs numpy, scipy, onnx and, to train again, torch. Without --mnist the files named mnist_* are kept as they are.

No verdict comes from secateur. Piecewise-linear networks are encoded as mixed-integer programs (one binary per
unstable ReLU or pooling candidate) and the least margin over the unsafe set is computed by HiGHS to optimality;
a property is kept only if that margin is at least 1e-3 away from zero. The smooth network is sampled on a grid whose
spacing times a Lipschitz constant is below the margin.
"""

import argparse
import csv
import gzip
import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import lil_matrix

HERE = Path(__file__).resolve().parent
CLEAR = 1e-3  # least distance of a margin from zero
OWN = "MIT OR Apache-2.0"


# ---------------------------------------------------------------- files

class Model:
    """An ONNX graph under construction."""

    def __init__(self, shape):
        self.nodes, self.initializers, self.shape, self.last = [], [], shape, "x"

    def constant(self, name, value, dtype=np.float32):
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, op, *extra, output=None, data=None, **attributes):
        output = output or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [data or self.last, *extra], [output], name=output, **attributes))
        self.last = output
        return output

    def save(self, path, outputs):
        graph = helper.make_graph(
            self.nodes, path.stem,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, [1, outputs])],
            self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="secateur examples")
        model.ir_version = 8
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)


def number(value):
    return np.format_float_positional(value, unique=True, trim="0")


def write_property(path, comment, lower, upper, outputs, unsafe):
    """`unsafe` is a list of (text of one conjunction)."""
    lines = [f"; {comment}", ""]
    lines += [f"(declare-const X_{i} Real)" for i in range(len(lower))]
    lines += [f"(declare-const Y_{j} Real)" for j in range(outputs)]
    lines.append("")
    for i, (low, high) in enumerate(zip(lower, upper)):
        lines += [f"(assert (>= X_{i} {number(low)}))", f"(assert (<= X_{i} {number(high)}))"]
    lines.append("")
    if len(unsafe) == 1:
        lines += [f"(assert {unsafe[0]})"]
    else:
        lines += ["(assert (or"] + [f"    (and {conjunction})" for conjunction in unsafe] + ["))"]
    path.write_text("\n".join(lines) + "\n")


# ---------------------------------------------------------------- independent verdicts

class Program:
    """A mixed-integer program that grows with a network; every variable has finite bounds."""

    def __init__(self, lower, upper):
        self.lower, self.upper, self.integer = list(lower), list(upper), [0] * len(lower)
        self.rows, self.low, self.high = [], [], []
        self.values = list(range(len(lower)))

    def variable(self, low, high, integer=0):
        self.lower.append(low)
        self.upper.append(high)
        self.integer.append(integer)
        return len(self.lower) - 1

    def row(self, terms, low, high):
        self.rows.append(terms)
        self.low.append(low)
        self.high.append(high)

    def range(self, variables):
        return np.array([self.lower[v] for v in variables]), np.array([self.upper[v] for v in variables])

    def affine(self, matrix, bias, sources):
        low, high = self.range(sources)
        positive, negative = np.maximum(matrix, 0), np.minimum(matrix, 0)
        least, most = positive @ low + negative @ high + bias, positive @ high + negative @ low + bias
        result = []
        for i, weights in enumerate(matrix):
            v = self.variable(least[i] - 1e-9, most[i] + 1e-9)
            terms = [(v, 1.0)] + [(s, -w) for s, w in zip(sources, weights) if w != 0]
            self.row(terms, bias[i], bias[i])
            result.append(v)
        return result

    def relu(self, sources):
        return [self.maximum([s], floor=0.0) for s in sources]

    def maximum(self, sources, floor=None):
        """max of the sources, and of `floor` where it is given."""
        low, high = self.range(sources)
        least = max([low.max()] + ([floor] if floor is not None else []))
        most = max([high.max()] + ([floor] if floor is not None else []))
        v = self.variable(least, most)
        candidates = [s for s, h in zip(sources, high) if h > least or (len(sources) == 1 and floor is None)]
        choices = []
        for s in candidates:
            self.row([(v, 1.0), (s, -1.0)], 0.0, np.inf)
            b = self.variable(0, 1, 1)
            room = most - self.lower[s]
            self.row([(v, 1.0), (s, -1.0), (b, room)], -np.inf, room)
            choices.append((b, 1.0))
        if floor is not None and floor >= least:
            b = self.variable(0, 1, 1)
            self.row([(v, 1.0), (b, most - floor)], -np.inf, most)
            choices.append((b, 1.0))
        if choices:
            self.row(choices, 1.0, 1.0)
        return v

    def minimise(self, terms):
        count = len(self.lower)
        cost = np.zeros(count)
        for v, c in terms:
            cost[v] += c
        matrix = lil_matrix((len(self.rows), count))
        for i, row in enumerate(self.rows):
            for v, c in row:
                matrix[i, v] += c
        answer = milp(cost, constraints=LinearConstraint(matrix.tocsr(), self.low, self.high),
                      bounds=Bounds(self.lower, self.upper), integrality=self.integer,
                      options={"mip_rel_gap": 0.0, "time_limit": 600})
        assert answer.status == 0, answer.message
        return answer.fun, answer.x


def linear_map(function, count):
    """The matrix and bias of an affine function of a flat vector."""
    bias = function(np.zeros(count))
    return np.stack([function(row) - bias for row in np.eye(count)], axis=1), bias


def convolve(image, weight, bias, pad):
    image = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
    channels, _, size, _ = weight.shape
    side = image.shape[1] - size + 1
    result = np.zeros((channels, side, side))
    for i in range(side):
        for j in range(side):
            result[:, i, j] = np.tensordot(weight, image[:, i:i + size, j:j + size], 3) + bias
    return result


class Suite:
    """Collects instances with their verdicts and where each comes from."""

    def __init__(self):
        self.instances, self.manifest = [], []

    def property(self, model, name, comment, lower, upper, outputs, unsafe, verdict, why):
        write_property(HERE / name, comment, lower, upper, outputs, unsafe)
        self.instances.append((model, name, verdict))
        self.manifest.append((name, "examples/generate.py", OWN, why))


def verdict_of(margin):
    assert abs(margin) >= CLEAR, f"margin {margin} is too close to zero"
    return "unsat" if margin > 0 else "sat"


# ---------------------------------------------------------------- the networks

def toy(suite):
    """Y_0 = |X_0| + |X_1| - 1 and Y_1 = tent(tent((X_0 + 1) / 2)), in weights that are small dyadic numbers."""
    name = "toy.onnx"
    model = Model([1, 2])
    # Hidden 1: X_0+, X_0-, X_1+, X_1-, u, (u - 1/2)+ with u = (X_0 + 1)/2 >= 0 on the box.
    first = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [0.5, 0], [0.5, 0]])
    first_bias = np.array([0, 0, 0, 0, 0.5, 0])
    # Hidden 2: the diamond's sum, t, (t - 1/2)+ with t = 2u - 4(u - 1/2)+.
    second = np.array([[1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 2, -4], [0, 0, 0, 0, 2, -4]])
    second_bias = np.array([0, 0, -0.5])
    third = np.array([[1, 0, 0], [0, 2, -4]])
    third_bias = np.array([-1, 0])
    for index, (weight, bias) in enumerate([(first, first_bias), (second, second_bias), (third, third_bias)]):
        model.add("Gemm", model.constant(f"w{index}", weight.T), model.constant(f"b{index}", bias))
        if index < 2:
            model.add("Relu")
    model.save(HERE / name, 2)
    suite.manifest.append((name, "examples/generate.py", OWN, "weights set by hand"))
    box = ([-1.0, -1.0], [1.0, 1.0])
    cases = [
        ("toy_unsat.vnnlib", "|X_0| + |X_1| - 1 never exceeds 1 on the square.", ["(>= Y_0 1.03125)"], "unsat",
         "by construction: the maximum is 1"),
        ("toy_sat.vnnlib", "|X_0| + |X_1| - 1 exceeds 31/32 in the corners only.", ["(>= Y_0 0.96875)"], "sat",
         "by construction: 1 at every corner"),
        ("toy_tent_unsat.vnnlib", "The tent map stays between 0 and 1.", ["(>= Y_1 1.015625)", "(<= Y_1 -0.015625)"],
         "unsat", "by construction: the tent map of the unit interval"),
        ("toy_tent_sat.vnnlib", "High tent and diamond at once: near (-1/2, ±1) and (1/2, ±1).",
         ["(>= Y_1 0.96875) (>= Y_0 0.46875)"], "sat", "by construction: Y = (0.5, 1) at (0.5, 1)"),
    ]
    for file, comment, unsafe, verdict, why in cases:
        unsafe = [f"(and {unsafe[0]})"] if len(unsafe) == 1 and unsafe[0].count("(") > 1 else unsafe
        suite.property(name, file, comment, *box, 2, unsafe, verdict, why)


def dyadic(random, shape, scale):
    return np.round(random.normal(0, scale, shape) * 64) / 64


def pooled(suite):
    """1×6×6 image, 3 filters of 3×3, ReLU, 2×2 max-pool, 8 ReLUs, 3 outputs."""
    random = np.random.default_rng(11)
    kernel, kernel_bias = dyadic(random, (3, 1, 3, 3), 0.5), dyadic(random, 3, 0.2)
    hidden, hidden_bias = dyadic(random, (8, 12), 0.4), dyadic(random, 8, 0.2)
    last, last_bias = dyadic(random, (3, 8), 0.5), dyadic(random, 3, 0.2)
    name = "conv_maxpool.onnx"
    model = Model([1, 1, 6, 6])
    model.add("Conv", model.constant("k", kernel), model.constant("kb", kernel_bias), kernel_shape=[3, 3])
    model.add("Relu")
    model.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    model.add("Flatten")
    model.add("Gemm", model.constant("h", hidden), model.constant("hb", hidden_bias), transB=1)
    model.add("Relu")
    model.add("Gemm", model.constant("l", last), model.constant("lb", last_bias), transB=1)
    model.save(HERE / name, 3)
    suite.manifest.append((name, "examples/generate.py", OWN, "random weights, multiples of 1/64, seed 11"))
    matrix, bias = linear_map(lambda x: convolve(x.reshape(1, 6, 6), kernel, kernel_bias, 0).ravel(), 36)
    groups = np.arange(48).reshape(3, 4, 4)

    def encode(lower, upper):
        program = Program(lower, upper)
        z = program.relu(program.affine(matrix, bias, program.values))
        z = [program.maximum([z[g] for g in groups[c, 2 * i:2 * i + 2, 2 * j:2 * j + 2].ravel()])
             for c in range(3) for i in range(2) for j in range(2)]
        z = program.relu(program.affine(hidden, hidden_bias, z))
        return program, program.affine(last, last_bias, z)

    robustness(suite, name, "conv_maxpool", clearest(random, encode, 36), [1 / 32, 1 / 4], encode, 3)


def residual(suite):
    """2×4×4 image, two 3×3 convolutions beside a skip connection, 4 outputs."""
    random = np.random.default_rng(12)
    first, first_bias = dyadic(random, (3, 2, 3, 3), 0.3), dyadic(random, 3, 0.2)
    second, second_bias = dyadic(random, (2, 3, 3, 3), 0.3), dyadic(random, 2, 0.2)
    last, last_bias = dyadic(random, (4, 32), 0.3), dyadic(random, 4, 0.2)
    name = "residual.onnx"
    model = Model([1, 2, 4, 4])
    model.add("Conv", model.constant("f", first), model.constant("fb", first_bias), kernel_shape=[3, 3], pads=[1] * 4)
    model.add("Relu")
    inner = model.add("Conv", model.constant("s", second), model.constant("sb", second_bias), kernel_shape=[3, 3],
                      pads=[1] * 4)
    model.add("Add", "x", data=inner)
    model.add("Relu")
    model.add("Flatten")
    model.add("Gemm", model.constant("l", last), model.constant("lb", last_bias), transB=1)
    model.save(HERE / name, 4)
    suite.manifest.append((name, "examples/generate.py", OWN, "random weights, multiples of 1/64, seed 12"))
    one = linear_map(lambda x: convolve(x.reshape(2, 4, 4), first, first_bias, 1).ravel(), 32)
    two = linear_map(lambda x: convolve(x.reshape(3, 4, 4), second, second_bias, 1).ravel(), 48)

    def encode(lower, upper):
        program = Program(lower, upper)
        z = program.relu(program.affine(*one, program.values))
        z = program.affine(np.hstack([two[0], np.eye(32)]), two[1], z + program.values)
        return program, program.affine(last, last_bias, program.relu(z))

    robustness(suite, name, "residual", clearest(random, encode, 32), [1 / 32, 1 / 4], encode, 4)


def clearest(random, encode, count):
    """The one of 30 random inputs whose best output is farthest above the second."""
    def gap(centre):
        program, y = encode(centre, centre)
        low, high = program.range(y)
        return np.subtract(*np.sort((low + high) / 2)[:-3:-1])
    return max((np.round(random.uniform(-1, 1, count) * 64) / 64 for _ in range(30)), key=gap)


def least_margins(encode, lower, upper, label, outputs):
    """min of Y_label - Y_j over the box for every other j, and the point of the least."""
    program, y = encode(lower, upper)
    found = [program.minimise([(y[label], 1.0), (y[j], -1.0)]) for j in range(outputs) if j != label]
    margin, point = min(found, key=lambda pair: pair[0])
    return margin, point[:len(lower)]


def robustness(suite, model, stem, centre, radii, encode, outputs, limits=(-np.inf, np.inf), source=None):
    program, y = encode(centre, centre)
    label = int(np.argmax(program.range(y)[0]))
    for index, radius in enumerate(radii):
        lower, upper = np.clip(centre - radius, *limits), np.clip(centre + radius, *limits)
        margin, _ = least_margins(encode, lower, upper, label, outputs)
        verdict = verdict_of(margin)
        print(f"{stem} radius {radius:g}: least margin {margin:.6f} {verdict}")
        unsafe = [f"(>= Y_{j} Y_{label})" for j in range(outputs) if j != label]
        name = f"{stem}_{index}_{verdict}.vnnlib" if source is None else f"{stem}_{verdict}.vnnlib"
        why = f"mixed-integer program: least margin {margin:.6f}"
        suite.property(model, name, f"Every input within {radius:g} is of class {label}.", lower, upper, outputs,
                       unsafe, verdict, why)
        if source:
            suite.manifest[-1] = (name, "examples/generate.py", source, why)


def smooth(suite):
    """2 inputs, 6 sigmoids, 6 tanhs, 1 output."""
    random = np.random.default_rng(13)
    a, ab = dyadic(random, (6, 2), 1.5), dyadic(random, 6, 0.5)
    b, bb = dyadic(random, (6, 6), 0.8), dyadic(random, 6, 0.3)
    c, cb = dyadic(random, (1, 6), 0.8), dyadic(random, 1, 0.3)
    name = "smooth.onnx"
    model = Model([1, 2])
    for index, (weight, bias, op) in enumerate([(a, ab, "Sigmoid"), (b, bb, "Tanh"), (c, cb, None)]):
        model.add("Gemm", model.constant(f"w{index}", weight), model.constant(f"b{index}", bias), transB=1)
        if op:
            model.add(op)
    model.save(HERE / name, 1)
    suite.manifest.append((name, "examples/generate.py", OWN, "random weights, multiples of 1/64, seed 13"))
    steps = 2000
    axis = np.linspace(-1, 1, steps + 1)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    values = np.tanh((1 / (1 + np.exp(-(grid @ a.T + ab)))) @ b.T + bb) @ c.T + cb
    # In the largest-entry norm: row sums of absolute weights; the sigmoid's slope is at most 1/4, the tanh's 1.
    slope = (np.abs(c) @ np.abs(b) @ np.abs(a)).sum() / 4
    reach = slope / steps  # no input is farther than 1/steps from the grid
    top = values.max()
    assert reach < 0.05, reach
    high = np.ceil((top + reach + CLEAR) * 64) / 64
    low = np.floor((top - CLEAR) * 64) / 64
    print(f"smooth: greatest sample {top:.6f}, reach {reach:.6f}, thresholds {low} and {high}")
    box = ([-1.0, -1.0], [1.0, 1.0])
    suite.property(name, "smooth_unsat.vnnlib", "A height that the network does not reach.", *box, 1,
                   [f"(>= Y_0 {number(high)})"], "unsat",
                   f"grid of {steps + 1} points a side: greatest value {top:.6f}, Lipschitz bound between points {reach:.6f}")
    suite.property(name, "smooth_sat.vnnlib", "A height that the network just reaches.", *box, 1,
                   [f"(>= Y_0 {number(low)})"], "sat", f"sampled value {top:.6f}")


def idx(path):
    data = gzip.open(path).read()
    dimensions = data[3]
    shape = [int.from_bytes(data[4 + 4 * i:8 + 4 * i], "big") for i in range(dimensions)]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def train(directory, path):
    """784-24-24-10 with random uniform noise and a decay of the weights; inputs are pixels / 256."""
    import torch
    torch.manual_seed(5)
    torch.set_num_threads(1)
    images = torch.tensor(idx(directory / "train-images-idx3-ubyte.gz").reshape(-1, 784) / 256, dtype=torch.float32)
    labels = torch.tensor(idx(directory / "train-labels-idx1-ubyte.gz").astype(np.int64))
    layers = [torch.nn.Linear(784, 24), torch.nn.Linear(24, 24), torch.nn.Linear(24, 10)]
    net = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.02)
    for epoch in range(6):
        for batch in torch.randperm(len(images)).split(128):
            x = images[batch].clone().requires_grad_(True)
            gradient, = torch.autograd.grad(torch.nn.functional.cross_entropy(net(x), labels[batch]), x)
            shifted = (x.detach() + 0.04 * gradient.sign()).clamp(0, 1)
            loss = torch.nn.functional.cross_entropy(net(shifted), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    test = torch.tensor(idx(directory / "t10k-images-idx3-ubyte.gz").reshape(-1, 784) / 256, dtype=torch.float32)
    truth = torch.tensor(idx(directory / "t10k-labels-idx1-ubyte.gz").astype(np.int64))
    print("accuracy", (net(test).argmax(1) == truth).float().mean().item())
    model = Model([1, 784])
    for index, layer in enumerate(layers):
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        model.add("Gemm", model.constant(f"w{index}", weight), model.constant(f"b{index}", bias), transB=1)
        if index < 2:
            model.add("Relu")
    model.save(path, 10)


def mnist(suite, directory):
    name = "mnist_24x24.onnx"
    source = "CC BY-SA 3.0"
    if not (HERE / name).exists():
        train(directory, HERE / name)
    suite.manifest.append((name, "examples/generate.py, trained on MNIST (Y. LeCun, C. Cortes)", source,
                           "FGSM training, 6 epochs, seed 5; training again gives other weights"))
    stored = {t.name: numpy_helper.to_array(t).astype(float) for t in onnx.load(HERE / name).graph.initializer}

    def encode(lower, upper):
        program = Program(lower, upper)
        z = program.values
        for index in range(3):
            z = program.affine(stored[f"w{index}"], stored[f"b{index}"], z)
            z = program.relu(z) if index < 2 else z
        return program, z

    images = idx(directory / "t10k-images-idx3-ubyte.gz").reshape(-1, 784) / 256
    for index, radius in [(0, 20 / 256), (1, 12 / 256), (1, 16 / 256), (2, 36 / 256)]:
        robustness(suite, name, f"mnist_{index}_{int(radius * 256)}", images[index], [radius], encode, 10, (0, 1), source)


def acasxu(suite):
    """The properties 1 to 3 of Katz et al., Reluplex (2017), in the network's normalised inputs."""
    name = "acasxu_1_1.onnx"
    suite.manifest.append((
        name, "ACASXU_run2a_1_1_batch_2000.onnx of the verification competitions", "Apache-2.0",
        "network 1_1 of K. Julian et al., as eth-sri/eran (Apache-2.0) publishes it under data/acasxu/nets"))
    far = ([0.6, -0.5, -0.5, 0.45, -0.5], [0.679857769, 0.5, 0.5, 0.5, -0.45])
    ahead = ([-0.303531156, -0.009549297, 0.493380324, 0.3, 0.3], [-0.298552812, 0.009549297, 0.5, 0.5, 0.5])
    worse = " ".join(f"(>= Y_0 Y_{j})" for j in range(1, 5))
    best = " ".join(f"(<= Y_0 Y_{j})" for j in range(1, 5))
    cases = [
        ("prop_1.vnnlib", "A distant, slower intruder: the score of clear-of-conflict stays below 1500.", far,
         "(>= Y_0 3.991125645861615)"),
        ("prop_2.vnnlib", "A distant, slower intruder: clear-of-conflict is never the worst advisory.", far,
         f"(and {worse})"),
        ("prop_3.vnnlib", "An intruder straight ahead, approaching: clear-of-conflict is never the best advisory.",
         ahead, f"(and {best})"),
    ]
    for file, comment, (lower, upper), unsafe in cases:
        suite.property(name, file, f"ACAS Xu, {comment}", lower, upper, 5, [unsafe], "unsat",
                       "published: agreed by all tools of the verification competitions 2020-2024")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist", type=Path)
    arguments = parser.parse_args()
    suite = Suite()
    acasxu(suite)
    for build in (toy, pooled, residual, smooth):
        build(suite)
    if arguments.mnist:
        mnist(suite, arguments.mnist)
    else:
        keep(suite)
    with open(HERE / "instances.csv", "w") as file:
        file.writelines(f"{model},{spec},60\n" for model, spec, _ in suite.instances)
    with open(HERE / "expected.csv", "w") as file:
        file.write("onnx,vnnlib,expected\n")
        file.writelines(f"{model},{spec},{verdict}\n" for model, spec, verdict in suite.instances)
    with open(HERE / "MANIFEST.tsv", "w") as file:
        file.write("file\tsource\tlicence\tsha256\tnote (for a property: how its verdict is known)\n")
        for name, source, licence, note in suite.manifest:
            digest = hashlib.sha256((HERE / name).read_bytes()).hexdigest()
            file.write(f"{name}\t{source}\t{licence}\t{digest}\t{note}\n")


def keep(suite):
    """Takes over the lines of the MNIST files."""
    with open(HERE / "expected.csv") as file:
        suite.instances += [tuple(row) for row in csv.reader(file) if row[0].startswith("mnist_")]
    with open(HERE / "MANIFEST.tsv") as file:
        for line in file:
            name, source, licence, _, note = line.rstrip("\n").split("\t")
            if name.startswith("mnist_"):
                suite.manifest.append((name, source, licence, note))


if __name__ == "__main__":
    main()
