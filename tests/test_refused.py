"""Refused means untouched: a state or a checkpoint in which anything is wrong changes nothing at all."""

import copy
import pickle
from functools import cache

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.errors import FileError, ShapeError
from spconv_cy.io import archive
from spconv_cy.train.checkpoint import KIND

TENSORS = [sp.SparseTensor.from_sites([[0, 1], [0, 3]], [[1.0], [2.0]], 8)] * 4
DATA = sp.data.TensorBatches(TENSORS, [0, 1, 0, 1])
NAN, HUGE = float("nan"), 10**400


class Two(sp.Layer):
    """A layer with two numbers of each kind."""

    def __init__(self):
        self.weight, self.statistics = sp.Tensor(np.ones(2), requires_grad=True), np.ones(2, np.float32)

    def __call__(self, x):
        return x


class Counting(sp.Layer):
    """A layer with whole numbers and truth values among its state."""

    def __init__(self):
        self.count, self.seen = np.zeros(3, np.int32), np.zeros(2, bool)

    def __call__(self, x):
        return x


def network(kind=np.random.PCG64):
    dropout = sp.Dropout(0.2, rng=np.random.Generator(kind(1)))
    return sp.Sequential(sp.SubmanifoldConvolution(1, 1, 4, 3, rng=0), sp.BatchNormalization(4), Counting(),
                         sp.GlobalPooling(), dropout, sp.NetworkInNetwork(4, 2, rng=0))


def adam(net):
    return sp.Adam(net.parameters(), 0.01)


def together(net):
    first, *rest = net.parameters()
    return sp.train.CombinedOptimizer(sp.Adam([first], 0.01), sp.SGD(rest, 0.1, momentum=0.9))


def trained(path, epochs=2, make=adam, kind=np.random.PCG64, net=None, optimizer=None, rng=0, **options):
    net = network(kind) if net is None else net
    optimizer = make(net) if optimizer is None else optimizer
    options = {"loss_scale": "dynamic", "validation": DATA} | options
    sp.fit(net, DATA, optimizer, epochs, rng=rng, progress=False, checkpoint=path, **options)
    return net, optimizer


def everything(net, optimizer):
    """All that a network and an optimiser are, as bytes."""
    drawn = {name: g.bit_generator.state for name, g in net.generators().items()}
    modes = [layer.training for layer in net.layers], net.training, optimizer.rate
    needs = [p.requires_grad for p in net.parameters()]
    return pickle.dumps((net.state(), optimizer.state(), str(drawn), modes, needs))


def forged(path, change):
    """Change arrays and text of a checkpoint by a function, its checksum too."""
    arrays, text = archive.read(path, KIND)
    arrays, text = dict(arrays), copy.deepcopy(text)
    change(arrays, text)
    archive.write(path, KIND, arrays, text)


def check_refused(path, make=adam, kind=np.random.PCG64, message="give another path to start a new run", **options):
    """A run that finds the checkpoint raises FileError and changes nothing, one not begun and one on its way."""
    for epochs in (0, 1):
        net, optimizer, before = standing(epochs, make, kind)
        try:
            with pytest.raises(FileError, match=message):
                trained(path, 4, net=net, optimizer=optimizer, **options)
        finally:
            after = everything(net, optimizer)
            if after != before:
                standing.cache_clear()                                   # the next case begins with others
        assert after == before


@cache
def standing(epochs, make, kind):
    """Return a network and an optimiser after some epochs, and all that they are; a run that is refused leaves both."""
    net = network(kind).eval()
    optimizer = make(net)
    if epochs:
        trained(None, epochs, net=net, optimizer=optimizer)
    return net, optimizer, everything(net, optimizer)


def put(field, value):
    return lambda arrays, text: text["history"].__setitem__(field, value)


def made(field, function):
    return lambda arrays, text: text["history"].__setitem__(field, function(text["history"][field]))


