"""Work in a parent and in processes that it starts, by the way that is named: the same bits. Run by test_fork."""

import multiprocessing
import os
import sys
import threading
import warnings

import numpy as np

import spconv_cy as sp

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and later warn of forks beside threads
rng = np.random.default_rng(0)
sites = np.unique(np.c_[np.zeros(12000, int), rng.integers(0, 40, (12000, 3))], axis=0)
features = rng.normal(size=(len(sites), 8))
net = sp.Sequential(sp.SubmanifoldConvolution(3, 8, 16, 3, rng=0), sp.BatchNormalization(16), sp.ReLU(),
                    sp.Convolution(3, 16, 8, 2, 2, rng=1))


def work(_=None):
    """Return the bits of a step: rules, forward, backward, in parallel regions."""
    x = sp.SparseTensor.from_sites(sites[::-1], features, ground=None)
    for p in net.parameters():
        p.grad = None
    (net(x).features ** 2).sum().backward()
    return b"".join(p.grad.tobytes() for p in net.parameters())


def forked():
    """Do the work in a child of os.fork and return its bits."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        with os.fdopen(write, "wb") as pipe:
            pipe.write(work())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        found = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return found


def pool(method):
    """Do the work in two processes of a pool."""
    with multiprocessing.get_context(method).Pool(2) as workers:
        return workers.map_async(work, range(2)).get(timeout=60)


def by_joblib():
    """Do the work in joblib's processes."""
    import joblib

    return joblib.Parallel(2)(joblib.delayed(work)(i) for i in range(2))


def from_a_thread():
    """Fork in another thread than the one that computed, while a third one computes."""
    found, ended = [], threading.Event()
    busy = threading.Thread(target=lambda: [work() for _ in iter(ended.is_set, True)])
    forks = threading.Thread(target=lambda: found.extend([work(), forked(), forked()]))
    forks.start(), forks.join()
    busy.start()
    found.extend([forked() for _ in range(3)])
    ended.set(), busy.join()
    return found


def inside_fit():
    """Fork while a batch of fit is computed; the child goes on with the epoch, whose batches a thread prepares."""
    x = [sp.SparseTensor.from_sites(sites[i::7] * [0, 1, 1, 1], features[i::7], 40, ground=None) for i in range(7)]
    model = sp.Sequential(sp.SubmanifoldConvolution(3, 8, 8, 3, rng=0), sp.GlobalPooling(), sp.NetworkInNetwork(8, 2))
    data, losses, children = sp.data.TensorBatches(x, [0, 1, 0, 1, 0, 1, 0], batch=1), [], []

    def loss(y, labels):
        if len(losses) == 2:
            children.append(os.fork())
        losses.append(sp.softmax_cross_entropy(y, labels))
        return losses[-1]

    sp.fit(model, data, sp.Adam(model.parameters(), 0.01), 2, loss=loss, rng=0, progress=False)
    if not children[0]:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 7
    return []


WAYS = {"os.fork": lambda: [forked(), forked()], "fork": lambda: pool("fork"), "spawn": lambda: pool("spawn"),
        "forkserver": lambda: pool("forkserver"), "joblib": by_joblib, "thread": from_a_thread, "fit": inside_fit}

if __name__ == "__main__":
    sp.set_threads(2)
    truth = work()
    for way in sys.argv[1:]:
        assert all(bits == truth for bits in WAYS[way]()), way
    assert work() == truth
    print("same bits")
