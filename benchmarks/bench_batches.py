"""How long a training epoch of pen digits waits for its batches: prepared ahead, in turn, and all before it begins.

    python benchmarks/bench_batches.py [--digits N] [--repeats R] [--encoding NAME]
"""

import argparse
import statistics
import time

import numpy as np

import spconv_cy as sp


class Watched:
    """What hands out batches, with the seconds that were spent in asking it for them."""

    def __init__(self, batches, epoch):
        self.n, self.make, self.waited = len(batches), epoch, 0.0

    def __len__(self):
        return self.n

    def epoch(self, epoch, seed=0, *, training):
        stream, self.waited = iter(self.make(epoch, seed)), 0.0
        while True:
            began = time.perf_counter()
            batch = next(stream, None)
            self.waited += time.perf_counter() - began
            if batch is None:
                return
            yield batch


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--digits", type=int, default=7494)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--encoding", default="octogram")
    options = parser.parse_args()
    characters, labels = (part[:options.digits] for part in sp.data.digits_split()[0])
    encoder = sp.data.StrokeEncoder(options.encoding, size=48, scale=16)
    batches = sp.data.StrokeBatches(characters, labels, encoder, augment="mild")
    net = sp.models.deepcnet(4, 20, encoder.planes, 10, d=encoder.dimension, rng=0)
    optimizer = sp.Adam(net.parameters())
    made = list(batches.epoch(0, training=True))

    def in_turn(epoch, seed):
        make = batches.prepare(epoch, seed, True)
        for first in range(0, len(batches), batches.batch):
            items = np.arange(first, min(first + batches.batch, len(batches)))
            yield make(items), batches.labels[items]

    ways = {"ahead": lambda epoch, seed: batches.epoch(epoch, seed, training=True), "in turn": in_turn,
            "before": lambda epoch, seed: made}
    seconds, waited = ({name: [] for name in ways} for _ in range(2))
    for _ in range(options.repeats):                                    # in turns, so that all meet the same machine
        for name, epoch in ways.items():
            watched = Watched(batches, epoch)
            seconds[name] += sp.fit(net, watched, optimizer, 1, rng=0, progress=False).seconds
            waited[name].append(watched.waited)
    for name in ways:
        print(f"{name:<8} epoch: median {statistics.median(seconds[name]):.2f} s, least {min(seconds[name]):.2f} s; "
              f"waited for batches: median {statistics.median(waited[name]):.3f} s, most {max(waited[name]):.3f} s")


if __name__ == "__main__":
    main()
