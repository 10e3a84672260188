"""Several Python threads on the same grids and rulebooks: no crash, and the bits of one thread."""

import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from contract import WITHOUT_GPU, sparse
from contract_ops import VERBS, as_tuple, born, call, calls_of
from in_turn import each
from layer_cases import CASES
from strategies import distinct
from threaded import NETS, check_steps, step, together

import spconv_cy as sp
from spconv_cy.backend.ops import open_windows
from spconv_cy.backend.placed import placed
from spconv_cy.backend.prefetch import Requests, make_ahead
from spconv_cy.backend.switch import ops_named

WINDOWS = {
    "strided": sp.sites.Window(2, 3, stride=2, size_rule="floor"),
    "submanifold": sp.sites.Window(2, 3, kind="submanifold"),
    "transposed": sp.sites.Window(2, 3, stride=2, kind="transposed"),
    "a cross": sp.sites.Window(2, 3, stride=1, shape="cross", min_active=2),
}
WINDOW = WINDOWS["strided"]
RULEBOOKS = {
    "itself": lambda book: book,
    "T": lambda book: book.T,
    "ground": lambda book: book.ground,
    "fan_in": lambda book: book.fan_in,
    "fan_in of T": lambda book: book.T.fan_in,
    "ground of T": lambda book: book.T.ground,
}
GRIDS = {
    "rules_to": lambda grid, target: grid.rules_to(WINDOW, target),
    "rules_to, transposed": lambda grid, target: target.rules_to(WINDOWS["transposed"], grid),
    "partition": lambda grid, target: grid.partition((4, 4), (1, 2)),
    "collapse": lambda grid, target: grid.collapse(1),
    "the child's child": lambda grid, target: grid.rules(WINDOW)[0].rules(WINDOW)[0],
    "the child's rulebook over itself": lambda grid, target: grid.rules(WINDOW)[0].rules(WINDOWS["submanifold"]),
    "the source": lambda grid, target: (child := grid.rules(WINDOW)[0], child.source.rulebook),
}


@pytest.fixture(autouse=True)
def one_thread_a_call():
    sp.set_threads(1)
    yield
    sp.set_threads(None)


def made_grid(n=1500, size=64, seed=0):
    """Make a grid of about n sites in two samples, that was never asked for rules."""
    rng = np.random.default_rng(seed)
    sites = distinct(np.c_[rng.integers(0, 2, n), rng.integers(0, size, (n, 2))])
    return sp.Grid.from_sites(sites, size, 2)


def same(a, b):
    """Whether two answers are equal in type, numbers and bits."""
    if isinstance(a, (tuple, list)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, sp.Grid):
        return np.array_equal(a.sites, b.sites) and a.size == b.size
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


# Verbs


@pytest.mark.parametrize("backend", WITHOUT_GPU)
@pytest.mark.parametrize("window, n", [("strided", 8), ("submanifold", 4), ("transposed", 2)])
def test_every_verb_on_a_new_rulebook_gives_the_bits_of_one_thread(backend, window, n, rng):
    grid, ops = made_grid(1500 if backend == "cpu" else 200), ops_named(backend)
    there, book = grid.rules(WINDOWS[window])
    calls = calls_of(rng, book, 4, 6)
    assert {verb for verb, *_ in calls} == set(VERBS)
    without = {id(b): sp.sites.Rulebook(b.in_rows, b.out_rows, b.offset_ptr, b.n_in, b.n_out, volume=0)
               for _, arguments, _ in calls for b in arguments if isinstance(b, sp.sites.Rulebook) and not b.volume}
    transposed = book.T

    def placed(argument, fresh):
        if argument is book or argument is transposed:
            return fresh if argument is book else fresh.T
        return without.get(id(argument), argument)

    def run(i, fresh):
        found = [None] * len(calls)
        for k in range(len(calls)):                                      # each thread begins at another verb
            k = (k + 3 * i) % len(calls)
            verb, arguments, options = calls[k]
            arguments = born(ops, [placed(argument, fresh) for argument in arguments])
            found[k] = [ops.to_numpy(part).tobytes() for part in as_tuple(call(ops, verb, arguments, options))]
        return found

    expected = run(0, book)
    for _ in range(3):
        grid = sp.Grid.from_sites(grid.sites, grid.size, grid.samples)
        there, fresh = grid.rules(WINDOWS[window])
        for found in together(n, lambda i, fresh=fresh: run(i, fresh)):
            for (verb, *_), mine, truth in zip(calls, found, expected, strict=True):
                assert mine == truth, verb


# Layers and networks


