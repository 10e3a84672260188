"""Results that others published, as files of torch: run with SPCONV_CY_GOLDEN=the folder that holds them.

golden_net.pt and golden_ext_pool.pt are of L-Reichardt/spconv-triton, spconv_golden_*.pt of mrpulford/trispconv; both
were made by spconv on a GPU, and are under Apache-2.0.
"""

import os
from pathlib import Path

import numpy as np
import pytest

import spconv_cy as sp

FOLDER = Path(os.environ.get("SPCONV_CY_GOLDEN", "/nowhere"))
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="SPCONV_CY_GOLDEN names no folder")
TOLERANCE = 2e-6                                                         # of the largest value


def content(name):
    """Return the content of a file."""
    return sp.io.read_checkpoint(FOLDER / name, everything=True)


def tensor(case):
    """Return the input of a case."""
    return sp.SparseTensor.from_sites(case["indices"], case["features"].astype(np.float32),
                                      tuple(case["spatial_shape"]), case["batch_size"], ground=None)


def check(y, sites, rows, tolerance=None):
    """A result has these sites and rows."""
    order = np.lexsort(sites.T[::-1])
    assert np.array_equal(y.sites, sites[order])
    tolerance = TOLERANCE * np.abs(rows).max() if tolerance is None else tolerance
    assert np.abs(y.features.numpy() - rows[order].astype(np.float32)).max() <= tolerance


def u_net():
    """Return the U-Net of golden_net.pt."""
    norm = {"eps": 1e-5, "momentum": 0.9, "debias": False}
    return sp.Sequential(
        sp.SubmanifoldConvolution(3, 6, 16, bias=False), sp.BatchNormalization(16, **norm), sp.ReLU(),
        sp.SubmanifoldConvolution(3, 16, 16, bias=False),
        sp.Concatenate(
            sp.Sequential(
                sp.Convolution(3, 16, 32, 3, 2, padding=1, bias=False, size_rule="floor"),
                sp.SubmanifoldConvolution(3, 32, 32, bias=False), sp.BatchNormalization(32, **norm), sp.ReLU(),
                sp.Deconvolution(3, 32, 16, 3, 2, padding=1, bias=False)),
            sp.Sequential()),
        sp.NetworkInNetwork(32, 8))


@pytest.mark.parametrize("number", [0, 1], ids=["float32", "float16"])
def test_a_u_net(number):
    case = content("golden_net.pt")["cases"][number]
    net, report = sp.io.convert(case["state_dict"], u_net(), one_by_one="raw")
    assert len(report) == 15 and report.skipped == ("stem.1.num_batches_tracked", "mid.1.num_batches_tracked")
    expect, x = case["expect"], tensor(case["input"])
    with sp.no_grad():
        check(net(x), expect["out_indices"], expect["out_features"], None if number == 0 else expect["atol_out"])


def check_gradient(y, features, case, factor=1):
    """The gradient of the case goes back from y to these features; theirs is multiplied by a factor for each row."""
    expect = case["expect"]
    order, out = (np.lexsort(sites.T[::-1]) for sites in (case["input"]["indices"], expect["out_indices"]))
    y.features.backward(expect["grad_out"][out] * factor)
    want = expect["grad_input"][order]
    assert np.abs(features.grad - want).max() <= TOLERANCE * np.abs(want).max()


def test_all_gradients_of_a_u_net():
    case = content("golden_net.pt")["cases"][0]
    net, report = sp.io.convert(case["state_dict"], u_net(), one_by_one="raw")
    expect, x = case["expect"], tensor(case["input"])
    features = sp.Tensor(x.features.numpy(), requires_grad=True)
    check_gradient(net(x.with_features(features)), features, case)
    of_state = [match for match in report if match.name in expect["grad_params"]]
    assert len(of_state) == len(expect["grad_params"]) == len(net.parameters()) == 11
    for match, parameter in zip(of_state, net.parameters(), strict=True):
        told = expect["grad_params"][match.name]
        want = np.moveaxis(told["grad"], 0, -1) if match.how == "krsc" else told["grad"]
        assert np.abs(parameter.grad - want.reshape(parameter.shape)).max() <= 2e-6 * np.abs(want).max(), match.name


@pytest.mark.parametrize("name", ["subm_1x1x1_c16", "subm_3x3x3_c16", "strided_s2_p1", "inverse_3x3x3"])
def test_a_layer(name):
    case = content(f"spconv_golden_{name}.pt")
    c, o, size, bias = case["C_in"], case["C_out"], case["kernel_size"], case["bias"] is not None
    options = {"bias": bias, "dilation": case["dilation"]}
    strided = {"stride": case["stride"], "padding": case["padding"]}
    x = tensor(case)
    if case["conv_type"] == "subm":
        net = sp.SubmanifoldConvolution(3, c, o, size, **options)
    elif case["conv_type"] == "strided":
        net = sp.Convolution(3, c, o, size, size_rule="floor", **options, **strided)
    else:
        net = sp.Deconvolution(3, c, o, size, **options, **strided)
        fine = tensor({"indices": case["down_in_indices"], "features": case["down_in_features"],
                       "spatial_shape": case["down_in_spatial_shape"], "batch_size": case["batch_size"]})
        down = sp.Convolution(3, case["down_C_in"], case["down_C_out"], size, size_rule="floor", bias=False, **strided)
        coarse = down(fine)
        order = np.lexsort(case["indices"].T[::-1])
        assert np.array_equal(coarse.sites, case["indices"][order])
        x = coarse.with_features(case["features"][order])
    state = {name: case[name] for name in ("weight", "bias") if case[name] is not None}
    net, _ = sp.io.convert(state, net, one_by_one="raw")
    check(net(x), case["out_indices"], case["out_features"])


@pytest.mark.parametrize("number", range(4))
def test_a_pool(number):
    case = content("golden_ext_pool.pt")["cases"][number]
    (layer,) = case["layers"]
    options = {"size": 3, "stride": 2, "padding": 0, "dilation": 1} | {
        {"kernel_size": "size"}.get(name, name): value for name, value in layer["ctor"].items()
        if name not in ("ndim", "subm")}
    size, x = options.pop("size"), tensor(case["input"])
    kind = sp.AveragePooling if "Avg" in layer["cls"] else sp.MaxPooling
    extra = {"over": "active"} if kind is sp.AveragePooling else {"background": "zero"}
    pool = kind(3, size, size_rule="floor", **options, **extra)
    expect, features = case["expect"], sp.Tensor(x.features.numpy(), requires_grad=True)
    x = x.with_features(features)
    y = pool(x, x.grid) if layer["ctor"].get("subm") else pool(x)
    check(y, expect["out_indices"], expect["out_features"], expect["atol_out"])
    factor = 1
    if kind is sp.AveragePooling:                                        # spconv multiplies by the active sites
        ones = x.with_features(np.ones((len(x.sites), 1), np.float32))
        factor = sp.layers.SumPooling(3, 3, 1, padding=1)(ones, x.grid).features.numpy() ** 2
    check_gradient(y, features, case, factor)
