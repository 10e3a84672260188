"""Whole networks: run by spconv, taken over by `convert`, and run by us; tables of names of all families."""

import hashlib
import json
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.io import pth_storage
from spconv_cy.io.networks import instance_u
from spconv_cy.io.networks.known import family_of

GOLDEN = Path(__file__).resolve().parent / "golden"
sys.path.insert(0, str(GOLDEN))

from seeded import seeded  # noqa: E402

FILE = np.load(GOLDEN / "spconv_networks.npz")
TOLERANCE = 2e-6                                                         # of the largest value


def golden(name):
    """Return the arrays of a network's case, and its input."""
    case = {key.split("/")[1]: FILE[key] for key in FILE.files if key.startswith(f"{name}/")}
    x = sp.SparseTensor.from_sites(case["sites"], case["rows"], tuple(case["size"]), 2, ground=None)
    return case, x


def check(net, name):
    """A network gives the sites and the rows of spconv."""
    case, x = golden(name)
    y = net.eval()(x)
    assert np.array_equal(y.sites, case["out_sites"]) and list(y.grid.size) == case["out_size"].tolist()
    assert np.abs(y.features.numpy() - case["out_rows"]).max() <= TOLERANCE * np.abs(case["out_rows"]).max()


@pytest.mark.parametrize("case", ["second", "centerpoint", "voxelnext", "spunet", "pointgroup", "pointgroup-odd"])
def test_a_network_gives_what_spconv_gave(case):
    name = case.partition("-")[0]
    state = seeded(json.loads(str(golden(case)[0]["shapes"])))
    options = {"one_by_one": "raw"} if name == "pointgroup" else {}      # some of its forks have look-alikes
    net, report = sp.io.convert(state, name, layout="krsc", **options)
    check(net, case)
    check(sp.freeze(net), case)
    assert not report.missing and not report.left_over and len(report) + len(report.skipped) == len(state)
    state = {key: state[key] for key in state if key not in report.skipped}
    again = sp.io.to_peer(net, names=name, one_by_one="raw")
    assert again.keys() == state.keys() and all(np.array_equal(again[key], state[key]) for key in state)


def test_a_file_of_torch_becomes_a_network(tmp_path):
    net, report = sp.io.convert(GOLDEN / "spunet.pth", "spunet", layout="krsc")
    check(net, "spunet")
    assert {match.name.split(".")[0] for match in report} == {"backbone"}
    sp.save(tmp_path / "net.safetensors", net)
    check(sp.load(tmp_path / "net.safetensors"), "spunet")


def test_the_golden_files_are_those_that_were_made():
    for line in (GOLDEN / "spconv_networks_sha256.txt").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == digest


def pointgroup(levels, **options):
    return sp.models.unet(levels, 4, 3, 5, size_rule="floor", momentum=0.9, rng=0, **options)


NETS = {  # family, source: a network of it
    ("second", "spconv1"): lambda: sp.models.voxel_backbone_8x(3, rng=0),
    ("second_mmdet3d", "spconv1"): lambda: sp.models.voxel_backbone_8x(3, rng=0),
    ("centerpoint", "spconv1"): lambda: sp.models.voxel_backbone_8x(3, residual=True, rng=0),
    ("spunet", "spconv1"): lambda: sp.models.spunet(4, 3, base=2, channels=(3, 4, 4, 3), repeats=(1, 2, 2, 1), rng=0),
    ("minkunet", "minkowski"): lambda: sp.models.minkunet("34C", 3, 5, width=1 / 16, rng=0),
    ("minkunet", "torchsparse"): lambda: sp.models.minkunet(42, 4, 5, width=0.64 / 4, rng=0),
    ("minkunet_mmdet3d", "torchsparse"): lambda: sp.models.minkunet(42, 4, 5, width=0.5 / 4, rng=0),
    ("minkunet_mmdet3d", "minkowski"): lambda: sp.models.minkunet("34C", 4, 5, width=1 / 16, stem=(3, 3), rng=0),
    ("minkunet_mmdet3d", "spconv2"): lambda: sp.models.minkunet("34C", 4, 5, width=1 / 8, stem=(3, 3), rng=0),
    ("minkunet_mmdet3d", "spconv1"): lambda: sp.models.minkunet(42, 4, 5, width=1 / 8, rng=0),
    ("centerpoint_mmdet3d", "spconv1"): lambda: sp.models.voxel_backbone_8x(3, residual=True, bias=False, rng=0),
    ("centerpoint_mmdet3d", "spconv2"): lambda: sp.models.voxel_backbone_8x(5, residual=True, bias=False, rng=0),
    ("minkfpn", "minkowski"): lambda: sp.models.minkfpn(1, 7, channels=(3, 4, 6), rng=0),
    ("minkfpn ", "minkowski"): lambda: sp.models.minkfpn(
        2, 5, channels=(6, 4, 3, 2), repeats=(1, 2, 1, 1), top_down=2, attention=True, stem=3, rng=0),
    ("minkfpn  ", "minkowski"): lambda: sp.models.minkfpn(1, 7, channels=(3, 4), repeats=(2, 1), top_down=2,
                                                          pooling=None, rng=0),
    ("minkfpn   ", "minkowski"): lambda: sp.models.minkfpn(1, 7, channels=(3,), repeats=(1,), top_down=0, d=2, rng=0),
    ("fcgf", "minkowski"): lambda: sp.models.fcgf(1, 6, channels=(3, 4, 5, 6), up=(4, 5, 6, 7), rng=0),
    ("fcgf ", "minkowski"): lambda: sp.models.fcgf(3, 6, channels=(3, 4), up=(4, 5), stem=7, d=2, rng=0),
    ("pointgroup", "spconv1"): lambda: pointgroup(3, reps=2, residual=True),
    ("pointgroup ", "spconv1"): lambda: pointgroup(2),
    ("pointgroup  ", "spconv1"): lambda: sp.Sequential(*pointgroup(2)[:-1], *instance_u.head(4, 5)),
    ("pointgroup   ", "spconv2"): lambda: sp.Sequential(*pointgroup(2)[:-1], *instance_u.head(4, 5, True)),
    ("unet", "sparseconvnet"): lambda: sp.models.unet(3, 4, 3, 5, reps=2, residual=True, momentum=0.9, rng=0),
    ("unet ", "sparseconvnet"): lambda: sp.models.unet(3, [3, 2, 5], 2, 4, d=2, momentum=0.9, rng=0),
    ("unet  ", "sparseconvnet"): lambda: sp.models.unet(1, 4, 3, 5, reps=2, residual=True, momentum=0.9, rng=0),
}


