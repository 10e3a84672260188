"""Training on one rank and on more, each of one thread on a processor of its own, with equal batches of all together.

    python benchmarks/bench_ranks.py [--ranks 2] [--rounds 3] [--only digits unet]
    python benchmarks/bench_ranks.py --model [--rounds 2]      (--drawn: from the record of the last time)

With --model, a model of the time of a step is fitted to runs with 1, 2 and 4 ranks, on this machine and, where possible
(root, iproute2), on hosts in network namespaces. It writes docs/benchmarks/ranks.json and ranks.png.

    python benchmarks/bench_ranks.py --memory        of one scene, cut among ranks
    python benchmarks/bench_ranks.py --overlap       how much of the sums of gradients backward hides

Needs mpi4py and mpiexec (`pip install mpi4py mpich`). The sides run in turns. The processors of a rented machine change
their speed by themselves, so a product of matrices is timed before and after each epoch, on every rank: the medians are
of the epochs in which all were at full speed.
"""

import argparse
import inspect
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rank_hosts
import rank_memory
import rank_model
import rank_overlap

import spconv_cy as sp
from spconv_cy.distributed.shards import shard
from spconv_cy.train.batch_list import as_batches

EPOCHS = {"digits": 8, "unet": 40}                      # an epoch takes about 1 s and 0.2 s
TASKS = {"memory": rank_memory.task, "overlap": rank_overlap.task, "message": rank_model.task}
STEADY = 1.08                                           # processors this much slower than their best are not counted
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


