"""Ranks over cupyx.distributed: as over MPI, with a strict stand-in for NCCL between threads."""

import queue
import sys
import threading
import types

import cupy_on_host
import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy.distributed import Averaged, NcclCommunicator, Ranks


class Nccl:
    """NCCL between threads: messages of a pair of ranks meet in their order, and only inside of groups."""

    def __init__(self, size):
        self.queues = {(a, b): queue.Queue() for a in range(size) for b in range(size)}
        self.here = threading.local()

    def groupStart(self):
        self.here.calls = []

    def groupEnd(self):
        calls, self.here.calls = self.here.calls, None
        for kind, mine, peer, array in sorted(calls, key=lambda call: call[0] == "recv"):
            if kind == "send":
                self.queues[mine, peer].put(array.get())
            else:
                found = self.queues[peer, mine].get(timeout=20)
                assert found.shape == array.shape                        # NCCL would write past the end
                array[...] = cupy_on_host.asarray(found)

    def add(self, *call):
        assert call[3].flags.c_contiguous and call[3].dtype == np.uint8
        self.here.calls.append(call)                                     # fails outside of a group


class Backend:
    """cupyx.distributed.NCCLBackend of one rank."""

    def __init__(self, nccl, rank):
        self.nccl, self.rank = nccl, rank

    def send(self, array, peer, stream=None):
        self.nccl.add("send", self.rank, peer, array)

    def recv(self, out_array, peer, stream=None):
        self.nccl.add("recv", self.rank, peer, out_array)


class Event:
    """An event that is done once it was asked for, as if the stream took some time."""

    asked = None

    def record(self):
        self.asked = 0

    @property
    def done(self):
        self.asked += 1
        return self.asked > 1


@pytest.fixture
def on_gpus(monkeypatch):
    """A function that runs task(ranks) on so many ranks, threads of this process."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)               # put back at the end

    def run(size, task):
        nccl, results = Nccl(size), [None] * size
        cuda = types.SimpleNamespace(nccl=nccl, Event=Event)
        cupy = types.SimpleNamespace(asarray=cupy_on_host.asarray, empty=cupy_on_host.empty, cuda=cuda)
        monkeypatch.setitem(sys.modules, "cupy", cupy)

        def one(rank):
            results[rank] = task(Ranks(NcclCommunicator(Backend(nccl, rank), size), timeout=20.0))

        threads = [threading.Thread(target=one, args=(rank,), daemon=True) for rank in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    return run


def exchanged(ranks):
    """Sums of all sizes, two at once, and objects."""
    rng = np.random.default_rng(ranks.rank)
    parts = [rng.standard_normal(n).astype(kind) for n in (0, 5, 100_003) for kind in ("f4", "f8")]
    first, second = (np.full(50_000, ranks.rank + i, np.float32) for i in range(2))
    both = [ranks.start_sum(first), ranks.start_sum(second)]
    both[1].progress()
    for part in both:
        part.finish()
    objects = ranks.gather({"rank": ranks.rank, "text": "x" * ranks.rank})
    return parts, [ranks.sum(part) for part in parts], (first[0], second[-1]), objects, ranks.broadcast(ranks.rank + 7)


@pytest.mark.parametrize("size", [2, 3])
def test_exchanges_are_those_of_mpi(on_gpus, size):
    found = on_gpus(size, exchanged)
    for _, sums, both, objects, number in found:
        for i, total in enumerate(sums):
            expected = np.zeros(len(total))
            for parts, *_ in found:
                expected = expected + parts[i]
            assert np.array_equal(total, expected.astype(total.dtype))
        assert both == (sum(range(size)), sum(range(1, size + 1)))
        assert objects == [{"rank": rank, "text": "x" * rank} for rank in range(size)]
        assert number == 7


@pytest.mark.parametrize("n", [5, 100_003])
def test_an_array_for_several_ranks_is_copied_to_the_gpu_once(on_gpus, monkeypatch, n):
    sent = []
    monkeypatch.setattr(Backend, "send", lambda self, array, peer: (sent.append((self.rank, id(array), array)),
                                                                    self.nccl.add("send", self.rank, peer, array)))
    on_gpus(3, lambda ranks: (ranks.start_sum(np.ones(n)).finish(), ranks.gather("text")))
    # A whole sum, or the sum of a slice, and an object with its length go to two ranks each; two slices to one each.
    assert len({key for _, key, _ in sent}) == 3 * (3 if n == 5 else 5)
    assert len(sent) == 3 * (6 if n == 5 else 8)


def test_two_ranks_train_as_one(on_gpus):
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((24, 5)).astype(np.float32), rng.integers(0, 3, 24)

    def network():
        return sp.Sequential(sp.NetworkInNetwork(5, 8, rng=1), sp.BatchNormalization(8), sp.ReLU(),
                             sp.NetworkInNetwork(8, 3, rng=2))

    def train(net, batch, ranks=False):
        data = [(x[i:i + batch], labels[i:i + batch]) for i in range(0, 24, batch)]
        optimizer = sp.SGD(net.parameters(), 0.1, 0.9)
        optimizer = Averaged(optimizer, ranks=ranks, bucket=64) if ranks else optimizer
        history = sp.fit(net, data, optimizer, 3, rng=0, progress=False)
        return {"losses": np.array(history.losses), **net.state()}

    # One batch an epoch on one process, both halves of it on two.
    alone, found = train(network(), 24), on_gpus(2, lambda ranks: train(network(), 12, ranks))
    for name, array in alone.items():
        np.testing.assert_allclose(found[0][name], array, rtol=1e-5, atol=1e-5, err_msg=name)
        assert np.array_equal(found[0][name], found[1][name])


def test_what_is_no_backend_is_refused(monkeypatch):
    with pytest.raises(TypeError, match="NcclCommunicator: expected a backend of cupyx.distributed, got"):
        NcclCommunicator(None, 2)
    with pytest.raises(ValueError, match="expected a backend of rank 0 to 1, got rank 2"):
        NcclCommunicator(Backend(None, 2), 2)
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(sp.errors.BackendError, match="expected CuPy to be installed"):
        NcclCommunicator(Backend(None, 0), 2)
