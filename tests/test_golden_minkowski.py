"""Layers and a MinkUNet of MinkowskiEngine, run by it, and ours with the weights that `convert` takes over."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from in_turn import each

import spconv_cy as sp

GOLDEN = Path(__file__).resolve().parent / "golden"
sys.path.insert(0, str(GOLDEN))

from seeded import seeded  # noqa: E402

FILE = np.load(GOLDEN / "minkowski.npz")
CASES = json.loads(str(FILE["cases"]))
TOLERANCE = 2e-6                                                         # of the largest value


class AtItsSites(sp.layers.Layer):
    """A layer whose output has the sites of its input."""

    def __init__(self, layer):
        self.layer = layer

    def __call__(self, x):
        return self.layer(x, x.grid)


def layer(kind, size=1, stride=1, dilation=1, bias=False, **_):
    """Return our layer of a case: windows of odd size are centred, the others begin at their site."""
    c, o = 3, 2
    options = {"dilation": dilation, "padding": size // 2 * dilation if size % 2 else 0}
    if kind == "normalisation":
        return sp.BatchNormalization(c, eps=1e-5, momentum=0.9)
    if kind.startswith("global"):
        return sp.GlobalPooling({"maximum": "max"}.get(kind[7:], kind[7:]))
    if kind == "unpooling":
        return sp.Sequential(sp.layers.SumPooling(3, size, stride, sites="cell"), sp.layers.UnPooling(3, size, stride))
    if kind in ("maximum", "sum", "average"):
        made = {"maximum": sp.MaxPooling, "sum": sp.layers.SumPooling, "average": sp.layers.AveragePooling}[kind]
        options |= {"over": "active"} if kind == "average" else {}
        options["padding"] *= size != stride             # of equal size and stride it takes the cells
        pool = made(3, size, stride, sites="valid" if stride == 1 else "cell", **options)
        return AtItsSites(pool) if stride == 1 else pool
    if kind == "convolution" and stride == 1:
        if size % 2:
            return sp.SubmanifoldConvolution(3, c, o, size, dilation=dilation, bias=bias)
        return AtItsSites(sp.Convolution(3, c, o, size, dilation=dilation, bias=bias))
    first = sp.Convolution(3, c, o, size, stride, sites="cell", bias=bias, **options)
    if kind == "convolution":
        return first
    back = sp.Deconvolution if kind == "transposed" else sp.layers.TransposedConvolution
    return sp.Sequential(first, back(3, o, c, size, stride, bias=bias, **options))


def check(y, sites, rows):
    """The sites are equal, and the rows within the tolerance.

    A maximum over no site is the lowest float32 in MinkowskiEngine, and 0 in ours.
    """
    found = np.column_stack([np.arange(2), np.zeros((2, 3))]) if isinstance(y, sp.Tensor) else y.sites
    features, empty = y if isinstance(y, sp.Tensor) else y.features, rows == np.finfo(np.float32).min
    assert not features.numpy()[empty].any()
    rows = np.where(empty, 0, rows)
    assert np.array_equal(found, sites)
    assert np.abs(features.numpy() - rows).max(initial=0) <= TOLERANCE * np.abs(rows).max(initial=0)


RUN = [case for case in CASES if "refused" not in case]


@each("case", RUN, ids=lambda case: "-".join(
    f"{key}={value}" for key, value in case.items() if key != "arrays"))
def test_a_layer_gives_the_sites_and_the_rows_of_minkowskiengine(case):
    arrays = {name: FILE[key] for name, key in case["arrays"].items()}
    sites, rows = arrays.pop("sites"), arrays.pop("rows")
    net = layer(**case)
    if arrays:
        net, _ = sp.io.convert(arrays, net, "minkowski")
    check(net.eval()(sp.SparseTensor.from_sites(FILE["sites"], FILE["rows"], None, 2, ground=None)), sites, rows)


def test_a_minkunet_gives_what_minkowskiengine_gave(ops):
    case = {name.split("/")[1]: FILE[name] for name in FILE.files if name.startswith("network/")}
    state = seeded(json.loads(str(case["shapes"])))
    net, report = sp.io.convert(state, "minkunet", "minkowski")
    assert not report.missing and not report.left_over
    x = sp.SparseTensor.from_sites(case["sites"], case["rows"], None, 2, ground=None)
    check(net.eval()(x), case["out_sites"], case["out_rows"])


def test_the_golden_file_is_the_one_that_was_made():
    digest, name = (GOLDEN / "minkowski_sha256.txt").read_text().split()
    assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == digest


def test_the_cases_are_all_kinds_sizes_strides_and_dilations():
    assert len(RUN) >= 90 and {case["kind"] for case in RUN} == {
        "convolution", "transposed", "generative", "maximum", "sum", "average", "unpooling", "normalisation",
        "global maximum", "global sum", "global average"}
    for name, values in (("size", {1, 2, 3, 5}), ("stride", {1, 2, 3}), ("dilation", {1, 2})):
        assert {case[name] for case in RUN if name in case} >= values
