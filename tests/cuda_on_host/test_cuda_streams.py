"""What stays on the GPU, and what is prepared beside it: the copies of a step, and the waits between streams."""

import contextlib

import cupy_on_host
import numpy as np
import pytest
import streams

import spconv_cy as sp
from spconv_cy.backend.copying import CopyStream
from spconv_cy.backend.prefetch import Requests, make_ahead


def network():
    """Most kinds of layers that a step calls."""
    return sp.Sequential(
        sp.Convolution(2, 3, 8, 3, rng=0), sp.VeryLeakyReLU(), sp.MaxPooling(2, 2),
        sp.SubmanifoldConvolution(2, 8, 8, rng=1), sp.BatchNormalization(8), sp.ReLU(),
        sp.Residual(sp.SubmanifoldConvolution(2, 8, 8, rng=2), sp.BatchNormalization(8)), sp.layers.GELU(),
        sp.AveragePooling(2, 3, 2), sp.GlobalPooling(), sp.NetworkInNetwork(8, 4, rng=3))


def step(net, x, labels, optimizer):
    """Train by one batch; return the loss, as the CPU knows it."""
    loss = sp.softmax_cross_entropy(net(x), labels)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.data)


@pytest.mark.parametrize("ground, optimizer", [("zero", sp.Nesterov), (None, sp.Adam)])
def test_a_step_copies_its_labels_its_counts_and_its_loss_alone(ground, optimizer, cuda, rng):
    with sp.use("cuda"):
        sites = np.unique(np.column_stack([rng.integers(0, 3, 200), rng.integers(0, 16, (200, 2))]), axis=0)
        x = sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), 3)), 16, 3, ground=ground)
        net, labels = network(), np.array([0, 1, 2])
        optimizer = optimizer(net.parameters(), rate=0.01)
        requests = Requests()
        requests.follow(x.grid)
        step(net, x, labels, optimizer)
        held = make_ahead(x.grid, requests, cuda)                        # no rules are made or copied then
        cupy_on_host.copies.clear()
        step(net, x, labels, optimizer)
        found = sorted(copy[:2] for copy in cupy_on_host.copies)
    n = held[-1].n
    allowed = [
        ("down", ()),                                                    # the loss
        ("up", (3,)),                                                    # the labels
        ("up", (3,)), ("up", (3,)), ("up", (4,)),                        # samples' sizes, missing sites and starts
        ("up", (n,)),                                                    # each row's sample, for its gradient
    ]
    allowed += [("up", (n,))] if ground else []                          # inactive sites of the averages
    assert found == sorted(allowed)


def train(epochs=1, backend="cuda"):
    """Train on batches that are prepared ahead; return the losses, and what was copied on the computing stream."""
    characters, labels = (part[:30] for part in sp.data.digits())
    found = []
    with sp.use(backend):
        encoder = sp.data.StrokeEncoder("octogram", size=12, scale=8).fit(characters)
        batches = sp.data.StrokeBatches(characters, labels, encoder, batch=5)
        net = sp.models.deepcnet(2, 4, channels_in=encoder.planes, rng=0)
        optimizer = sp.SGD(net.parameters(), rate=0.01)
        for epoch in range(epochs):
            for x, some in batches.epoch(epoch, training=True):
                cupy_on_host.copies.clear()
                found.append(step(net, x, some, optimizer))
    return found, sorted(copy[:2] for copy in cupy_on_host.copies if copy[2] is streams.NULL)


def test_batches_come_with_their_rules_and_training_is_that_of_the_cpu(cuda):
    found, copies = train()
    assert np.allclose(found, train(backend="cpu")[0], atol=1e-4)
    # The loss; the labels; what global pooling counts: samples' sizes, missing sites and starts, each row's sample.
    assert copies == [("down", ()), *[("up", (5,))] * 4, ("up", (6,))]


def test_a_wait_that_is_missing_is_noticed(cuda, monkeypatch):
    monkeypatch.setattr(CopyStream, "wait", lambda *_: None)
    with pytest.raises(RuntimeError, match="memory is used that was written by another stream"):
        train()


@pytest.mark.parametrize("ordered", [True, False])
def test_memory_given_anew_before_its_readers_are_done_is_noticed(ordered, cuda, monkeypatch):
    if not ordered:
        monkeypatch.setattr(cupy_on_host.cuda, "using_allocator", lambda _: contextlib.nullcontext())
    held, event = cuda.copies.run(cuda.copies.here(), lambda: [cuda.asarray(np.ones((2, 3)))])
    cuda.copies.wait(event)

    def make():
        with streams.NULL:                                               # as the thread that computes does meanwhile
            cuda.leaky_relu(held[0], 0.5)
            held.clear()
        return cuda.asarray(np.zeros((2, 3)))

    with contextlib.nullcontext() if ordered else pytest.raises(RuntimeError, match="given anew that is used by anoth"):
        cuda.copies.run(cuda.copies.here(), make)


def test_an_error_of_the_preparing_thread_is_raised_and_the_next_epoch_runs(cuda):
    with sp.use("cuda"):
        xs = [sp.SparseTensor.from_sites([[0, i, i]], [[1.0]], 4) for i in range(4)]
        batches = sp.data.TensorBatches(xs, np.arange(4), batch=2)
        wrong, batches.x = batches.x, [*xs[:3], None]
        with pytest.raises(Exception, match="got None"):
            list(batches.epoch(0, training=False))
        batches.x = wrong
        assert [x.grid.n for x, _ in batches.epoch(0, training=False)] == [2, 2]


def test_only_a_gpu_has_a_stream_of_copies():
    assert sp.backend.switch.ops_named("cpu").copies is None
