"""Layers of spconv, run by spconv itself, and the same layers of ours with the weights that `convert` takes over."""

import hashlib
import json
from pathlib import Path

import numpy as np
from in_turn import each

import spconv_cy as sp

GOLDEN = Path(__file__).resolve().parent / "golden"
FILES = {source: np.load(GOLDEN / name) for source, name in (("spconv2", "spconv.npz"), ("spconv1", "spconv1.npz"))}
TOLERANCE = 2e-6                                                         # of the largest value


def layer(kind, size, dilation, bias, stride=1, padding=0, **_):
    """Return our layer of a case."""
    c, o = 3, 2
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    if kind == "submanifold":
        return sp.SubmanifoldConvolution(3, c, o, size, dilation=dilation, bias=bias)
    if kind == "maximum":
        return sp.MaxPooling(3, size, background="zero", size_rule="floor", **options)
    if kind == "transposed":
        return sp.layers.TransposedConvolution(3, c, o, size, bias=bias, size_rule="undilated", **options)
    # spconv's inverse of size 1 stays on the coarse sites.
    first = sp.Convolution(3, c, o, size, bias=bias, size_rule="floor", **options)
    if kind == "convolution":
        return first
    if size == 1:
        return sp.Sequential(first, sp.NetworkInNetwork(o, c, bias=bias))
    return sp.Sequential(first, sp.Deconvolution(3, o, c, size, bias=bias, **options))


def ran(source):
    """Return the cases of a file that the library ran."""
    return [case for case in json.loads(str(FILES[source]["cases"])) if "refused" not in case]


def named(case):
    return "-".join(f"{key}={value}" for key, value in case.items() if key not in ("arrays", "field"))


def arrays_of(source, case):
    """Return (input, sites and rows of the result, state) of a case."""
    file = FILES[source]
    arrays = {name: file[key] for name, key in case["arrays"].items()}
    x = sp.SparseTensor.from_sites(file["sites"], file["rows"], tuple(file["size"]), 2, ground=None)
    return x, arrays.pop("sites"), arrays.pop("rows"), arrays


def check(y, sites, rows, field):
    assert np.array_equal(y.sites, sites) and list(y.grid.size) == field
    assert np.abs(y.features.numpy() - rows).max(initial=0) <= TOLERANCE * np.abs(rows).max(initial=0)


@each("case", ran("spconv2"), ids=named)
def test_a_layer_gives_the_sites_and_the_rows_of_spconv(case):
    x, sites, rows, state = arrays_of("spconv2", case)
    net = layer(**case)
    if state:
        net, _ = sp.io.convert(state, net, one_by_one="raw", layout="krsc")
    check(net.eval()(x), sites, rows, case["field"])


def is_dilated(case):
    return case["kind"] == "submanifold" and case["dilation"] > 1


@each("case", [case for case in ran("spconv1") if not is_dilated(case)], ids=named)
def test_a_layer_gives_the_sites_and_the_rows_of_spconv_1(case):
    x, sites, rows, state = arrays_of("spconv1", case)
    net = layer(**case)
    if state:
        net, _ = sp.io.convert(state, net, "spconv1")
    check(net.eval()(x), sites, rows, case["field"])


@each("case", filter(is_dilated, ran("spconv1")), ids=named)
def test_a_dilated_submanifold_window_of_spconv_1_is_not_centred_but_for_its_middle(case):
    x, sites, rows, state = arrays_of("spconv1", case)
    size, dilation = case["size"], case["dilation"]
    window = sp.Convolution(3, 3, 2, size, padding=size // 2, dilation=dilation, sites="valid", bias=False)
    sp.io.convert(state, window, "spconv1")
    weight = window.weight.numpy().copy()
    middle = sp.NetworkInNetwork(3, 2, bias=False)
    middle.load_state({"weight": weight[None, len(weight) // 2]})
    weight[len(weight) // 2] = 0
    window.load_state({"weight": weight})
    y = window(x, x.grid)
    check(y.with_features(y.features + middle(x).features), sites, rows, case["field"])


@each("name", ["spconv", "spconv1"])
def test_the_golden_file_is_the_one_that_was_made(name):
    digest, file = (GOLDEN / f"{name}_sha256.txt").read_text().split()
    assert hashlib.sha256((GOLDEN / file).read_bytes()).hexdigest() == digest


@each("source, count, sizes", [("spconv2", 200, {1, 2, 3, 5}), ("spconv1", 140, {2, 3, 5})])
def test_the_cases_are_all_kinds_sizes_strides_paddings_and_dilations(source, count, sizes):
    cases = ran(source)
    assert len(cases) >= count and {case["kind"] for case in cases} == {
        "submanifold", "convolution", "inverse", "transposed", "maximum"}
    for name, values in (("size", sizes), ("stride", {1, 2, 3}), ("padding", {0, 1, 2}), ("dilation", {1, 2})):
        assert {case[name] for case in cases if isinstance(case.get(name), int)} >= values
