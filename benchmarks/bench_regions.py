"""Rules of drawn regions, on one thread, by the processor's own time: pairs and candidates a second.

    python benchmarks/bench_regions.py [--rounds 9] [--ratio 1.4142]

A candidate is a site times an offset: what a rule that asks for every pair would have to look at.
"""

import argparse
import time

import numpy as np
import workloads

from spconv_cy import config
from spconv_cy.sites import fractional
from spconv_cy.sites.grid import Grid
from spconv_cy.sites.lattice import Lattice

CASES = {"scan": workloads.indoor_scan, "space-time": workloads.space_time, "glyphs": workloads.glyphs}


def grid_of(name):
    """Return the grid of a workload, in a field that begins at 0."""
    sites = np.unique(CASES[name](), axis=0)
    sites[:, 1:] -= sites[:, 1:].min(0)
    return Grid.from_sites(sites, tuple(int(n) + 2 for n in sites[:, 1:].max(0)))


def main():
    """Print a line for each workload and kind of overlap."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--ratio", type=float, default=2**0.5)
    chosen = parser.parse_args()
    config.set_threads(1)
    print(f"{'case':12}{'overlap':10}{'sites':>10}{'pairs':>10}{'ms':>8}{'million pairs/s':>17}{'candidates/s':>14}")
    for name in CASES:
        grid = grid_of(name)
        out = tuple(min(max(int(n / chosen.ratio + 0.5), -(-n // 2)), n - 1) for n in grid.size)
        for overlap in fractional.OVERLAPS:
            drawn = fractional.draw(np.random.default_rng(0), Lattice.cubic(grid.d), grid.samples, grid.size, out,
                                    "random", overlap)
            seconds = []
            for _ in range(chosen.rounds):
                begun = time.process_time()
                _, rulebook = drawn.rules(grid)
                seconds.append(time.process_time() - begun)
            rate, asked = rulebook.n_pairs / min(seconds) / 1e6, grid.n * rulebook.n_offsets / min(seconds) / 1e6
            print(f"{name:12}{overlap:10}{grid.n:10,}{rulebook.n_pairs:10,}{1000 * min(seconds):8.1f}{rate:17.1f}"
                  f"{asked:14.1f}")


if __name__ == "__main__":
    main()
