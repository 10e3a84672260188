"""State that a layer holds in containers: found, named, moved, saved, or refused by name. Objects that never change."""

import copy
import pickle
from collections import deque, namedtuple

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.sites.rulebook import Rulebook

Pair = namedtuple("Pair", "first second")


class Held(sp.Layer):
    """A layer with one attribute."""

    def __init__(self, held):
        self.held = held

    def __call__(self, x):
        return x


def nin():
    """Make a small layer."""
    return sp.NetworkInNetwork(2, 3, rng=0)


@pytest.mark.parametrize("held, paths", [
    ({"a": nin(), "b": nin()}, ["held.a.weight", "held.a.bias", "held.b.weight", "held.b.bias"]),
    ([[nin()], (nin(),)], ["held.0.0.weight", "held.0.0.bias", "held.1.0.weight", "held.1.0.bias"]),
    ({"deep": [{"er": nin()}], 3: 5}, ["held.deep.0.er.weight", "held.deep.0.er.bias"]),
    (Pair(nin(), "text"), ["held.0.weight", "held.0.bias"]),
    ([{"p": sp.Tensor([1.0], requires_grad=True)}, np.arange(3)], ["held.0.p", "held.1"]),
    ({"x.y": 1, "z": None}, []),
], ids=["dict", "lists", "deep", "namedtuple", "tensors", "plain"])
def test_layers_and_tensors_in_containers_are_found_by_path(held, paths):
    layer = Held(held)
    assert list(layer.state()) == paths
    assert len(layer.parameters()) == len([path for path in paths if path != "held.1"])
    assert not any(p.requires_grad for p in layer.eval().parameters())
    assert all(p.requires_grad for p in layer.train().parameters())
    layer.load_state({path: array + 1 for path, array in layer.state().items()})
    twin = copy.deepcopy(layer)
    assert all(np.array_equal(a, b) for a, b in zip(twin.state().values(), layer.state().values(), strict=True))
    moved = layer.to("reference")
    assert all(a.dtype in (np.float64, np.int64) for a in moved.state().values()) and type(layer.held) is type(held)


@pytest.mark.parametrize("held, said", [
    ({nin()}, "'held' to hold .* got a set"), (frozenset([nin()]), "frozenset"), (deque([nin()]), "deque"),
    ([{sp.Tensor([1.0])}], r"'held.0'.*set"), (np.array([nin(), None]), "array of objects"),
    ({"a.b": nin()}, "keys without a dot .*'held'.*'a.b'"),
])
def test_containers_that_no_file_could_keep_are_refused_by_the_attributes_name(held, said):
    for call in (sp.Layer.parameters, sp.Layer.state, sp.Layer.eval, lambda layer: layer.to("reference")):
        with pytest.raises(TypeError, match=said):
            call(Held(held))


def test_moving_keeps_whole_numbers_and_booleans_and_changes_floats():
    layer = Held({"counts": np.arange(2, dtype=np.int32), "mask": [np.ones(2, bool)], "mean": (np.ones(2, np.float32),),
                  "names": np.array(["a"]), "number": 3, "none": None})
    held = layer.to("reference").held
    assert (held["counts"].dtype, held["mask"][0].dtype, held["mean"][0].dtype) == (np.int32, bool, np.float64)
    assert held["names"].tolist() == ["a"] and held["number"] == 3 and held["none"] is None
    assert layer.to("cpu").held["mean"][0].dtype == np.float32


def test_the_parameters_in_a_dict_are_trained():
    layer = Held({"a": nin()})
    before = layer.state()["held.a.weight"].copy()
    layer.held["a"](np.ones((1, 2))).sum().backward()
    sp.SGD(layer.parameters(), 0.1).step()
    assert (layer.state()["held.a.weight"] != before).all()


def books():
    """List rulebooks by the ways in which they come."""
    grid = sp.Grid.from_sites(np.stack([np.zeros(50, int), np.arange(50)], 1))
    _, book = grid.rules(sp.sites.Window(1, 3, kind="submanifold"))
    by_hand = sp.sites.Rulebook([0, 1], [0, 1], [0, 1, 2], 2, 2, volume=[3, 4])
    return [book, book.T, by_hand, Rulebook.identity(200), pickle.loads(pickle.dumps(book)), copy.deepcopy(book),
            copy.copy(by_hand), pickle.loads(pickle.dumps(by_hand))]


@each("number", range(8))
def test_a_rulebook_never_changes(number):
    book = books()[number]
    for name in ("in_rows", "out_rows", "offset_ptr", "tile_ptr", "fan_in"):
        array = getattr(book, name)
        with pytest.raises(ValueError):
            array[...] = 0
        with pytest.raises(ValueError):
            array.resize(10_000, refcheck=False)
    for name in ("in_rows", "n_in", "n_out", "volume", "n_pairs", "pairs", "T", "other"):
        with pytest.raises(AttributeError):
            setattr(book, name, 1)
    with pytest.raises(AttributeError):
        book.pairs.n_out = 10**6


def test_copies_of_a_rulebook_are_equal():
    for book in books():
        twin = pickle.loads(pickle.dumps(book))
        assert twin == book and np.array_equal(twin.volume, book.volume) and twin.T == book.T
        assert np.array_equal(twin.tile_ptr, book.tile_ptr)


@each("volume", ["x", -5, 1.5, np.array([1, 2, 3]), [1, -1], [[1, 2]], True, np.ones(2), {}])
def test_a_volume_that_is_no_count_is_refused(volume):
    with pytest.raises(ShapeError, match="volume"):
        sp.sites.Rulebook([0, 1], [0, 1], [0, 2], 2, 2, volume=volume)


def test_a_grid_never_changes():
    grid = sp.Grid.from_sites([[0, 1, 2], [0, 3, 4]], size=8)
    collapsed, rows = grid.collapse(0)
    for array in (grid.sites, grid.batch_starts, rows, collapsed.sites, grid.partition((2, 2), (0, 0))[0]):
        with pytest.raises(ValueError):
            array[...] = 0
    for name in ("sites", "size", "samples", "lattice", "source", "batch_starts", "n"):
        with pytest.raises(AttributeError):
            setattr(grid, name, 1)