@each("family, source", NETS)
def test_a_network_goes_to_the_peer_and_comes_back(family, source, rng):
    net, family = NETS[family, source](), family.strip()
    for array in net.state().values():
        array += rng.random(array.shape).astype(array.dtype) if array.dtype.kind == "f" else 0
    state = sp.io.to_peer(net, source, names=family)
    again, report = sp.io.convert({f"net.{name}": array for name, array in state.items()}, family, source)
    assert repr(again) == repr(net) and not report.outside
    found = again.state()
    for name, array in net.state().items():
        steps = [2**20] if source == "sparseconvnet" else array.astype(int)     # SparseConvNet counts no steps
        assert np.array_equal(steps if name.endswith("running_steps") else array, found[name]), name


NAMES = {  # family, source: modules that its checkpoints have
    ("second_mmdet3d", "spconv1"): "conv_input.0 encoder_layers.encoder_layer1.0.0 encoder_layers.encoder_layer4.2.1 "
                                   "conv_out.1",
    ("pointgroup", "spconv1"): "input_conv.0 unet.blocks.block1.conv_branch.5 unet.u.u.blocks.block0.conv_branch.0 "
                               "unet.u.conv.2 unet.deconv.0 unet.blocks_tail.block0.i_branch.0 output_layer.0 linear",
    ("minkunet", "minkowski"): "conv0p1s1 bn0 conv4p8s2 block4.5.conv2 block4.0.downsample.1 convtr4p16s2 bntr4 "
                               "convtr7p2s2 block8.1.norm2 block5.0.downsample.0 final",
    ("minkunet", "torchsparse"): "stem.0 stem.4 stage1.0.net.0 stage4.2.net.4 up1.0.net.1 up1.1.0.downsample.0 "
                                 "up4.1.1.net.3 classifier.0",
    ("unet", "sparseconvnet"): "sparseModel.1 sparseModel.2.0.1.0 sparseModel.2.2.1.3 sparseModel.2.4.1.0 "
                               "sparseModel.2.4.1.2.4.1.2.0.1.1 sparseModel.2.4.1.4 sparseModel.2.6.0 "
                               "sparseModel.2.8.1.3 sparseModel.3 linear",
}


@pytest.mark.parametrize("family, source", NAMES)
def test_modules_have_the_names_of_the_published_code(family, source):
    names = family_of(family).names(NETS[family, source](), source)
    assert set(NAMES[family, source].split()) <= names.keys()


def test_minkowskis_arrays_have_its_inner_names():
    state = sp.io.to_peer(sp.models.minkunet("14A", 3, 5, width=1 / 16, rng=0), "minkowski", names="minkunet")
    assert state["conv0p1s1.kernel"].shape == (125, 3, 2) and state["final.bias"].shape == (1, 5)
    assert state["bn0.bn.running_var"].shape == (2,) and state["block1.0.norm1.bn.weight"].shape == (2,)
    assert state["final.kernel"].shape == (6, 5)


