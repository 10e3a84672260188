"""Submanifold convolution of an indoor scan, as a share of numpy's sgemm peak in the same minutes.

    python benchmarks/bench_conv.py [--threads 2] [--rounds 9] [--channels 16 32 64 128] [--data FOLDER]

prints GFLOP/s and the share of the peak for forward, dx and dw; each round times the product and the three verbs in
turn, so that other work on the machine meets them all. --data keeps the made sites in a folder.
"""

import argparse
import os
import sys
import time
from pathlib import Path

if __name__ == "__main__":                      # BLAS reads its threads when numpy is imported
    _threads = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "2"
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = _threads

import numpy as np
import workloads

from spconv_cy import config
from spconv_cy.backend.switch import ops_named
from spconv_cy.sites.rulebook import Rulebook

SGEMM = 2048


def scan_rulebook(folder=None):
    """Return the rulebook of a 3^3 submanifold window on the scan, checked against the known counts."""
    path = Path(folder, "scan.npy") if folder else None
    sites = np.load(path) if path and path.exists() else workloads.indoor_scan()
    if path and not path.exists():
        np.save(path, sites)
    in_rows, out_rows, offset_ptr = workloads.submanifold_pairs(sites)
    assert (len(sites), len(in_rows)) == (workloads.SCAN_SITES, workloads.SCAN_PAIRS)
    return Rulebook(in_rows, out_rows, offset_ptr, len(sites), len(sites))


class Conv:
    """The three products of a layer, c channels in and out."""

    params = [16, 32, 64, 128]
    param_names = ["channels"]
    folder = None
    _rulebook = None

    def setup(self, channels):
        if Conv._rulebook is None:
            Conv._rulebook = scan_rulebook(self.folder)
        rng = np.random.default_rng(channels)
        self.ops, self.rulebook = ops_named("cpu"), Conv._rulebook
        self.x, self.dy = rng.standard_normal((2, self.rulebook.n_in, channels), np.float32)
        self.w = rng.standard_normal((27, channels, channels), np.float32)
        self.gflop = 2e-9 * self.rulebook.n_pairs * channels**2
        for verb in (self.time_forward, self.time_dx, self.time_dw):
            verb(channels)

    def time_forward(self, channels):
        self.ops.conv(self.x, self.w, self.rulebook)

    def time_dx(self, channels):
        self.ops.conv(self.dy, self.w.swapaxes(1, 2), self.rulebook.T)

    def time_dw(self, channels):
        self.ops.conv_dw(self.x, self.dy, self.rulebook)


class Sgemm:
    """numpy's product of two square matrices: the peak that the rest is measured by."""

    gflop = 2e-9 * SGEMM**3

    def setup(self):
        self.a, self.b = np.random.default_rng(0).standard_normal((2, SGEMM, SGEMM), np.float32)
        self.y = np.empty_like(self.a)

    def time_product(self):
        np.matmul(self.a, self.b, out=self.y)


def seconds(call, *args):
    start = time.perf_counter()
    call(*args)
    return time.perf_counter() - start


def measure(channels, rounds, repeats=3):
    """Return {"sgemm", "forward", "dx", "dw": times of all rounds}, interleaved."""
    bench, product = Conv(), Sgemm()
    bench.setup(channels)
    product.setup()
    verbs = {"forward": bench.time_forward, "dx": bench.time_dx, "dw": bench.time_dw}
    times = {name: [] for name in ("sgemm", *verbs)}
    for _ in range(rounds):
        times["sgemm"] += [seconds(product.time_product) for _ in range(2)]
        for name, verb in verbs.items():
            verb(channels)                      # not timed: BLAS's threads spin for a while after their product
            times[name] += [seconds(verb, channels) for _ in range(repeats)]
    return times, {"sgemm": product.gflop, **dict.fromkeys(verbs, bench.gflop)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--channels", type=int, nargs="+", default=Conv.params)
    parser.add_argument("--data", help="folder in which the made sites are kept")
    options = parser.parse_args()
    config.set_threads(options.threads)
    Conv.folder = options.data
    print(f"{'channels':>8} {'verb':>8} {'best ms':>8} {'GFLOP/s':>8} {'of peak':>8} {'median':>8}")
    for channels in options.channels:
        times, gflop = measure(channels, options.rounds)
        rate = {name: (gflop[name] / min(row), gflop[name] / np.median(row)) for name, row in times.items()}
        both = [3 * gflop["dw"] / sum(f(times[name]) for name in ("forward", "dx", "dw")) for f in (min, np.median)]
        rate["f + b"] = tuple(both)
        for name, (best, median) in rate.items():
            took = 1e3 * min(times[name]) if name in times else 3e3 * gflop["dw"] / best
            print(f"{channels:8d} {name:>8} {took:8.2f} {best:8.1f} {best / rate['sgemm'][0]:8.1%} "
                  f"{median / rate['sgemm'][1]:8.1%}")


if __name__ == "__main__":
    main()
