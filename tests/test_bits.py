"""The same bits for any number of threads: every verb, a net with every layer, a training run, other processes."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from contract_ops import as_tuple, born, call, calls_of, every_set
from strategies import random_rulebook, random_sites

import spconv_cy as sp
from spconv_cy import config
from spconv_cy.backend.switch import ops_named
from spconv_cy.sites.grid import Grid
from spconv_cy.sites.window import Window

THREADS = (1, 2, 3, 8)


@pytest.fixture(autouse=True)
def threads_put_back():
    """Leave the number of threads as it was."""
    yield
    sp.set_threads(None)


def digest(arrays):
    """Return one text for the bytes of arrays, in their order."""
    found = hashlib.sha256()                                             # which processors have in hardware
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def for_each_thread_count(function):
    """Call a function for each number of threads and expect one result."""
    found = {}
    for n_threads in THREADS:
        sp.set_threads(n_threads)
        found[n_threads] = function()
    assert len(set(found.values())) == 1, found
    return found[1]


@pytest.mark.parametrize("c, o, groups", [(32, 32, 1), (17, 40, 1), (3, 96, 1), (96, 5, 1), (12, 24, 4)])
def test_every_verb_gives_the_same_bits_for_any_number_of_threads(c, o, groups, rng):
    ops, book = ops_named("cpu"), random_rulebook(rng, 4000, 3600, 9, share=0.4)  # large enough for a team
    for verb, arguments, options in calls_of(rng, book, c, o, groups):
        given = born(ops, arguments)

        def once(verb=verb, given=given, options=options):
            return verb, digest(as_tuple(call(ops, verb, given, options)))

        for _ in every_set():
            for_each_thread_count(once)


@pytest.mark.parametrize("o", [5, 16, 32, 48, 64, 72])
def test_inputs_that_are_zero_change_no_bit(o, rng):
    # For few inputs weights stay in registers, for many rows; more than 160 inputs are added in passes.
    ops, book = ops_named("cpu"), random_rulebook(rng, 700, 600, 5, share=0.4)
    x, w = rng.standard_normal((700, 7), np.float32), rng.standard_normal((5, 7, o), np.float32)
    for name in every_set():
        few = ops.conv(x, w, book)
        for more in (1, 2, 10, 160):
            wide = ops.conv(np.pad(x, ((0, 0), (0, more))), np.pad(w, ((0, 0), (0, more), (0, 0)), "edge"), book)
            assert np.array_equal(few, wide), (name, more)


def test_grids_and_rules_are_the_same_for_any_number_of_threads(rng):
    sites = rng.integers(0, 150, (25_000, 4)).astype(np.int32)
    sites[:, 0] %= 3
    windows = [Window(3, 3, kind="submanifold"), Window(3, 3), Window(3, 2, 2), Window(3, 3, 2, size_rule="floor")]

    def once():
        grid, rows = Grid.arrange(sites, 150, 3)
        arrays = [grid.sites, rows, grid.rows_of(sites + 1)]
        for window in windows:
            child, book = grid.rules(window)
            arrays += [child.sites, book.in_rows, book.out_rows, book.offset_ptr, book.tile_ptr, book.T.in_rows]
        return digest(arrays)

    for_each_thread_count(once)


def every_layer():
    """Make a network that holds every kind of layer that keeps a ground state; field 26 x 26."""
    return sp.Sequential(
        sp.Convolution(2, 2, 24, 3, rng=0),
        sp.BatchNormalization(24),
        sp.LeakyReLU(0.1),
        sp.Residual(sp.SubmanifoldConvolution(2, 24, 24, groups=2, rng=1), sp.VeryLeakyReLU()),
        sp.MaxPooling(2, 2),
        sp.Dropout(0.25, rng=2),
        sp.Concatenate(sp.NetworkInNetwork(24, 17, rng=3), sp.SubmanifoldConvolution(2, 24, 15, dilation=2, rng=4)),
        sp.ReLU(),
        sp.AveragePooling(2, 2),
        sp.SparseToDense(2),
        sp.DenseToSparse(2),
        sp.Convolution(2, 32, 40, 2, 2, rng=5),
        sp.MaxPooling(2, 1, background="zero"),
        sp.GlobalPooling("max", over="field"),
        sp.NetworkInNetwork(40, 10, rng=6),
    )


def crowd(rng, samples=12, size=26, channels=2):
    """Make a batch with many sites, and labels."""
    sites = random_sites(rng, 300 * samples, 2, 0, size, samples)
    x = sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), channels)), size, samples)
    return x, np.arange(samples) % 10


def test_a_net_of_all_layers_has_the_same_bits_forward_and_backward(isa, rng):
    x, labels = crowd(rng)

    def once():
        net = every_layer()
        x.features.requires_grad, x.features.grad = True, None
        y = net(x)
        sp.softmax_cross_entropy(y, labels).backward()
        gradients = [parameter.grad for parameter in net.parameters()]
        return digest([y.data, x.features.grad, *gradients, *net.state().values()])

    for_each_thread_count(once)


def test_going_back_to_finer_sites_has_the_same_bits(rng):
    sites = random_sites(rng, 4000, 3, 0, 24, samples=2)
    x = sp.SparseTensor.from_sites(sites, rng.normal(size=(4000, 16)), 24, 2, ground=None)

    def once():
        down, up = sp.Convolution(3, 16, 32, 2, 2, rng=0), sp.Deconvolution(3, 32, 16, 2, 2, rng=1)
        fine = sp.Sequential(down, up)(x) + sp.UnPooling(3, 2)(sp.MaxPooling(3, 2)(x))
        (fine.features * fine.features).sum().backward()
        return digest([fine.features.data, down.weight.grad, up.weight.grad, down.bias.grad])

    for_each_thread_count(once)


def trained_bits():
    """Train DeepCNet(3, 12) on random sites for six steps with dropout; return its bits."""
    rng = np.random.default_rng(0)
    batches = [crowd(np.random.default_rng(i), size=24, channels=1) for i in range(3)]
    net = sp.models.deepcnet(3, 12, dropout=0.5, rng=rng)
    optimizer = sp.Nesterov(net.parameters(), 0.003, momentum=0.9)
    history = sp.fit(net, batches, optimizer, 2, rng=1, progress=False)
    outputs = sp.evaluate(net, batches).outputs
    return digest([*net.state().values(), *optimizer.state().values(), outputs, np.array(history.losses)])


def test_a_training_run_ends_with_the_same_bits_for_any_number_of_threads():
    for_each_thread_count(trained_bits)


def test_a_training_run_ends_with_the_same_bits_in_processes_with_other_settings():
    program = [sys.executable, "-c", "import test_bits; print(test_bits.trained_bits())"]
    running = {}
    for omp, blas in (("1", "2"), ("2", "1"), ("3", "8")):
        env = {**os.environ, "OMP_NUM_THREADS": omp, "OPENBLAS_NUM_THREADS": blas}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        running[omp, blas] = subprocess.Popen(program, env=env, cwd=os.path.dirname(__file__), **pipes)
    expected = trained_bits()
    for setting, other in running.items():
        out, complaints = other.communicate(timeout=100)
        assert out.strip() == expected, f"OMP and OPENBLAS threads {setting}: {out}{complaints}"


def threaded_bits():
    """Run every verb and build grids, rules, strokes and signatures, all large enough for a team; return their bits."""
    rng = np.random.default_rng(0)
    ops, book, found = ops_named("cpu"), random_rulebook(rng, 4000, 4000, 9, share=0.4), []
    for verb, arguments, options in calls_of(rng, book, 64, 64):
        found += map(ops.to_numpy, as_tuple(call(ops, verb, born(ops, arguments), options)))
    sites = rng.integers(0, 60, (20_000, 4)).astype(np.int32) * [0, 1, 1, 1]
    grid, rows = Grid.arrange(sites, 60, 1)
    found += [grid.sites, rows, grid.rows_of(sites)]
    for window in (Window(3, 3, kind="submanifold"), Window(3, 3), Window(3, 2, 2)):
        child, rules = grid.rules(window)
        found += [child.sites, rules.in_rows, rules.out_rows, rules.tile_ptr]
    pen = [[np.cumsum(rng.normal(size=(30, 2)), axis=0)] for _ in range(20)]
    for encoding in ("octogram", "time-signature4"):
        found += sp.data.StrokeEncoder(encoding, 60, 40).sites(pen)
    return digest([*found, sp.data.log_signature(list(rng.normal(size=(40, 9, 6))), 4)])


@pytest.mark.skipif(sys.platform != "linux", reason="OMP_STACKSIZE is as the OpenMP library of Linux has it")
def test_threads_with_the_smallest_stack_finish_every_verb_with_the_same_bits():
    text = "import spconv_cy as sp, test_bits; sp.set_threads(2); print(test_bits.threaded_bits())"
    program, env = [sys.executable, "-c", text], {**os.environ, "OMP_STACKSIZE": "16k"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(program, env=env, cwd=os.path.dirname(__file__), **pipes) as other:
        sp.set_threads(2)
        expected = threaded_bits()
        out, complaints = other.communicate(timeout=100)
    assert (other.returncode, out.strip()) == (0, expected), complaints


@pytest.mark.skipif("OMP_NUM_THREADS" in os.environ, reason="OpenMP has read OMP_NUM_THREADS already")
def test_the_environment_bounds_the_threads(monkeypatch):
    monkeypatch.setattr(config, "processors", lambda: 6)
    for text, expected in (("", 6), ("4", 4), ("40", 6), ("2,3", 2), ("no number", 6), ("0", 6)):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert config.threads() == expected


def test_set_threads_bounds_the_threads():
    sp.set_threads(5)
    assert config.threads() == 5
    for wrong in (0, -1, 2.0, True, "2"):
        with pytest.raises(ValueError, match="whole number"):
            sp.set_threads(wrong)
    assert config.threads() == 5
