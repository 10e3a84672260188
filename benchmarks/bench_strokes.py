"""How long handwriting takes to become sites, a character at a time, by encoding and threads; and path signatures.

    python benchmarks/bench_strokes.py [--characters N] [--rounds R] [--threads 1 2] [--scale 16] [--data FOLDER]

prints the least and the median of all rounds in microseconds a character, its sites, and how many characters a second
that makes; on the pen digits that come along, or on omniglot_strokes.npz of FOLDER. Rounds of all cases take turns.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

import spconv_cy as sp
from spconv_cy.data.augment import from_name

ENCODINGS = ["pen", "undirected", "octogram", "signature2", "signature4", "log-signature4", "time-log-signature4",
             "space-time", "vector-space-time"]


class Encode:
    """Characters with affine distortions, drawn as one batch."""

    params = (ENCODINGS, [1, 2])
    param_names = ["encoding", "threads"]
    characters, scale = None, 16

    def setup(self, encoding, threads):
        characters = sp.data.Characters.pack(sp.data.digits()[0][:1000] if self.characters is None else self.characters)
        matrices, shifts = from_name("affine").draw(len(characters), seed=0, epoch=0)
        encoder = sp.data.StrokeEncoder(encoding, size=3 * self.scale, scale=self.scale, pace=0.1)
        self.n = len(characters)
        self.draw = lambda: encoder.sites(characters, matrices=matrices, shifts=shifts, n_threads=threads)

    def time_sites(self, encoding, threads):
        self.draw()

    def track_sites(self, encoding, threads):
        return len(self.draw()[0]) / self.n


class Signatures:
    """Signatures of whole paths of 64 points."""

    params = ([2, 3], [2, 4])
    param_names = ["dimension", "level"]

    def setup(self, dimension, level):
        self.paths = list(np.random.default_rng(0).normal(size=(1000, 64, dimension)))

    def time_signature(self, dimension, level):
        sp.data.signature(self.paths, level)

    def time_log_signature(self, dimension, level):
        sp.data.log_signature(self.paths, level)


def measured(jobs, rounds):
    """Return the seconds of every round of each job, the jobs in turn."""
    seconds = {name: [] for name in jobs}
    for round_ in range(rounds + 1):
        for name, job in jobs.items():
            began = time.perf_counter()
            job()
            if round_:                                                  # the first only warms up
                seconds[name].append(time.perf_counter() - began)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--scale", type=int, default=16)
    parser.add_argument("--data", help="a folder with omniglot_strokes.npz")
    options = parser.parse_args()
    if options.data:
        whole = sp.readers.read_handwriting(Path(options.data) / "omniglot_strokes.npz")
        Encode.characters = whole.take(np.arange(min(options.characters, len(whole)))).characters
    else:
        Encode.characters = sp.data.digits()[0][:options.characters]
    Encode.scale = options.scale
    cases, jobs = {}, {}
    for encoding in ENCODINGS:
        for threads in options.threads:
            case = cases[encoding, threads] = Encode()
            case.setup(encoding, threads)
            jobs[encoding, threads] = case.draw
    print(f"{case.n} characters at scale {options.scale}, affine distortions; microseconds a character")
    print(f"{'encoding':<20} threads  least  median  sites  characters/s")
    for (encoding, threads), seconds in measured(jobs, options.rounds).items():
        best, middle = (1e6 * f(seconds) / case.n for f in (min, statistics.median))
        sites = cases[encoding, threads].track_sites(encoding, threads)
        print(f"{encoding:<20} {threads:>7} {best:>6.1f} {middle:>7.1f} {sites:>6.1f} {1e6 / best:>13,.0f}")
    print("\nsignatures of 1000 paths of 64 points; microseconds a path")
    for dimension in Signatures.params[0]:
        for level in Signatures.params[1]:
            case = Signatures()
            case.setup(dimension, level)
            seconds = measured({"signature": lambda c=case, m=level: c.time_signature(0, m),
                                "log-signature": lambda c=case, m=level: c.time_log_signature(0, m)}, options.rounds)
            figures = "; ".join(f"{name} {1e3 * min(took):.2f}" for name, took in seconds.items())
            print(f"d={dimension} level {level}: {figures}")


if __name__ == "__main__":
    main()