@each("name", [name for name in CASES if not name.endswith((", drawn", ", zero"))])
def test_every_layer_on_a_new_grid_gives_the_bits_of_one_thread(name):
    make, inputs = CASES[name]
    check_steps(make, inputs, (16, 0, 12), 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_layer_gives_the_bits_of_one_thread_again_and_again(name):
    make, inputs = CASES[name]
    for n in (2, 4, 8):
        check_steps(make, inputs, (40, 0, 20), n, rounds=5)


@each("name", NETS)
def test_networks_trained_at_once_on_one_batch_get_the_gradients_of_one_thread(name):
    check_steps(*NETS[name], (900, 0, 600), 4, rounds=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_200_runs_with_2_to_8_threads_give_the_gradients_of_one_thread(name):
    make, inputs = NETS[name]
    for n in range(2, 9):
        check_steps(make, inputs, (900, 0, 600), n, rounds=29)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_threads_whose_calls_have_threads_of_their_own_give_the_same_bits(n_threads):
    sp.set_threads(n_threads)
    check_steps(*NETS["U-Net"], (900, 0, 600), 4)


@each("name", NETS)
def test_a_network_in_evaluation_mode_answers_eight_threads_at_once(name):
    make, inputs = NETS[name]
    net, layer_draws = make().eval(), name == "fractional"
    if layer_draws:
        net = sp.Sequential(*(layer for layer in net.layers if not isinstance(layer, sp.FractionalMaxPooling)))
    expected = step(net, inputs((900, 0, 600)))
    net.eval()
    x = inputs((900, 0, 600))
    for found in together(8, lambda i: bits_of(net(x))):
        assert found == [part for what, part in expected if what.startswith("output")]


def bits_of(y):
    """List the bytes of a layer's output: features and ground, or rows."""
    tensors = [y] if isinstance(y, sp.Tensor) else [y.features] + ([] if y.ground is None else [y.ground])
    return [tensor.data.tobytes() for tensor in tensors]


# What is made lazily


@pytest.mark.parametrize("ask", RULEBOOKS)
@each("window", WINDOWS)
def test_threads_that_ask_a_grid_for_rules_get_the_same_objects(window, ask):
    window, ask = WINDOWS[window], RULEBOOKS[ask]
    truth = ask(made_grid().rules(window)[1])
    for n in (2, 4, 8):
        grid = made_grid()
        found = together(n, lambda i, grid=grid: (*(pair := grid.rules(window)), ask(pair[1])))
        for child, book, asked in found:
            assert child is found[0][0] and book is found[0][1] and asked is found[0][2]
        assert same(found[0][2], truth)
        assert grid.rules(window) == found[0][:2] and grid.rules(window)[1] is found[0][1]


@pytest.mark.parametrize("ask", GRIDS)
def test_threads_that_ask_a_grid_for_anything_get_the_same_object(ask):
    target = made_grid(400, 32, seed=1)
    truth = GRIDS[ask](made_grid(), target)
    for n in (2, 4, 8):
        grid, other = made_grid(), sp.Grid.from_sites(target.sites, target.size, 2)
        found = together(n, lambda i, grid=grid, other=other: GRIDS[ask](grid, other))
        # A pair may be made for each call; what is in it is not.
        one, *others = (tuple(mine) if isinstance(mine, tuple) else (mine,) for mine in found)
        assert all(a is b for mine in others for a, b in zip(mine, one, strict=True)) and same(found[0], truth)


@pytest.mark.parametrize("name", ["offsets", "stages"])
def test_threads_that_ask_a_window_get_the_same_arrays(name):
    for n in (2, 4, 8):
        window = sp.sites.Window(4, 3, stride=2)
        found = together(n, lambda i, window=window: getattr(window, name))
        assert all(one is found[0] for one in found) and same(found[0], getattr(sp.sites.Window(4, 3, stride=2), name))


def test_threads_that_ask_for_different_windows_disturb_nothing():
    windows = [*WINDOWS.values(), *(sp.sites.Window(2, size) for size in range(1, 5))]
    truths = [made_grid().rules(window) for window in windows]
    for _ in range(3):
        grid = made_grid()
        found = together(8, lambda i, grid=grid: [grid.rules(windows[(i + k) % 8]) for k in range(8)])
        for i, pairs in enumerate(found):
            for k, pair in enumerate(pairs):
                assert same(pair, truths[(i + k) % 8]) and pair[1] is found[0][(i + k) % 8][1]


def test_a_rulebook_on_another_device_is_placed_once_and_whole():
    truth = made_grid().rules(WINDOW)[1]
    names = ("masks", "order", "table", "open", "in_rows", "out_rows", "offset_ptr")
    device = SimpleNamespace(name="device", uploaded=lambda what, array: array.copy())
    expected = {name: np.array(getattr(placed(truth, device), name)) for name in names}
    assert np.array_equal(expected["open"], open_windows(truth))
    for _ in range(5):
        book = made_grid().rules(WINDOW)[1]
        found = together(8, lambda i, book=book: (got := placed(book, device), [getattr(got, name) for name in names]))
        for copy, arrays in found:
            assert copy is found[0][0]
            for name, array, first in zip(names, arrays, found[0][1], strict=True):
                assert array is first and np.array_equal(array, expected[name]), name


def test_rules_are_made_ahead_while_the_grid_before_is_asked_for_more():
    device = SimpleNamespace(name="device", uploaded=lambda what, array: array.copy())
    windows = [sp.sites.Window(2, size, stride=stride, size_rule="floor") for size in range(1, 6) for stride in (1, 2,
                                                                                                                 3)]
    now, following, requests = made_grid(), made_grid(seed=2), Requests()
    requests.follow(now)
    held = []

    def work(i):
        for k in range(len(windows)):
            if i % 2:
                held.append(make_ahead(following, requests, device))
            else:
                child, book = now.rules(windows[(k + i) % len(windows)])
                held.append((child, placed(book.T, device).masks, placed(book, device).table))

    together(4, work)
    for window in windows:
        assert same(following.rules(window), made_grid(seed=2).rules(window))


def test_grids_are_pickled_while_other_threads_use_them():
    grid = made_grid()

    def work(i):
        child, book = grid.rules(WINDOW)
        return pickle.loads(pickle.dumps((child, book))) if i % 2 else (child, (book, book.T, book.fan_in)[0])

    for child, book in together(8, work):
        assert same((child, book), made_grid().rules(WINDOW))


def test_threads_that_import_the_library_and_load_a_backend_get_the_same_one():
    program = """
import sys, threading
sys.setswitchinterval(1e-6)
barrier, found = threading.Barrier(8), []
def go():
    barrier.wait()
    import spconv_cy as sp
    from spconv_cy.backend.switch import ops_named
    found.append((ops_named("cpu"), sp.ReLU()(sp.SparseTensor.from_sites([[0, 1]], [[-1.0]])).features.data.item()))
threads = [threading.Thread(target=go) for _ in range(8)]
[t.start() for t in threads], [t.join() for t in threads]
assert len(found) == 8 and len({id(ops) for ops, _ in found}) == 1 and {y for _, y in found} == {0.0}, found
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Data, evaluation, memory


def test_epochs_of_one_set_of_batches_are_read_by_several_threads():
    characters, labels = (part[:40] for part in sp.data.digits())
    data = sp.data.StrokeBatches(characters, labels, sp.data.StrokeEncoder("octogram", size=24, scale=8), batch=8,
                            augment="affine")

    def epoch(number):
        return [(x.sites.tobytes(), x.features.data.tobytes(), labels.tobytes())
                for x, labels in data.epoch(number // 2, 3, training=True)]

    expected = [epoch(0), epoch(2)]
    assert together(4, epoch) == [expected[0], expected[0], expected[1], expected[1]]


def test_batches_come_from_background_threads_while_networks_compute_on_the_same_tensors():
    make = sparse(2, 4, 32, None)
    samples = [make((60 + i,)) for i in range(12)]
    data = sp.data.TensorBatches(samples, np.arange(12), batch=3)
    net = sp.models.unet(2, [4, 6], 4, 3, d=2, rng=0).eval()

    def work(i):
        if i % 2:
            return [bits_of(net(x)) for x in samples]
        return [bits_of(net(x)) for x, _ in data.epoch(0, 1, training=True)]

    expected = [work(0), work(1)]
    samples[:] = [make((60 + i,)) for i in range(12)]
    data.x[:] = samples
    assert together(4, work) == expected * 2


@pytest.mark.parametrize("training", [True, False])
def test_evaluations_of_one_network_in_several_threads_give_what_one_gives(training):
    make = sparse(2, 4, 16, "zero")
    samples, labels = [make((30 + i,)) for i in range(6)], np.arange(6) % 3
    net = sp.Sequential(sp.FractionalMaxPooling(2, 1.4, size_rule="nearest", rng=0), sp.Convolution(2, 4, 4, 2, rng=0),
                        sp.BatchNormalization(4), sp.Dropout(0.5, rng=1), sp.GlobalPooling(),
                        sp.NetworkInNetwork(4, 3, rng=2)).train(training)
    data = sp.data.TensorBatches(samples, labels, batch=2)
    jobs = [lambda: sp.evaluate(net, data, repeats=2).outputs.tobytes(),
            lambda: sp.train.predict_outputs(net, data).tobytes(),
            lambda: str(net.summary(samples[0]).parameters)]
    expected, state = [job() for job in jobs], {name: array.copy() for name, array in net.state().items()}
    found = together(6, lambda i: [jobs[(i + k) % 3]() for k in range(3)])
    for i, mine in enumerate(found):
        assert mine == [expected[(i + k) % 3] for k in range(3)]
    assert net.training == training and all(np.array_equal(array, state[name]) for name, array in net.state().items())


def test_arrays_of_the_kept_memory_never_overlap():
    from spconv_cy.compiled import memory

    def work(i):
        right = True
        for k in range(60):
            arrays = [memory.empty((20_000 + 3_000 * (k % 7) + j,)) for j in range(3)]
            for j, array in enumerate(arrays):
                array.fill(100 * i + j)
            right &= all((array == 100 * i + j).all() for j, array in enumerate(arrays))
        return right

    before = memory.in_use()[0]
    assert all(together(8, work)) and memory.in_use()[0] == before


def test_tensors_are_differentiated_in_several_threads_without_mixing_their_tapes():
    def work(i):
        x = sp.Tensor(np.full((3, 3), i + 1.0), requires_grad=True)
        for _ in range(20):
            with sp.no_grad():
                assert not (x * x).requires_grad
            (x * x).sum().backward()
        return x.grad

    for i, grad in enumerate(together(8, work)):
        assert np.allclose(grad, 40 * (i + 1))