LISTS = ("losses", "errors", "validation_losses", "validation_errors", "rates", "seconds")
HISTORIES = {
    **{f"{field} {value!r:.20}": put(field, value) for field in LISTS for value in
       (None, {}, 3, "xy", True, ["0.5", "0.5"], [[0.5], [0.5]], [True, False], [0.5], [0.5] * 3, [])},
    **{f"{field} None": put(field, [None, None]) for field in LISTS if "errors" not in field},
    **{f"{field} NaN": put(field, [NAN, NAN]) for field in LISTS if field != "validation_losses"},
    **{f"{field} infinite": put(field, [np.inf, 0.5]) for field in LISTS if field != "validation_losses"},
    **{f"{field} huge": put(field, [HUGE, 0.5]) for field in LISTS},
    **{f"{field} {value}": put(field, [value, 0.5]) for field in LISTS if "errors" in field for value in (-0.1, 5)},
    "seconds back": put("seconds", [-1.0, 1.0]),
    **{f"best {value!r}": put("best", value) for value in ("x", -1, 2, HUGE, 0.0, True, [0], None, NAN)},
    "a field is missing": lambda arrays, text: text["history"].pop("rates"),
    "a field is unknown": put("more", []),
    **{f"{value!r}": lambda arrays, text, value=value: text.update(history=value) for value in (None, [], "x", 3)},
}


@each("change", HISTORIES.values(), ids=HISTORIES)
def test_a_history_that_no_training_has_is_refused(change, checkpoints, tmp_path):
    (tmp_path / "run").write_bytes(checkpoints(adam, np.random.PCG64))
    forged(tmp_path / "run", change)
    check_refused(tmp_path / "run")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """One checkpoint of each kind: by optimiser and bit generator."""
    folder, found = tmp_path_factory.mktemp("checkpoints"), {}

    def of(make, kind):
        if (make, kind) not in found:
            found[make, kind] = folder / str(len(found))
            trained(found[make, kind], make=make, kind=kind)
        return found[make, kind].read_bytes()

    return of


@pytest.fixture
def first(checkpoints, tmp_path):
    (tmp_path / "run").write_bytes(checkpoints(adam, np.random.PCG64))
    return tmp_path / "run"


WEIGHT, STATE = "net.layers.0.weight", "layers.4.rng"


def array(name, function):
    return lambda arrays, text: arrays.__setitem__(name, function(arrays[name]))


def text(name, value):
    return lambda arrays, text: text.__setitem__(name, value)


def with_nan(a):
    return np.where(np.arange(a.size).reshape(a.shape) == 1, NAN, a).astype(a.dtype)


