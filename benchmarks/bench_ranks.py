"""Training on one rank and on more, each of one thread on a processor of its own, with equal batches of all together.

    python benchmarks/bench_ranks.py [--ranks 2] [--rounds 3] [--only digits unet]

Needs mpi4py and mpiexec (`pip install mpi4py mpich`). Runs in turns; the best epoch of each side counts.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import spconv_cy as sp
from spconv_cy.distributed.shards import shard
from spconv_cy.train.batch_list import as_batches

EPOCHS = 6
SCENES, LEVELS, CLASSES = 8, [16, 32, 48, 64], 20


def digits(ranks):
    """Return DeepCNet(5, 30) and 1,000 pen digits at scale 64, 100 in a step of all ranks."""
    characters, labels = sp.data.digits()
    encoder = sp.data.StrokeEncoder("octogram", size=96, scale=64)
    batches = sp.data.StrokeBatches(characters[:1000], labels[:1000], encoder, batch=100 // ranks.size, augment="mild")
    return sp.models.deepcnet(5, 30, encoder.planes, 10, rng=0), batches


def unet(ranks):
    """Return a U-Net and 8 tiles of the indoor scan with about 12,500 sites each, 4 in a step of all ranks."""
    import workloads

    sites = workloads.indoor_scan()
    rng, pairs = np.random.default_rng(0), []
    for i, part in enumerate(np.array_split(np.argsort(sites[:, 1], kind="stable"), SCENES)):
        features = rng.standard_normal((len(part), 3)).astype(np.float32)
        x = sp.SparseTensor.from_sites(sites[part], features, ground=None)
        pairs.append((x, np.random.default_rng(i).integers(0, CLASSES, len(part))))
    each = 4 // ranks.size
    pairs = [(sp.collate([x for x, _ in pairs[i:i + each]]), np.concatenate([y for _, y in pairs[i:i + each]]))
             for i in range(0, SCENES, each)]
    net = sp.models.unet(len(LEVELS), LEVELS, 3, CLASSES, rng=0)
    return net, pairs


def worker(name, apart):
    """Train; rank 0 prints the seconds of each epoch (of the slower rank, if they train apart) and the last loss."""
    sp.set_threads(1)
    ranks = sp.distributed.world()
    net, data = globals()[name](ranks)
    optimizer = sp.SGD(net.parameters(), 0.01, 0.9)
    if apart:
        history = sp.fit(net, _Part(data, ranks), optimizer, EPOCHS, rng=0, progress=False, loss=_loss,
                         on_epoch=lambda _: ranks.stack(np.zeros(1)))
    else:
        history = sp.fit(net, data, sp.distributed.Averaged(optimizer), EPOCHS, rng=0, progress=False, loss=_loss)
    seconds = ranks.stack(np.array(history.seconds)).max(0).tolist()
    if ranks.first:
        print(json.dumps({"seconds": seconds, "loss": history.losses[-1]}))


class _Part:
    """The batches that `fit` gives to one of several ranks, for a run of each rank alone."""

    def __init__(self, data, ranks):
        self.data, self.ranks = as_batches(data, "bench_ranks"), ranks

    def __len__(self):
        return len(self.data) // self.ranks.size

    def epoch(self, epoch, seed, *, training):
        return ((x, labels) for _, _, x, labels in shard(self.data, self.ranks, epoch, seed, training=training))


def _loss(y, labels):
    return sp.softmax_cross_entropy(getattr(y, "features", y), labels)


def run(name, n, *options):
    """Return what n ranks report."""
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if mpiexec is None:
        sys.exit("bench_ranks: expected mpiexec, got none; pip install mpi4py mpich")
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [mpiexec, "-bind-to", "core", "-n", str(n), sys.executable, __file__, "--worker", name, *options]
    return json.loads(subprocess.run(command, env=variables, check=True, capture_output=True, text=True).stdout)


def main():
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=["digits", "unet"], choices=["digits", "unet"])
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--apart", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.apart)
        return
    for name in options.only:
        compare(name, options.ranks, options.rounds)


def compare(name, n, rounds):
    """Print the best epoch of one rank, of n, and of n processes that share the batches and exchange nothing."""
    sides = {"one rank": (1,), f"{n} ranks": (n,), "apart": (n, "--apart")}
    best, losses = dict.fromkeys(sides, np.inf), {}
    for _ in range(rounds):
        for side, how in sides.items():
            found = run(name, *how)
            best[side] = min(best[side], *found["seconds"][1:])
            losses[side] = found["loss"]
    one, together, apart = best.values()
    print(f"{name}: an epoch takes {one:.3f} s on one rank, {together:.3f} s on {n}: "
          f"{one / together:.2f} times as fast")
    print(f"    losses {losses['one rank']:.6f} and {losses[f'{n} ranks']:.6f}")
    print(f"    without any exchange it would take {apart:.3f} s: {one / apart:.2f} times as fast", flush=True)


if __name__ == "__main__":
    main()
