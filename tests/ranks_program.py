"""What tests/test_distributed.py runs under mpiexec: `ranks_program.py TASK,TASK FOLDER`."""

import errno
import os
import signal
import sys
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np

import spconv_cy as sp
from spconv_cy.distributed import Averaged, world
from spconv_cy.distributed import ranks as exchanging
from spconv_cy.distributed.failing import Faults

SAMPLES = 37                                            # with batches of 12: three full rounds and a single sample


def network():
    """Return a network with shared statistics, dropout of channels and a ground state."""
    return sp.Sequential(
        sp.SubmanifoldConvolution(2, 3, 8, 3, rng=1), sp.BatchNormalization(8), sp.ReLU(), sp.MaxPooling(2, 2, 2),
        sp.Dropout(0.5, rng=3), sp.Convolution(2, 8, 8, 3, rng=2), sp.BatchNormalization(8), sp.ReLU(),
        sp.GlobalPooling(), sp.NetworkInNetwork(8, 4, rng=4))


def samples():
    """Return SAMPLES SparseTensors and their labels."""
    rng, x = np.random.default_rng(0), []
    for _ in range(SAMPLES):
        sites = np.unique(rng.integers(0, 12, (rng.integers(20, 60), 2)), axis=0)
        sites = np.column_stack([np.zeros(len(sites), int), sites])
        x.append(sp.SparseTensor.from_sites(sites, rng.standard_normal((len(sites), 3)), size=12))
    return x, rng.integers(0, 4, SAMPLES)


def run(batch, epochs=3, ranks=False, **options):
    """Train, and return the network and the history."""
    net, data = network(), sp.data.TensorBatches(*samples(), batch=batch)
    history = sp.train.fit(net, data, sp.train.SGD(net.parameters(), 0.05, 0.9), epochs, rng=5, progress=False,
                           ranks=ranks, **options)
    return net, history


def results(net, history):
    """Return all numbers of a run by name."""
    return {**net.state(), "losses": history.losses, "errors": history.errors,
            "validation": history.validation_losses}


