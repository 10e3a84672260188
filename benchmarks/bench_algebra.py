"""Set algebra of sites: two grids of a surface, one moved by a site, joined, cut and compared on one thread.

    python benchmarks/bench_algebra.py [--sites 1000000] [--channels 16] [--rounds 7]

prints milliseconds of processor time (least and median of the rounds, all cases in turn) and millions a second of the
sites of both that came.
"""

import argparse
import statistics
import time

import numpy as np
import workloads

import spconv_cy as sp


def cases(n, channels):
    """Return {name: what is timed} and the number of sites of both grids."""
    rng = np.random.default_rng(0)
    sites = np.unique(workloads.surface(n), axis=0)
    a, b = (sp.SparseTensor.from_sites(sites + [0, shift, 0, 0], rng.random((len(sites), channels)), ground=None)
            for shift in (0, 1))
    keep, scores = rng.random(a.grid.n) < 0.5, rng.random(a.grid.n)
    low, high = a.sites[:, 1:].min(0) + 5, a.sites[:, 1:].max(0) - 5
    return {
        "union": lambda: a.grid | b.grid,
        "intersection": lambda: a.grid & b.grid,
        "difference": lambda: a.grid - b.grid,
        "mask": lambda: a.grid.mask(keep),
        "crop": lambda: a.grid.crop(low, high),
        "align": lambda: a.align(b),
        "add, outer": lambda: a.add(b),
        "multiply, inner": lambda: a.multiply(b, how="inner"),
        "prune": lambda: a.prune(keep),
        "keep the top 1000": lambda: a.keep_top(scores, 1000),
    }, a.grid.n + b.grid.n


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", type=int, default=1_000_000)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    sp.set_threads(1)
    timed, n = cases(options.sites, options.channels)
    seconds = {name: [] for name in timed}
    for _ in range(options.rounds):
        for name, call in timed.items():
            began = time.process_time()
            call()
            seconds[name].append(time.process_time() - began)
    print(f"{n:,} sites of two grids, {options.channels} channels")
    for name, each in seconds.items():
        print(f"{name:<18} {min(each) * 1e3:8.1f} ms, median {statistics.median(each) * 1e3:8.1f}"
              f"   {n / min(each) / 1e6:8.1f} M sites/s")


if __name__ == "__main__":
    main()
