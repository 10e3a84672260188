"""Grids and rules: from sites to all that the forward and the backward pass read.

    python benchmarks/bench_rules.py [--threads 2] [--rounds 15] [--cases scan ...] [--sizes 4 5 6] [--data FOLDER]

    python benchmarks/bench_rules.py --rules [--data FOLDER]

prints milliseconds (least and median of all rounds), nanoseconds and bytes a pair, and the peak of memory in building
over the result; then how they change with the number of sites, 10^4 to 10^6 (--sizes 4 5 6 7: 10^7 too, 4 GB). Rounds
of all cases take turns, so that other work on the machine meets them all; --data keeps the made sites in a folder.
"""

import argparse
import time
import tracemalloc
from pathlib import Path

import numpy as np
import workloads

from spconv_cy import compiled, config
from spconv_cy.sites import build
from spconv_cy.sites.grid import Grid
from spconv_cy.sites.lattice import Lattice
from spconv_cy.sites.rulebook import Rulebook
from spconv_cy.sites.window import Window


def made(name, folder=None):
    """Return the sites of a workload by name, from the folder where it has them."""
    path = Path(folder, f"{name}.npy") if folder else None
    if path and path.exists():
        return np.load(path)
    makers = {"scan": workloads.indoor_scan, "lidar": workloads.lidar, "space-time": workloads.space_time,
              "glyphs": workloads.glyphs}
    sites = np.unique(makers[name](), axis=0)                            # sorted
    if path:
        np.save(path, sites)
    return sites


def all_that_is_read(rulebook):
    """Touch what the forward pass reads of a rulebook, so that nothing is put off; return its bytes."""
    arrays = rulebook.in_rows, rulebook.out_rows, rulebook.offset_ptr, rulebook.tile_ptr
    return sum(array.nbytes for array in arrays)


class Rules:
    """From a grid of sorted sites to its rulebook, window by window; each case also with the backward pass's."""

    params = ["scan", "scan strided", "scan wide", "lidar", "space-time", "glyphs", "glyphs pool", "100 sites"]
    rules = ["scan simplex", "scan simplex pool", "scan nearest", "scan cross", "scan ball", "scan taps", "scan cell",
             "scan centre", "scan two", "scan transposed", "scan transposed wide", "scan transposed simplex",
             "space-time transposed"]
    param_names = ["case"]
    folder = None
    windows = {
        "scan": Window(3, 3, kind="submanifold"),
        "scan strided": Window(3, 2, stride=2),
        "scan wide": Window(3, 3, stride=2, origin=1),
        "lidar": Window(3, 3, kind="submanifold"),
        "space-time": Window(4, 3, kind="submanifold"),
        "glyphs": Window(2, 3),
        "glyphs pool": Window(2, 2, stride=2),
        "100 sites": Window(3, 3, kind="submanifold"),
        "scan simplex": Window(Lattice.simplex(3), 2),
        "scan simplex pool": Window(Lattice.simplex(3), 3, stride=2),
        "scan nearest": Window(Lattice.simplex(3), 3, shape="nearest", kind="submanifold"),
        "scan cross": Window(3, 3, shape="cross", kind="submanifold"),
        "scan ball": Window(3, 3, shape="ball"),
        "scan taps": Window(3, taps=[(0, 0, 0), (3, 1, 4), (1, 5, 9), (2, 6, 5), (3, 5, 8)]),
        "scan cell": Window(3, 3, stride=2, origin=1, kind="cell"),
        "scan centre": Window(3, 3, kind="centre"),
        "scan two": Window(3, 2, min_active=2),
        "scan transposed": Window(3, 2, stride=2, kind="transposed"),
        "scan transposed wide": Window(3, 3, stride=2, kind="transposed"),
        "scan transposed simplex": Window(Lattice.simplex(3), 3, stride=2, kind="transposed"),
        "space-time transposed": Window(4, 2, stride=2, kind="transposed"),
    }

    def setup(self, case):
        sites = workloads.surface(100) if case == "100 sites" else made(case.split()[0], self.folder)
        self.sites, self.window = sites, self.windows[case]
        self.unsorted = np.random.default_rng(0).permutation(sites)
        self.grid = Grid.from_sites(sites, lattice=self.window.lattice)

    def fresh(self):
        """Return the grid without the rules that it has."""
        return Grid(self.grid.sites, None, self.grid.samples, self.grid.lattice)

    def time_rules(self, case):
        all_that_is_read(self.fresh().rules(self.window)[1])

    def time_rules_and_transpose(self, case):
        rulebook = self.fresh().rules(self.window)[1]
        all_that_is_read(rulebook)
        all_that_is_read(rulebook.T)

    def time_from_sites(self, case):
        all_that_is_read(Grid.from_sites(self.sites, lattice=self.window.lattice).rules(self.window)[1])

    def time_from_unsorted(self, case):
        all_that_is_read(Grid.from_sites(self.unsorted, lattice=self.window.lattice).rules(self.window)[1])

    def time_numpy(self, case):
        out = self.grid.sites if self.window.keeps_sites else build.reached(self.grid.sites, self.window, None)
        all_that_is_read(Rulebook.trusted(*build.pairs(self.grid.sites, out, self.window), self.grid.n, len(out)))

    def track_share_of_the_bound(self, case):
        """Return one core's time over the larger of pairs / 30 million and outputs x offsets / 100 million a second."""
        child, rulebook = self.fresh().rules(self.window)                # outputs of the equation, on either side
        outputs = self.grid.n if self.window.kind == "transposed" else max(child.n, self.grid.n)
        bound = max(rulebook.n_pairs / 30e6, outputs * self.window.volume / 100e6)
        threads = config.threads()
        config.set_threads(1)
        took = min(seconds(self.time_rules, case, clock=time.process_time) for _ in range(5))
        config.set_threads(threads)
        return took / bound

    def track_bytes_a_pair(self, case):
        rulebook = self.fresh().rules(self.window)[1]
        return all_that_is_read(rulebook) / rulebook.n_pairs

    def track_building(self, case):
        """Return the peak of numpy's memory while building, as a multiple of the rulebook and the new sites."""
        grid = self.fresh()
        compiled.sites.empty = compiled.windows.empty = np.empty   # tracemalloc sees no memory that is kept
        tracemalloc.start()
        child, rulebook = grid.rules(self.window)
        result = all_that_is_read(rulebook) + (0 if child is grid else child.sites.nbytes)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        compiled.sites.empty = compiled.windows.empty = compiled.memory.empty
        return peak / result