ARRAYS = {
    "weights of whole numbers": array(WEIGHT, lambda a: a.astype(int)),
    "weights of truth values": array(WEIGHT, lambda a: a > 0),
    "weights that are NaN": array(WEIGHT, with_nan),
    "weights that float32 does not hold": array(WEIGHT, lambda a: a.astype(float) + 1e300),
    "weights of another shape": array(WEIGHT, lambda a: a[:1]),
    "weights with one axis less": array(WEIGHT, np.ravel),
    "weights are missing": lambda arrays, text: arrays.pop(WEIGHT),
    "weights too many": lambda arrays, text: arrays.update({"net.more": np.zeros(2)}),
    "counts of floats": array("net.layers.2.count", lambda a: a + 0.5),
    "counts that int32 does not hold": array("net.layers.2.count", lambda a: a.astype(int) + 2**40),
    "infinite statistics": array("net.layers.1.running_mean", lambda a: a + np.inf),
    "best weights of whole numbers": array("best.layers.0.weight", lambda a: a.astype(int)),
    "best weights of another shape": array("best.layers.0.weight", lambda a: a[:1]),
    "best weights that are NaN": array("best.layers.0.weight", with_nan),
    "one of the best weights is missing": lambda arrays, text: arrays.pop("best.layers.0.weight"),
    "one of the best weights is too many": lambda arrays, text: arrays.update({"best.more": np.zeros(2)}),
    "no best weights": lambda arrays, text: [arrays.pop(name) for name in list(arrays) if name.startswith("best.")],
    "an array of no part": lambda arrays, text: arrays.update(more=np.zeros(2)),
    "steps of floats": array("optimizer.steps", lambda a: a.astype(float)),
    "steps of truth values": array("optimizer.steps", lambda a: a > 0),
    "steps below 0": array("optimizer.steps", lambda a: a - 100),
    "steps beyond int64": array("optimizer.steps", lambda a: a.astype(np.uint64) + 2**63),
    "steps on two axes": array("optimizer.steps", lambda a: a[:, None]),
    "steps on no axis": array("optimizer.steps", lambda a: a[0]),
    "steps too few": array("optimizer.steps", lambda a: a[1:]),
    "steps that say there are no moments": array("optimizer.steps", lambda a: 0 * a),
    "steps are missing": lambda arrays, text: arrays.pop("optimizer.steps"),
    "a moment of whole numbers": array("optimizer.1.mean", lambda a: a.astype(int)),
    "a moment that is NaN": array("optimizer.1.square", with_nan),
    "a moment of another shape": array("optimizer.5.square", lambda a: a[:, :1]),
    "a moment is missing": lambda arrays, text: arrays.pop("optimizer.5.square"),
    "a moment too many": lambda arrays, text: arrays.update({"optimizer.6.mean": np.zeros(2)}),
}
TEXTS = {
    **{f"seed {value!r:.20}": text("seed", value) for value in (None, -1, 0.0, False, "0", [0], NAN)},
    **{f"loss scale {value!r:.40}": text("loss_scale", value) for value in (
        3, [], {}, True, "dynamic", {"scale": 2.0}, {"scale": 2.0, "steps": 0, "more": 1},
        *({"scale": value, "steps": 0} for value in (0, -1.0, NAN, np.inf, True, None, "2", HUGE)),
        *({"scale": 2.0, "steps": value} for value in (-1, 0.0, True, None, NAN)))},
    **{f"generators {value!r}": text("generators", value) for value in (None, 3, [STATE], {}, {STATE: None})},
    "another optimiser": text("optimizer", "SGD"),
    "an optimiser that is no name": text("optimizer", None),
}


@each("change", [*ARRAYS.values(), *TEXTS.values()], ids=[*ARRAYS, *TEXTS])
def test_arrays_and_values_that_do_not_fit_are_refused(change, checkpoints, tmp_path):
    (tmp_path / "run").write_bytes(checkpoints(adam, np.random.PCG64))
    forged(tmp_path / "run", change)
    check_refused(tmp_path / "run")


def inside(*path):
    """Return (name, function): change one value of a random state."""
    *path, value = path

    def change(arrays, text):
        at = text["generators"][STATE]
        for name in path[:-1]:
            at = at[name]
        assert path[-1] in at if isinstance(at, dict) else path[-1] < len(at)
        at[path[-1]] = value

    return change


