"""What activation checkpointing saves of a training step's memory, and what it costs in time: a deep residual net.

    OMP_WAIT_POLICY=passive python benchmarks/bench_checkpointing.py [--blocks 32] [--channels 32] [--threads 1]

Blocks of two submanifold convolutions with their norms and activations on the indoor scan of 100,427 sites, in parts of
so many blocks. Each way runs in a process of its own: the peak of resident memory in a training step beyond what there
was before it, rulebook and gradients included, and the processor's seconds of the second step.
"""

import argparse
import json
import subprocess
import sys
import time

import numpy as np
import workloads
from loops import peak_of

import spconv_cy as sp

SIZE = (208, 192, 96)


class Deep:
    """A residual net of so many blocks; parts of 0 blocks: all is kept."""

    params = [[8, 32], [32], [0, 2, 4, 8]]
    param_names = ["blocks", "channels", "part"]

    def setup(self, blocks, channels, part):
        sites = workloads.indoor_scan()
        self.sites, self.rows = sites, workloads.features(sites, 3)
        self.dy = np.random.default_rng(1).standard_normal((len(sites), channels), np.float32)
        residuals = [_block(channels, rng) for rng in range(blocks)]
        if part:
            residuals = [sp.layers.Checkpointed(*residuals[i:i + part]) for i in range(0, blocks, part)]
        self.net = sp.Sequential(sp.SubmanifoldConvolution(3, 3, channels, rng=0), *residuals)
        few = slice(0, 1000)                             # code and threads' stacks are in memory then
        self.step(self.sites[few], self.rows[few], self.dy[few])

    def step(self, sites, rows, dy):
        x = sp.SparseTensor.from_sites(sites, rows, SIZE, ground=None)
        self.net(x).features.backward(dy)
        for parameter in self.net.parameters():
            parameter.grad = None

    def time_training_step(self, *_):
        self.step(self.sites, self.rows, self.dy)

    def track_peak_mb(self, *_):
        return peak_of(self.time_training_step)[0]


def _block(channels, rng):
    layers = []
    for half in range(2):
        layers += [sp.BatchNormalization(channels, slope=0),
                   sp.SubmanifoldConvolution(3, channels, channels, bias=False, rng=2 * rng + half)]
    return sp.Residual(*layers)


def alone(blocks, channels, part, threads):
    """Return {"MB", "seconds"} of this process."""
    sp.set_threads(threads)
    case = Deep()
    case.setup(blocks, channels, part)
    peak = case.track_peak_mb()
    begin = time.process_time()
    case.time_training_step()
    return {"MB": peak, "seconds": time.process_time() - begin}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("blocks", 32), ("channels", 32), ("threads", 1), ("part", None)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    if options.part is not None:
        print(json.dumps(alone(options.blocks, options.channels, options.part, options.threads)))
        return
    for part in (0, 1, 2, 4, 8, 16):
        arguments = [f"--{name}={getattr(options, name)}" for name in ("blocks", "channels", "threads")]
        command = [sys.executable, __file__, *arguments, f"--part={part}"]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        print(f"{f'parts of {part:2d} blocks' if part else 'all kept':20s} peak {found['MB']:7.0f} MB   step "
              f"{found['seconds']:6.2f} s of the processor")


if __name__ == "__main__":
    main()