class Growth(Rules):
    """A submanifold window over a wavy surface of 10^e sites."""

    params = [4, 5, 6]
    param_names = ["exponent"]

    def setup(self, exponent):
        self.sites, self.window = workloads.surface(10**exponent), Window(3, 3, kind="submanifold")
        self.unsorted = np.random.default_rng(0).permutation(self.sites) if exponent < 7 else self.sites
        self.grid = Grid.from_sites(self.sites)


class Glyphs:
    """A batch of 100 glyphs through the 12 windows of a DeepCNet(5)."""

    folder = None

    def setup(self):
        self.sites = made("glyphs", self.folder)
        self.windows = [Window(2, 3), *[Window(2, 2, stride) for _ in range(5) for stride in (2, 1)]]
        self.n_pairs = sum(rulebook.n_pairs for rulebook in self.chain())

    def chain(self):
        """Return the rulebooks of all layers, forward and backward complete."""
        grid, rulebooks = Grid.from_sites(self.sites, size=96), []
        for window in self.windows:
            grid, rulebook = grid.rules(window)
            all_that_is_read(rulebook)
            all_that_is_read(rulebook.T)
            rulebooks.append(rulebook)
        return rulebooks

    def time_chain(self):
        self.chain()


def seconds(call, *args, clock=time.perf_counter):
    start = clock()
    call(*args)
    return clock() - start


def measure(cases, rounds, verbs):
    """Return {(case, verb): times}, the rounds of all cases interleaved."""
    times = {(name, verb): [] for name in cases for verb in verbs}
    for turn in range(rounds + 1):
        for name, bench in cases.items():
            for verb in verbs:
                if verb == "numpy" and turn > 3:
                    continue
                took = seconds(getattr(bench, f"time_{verb}"), name)
                if turn:                                                 # the first warms
                    times[name, verb].append(took)
    return times


def show(cases, times, verbs):
    print(f"{'case':>14} {'sites':>9} {'pairs':>10}", *(f"{verb.replace('_', ' '):>22}" for verb in verbs),
          f"{'ns a pair':>10} {'bytes':>7} {'building':>9}")
    for name, bench in cases.items():
        n_pairs = bench.fresh().rules(bench.window)[1].n_pairs
        rows = [f"{1e3 * min(times[name, v]):10.3f} ({1e3 * np.median(times[name, v]):9.3f})" for v in verbs]
        print(f"{name!s:>14} {bench.grid.n:9d} {n_pairs:10d}", *(f"{row:>22}" for row in rows),
              f"{1e9 * min(times[name, 'rules']) / n_pairs:10.2f} {bench.track_bytes_a_pair(name):7.2f} "
              f"{bench.track_building(name):8.2f}x")


def show_rules():
    """Print each window's time on one core as a share of what it may take."""
    print("on one core: time over max(pairs / 30 million, outputs x offsets / 100 million) seconds")
    for case in Rules.params + Rules.rules:
        bench = Rules()
        bench.setup(case)
        child, rulebook = bench.fresh().rules(bench.window)
        print(f"{case:>24} {bench.grid.n:8d} sites {child.n:8d} outputs {rulebook.n_pairs:9d} pairs "
              f"{bench.track_share_of_the_bound(case):6.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cases", nargs="*", default=Rules.params)
    parser.add_argument("--rules", action="store_true", help="windows of every shape and site rule, on one core, alone")
    parser.add_argument("--sizes", type=int, nargs="*", default=Growth.params)
    parser.add_argument("--data", help="folder in which the made sites are kept")
    options = parser.parse_args()
    config.set_threads(options.threads)
    Rules.folder = Glyphs.folder = options.data
    if options.rules:
        return show_rules()
    glyphs = Glyphs()
    glyphs.setup()
    took = [seconds(glyphs.time_chain) for _ in range(options.rounds)]
    print(f"100 glyphs, sites to 11 rulebooks and their transposes, {glyphs.n_pairs} pairs: {1e3 * min(took):.2f} ms "
          f"(median {1e3 * np.median(took):.2f})")
    for kind, names, rounds, verbs in (
            (Rules, options.cases, options.rounds,
             ("rules", "rules_and_transpose", "from_sites", "from_unsorted", "numpy")),
            (Growth, options.sizes, max(3, options.rounds // 3), ("rules", "from_sites", "from_unsorted"))):
        cases = {name: kind() for name in names}
        for name, bench in cases.items():
            bench.setup(name)
        show(cases, measure(cases, rounds, verbs), verbs)


if __name__ == "__main__":
    main()
