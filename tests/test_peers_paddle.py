"""Sparse layers of Paddle, run by Paddle itself, and the same layers of ours with the weights `convert` takes over."""

import hashlib
import json
from pathlib import Path

import numpy as np
from in_turn import each

import spconv_cy as sp

GOLDEN = Path(__file__).resolve().parent / "golden"
FILE = np.load(GOLDEN / "paddle.npz")
CASES = json.loads(str(FILE["cases"]))
TOLERANCE = 2e-6                                                         # of the largest value


def layer(kind, size=1, stride=1, padding=0, dilation=1, bias=False, **_):
    """Return our layer of a case."""
    c, o = 3, 2
    if kind == "submanifold":
        return sp.SubmanifoldConvolution(3, c, o, size, dilation=dilation, bias=bias)
    if kind == "normalisation":
        return sp.BatchNormalization(c, eps=1e-5, momentum=0.9)
    if kind == "maximum":
        return sp.MaxPooling(3, size, stride, padding=padding, size_rule="floor")
    return sp.Convolution(3, c, o, size, stride, padding=padding, dilation=dilation, bias=bias, size_rule="floor")


# A window beyond the field gives no rows in Paddle; ours is refused. Paddle's dilated submanifold convolutions shrink
# the field and lose sites.
RUN = [case for case in CASES if min(case["field"]) > 0 and not (
    case["kind"] == "submanifold" and case["dilation"] > 1 and case["size"] > 1)]


@each("case", RUN, ids=lambda case: "-".join(
    f"{key}={value}" for key, value in case.items() if key not in ("arrays", "field")))
def test_a_layer_gives_the_sites_and_the_rows_of_paddle(case):
    arrays = {name: FILE[key] for name, key in case["arrays"].items()}
    sites, rows = arrays.pop("sites"), arrays.pop("rows")
    net = layer(**case)
    if arrays:
        net, _ = sp.io.convert(arrays, net, "paddle")
        back = sp.io.to_peer(net, "paddle", names={"": ""})
        assert all(np.array_equal(back[name], arrays[name]) for name in arrays) and back.keys() == arrays.keys()
    x = sp.SparseTensor.from_sites(FILE["sites"], FILE["rows"], tuple(FILE["size"]), 2, ground=None)
    y = net.eval()(x)
    assert np.array_equal(y.sites, sites) and list(y.grid.size) == case["field"]
    assert np.abs(y.features.numpy() - rows).max(initial=0) <= TOLERANCE * np.abs(rows).max(initial=0)


def test_the_golden_file_is_the_one_that_was_made():
    digest, name = (GOLDEN / "paddle_sha256.txt").read_text().split()
    assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == digest
    assert {case["kind"] for case in CASES} == {"submanifold", "convolution", "maximum", "normalisation"}


def test_the_way_back_to_a_linear_layer():
    net = sp.NetworkInNetwork(3, 5, rng=0)
    state = sp.io.to_peer(net, "paddle", names={"a": ""}, one_by_one="matrix")
    assert state["a.weight"].shape == (3, 5) and sp.io.to_peer(net, "paddle")["weight"].shape == (1, 1, 1, 3, 5)
    assert np.array_equal(sp.io.convert(state, sp.NetworkInNetwork(3, 5), "paddle")[0].weight.data, net.weight.data)
