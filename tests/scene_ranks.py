"""Ranks that are threads of one process, for tests/test_scene.py; under mpiexec it runs the network of the test."""

import queue
import sys
import threading
from pathlib import Path

import numpy as np

import spconv_cy as sp
from spconv_cy.distributed import Ranks, gather, scatter, world


class Threads(Ranks):
    """A rank that is a thread; messages go through queues, one for each pair of ranks."""

    def __init__(self, rank, size, queues):
        """Take the rank's number, how many there are, and the queues of all."""
        super().__init__(timeout=20.0)
        self.rank, self.size, self.queues = rank, size, queues

    def exchange(self, sent, received):
        """See Ranks.exchange."""
        for rank, array in sent.items():
            self.queues[self.rank, rank].put(array.copy())
        for rank, array in received.items():
            found = self.queues[rank, self.rank].get(timeout=self.timeout)
            assert (found.shape, found.dtype) == (array.shape, array.dtype)
            array[...] = found

    def gather(self, value):
        """See Ranks.gather."""
        for rank in self.others():
            self.queues[self.rank, rank].put((value,))
        parts = {rank: self.queues[rank, self.rank].get(timeout=self.timeout)[0] for rank in self.others()}
        return [parts.get(rank, value) for rank in range(self.size)]

    def stack(self, array):
        """See Ranks.stack."""
        return np.stack(self.gather(np.asarray(array)))

    def sum(self, array):
        """See Ranks.sum."""
        total = np.zeros(array.shape)
        for part in self.gather(array):
            total += part
        return total.astype(array.dtype)


def on_threads(size, task):
    """Call task(ranks) on so many ranks at once; return the results, or raise the first error that is not a wait's."""
    queues = {(a, b): queue.Queue() for a in range(size) for b in range(size)}
    results, errors = [None] * size, []

    def run(rank):
        try:
            results[rank] = task(Threads(rank, size, queues))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise next((error for error in errors if not isinstance(error, queue.Empty)), errors[0])
    return results


def scene(n=700, width=28, samples=2, dtype="float64", channels=3, needs=True):
    """Return sites on a rough surface with features, and a label for each."""
    rng = np.random.default_rng(5)
    flat = rng.integers(0, width, (n, 2))
    height = (6 + 3 * np.sin(flat[:, 0] / 5) + rng.integers(0, 2, n)).astype(int)
    sites = np.unique(np.column_stack([rng.integers(0, samples, n), flat, height]), axis=0)
    grid = sp.Grid.from_sites(sites)
    with sp.use("reference" if dtype == "float64" else "cpu"):
        features = sp.Tensor(rng.standard_normal((grid.n, channels)).astype(dtype), requires_grad=needs)
    return sp.SparseTensor(features, grid), rng.integers(0, 4, grid.n)


def network():
    """Return a U-Net with strided convolutions down, their inverses up, batch normalisation and shortcuts."""
    return sp.models.unet(3, 6, 3, 4, residual=True, rng=0)


def step(net, x, labels, ranks=None, steps=2):
    """Train for some steps; return all that must be equal, by name, on rank 0."""
    losses = []
    optimizer = sp.train.SGD(net.parameters(), 0.05, 0.9)
    if ranks is not None:
        x, labels = scatter(x, labels, ranks=ranks) if ranks.first else scatter(None, ranks=ranks)
    for _ in range(steps):
        x.features.grad = None
        optimizer.zero_grad()
        y = net(x)
        loss = sp.functional.softmax_cross_entropy(y.features, labels)
        loss.backward()
        losses.append(float(loss.data))
        gradients = {f"gradient of {name}": p.grad.copy() for name, p in enumerate(net.parameters())}
        optimizer.step()
    found = {"losses": np.array(losses), **gradients, **net.state()}
    if ranks is None:
        return {**found, "outputs": y.features.numpy(), "input gradient": x.features.grad}
    whole = gather(y, np.asarray(x.features.grad))
    if ranks.first:
        found |= {"outputs": whole[0].features.numpy(), "input gradient": whole[1], "sites": whole[0].sites}
    return found


if __name__ == "__main__":
    with sp.use("reference"):
        results = step(network(), *(scene() if world().first else (None, None)), ranks=world())
    if world().first:
        np.savez(Path(sys.argv[1]), **results)