PCG, MT, PHILOX, SFC = np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64
STATES = [
    *((PCG, inside("state", "state", value)) for value in (-1, 2**128, 2.5, "1", True, None, NAN, [1])),
    *((PCG, inside("state", "inc", value)) for value in (-1, 2**128 + 1, 4, 1.0)),
    *((kind, inside("has_uint32", value)) for kind in (PCG, PHILOX, SFC) for value in (-1, 2, 9, True, 0.0, None)),
    *((kind, inside("uinteger", value)) for kind in (PCG, PHILOX, SFC) for value in (-1, 2**32, 0.0, False)),
    *((kind, inside("bit_generator", value)) for kind in (PCG, MT) for value in ("PCG64DXSM", "", None, 3)),
    *((PCG, inside("state", value)) for value in (None, 3, [], {}, {"state": 1})),
    *((MT, inside("state", "pos", value)) for value in (-1, 625, 10**9, 1.0, True)),  # out of range numpy reads beside
    *((MT, inside("state", "key", value)) for value in ([1], [1] * 625, [[1] * 624], None, ["1"] * 624, [1.0] * 624)),
    *((MT, inside("state", "key", 3, value)) for value in (-1, 2**32, 0.5, True)),
    *((PHILOX, inside("buffer_pos", value)) for value in (-1, 5, 77, True)),
    *((PHILOX, inside("buffer", value)) for value in ([0] * 3, [0] * 5, [-1] * 4, [2**64] * 4, 0)),
    *((PHILOX, inside("state", name, 0, value)) for name in ("counter", "key") for value in (-1, 2**64, 0.5)),
    *((SFC, inside("state", "state", 0, value)) for value in (-1, 2**64, 0.5, None)),
    (PCG, lambda arrays, text: text["generators"][STATE].update(more=1)),
    (PCG, lambda arrays, text: text["generators"][STATE].pop("uinteger")),
]


@each("kind, change", STATES)
def test_random_states_that_no_generator_has_are_refused(kind, change, checkpoints, tmp_path):
    (tmp_path / "run").write_bytes(checkpoints(adam, kind))
    forged(tmp_path / "run", change)
    check_refused(tmp_path / "run", kind=kind)


@pytest.mark.parametrize("change", [
    array("optimizer.1.0.momentum", lambda a: a.astype(int)),
    array("optimizer.1.steps", lambda a: a - 100),
    lambda arrays, text: arrays.update({"optimizer.2.steps": np.zeros(0, int)}),
    lambda arrays, text: arrays.update({"optimizer.steps": np.zeros(0, int)}),
    lambda arrays, text: arrays.pop("optimizer.1.steps"),
])
def test_optimisers_together_are_left_alone_where_the_second_is_refused(change, checkpoints, tmp_path):
    (tmp_path / "run").write_bytes(checkpoints(together, PCG))
    forged(tmp_path / "run", change)
    check_refused(tmp_path / "run", make=together)


def test_a_checkpoint_that_fits_is_taken_whatever_kind_it_is_of(checkpoints, tmp_path):
    for make, kind in ((adam, PCG), (together, PCG), (adam, MT), (adam, PHILOX), (adam, SFC)):
        (tmp_path / "run").write_bytes(checkpoints(make, kind))
        forged(tmp_path / "run", lambda arrays, text: text["history"].update(validation_losses=[NAN, np.inf]))
        whole, resumed = trained(None, 3, make=make, kind=kind), trained(tmp_path / "run", 3, make=make, kind=kind)
        assert everything(*whole) == everything(*resumed)


def test_a_seeds_generator_is_left_alone_where_the_checkpoint_is_refused(first):
    rng = np.random.default_rng(3)
    net = network()
    net.layers[4].rng = rng                                              # one for the layers and for the order
    optimizer = adam(net)
    before = everything(net, optimizer)
    with pytest.raises(FileError, match="got one of the seed 0"):
        trained(first, net=net, optimizer=optimizer, rng=rng)
    assert everything(net, optimizer) == before


def test_a_schedule_that_is_refused_leaves_the_checkpoint_unread(first):
    net = network()
    optimizer = adam(net)
    before = everything(net, optimizer)
    with pytest.raises(ValueError, match="schedule"):
        trained(first, net=net, optimizer=optimizer, schedule="cosinus")
    assert everything(net, optimizer) == before