def worker(name, apart, epochs, each):
    """Train; rank 0 prints the seconds of each epoch, how fast the processor was, what was sent, and the last loss."""
    ranks = sp.distributed.world()
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, [cores[ranks.rank % len(cores)]])
    sp.set_threads(1)
    net, data = globals()[name](ranks if each is None else argparse.Namespace(size=each))
    data, optimizer = Timed(data, ranks, apart), sp.SGD(net.parameters(), 0.01, 0.9)
    optimizer = optimizer if apart else sp.distributed.Averaged(optimizer)
    history = sp.fit(net, data, optimizer, epochs, rng=0, progress=False, loss=_loss)
    rows = ranks.stack(np.array(data.rows))
    if ranks.first:
        sent = [int(number) // data.steps for number in rows[0, -1, 2:]]
        print(json.dumps({"seconds": (rows[..., 0].max(0) / data.steps).tolist(), "probe": rows[..., 1].max(0).tolist(),
                          "messages": sent[0], "bytes": sent[1], "loss": history.losses[-1]}))


class Timed:
    """Batches that note (seconds, seconds of a product of matrices, messages, bytes) of each epoch of this rank.

    Args:
        data: as for `fit`.
        ranks: Ranks.
        apart: each rank trains alone, on its own share.
    """

    def __init__(self, data, ranks, apart):
        self.data, self.ranks, self.apart, self.rows = as_batches(data, "bench_ranks"), ranks, apart, []

    def __len__(self):
        return len(self.data) // (self.ranks.size if self.apart else 1)

    def epoch(self, epoch, seed, *, training, choose=range):
        """Yield the batches of an epoch between two measurements."""
        if self.apart:
            batches = ((x, labels) for _, _, x, labels in shard(self.data, self.ranks, epoch, seed, training=training))
        elif "choose" in inspect.signature(self.data.epoch).parameters:
            batches = self.data.epoch(epoch, seed, training=training, choose=choose)
        else:
            made = list(self.data.epoch(epoch, seed, training=training))
            batches = (made[i] for i in choose(len(made)))
        before = probe()
        self.ranks.stack(np.zeros(1))                                    # all begin together
        sent, began = (self.ranks.messages, self.ranks.sent), time.perf_counter()
        self.steps = 0
        for batch in batches:
            self.steps += 1
            yield batch
        seconds, sent = time.perf_counter() - began, (self.ranks.messages - sent[0], self.ranks.sent - sent[1])
        self.rows.append((seconds, (before + probe()) / 2, *sent))


def probe():
    """Return the least seconds of 12 products of small matrices, which tell how fast the processor is now."""
    a, least = np.ones((192, 192), np.float32), np.inf
    for _ in range(12):
        began = time.perf_counter()
        np.matmul(a, a)
        least = min(least, time.perf_counter() - began)
    return least


def _loss(y, labels):
    return sp.softmax_cross_entropy(getattr(y, "features", y), labels)


def run(name, n, *options, epochs=10, hosts=None):
    """Return what n ranks report, of this machine or of Hosts."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    start = [mpiexec()] if hosts is None else hosts.command(mpiexec())
    command = [*start, "-n", str(n), sys.executable, __file__, "--worker", name, "--epochs", str(epochs), *options]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return json.loads(done.stdout)


def mpiexec():
    """Return the path of mpiexec, or end the program."""
    found = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    return found or sys.exit("bench_ranks: expected mpiexec, got none; pip install mpi4py mpich")


def main():
    """Print seconds and ratios, or the model of a step's time, or memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2, choices=(1, 2, 4), help="so many share the batches equally")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=list(EPOCHS), choices=list(EPOCHS))
    parser.add_argument("--epochs", type=int, help=f"of each run, the first not counted; by default {EPOCHS}")
    parser.add_argument("--model", action="store_true")
    parser.add_argument("--drawn", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--overlap", action="store_true")
    for name in ("worker", "each"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    parser.add_argument("--apart", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for name, value, least in ("--rounds", options.rounds, 1), ("--epochs", options.epochs, 2):
        if value is not None and value < least:
            parser.error(f"argument {name}: expected {least} or more, got {value}")
    if options.worker in TASKS:
        found = TASKS[options.worker](options.each)
        if sp.distributed.world().first:
            print(json.dumps(found))
        return
    if options.worker:
        worker(options.worker, options.apart, options.epochs, options.each and int(options.each))
        return
    if options.memory:
        print("\n".join(rank_memory.report(lambda n, path: run("memory", n, "--each", str(path)))))
        return
    if options.overlap:
        print("\n".join(rank_overlap.report(lambda bucket: run("overlap", options.ranks, "--each", str(bucket)))))
        return
    if options.model or options.drawn:
        model(options)
        return
    for name in options.only:
        compare(name, options.ranks, options.rounds, options.epochs or EPOCHS[name])


def model(options):
    """Print the model's tables."""
    why, rows = "", None
    if not options.drawn:
        why = rank_hosts.possible()
        rows = rank_model.measure(run, options.only, None if why else rank_hosts.Hosts, options.rounds)
    print("\n".join(rank_model.write(rows, Path(__file__).parents[1] / "docs" / "benchmarks" / "ranks.json")))
    if why:
        print(f"No hosts in network namespaces: {why}")


def compare(name, n, rounds, epochs):
    """Print the steps of one rank, of n, and what n can reach at most.

    That is shown by a process that trains on its share of the batches alone, and by n of them at the same time, which
    exchange nothing.
    """
    sides = {"one rank": (1,), f"{n} ranks": (n,), "apart": (n, "--apart"), "share": (1, "--each", str(n))}
    rows, losses = {side: [] for side in sides}, {}
    for _ in range(rounds):
        for side, how in sides.items():
            found = run(name, *how, epochs=epochs)
            rows[side] += list(zip(found["probe"][1:], found["seconds"][1:], strict=True))
            losses[side] = found["loss"]
    fastest = min(row[0] for side in rows.values() for row in side)
    quick = {side: [seconds for probed, seconds in found if probed < STEADY * fastest] for side, found in rows.items()}
    best = {side: min(seconds for _, seconds in found) for side, found in rows.items()}
    print(f"{name}, ms of a step, losses {losses['one rank']:.6f} and {losses[f'{n} ranks']:.6f}")
    for what, of in (("best epoch", best), ("median of epochs at the processors' full speed",
                                            {side: float(np.median(some)) for side, some in quick.items() if some})):
        if len(of) == len(sides):
            one, together, apart, share = (1e3 * seconds for seconds in of.values())
            print(f"    {what}: {one:.1f} on one rank, {together:.1f} on {n}: {one / together:.2f} times as fast; "
                  f"{apart:.1f} without any exchange: {one / apart:.2f}; "
                  f"{share:.1f} for a rank's share alone: {one / share:.2f}")
    print("    epochs at full speed:", ", ".join(f"{side} {len(some)} of {len(rows[side])}"
                                                 for side, some in quick.items()), flush=True)


if __name__ == "__main__":
    main()
