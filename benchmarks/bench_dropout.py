"""What batch-wise dropout saves: a training step of a DeepCNet on glyphs, with half of the channels and with all.

    OMP_WAIT_POLICY=passive python benchmarks/bench_dropout.py [--rounds 7] [--threads 1]

prints milliseconds of the processor a step, the least of the rounds, and what they are of the step without dropout. The
same nets run in turn, so that other work on the machine meets them all.
"""

import argparse
import time

import numpy as np
import workloads

import spconv_cy as sp

FIELD = 96


def deepcnet(k, p):
    """Return a DeepCNet(5, k) with dropout p after every level but the last, whatever the level."""
    layers = []
    for layer in sp.models.deepcnet(5, k, 3, rng=0).layers:
        layers += [layer, sp.Dropout(p, rng=len(layers))] if isinstance(layer, sp.MaxPooling) else [layer]
    return sp.Sequential(*layers)


class Dropout:
    """A training step on 100 glyphs; the rules are there."""

    params = [[30, 60, 120], [0.0, 0.5, 0.75]]
    param_names = ["k", "p"]

    def setup(self, k, p):
        sites = workloads.glyphs()
        self.x = sp.SparseTensor.from_sites(sites, workloads.features(sites, 3), FIELD, 100)
        self.labels = np.random.default_rng(3).integers(0, 10, 100)
        self.net = deepcnet(k, p)
        self.time_training_step(k, p)

    def time_training_step(self, *_):
        sp.softmax_cross_entropy(self.net(self.x), self.labels).backward()
        for parameter in self.net.parameters():
            parameter.grad = None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    sp.set_threads(options.threads)
    for k in Dropout.params[0]:
        cases = {p: Dropout() for p in Dropout.params[1]}
        for p, case in cases.items():
            case.setup(k, p)
        times = {p: [] for p in cases}
        for _ in range(options.rounds):
            for p, case in cases.items():
                begin = time.process_time()
                case.time_training_step()
                times[p].append(time.process_time() - begin)
        least = {p: 1e3 * min(row) for p, row in times.items()}
        print(f"DeepCNet(5, {k:3d})  " + "   ".join(f"p {p:g}: {ms:7.1f} ms, {ms / least[0.0]:.2f}"
                                                   for p, ms in least.items()))


if __name__ == "__main__":
    main()