def train(folder):
    """Train on all ranks; every rank writes what it has."""
    data = sp.data.TensorBatches(*samples(), batch=5)
    net, history = run(12 // world().size, ranks=True, validation=data)
    found = sp.train.evaluate(net, data, ranks=True)
    alone = sp.train.evaluate(net, data)
    np.savez(folder / f"train{world().rank}.npz", **results(net, history), outputs=found.outputs, alone=alone.outputs,
             labels=found.labels)


@contextmanager
def far():
    """Send all messages through MPI in a `with` statement, as between machines."""
    ranks = world()
    assert ranks.near or sys.platform != "linux"
    mailbox, ranks._mailbox = ranks._mailbox, None
    yield
    ranks._mailbox = mailbox


def sums(folder):
    """Sum arrays of all sizes, in one and in two steps, and gather objects."""
    ranks, found = world(), {}
    rng = np.random.default_rng(ranks.rank)
    for n in (0, 1, 5, 1000, 16385, 100_003):
        for kind in (np.float32, np.float64):
            array = rng.standard_normal(n).astype(kind)
            found[f"{n} {np.dtype(kind)}"] = ranks.sum(array)
            with far():
                assert np.array_equal(ranks.sum(array), found[f"{n} {np.dtype(kind)}"])
    first, second = (np.full(50_000, ranks.rank + i, np.float32) for i in range(2))
    both = [ranks.start_sum(first), ranks.start_sum(second)]             # two at the same time
    while not all([part.progress() for part in both]):
        time.sleep(1e-3)                                                 # computes
    objects = ranks.gather({"rank": ranks.rank, "text": "x" * 10**5 * ranks.rank})
    assert [part["rank"] for part in objects] == list(range(ranks.size))
    assert [len(part["text"]) for part in objects] == [10**5 * i for i in range(ranks.size)]
    assert ranks.broadcast(ranks.rank + 7) == 7
    assert ranks.sum(np.float32(0.5)) == 0.5 * ranks.size                # shape ()
    assert (ranks.sum(np.full(20_000, ranks.rank)) == sum(range(ranks.size))).all()  # integers
    assert ranks.sum(ranks.rank) == sum(range(ranks.size)) and ranks.sum(np.ones(2, bool)).tolist() == [True, True]
    for where in nullcontext, far:
        with where():
            assert ranks.stack(ranks.rank).tolist() == list(range(ranks.size))
    np.savez(folder / f"sums{ranks.rank}.npz", first=first, second=second, **found)


def loop(folder):
    """Train in a loop without fit: rank 0 begins with other weights, one parameter has no gradient on rank 1."""
    ranks = world()
    w = sp.Tensor(np.full(3, 1.0 + ranks.rank), requires_grad=True)
    unused, sometimes = (sp.Tensor(np.ones(2), requires_grad=True) for _ in range(2))
    optimizer = Averaged(sp.train.SGD([w, unused, sometimes], rate=0.5))
    n = (3, 1)[ranks.rank]
    loss = (w * w).sum() * (1.0 + ranks.rank)
    if ranks.first:
        loss = loss + sometimes.sum()
    optimizer.weighted(loss, n).backward()
    optimizer.step()
    np.savez(folder / f"loop{ranks.rank}.npz", w=w.data, unused=unused.data, sometimes=sometimes.data)


def buckets(folder):
    """Train with one sum of all gradients a step, and with many that begin in the backward pass."""
    states, orders, exchanges = [], [], []
    for bucket, where in (2**22, nullcontext), (100, nullcontext), (100, far):
        net = network()
        optimizer = Averaged(sp.train.SGD(net.parameters(), 0.05, 0.9), bucket=bucket)
        with where():
            before = world()._calls
            sp.train.fit(net, sp.data.TensorBatches(*samples(), batch=6), optimizer, 2, rng=5, progress=False)
            exchanges.append(world()._calls - before)
        states.append(net.state())
        orders.append([event for event, *_ in optimizer.trace])
    assert all(np.array_equal(state[name], states[0][name]) for name in states[0] for state in states)
    assert orders[0] == ["ready", "started", "summed"]
    assert exchanges[2] > 50 and (exchanges[0] == exchanges[1] < 15 or not world().near), exchanges
    first, last = orders[1].index("started"), len(orders[1]) - orders[1][::-1].index("ready")
    assert orders[1].count("started") == orders[2].count("started") > 4  # the last layers are summed
    assert first < last - 1                                              # before the first have gradients
    np.savez(folder / f"buckets{world().rank}.npz", **states[1])


def resume(folder):
    """Train for 2 epochs of 4, as many as the file of another run leaves."""
    net, history = run(12 // world().size, 4, ranks=True, checkpoint=folder / "run.safetensors")
    if world().first:
        np.savez(folder / "resumed.npz", **results(net, history))


def full(folder):
    """The disk is full when rank 0 writes the second checkpoint."""
    def fsync(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def on_epoch(_):
        os.fsync = fsync

    run(6, 10**6, ranks=True, checkpoint=folder / "full.safetensors", on_epoch=on_epoch)


class InEpoch:
    """Batches that rank 1 cannot make any more: it calls `fault()` at its second batch of the third epoch."""

    def __init__(self, fault):
        self.data, self.fault = sp.data.TensorBatches(*samples(), batch=6), fault

    def __len__(self):
        return len(self.data)

    def epoch(self, epoch, seed, *, training, choose=range):
        """Yield the batches of an epoch."""
        for i, batch in enumerate(self.data.epoch(epoch, seed, training=training, choose=choose)):
            if world().rank == 1 and (epoch, i) == (2, 1):
                self.fault()
            yield batch


def ends(fault):
    """Train with a fault on rank 1."""
    net = network()
    sp.train.fit(net, InEpoch(fault), sp.train.SGD(net.parameters(), 0.05), 10**6, progress=False, ranks=True)


def dies(folder):
    """Rank 1 is killed."""
    ends(lambda: os.kill(os.getpid(), signal.SIGKILL))


def leaves(folder):
    """Rank 1 ends its program."""
    exchanging.LEAVING = 0.1
    ends(lambda: sys.exit(3))


def raises(folder):
    """Rank 1 meets an error that the others do not."""
    ends(lambda: open("no-such-file"))


def early(folder):
    """All but one meet an error before they know of each other."""
    if os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK")) != "1":
        raise LookupError("no data")
    world().sum(np.ones(3))


def other(folder):
    """The ranks have different data, arrays or numbers of epochs; each writes the errors."""
    ranks, texts = world(), []
    net, rank = network(), world().rank
    x, labels = samples()
    pairs = [(sp.collate(x[i:i + 4]), labels[i:i + 4]) for i in range(0, 16, 4)]
    for data, epochs in (sp.data.TensorBatches(x[rank:], labels[rank:], batch=6), 1), \
            (sp.data.TensorBatches(x, labels, batch=6 + rank), 1), (pairs[:4 - rank], 1), (pairs, 1 + rank):
        try:
            sp.train.fit(net, data, sp.train.SGD(net.parameters(), 0.05), epochs, progress=False, ranks=True)
        except ValueError as error:
            texts.append(str(error))
    try:
        sp.train.evaluate(net, pairs[:4 - rank], progress=False, ranks=True)
    except ValueError as error:
        texts.append(str(error))
    (folder / f"other{rank}.txt").write_text("\n".join(texts))
    ranks.sum(np.ones(1 + 5000 * rank))                                  # one through memory, one through MPI


def wrong(folder):
    """All ranks meet the same error; the one that shows it waits until the others know that they do not."""
    stay = Faults.stay

    def noted(self):
        (folder / f"silent{world().rank}").touch()
        stay(self)

    def shows(*error):
        while len(list(folder.glob("silent*"))) < world().size - 1:
            world()._faults.look()                                       # rank 0 answers the others
            time.sleep(1e-3)
        sys.__excepthook__(*error)

    Faults.stay, sys.excepthook, net = noted, shows, network()           # before the ranks are made
    world()
    sp.train.fit(net, [], sp.train.SGD(net.parameters(), 0.05), 3, ranks=True)


def hangs(folder):
    """Rank 1 does not come to the second sum."""
    ranks = world()
    ranks.sum(np.ones(3))
    if ranks.rank == 1:
        signal.pause()
    ranks.timeout = 0.5
    ranks.sum(np.ones(3))


def differ(folder):
    """The ranks have different networks; each writes its error."""
    try:
        Averaged(sp.train.SGD(sp.NetworkInNetwork(2, 3 + world().rank).parameters(), 0.1))
    except sp.errors.ShapeError as error:
        (folder / f"differ{world().rank}.txt").write_text(str(error))


if __name__ == "__main__":
    for name in sys.argv[1].split(","):
        globals()[name](Path(sys.argv[2]))
