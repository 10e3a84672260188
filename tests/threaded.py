"""What the tests of several Python threads share: `together`, networks to train, and the bits of what they give."""

import contextvars
import copy
import sys
import threading

from contract import outcome, sparse

import spconv_cy as sp

OFTEN = 1e-6                                                             # seconds after which threads change places


def together(n, work):
    """Return [work(0), ..., work(n - 1)], each on a thread of its own; all begin at once and change places often."""
    barrier, found, failed = threading.Barrier(n), [None] * n, []

    def go(i):
        try:
            barrier.wait()
            found[i] = work(i)
        except BaseException as error:
            failed.append(error)

    # Each in a copy of this thread's context, so that `use` and `no_grad` hold in them too.
    threads = [threading.Thread(target=contextvars.copy_context().run, args=(go, i)) for i in range(n)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(OFTEN)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    if failed:
        raise failed[0]
    return found


def step(layer, x):
    """Run a layer forward and backward; list (what, bytes) of the outputs and of all gradients."""
    return [(what, None if array is None else array.tobytes())
            for what, array in outcome(layer, x, absent=lambda shape: None)]


def check_steps(make, inputs, counts, n, rounds=1):
    """n threads train a copy each of one network on one input, and get the bits of a thread alone.

    Args:
        make: function without arguments, makes the network.
        inputs: from `contract.sparse` or the like; the input is made anew in each round, so that no rule is there yet.
        counts: of sites, one a sample.
        n: threads.
        rounds: how often.
    """
    layer = make()
    expected = step(copy.deepcopy(layer), inputs(counts))
    for k in range(rounds):
        x, layers = inputs(counts), [copy.deepcopy(layer) for _ in range(n)]
        alive = copy.deepcopy(layer)(x) if k % 2 else None               # every other time only transposes are missing
        for found in together(n, lambda i, x=x, layers=layers: step(layers[i], x)):
            wrong = [what for (what, mine), (_, truth) in zip(found, expected, strict=True) if mine != truth]
            assert not wrong, f"{n} threads: {', '.join(wrong)} differ from those of one thread"
        del alive


def strided():
    """Two strided convolutions, whose transposes are made in the backward pass."""
    return sp.Sequential(sp.Convolution(2, 4, 8, 3, 2, size_rule="floor", rng=0), sp.LeakyReLU(0.3),
                         sp.Convolution(2, 8, 8, 3, 2, size_rule="floor", rng=1))


def submanifold():
    """Two convolutions that share one rulebook, with batch normalisation."""
    return sp.Sequential(sp.SubmanifoldConvolution(2, 4, 8, rng=0), sp.BatchNormalization(8, slope=0.2),
                         sp.SubmanifoldConvolution(2, 8, 4, rng=1), sp.GlobalPooling())


def pooled():
    """Maxima and averages, with a ground state: fan-in, and transposes by pairs."""
    return sp.Sequential(sp.MaxPooling(2, 3, 2, padding=1, size_rule="floor"), sp.Convolution(2, 4, 4, 2, rng=0),
                         sp.AveragePooling(2, 3, 1), sp.MaxPooling(2, 2, size_rule="floor"))


def fractional():
    """Fractional max-pooling, whose regions are drawn by each network's own generator, and walks of random stride."""
    return sp.Sequential(sp.FractionalMaxPooling(2, 1.4, size_rule="nearest", rng=0),
                         sp.SubmanifoldConvolution(2, 4, 4, rng=1),
                         sp.layers.RandomizedStrideConvolution(2, 4, 4, 3, 2, size_rule="floor", rng=2))


def attentive():
    """Attention in windows of a partition, beside dropout of channels."""
    return sp.Sequential(sp.layers.WindowAttention(2, 4, 2, 4, shift=1, rng=0), sp.SubmanifoldConvolution(2, 4, 6,
                                                                                                          rng=1),
                         sp.Dropout(0.5, rng=2), sp.SubmanifoldConvolution(2, 6, 4, rng=3))


def spread():
    """A transposed convolution, joins of different sites, recomputation and collapsed axes."""
    return sp.Sequential(sp.layers.TransposedConvolution(2, 4, 4, 3, 2, rng=0),
                         sp.Residual(sp.Convolution(2, 4, 4, 3, padding=1, rng=1), how="outer"),
                         sp.layers.Checkpointed(sp.SubmanifoldConvolution(2, 4, 4, rng=2), sp.BatchNormalization(4)),
                         sp.layers.Collapse(2, 1))


def points():
    """Convolutions under two window rules of the simplex lattice."""
    lattice = sp.Lattice.simplex(2)
    return sp.Sequential(sp.Convolution(lattice, 4, 4, 2, rng=0), sp.MaxPooling(lattice, 3, 2, size_rule="floor"),
                         sp.SubmanifoldConvolution(lattice, 4, 4, shape="nearest", rng=1))


FIELD = 64
NETS = {  # what makes the network; its inputs
    "strided": (strided, sparse(2, 4, FIELD, None)),
    "submanifold": (submanifold, sparse(2, 4, FIELD, "drawn")),
    "pooled": (pooled, sparse(2, 4, FIELD, "drawn")),
    "fractional": (fractional, sparse(2, 4, FIELD, "zero")),
    "attentive": (attentive, sparse(2, 4, FIELD, None)),
    "spread": (spread, sparse(2, 4, FIELD, None)),
    "simplex": (points, sparse(2, 4, FIELD, "zero", sp.Lattice.simplex(2))),
    "U-Net": (lambda: sp.models.unet(3, [4, 6, 8], 4, 3, d=2, rng=0), sparse(2, 4, FIELD, None)),
    "MinkUNet": (lambda: sp.models.minkunet("14A", 4, 3, width=0.125, rng=0), sparse(3, 4, 16, None)),
}