@pytest.mark.parametrize("error", [ValueError("late"), KeyboardInterrupt()])
def test_what_fails_after_all_checks_is_put_back(error, first, monkeypatch):
    def fails(self, state):
        raise error

    net = network()
    optimizer = adam(net)
    trained(None, 1, net=net, optimizer=optimizer)
    before = everything(net, optimizer)
    real = sp.train.LossScale.load_state
    monkeypatch.setattr(sp.train.LossScale, "load_state", lambda self, state: (
        monkeypatch.setattr(sp.train.LossScale, "load_state", real), fails(self, state)))
    with pytest.raises(FileError if isinstance(error, ValueError) else KeyboardInterrupt):
        trained(first, 4, net=net, optimizer=optimizer)
    assert everything(net, optimizer) == before


BAD = {"text": np.array(["a", "b"]), "objects": np.array([{}, 1], object), "complex": np.ones(2, complex),
       "whole": np.ones(2, int), "truth": np.ones(2, bool), "list": [1.0, 2.0], "number": 1.0, "none": None,
       "times": np.ones(2, "M8[s]"), "shape": np.ones(3), "axes": np.ones((1, 2)), "large": np.full(2, 1e300)}


@each("bad", BAD.values(), ids=list(BAD))
def test_load_state_refuses_what_is_no_array_that_fits_and_changes_nothing(bad):
    net = sp.Sequential(Two(), network())
    optimizer = sp.Adam([sp.Tensor(np.ones(2, np.float32), requires_grad=True) for _ in range(2)], 0.1)
    for parameter in optimizer.parameters:
        parameter.grad = np.ones(2, np.float32)
    optimizer.step()
    before = everything(net, optimizer)
    state = {name: a + 1 if a.dtype.kind == "f" else a for name, a in net.state().items()}
    for name in ("layers.0.weight", "layers.0.statistics", "layers.1.layers.2.count"):
        with pytest.raises((ShapeError, TypeError), match=f"load_state.*{name}"):
            net.load_state(state | {name: bad})
    for name in ("0.mean", "1.square", "steps"):
        if name != "steps" or bad is not BAD["whole"]:
            with pytest.raises((ShapeError, TypeError), match="load_state"):
                optimizer.load_state({k: v + 1 for k, v in optimizer.state().items()} | {name: bad})
    assert everything(net, optimizer) == before


@each("bad", [None, 3, [], "state", np.zeros(3), {}, {3: np.zeros(2)}, [("steps", 0)]])
def test_load_state_refuses_what_is_no_state(bad):
    net = network()
    both, scale = together(net), sp.train.LossScale()
    before = everything(net, both)
    for thing in (net, both, both.optimizers[0], scale):
        with pytest.raises((ShapeError, TypeError), match="LossScale|load_state"):
            thing.load_state(bad)
    assert everything(net, both) == before and scale.state() == sp.train.LossScale().state()


def test_a_layer_with_a_read_only_array_is_told_before_any_is_copied():
    net = network()
    net.layers[1].running_mean.flags.writeable = False
    before = copy.deepcopy(net.state())
    with pytest.raises(ValueError, match="layers.1.running_mean, which is read-only"):
        net.load_state({name: a + 1 if a.dtype.kind == "f" else a for name, a in net.state().items()})
    assert all((net.state()[name] == a).all() for name, a in before.items())


def test_arrays_of_another_width_are_taken_where_their_numbers_fit():
    net = network()
    wide = {name: a.astype({"f": "f8", "i": "i8", "b": "?"}[a.dtype.kind]) for name, a in net.state().items()}
    wide["layers.2.count"] += 7
    net.load_state(wide)
    assert net.layers[2].count.tolist() == [7, 7, 7] and net.layers[2].count.dtype == np.int32


def test_a_scale_with_more_good_steps_than_it_waits_for_is_doubled_at_the_next():
    scale, w = sp.train.LossScale(), sp.Tensor([1.0], requires_grad=True)
    scale.load_state({"scale": 2, "steps": 10**6})                       # of a scale that stayed
    w.grad = np.ones(1, np.float32)
    scale.step(sp.SGD([w], 0.1))
    assert scale.state() == {"scale": 4.0, "steps": 0}