def test_the_unused_branch_of_spvnas_is_skipped():
    net = sp.models.minkunet(42, 4, 5, width=1 / 16, rng=0)
    state = sp.io.to_peer(net, "torchsparse", names="minkunet")
    _, report = sp.io.convert(state | {"point_transforms.0.0.weight": np.ones((2, 2))}, "minkunet", "torchsparse")
    assert report.skipped == ("point_transforms.0.0.weight",)


def test_what_is_no_such_family_is_refused():
    state = sp.io.to_peer(NETS["second", "spconv1"](), "spconv1", names="second")
    odd = {name: array for name, array in state.items() if not name.startswith("conv_out")}
    with pytest.raises(ShapeError, match="convert: expected an array conv0p1s1.kernel, with which minkunet begins, got "
                                         "names such as conv_input.0.weight"):
        sp.io.convert(odd, "minkunet", "minkowski")
    with pytest.raises(ShapeError, match="expected source='minkowski' or 'torchsparse' for minkunet, got 'spconv1'"):
        sp.io.convert(state, "minkunet", "spconv1")
    with pytest.raises(ShapeError, match="expected a Layer, or one of 'second', .*, got 'third'"):
        sp.io.convert(state, "third")
    with pytest.raises(ShapeError, match="expected the modules of voxelnext, got others: 'conv5.0.1' is missing"):
        sp.io.convert(odd, "voxelnext", "spconv1")
    with pytest.raises(ShapeError, match="expected an array conv_input.0.weight, .*, got several: '?a.*give prefix="):
        sp.io.convert({f"{prefix}.{name}": array for name, array in state.items() for prefix in "ab"}, "second",
                      "spconv1")
    with pytest.raises(ShapeError, match="to_peer: expected a network of sp.models.spunet for spunet, got a Seq"):
        sp.io.to_peer(sp.Sequential(sp.ReLU()), names="spunet")
    with pytest.raises(ShapeError, match="a MinkUNet of the variants"):
        odd = sp.io.to_peer(sp.models.minkunet(42, 4, 5, width=1 / 16, rng=0), "torchsparse", names="minkunet")
        odd["stage1.1.net.4.bias"] = np.ones(3)
        sp.io.convert(odd, "minkunet", "torchsparse")


def test_a_checkpoint_of_a_different_network_is_named():
    net = sp.models.minkunet(42, 4, 5, width=1 / 4, rng=0)
    state = sp.io.to_peer(net, "torchsparse", names="minkunet")
    with pytest.raises(ShapeError, match="convert: expected spunet with the weights of spconv 2.x, got others; it fits "
                                         "network='minkunet' with source='torchsparse'$"):
        sp.io.convert(state, "spunet")
    with pytest.raises(ShapeError, match="it fits source='torchsparse'$"):
        sp.io.convert(state, "minkunet", "minkowski")
    encoder = sp.io.to_peer(NETS["second", "spconv1"](), "spconv1", names="second_mmdet3d")
    with pytest.raises(ShapeError, match="it fits network='second_mmdet3d' with source='spconv1'$"):
        sp.io.convert(encoder, "second")
    with pytest.raises(ShapeError, match="got 'minkunett'; did you mean 'minkunet'\\?"):
        sp.io.convert(state, "minkunett")


def test_weights_are_copied_once_from_the_file_into_the_network(tmp_path, monkeypatch):
    """No other copy is made, and the pages of the file are given back as it is."""
    state = seeded(json.loads(str(golden("second")[0]["shapes"])))
    net, _ = sp.io.convert(state, "second", layout="krsc")
    assert not any(np.shares_memory(p.data, array) for p in net.parameters() for array in state.values())

    sp.save(tmp_path / "net.safetensors", net)
    weights = sum(p.data.nbytes for p in net.parameters())
    assert traced(lambda: sp.load(tmp_path / "net.safetensors")) < 1.1 * weights + 2**20
    sp.save(tmp_path / "frozen.safetensors", sp.freeze(net))
    assert traced(lambda: sp.load(tmp_path / "frozen.safetensors")) < 2**20       # packed weights are not traced

    released = []
    monkeypatch.setattr(pth_storage, "release", released.append)
    monkeypatch.setattr(pth_storage, "RELEASED", 1)
    net, report = sp.io.convert(GOLDEN / "spunet.pth", "spunet", layout="krsc")
    assert len(released) >= len(report) / 5 and all(not array.flags.writeable for array in released)
    assert all(p.data.flags.writeable and not np.shares_memory(p.data, array)
               for p in net.parameters() for array in released)


def traced(function):
    """Return the bytes at the peak of what Python and numpy allocate in a call."""
    function()                                                           # what the first call imports is not counted
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
