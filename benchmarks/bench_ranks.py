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

EPOCHS = 3
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


def worker(name):
    """Train; rank 0 prints the seconds of each epoch and the last loss."""
    sp.set_threads(1)
    ranks = sp.distributed.world()
    net, data = globals()[name](ranks)
    optimizer = sp.distributed.Averaged(sp.SGD(net.parameters(), 0.01, 0.9))
    history = sp.fit(net, data, optimizer, EPOCHS, rng=0, progress=False, loss=_loss)
    if ranks.first:
        print(json.dumps({"seconds": history.seconds, "loss": history.losses[-1]}))


def _loss(y, labels):
    return sp.softmax_cross_entropy(getattr(y, "features", y), labels)


def run(name, n):
    """Return what n ranks report."""
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if mpiexec is None:
        sys.exit("bench_ranks: expected mpiexec, got none; pip install mpi4py mpich")
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [mpiexec, "-bind-to", "core", "-n", str(n), sys.executable, __file__, "--worker", name]
    return json.loads(subprocess.run(command, env=variables, check=True, capture_output=True, text=True).stdout)


def main():
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=["digits", "unet"], choices=["digits", "unet"])
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker)
        return
    for name in options.only:
        best, losses = {}, {}
        for _ in range(options.rounds):
            for n in (1, options.ranks):
                found = run(name, n)
                best[n] = min(best.get(n, np.inf), *found["seconds"][1:])
                losses[n] = found["loss"]
        print(f"{name}: an epoch takes {best[1]:.3f} s on one rank, {best[options.ranks]:.3f} s on {options.ranks}: "
              f"{best[1] / best[options.ranks]:.2f} times as fast; losses {losses[1]:.6f} and "
              f"{losses[options.ranks]:.6f}", flush=True)


if __name__ == "__main__":
    main()
