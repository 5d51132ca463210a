"""Steps a second of training, this engine and PyTorch in turns, one thread each.

    python training_speed.py TRAINING_SPEED [ROUNDS [NETWORK …]]

TRAINING_SPEED is the built example of that name. Needs torch. Prints the median of every network and of the ratios of
neighbouring runs.
"""

import statistics
import subprocess
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(1)


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.around = nn.Sequential()
        if stride != 1:
            self.around = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.around(x))


def resnet20(width=16):
    layers = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    inputs = width
    for stage in range(3):
        for block in range(3):
            layers.append(Block(inputs, width << stage, 2 if stage and not block else 1))
            inputs = width << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


def dense(*widths):
    layers = []
    for a, b in zip(widths, widths[1:]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


CASES = {
    "mlp": (lambda: dense(17, 256, 256, 6), (17,), 256, 6, 400),
    "lenet300": (lambda: dense(784, 300, 100, 10), (784,), 128, 10, 300),
    "lenet5": (
        lambda: nn.Sequential(nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
                              nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)),
        (1, 28, 28), 64, 10, 100),
    "resnet20": (resnet20, (3, 32, 32), 64, 10, 10),
}


def theirs(name):
    build, shape, batch, classes, steps = CASES[name]
    model = build()
    data, labels = torch.rand(batch * min(steps, 50), *shape), torch.randint(classes, (batch * min(steps, 50),))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    begin = time.perf_counter()
    done = 0
    while done < steps:
        order = torch.randperm(len(data))
        for samples in order.split(batch):
            optimiser.zero_grad(set_to_none=True)
            F.cross_entropy(model(data[samples]), labels[samples]).backward()
            optimiser.step()
            done += 1
    return done / (time.perf_counter() - begin)


def main():
    program, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    for name in sys.argv[3:] or CASES:
        theirs(name)
        pairs = []
        for _ in range(rounds):
            ours = float(subprocess.run([program, name], capture_output=True, text=True, check=True).stdout.split()[1])
            pairs.append((ours, theirs(name)))
        median = lambda values: statistics.median(values)
        print(f"{name}: secateur {median(p[0] for p in pairs):.1f} steps/s, PyTorch {median(p[1] for p in pairs):.1f}, "
              f"ratio {median(p[0] / p[1] for p in pairs):.2f}", flush=True)


if __name__ == "__main__":
    main()
