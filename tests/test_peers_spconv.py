"""Layers of spconv, run by spconv itself, and the same layers of ours with the weights that `convert` takes over."""

import hashlib
import json
from pathlib import Path

import numpy as np
from in_turn import each

import spconv_cy as sp

GOLDEN = Path(__file__).resolve().parent / "golden"
FILE = np.load(GOLDEN / "spconv.npz")
CASES = json.loads(str(FILE["cases"]))
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


RUN = [case for case in CASES if "refused" not in case]


@each("case", RUN, ids=lambda case: "-".join(
    f"{key}={value}" for key, value in case.items() if key not in ("arrays", "field")))
def test_a_layer_gives_the_sites_and_the_rows_of_spconv(case):
    arrays = {name: FILE[key] for name, key in case["arrays"].items()}
    sites, rows = arrays.pop("sites"), arrays.pop("rows")
    net = layer(**case)
    if arrays:
        net, _ = sp.io.convert(arrays, net, one_by_one="raw", layout="krsc")
    y = net.eval()(sp.SparseTensor.from_sites(FILE["sites"], FILE["rows"], tuple(FILE["size"]), 2, ground=None))
    assert np.array_equal(y.sites, sites) and list(y.grid.size) == case["field"]
    assert np.abs(y.features.numpy() - rows).max(initial=0) <= TOLERANCE * np.abs(rows).max(initial=0)


def test_the_golden_file_is_the_one_that_was_made():
    digest, name = (GOLDEN / "spconv_sha256.txt").read_text().split()
    assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == digest


def test_the_cases_are_all_kinds_sizes_strides_paddings_and_dilations():
    assert len(RUN) >= 200 and {case["kind"] for case in RUN} == {
        "submanifold", "convolution", "inverse", "transposed", "maximum"}
    for name, values in (("size", {1, 2, 3, 5}), ("stride", {1, 2, 3}), ("padding", {0, 1, 2}), ("dilation", {1, 2})):
        assert {case[name] for case in RUN if isinstance(case.get(name), int)} >= values
