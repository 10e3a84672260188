"""Convolution at 32 channels under several orders of the sites: what the canonical order is worth.

    python benchmarks/bench_order.py [--threads 2] [--rounds 5] [--sizes 5 6] [--channels 32]

takes the indoor scan and wavy surfaces of 10^e sites, renames the rows of one submanifold rulebook, and prints forward
and weight gradient (least and median of rounds that take turns). Size 7 takes about 10 GB and some minutes.
"""

import argparse
import time

import numpy as np
import workloads

from spconv_cy import config
from spconv_cy.backend.switch import ops_named
from spconv_cy.sites.grid import Grid
from spconv_cy.sites.rulebook import Rulebook
from spconv_cy.sites.window import Window


def orders(sites):
    """Return {name: rows of lexicographic sites in another order} for sites (n, 1+3) of one sample."""
    place = (sites[:, 1:] - sites[:, 1:].min(0)).astype(np.int64)

    def blocks(bits):
        return np.lexsort([*(place & (2**bits - 1)).T[::-1], *(place >> bits).T[::-1]])

    woven = sum(((place[:, axis] >> bit) & 1) << (3 * bit + 2 - axis) for bit in range(16) for axis in range(3))
    return {"lexicographic": np.arange(len(sites)), "blocks of 4^3": blocks(2), "blocks of 16^3": blocks(4),
            "Morton": np.argsort(woven, kind="stable"), "random": np.random.default_rng(0).permutation(len(sites))}


def renamed(rulebook, order):
    """Return the rulebook of a submanifold window with its rows renamed: row i is now what was row order[i]."""
    row = np.empty(len(order), np.int32)
    row[order] = np.arange(len(order), dtype=np.int32)
    turned = Rulebook.trusted(row[rulebook.out_rows], row[rulebook.in_rows], rulebook.offset_ptr.copy(), rulebook.n_in,
                              rulebook.n_out)
    return turned.T                                                      # sorted by out_rows, which did not ascend


def measure(rulebook, books, channels, rounds):
    """Return {name: [(forward, dw) seconds]}, the orders of a round in turn, after one round that only warms."""
    rng, ops = np.random.default_rng(0), ops_named("cpu")
    x = rng.standard_normal((rulebook.n_in, channels), np.float32)
    w = rng.standard_normal((rulebook.n_offsets, channels, channels), np.float32)
    times = {name: [] for name in books}
    for turn in range(rounds + 1):
        for name, book in books.items():
            start = time.perf_counter()
            ops.conv(x, w, book)
            middle = time.perf_counter()
            ops.conv_dw(x, x, book)
            if turn:
                times[name].append((middle - start, time.perf_counter() - middle))
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--sizes", type=int, nargs="*", default=[5, 6])
    options = parser.parse_args()
    config.set_threads(options.threads)
    for what in ("scan", *options.sizes):
        sites = workloads.indoor_scan() if what == "scan" else workloads.surface(10**what)
        rulebook = Grid.from_sites(sites).rules(Window(3, 3, kind="submanifold"))[1]
        books = {name: renamed(rulebook, order) for name, order in orders(sites).items()}
        print(f"{what}: {len(sites)} sites, {rulebook.n_pairs} pairs; GFLOP/s, best (median)")
        gflop = 2e-9 * rulebook.n_pairs * options.channels**2
        for name, times in measure(rulebook, books, options.channels, options.rounds).items():
            best, median = gflop / np.min(times, 0), gflop / np.median(times, 0)
            print(f"{name:>16} forward {best[0]:7.1f} ({median[0]:7.1f})   dw {best[1]:7.1f} ({median[1]:7.1f})",
                  flush=True)


if __name__ == "__main__":
    main()
