"""Frozen networks of several programs: a Pyramid's levels are frozen, and the memory is told through a Collapse."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp

pytest.importorskip("spconv_cy.compiled.memory")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import bench_memory  # noqa: E402


def inputs(n, c=2, seed=0, ground=None):
    rng = np.random.default_rng(seed)
    sites = np.unique(np.column_stack([rng.integers(0, 2, n), rng.integers(0, (9, 40, 40), (n, 3))]), axis=0)
    return sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), c)).astype(np.float32), (9, 40, 40), 2,
                                      ground=ground)


@pytest.fixture(scope="module")
def net():
    return sp.models.voxelnext(2, widths=(4, 8, 8, 12, 12), channels_out=5, rng=0).eval()


def test_levels_are_programs_and_the_values_those_of_the_network(net, tmp_path):
    frozen = sp.freeze(net)
    assert [type(layer).__name__ for layer in frozen.layers] == ["Collapse"]
    assert sum(hasattr(part, "steps") for part in frozen.parts) == 4
    sp.save(tmp_path / "frozen.safetensors", frozen)
    for some in (frozen, sp.load(tmp_path / "frozen.safetensors")):
        for n in (0, 1, 3000):
            x = inputs(n) if n else inputs(5).prune(np.zeros(inputs(5).grid.n, bool))
            y, truth = some(x), net(x)
            assert y.grid.n == truth.grid.n and np.array_equal(y.sites, truth.sites)
            np.testing.assert_array_equal(y.features.numpy(), truth.features.numpy())
    assert frozen.weight_bytes() > 4 * 1000 and "Pyramid" not in repr(frozen)


def test_memory_is_told_and_kept_or_refused(net):
    frozen, x = sp.freeze(net), inputs(6000)
    told, took, _ = bench_memory.measured(frozen, x)
    assert took <= told <= 1.2 * took, (told, took)
    np.testing.assert_array_equal(frozen(x, memory=told).features.numpy(), net(x).features.numpy())
    assert frozen.memory(x.sites, size=x.grid.size) == told == sp.freeze(net, memory="1GB").memory(x)
    with pytest.raises(MemoryError, match="at most"):
        frozen(x, memory=told - 1)
    with pytest.raises(MemoryError):
        frozen(x, memory=1000)


@pytest.mark.parametrize("ground", ["zero", None])
def test_the_sum_along_an_axis_is_counted_with_and_without_a_ground_state(ground):
    net = sp.Sequential(sp.SubmanifoldConvolution(3, 2, 24, rng=0), sp.layers.Collapse(3, 0),
                        sp.SubmanifoldConvolution(2, 24, 8, rng=1)).eval()
    told, took, _ = bench_memory.measured(sp.freeze(net), inputs(6000, ground=ground))
    assert took <= told <= 1.2 * took, (told, took)


def test_levels_that_no_program_has_leave_the_pyramid_as_it_is():
    net = sp.Sequential(sp.SubmanifoldConvolution(3, 2, 4, rng=0),
                        sp.layers.Pyramid(sp.layers.FractionalMaxPooling(3, 1.5, rng=0))).eval()
    frozen = sp.freeze(net)
    assert [type(layer).__name__ for layer in frozen.layers] == ["Pyramid"]
    with pytest.raises(TypeError, match="Pyramid"):
        frozen.memory(inputs(50))


def test_rows_without_sites_and_a_pyramid_at_the_beginning_are_refused_in_words():
    pool = sp.MaxPooling(3, 2, size_rule="floor")
    frozen = sp.freeze(sp.layers.Pyramid(pool).eval())
    with pytest.raises(TypeError, match="Pyramid.*expected a SparseTensor, got a Tensor"):
        frozen(np.ones((3, 2), np.float32))
    with pytest.raises(TypeError, match="expected layers whose memory is known before they run, got Pyramid"):
        frozen.memory(inputs(50))
    reduces = sp.Sequential(sp.SubmanifoldConvolution(3, 2, 2, rng=0),
                            sp.layers.Pyramid(sp.Sequential(pool, sp.GlobalPooling()))).eval()
    for net in (reduces, sp.freeze(reduces)):
        with pytest.raises(TypeError, match="Pyramid.*expected a SparseTensor from level 1, got a Tensor"):
            net(inputs(50))
    with pytest.raises(TypeError, match="got Pyramid"):
        sp.freeze(reduces).memory(inputs(50))


def test_a_state_of_other_shapes_is_refused_and_leaves_the_network_as_it_was(net):
    frozen, x = sp.freeze(net), inputs(500)
    y, state = frozen(x).features.numpy().copy(), frozen.state()
    name = next(name for name in state if name.startswith("steps.") and name.endswith("weight"))
    for wrong in (state[name][..., :-1], state[name][:-1], state[name].astype(np.int32)):
        with pytest.raises(sp.errors.ShapeError, match=rf"load_state: {name}: expected an array of"):
            frozen.load_state({**{key: array * 0 for key, array in state.items()}, name: wrong})
    np.testing.assert_array_equal(frozen(x).features.numpy(), y)
    for alike in (lambda array: array.astype(np.float64), lambda array: array.astype(">f4"), np.asfortranarray):
        frozen.load_state({key: alike(array) for key, array in state.items()})
        np.testing.assert_array_equal(frozen(x).features.numpy(), y)


@pytest.mark.parametrize("steps", [["Convolve 3 1"], ["Convolve 0 1", "Convolve 1 1"], ["Convolve 0 -1"],
                                   ["Convolve 0 9"], ["Join 4 3", "Join 3 4", "Convolve 0 3", "Convolve 0 4"]])
def test_a_text_of_steps_that_read_each_other_is_refused(steps):
    net = sp.Sequential(sp.Concatenate(sp.Sequential(), sp.NetworkInNetwork(2, 2, rng=0)),
                        sp.SubmanifoldConvolution(3, 4, 2, rng=1)).eval()
    (plan,), _ = sp.freeze(sp.Sequential(sp.SubmanifoldConvolution(3, 2, 2, rng=2), net)).arguments()
    program, = json.loads(plan)
    kinds = {step["kind"]: step for step in program["steps"]}
    program["steps"] = [{**kinds[kind], "x": int(x), "y": int(y), **({"parts": [int(x)]} if kind == "Join" else {})}
                        for kind, x, y in map(str.split, steps)]
    with pytest.raises(sp.errors.ShapeError, match="Frozen: expected steps that read what those before wrote"):
        type(sp.freeze(net))(json.dumps([program]))


@pytest.mark.parametrize("count", [-1, 0, 1.5, 3])
def test_a_text_of_other_levels_than_programs_is_refused(net, count):
    (plan, *layers), _ = sp.freeze(net).arguments()
    assert plan.count("[2, 2]") == 1
    with pytest.raises((sp.errors.ShapeError, TypeError)):
        type(sp.freeze(net))(plan.replace("[2, 2]", f"[{count}, 2]"), *layers)


def changed_plan(plan, kind, **words):
    """Return the text of a plan whose first step of a kind, or whose first value or link, says something else."""
    parts = json.loads(plan)
    program = next(part for part in parts if isinstance(part, dict))
    if kind in ("values", "links"):
        place, value = words["place"], words["value"]
        program[kind][place[0]][place[1]] = value
    elif kind == "output":
        program["output"] = words["value"]
    else:
        step = next(step for step in program["steps"] if step["kind"] == kind)
        assert words.keys() <= step.keys()
        step.update(words)
    return json.dumps(parts)


CHANGES = {
    "a window from a place that is not there": ("links", {"place": (1, 0), "value": 7}),
    "a window to a place that is not there": ("links", {"place": (0, 2), "value": 5}),
    "a value at a place that is not there": ("values", {"place": (1, 0), "value": 9}),
    "a value of other channels": ("values", {"place": (1, 1), "value": 5}),
    "a value of no channels": ("values", {"place": (1, 1), "value": "3"}),
    "a value of float64": ("values", {"place": (1, 2), "value": "float64"}),
    "another input": ("values", {"place": (0, 1), "value": 3}),
    "a result that is not written": ("output", {"value": 99}), "a result by True": ("output", {"value": True}),
    "a link that is not there": ("Convolve", {"link": 9}), "a link before the first": ("Convolve", {"link": -1}),
    "another link": ("Convolve", {"link": 1}), "no link": ("Convolve", {"link": None}),
    "turned by a number": ("Convolve", {"turned": 1}),
    "turned over other sites": ("Convolve", {"turned": True, "link": 1}),
    "a slope of text": ("Convolve", {"slope": "x"}), "a residual of other channels": ("Convolve", {"residual": 0}),
    "a step that reads False": ("Convolve", {"x": False}),
    "a weight of other taps": ("Convolve", {"product": ["float32", {"weight": ["float32", [9, 1, 2, 3]]}]}),
    "a weight of float64": ("Convolve", {"product": ["float32", {"weight": ["float64", [27, 1, 2, 3]]}]}),
    "no weight": ("Convolve", {"product": ["float32", {}]}),
    "a bias of other channels": ("Convolve", {"product": ["float32", {"weight": ["float32", [27, 1, 2, 3]],
                                                                     "bias": ["float32", [1, 4]]}]}),
    "another array": ("Convolve", {"product": ["float32", {"weight": ["float32", [27, 1, 2, 3]],
                                                          "scale": ["float32", [3]]}]}),
    "another precision": ("Convolve", {"product": ["bfloat16", {"weight": ["uint16", [27, 2, 3]]}]}),
    "a map of other channels": ("Map", {"rows": [4, 5]}), "a map of three rows": ("Map", {"rows": [3, 3]}),
    "another background": ("MaxPool", {"background": "one"}), "a pooling without a link": ("MaxPool", {"link": None}),
    "columns of other values": ("Join", {"parts": [0, 0, 0]}), "no columns": ("Join", {"parts": []}),
    "a step that a Join does not read": ("Join", {"x": 0}),
    "a layer that is not there": ("Apply", {"layer": 4}),
}


@each("kind, words", list(CHANGES.values()), ids=list(CHANGES))
def test_a_text_whose_steps_do_not_fit_is_refused(kind, words):
    net = sp.Sequential(sp.SubmanifoldConvolution(3, 2, 3, rng=1), sp.layers.Residual(sp.BatchNormalization(3)),
                        sp.layers.ELU(), sp.Concatenate(sp.Sequential(), sp.SubmanifoldConvolution(3, 3, 2, rng=2)),
                        sp.MaxPooling(3, 2, 2), sp.NetworkInNetwork(5, 4, rng=3)).eval()
    (plan, *layers), _ = sp.freeze(net).arguments()
    made = type(sp.freeze(net))
    made(plan, *layers)
    with pytest.raises((sp.errors.ShapeError, IndexError)):
        made(changed_plan(plan, kind, **words), *layers)


@each("steps", [(0, 0), (-1, 0), (np.nan, 0), (np.inf, 0), (1, -1), (1, 256), (1, 0.5), (1, np.nan), (1, 1e30)])
def test_steps_and_zeros_of_8_bits_that_are_none_are_refused(steps):
    half = pytest.importorskip("spconv_cy.deploy.half")
    half.check_steps(np.array([0.5, 255], np.float32))
    half.check_steps(np.array([[0.5, 1], [0, 3]], np.float32))
    for wrong in (np.array(steps, np.float32), np.array([[1, steps[0]], [0, steps[1]]], np.float32)):
        with pytest.raises(sp.errors.ShapeError, match="steps above 0 and zeros from 0 to 255"):
            half.check_steps(wrong)


def test_a_limit_in_a_text_that_is_none_is_refused(net):
    (plan, *layers), _ = sp.freeze(net).arguments()
    for wrong in ("x", -1, [1], float("nan")):
        with pytest.raises(ValueError, match="a number of bytes from 1 up"):
            type(sp.freeze(net))(plan, *layers, memory=wrong)
