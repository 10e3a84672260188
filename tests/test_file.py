"""Network files: what comes back has the same bits; what is damaged, foreign or hostile is refused in plain words."""

import json
import os
import pickle
import struct
import tracemalloc
import warnings

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_array_equal
from oracles import checksum_of
from safetensors.numpy import save_file
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import FileError
from spconv_cy.io import archive
from spconv_cy.io.file import KIND, load_with_extra


class Scale(sp.Layer):
    """A user's own layer."""

    def __init__(self, channels, power=1):
        self.channels, self.power = channels, power
        self.factor = sp.Tensor(np.full((1, channels), 2.0), requires_grad=True)

    def __call__(self, x):
        return sp.ReLU()(x) if self.power == 0 else x.with_features(x.features * self.factor, x.ground)


def sparse(rng, channels=3, d=2, size=12, ground="zero"):
    return sp.SparseTensor.from_sites(random_sites(rng, 30, d, 0, size, 2), rng.normal(size=(30, channels)), size, 2,
                                      ground=ground)


def one_of_each():
    """Return a network for every layer class, such that all of them stand in one."""
    body = sp.Sequential(sp.NetworkInNetwork(4, 4, rng=5), sp.BatchNormalization(4, eps=1e-3))
    return sp.Sequential(
        sp.Convolution(2, 3, 4, size=(3, 2), stride=(1, 2), dilation=(1, 2), padding=1, size_rule="floor", rng=0),
        sp.VeryLeakyReLU(),
        sp.Residual(body, sp.LeakyReLU(0.2), shortcut=sp.NetworkInNetwork(4, 4, bias=False, rng=1)),
        sp.Concatenate(sp.SubmanifoldConvolution(2, 4, 4, groups=2, rng=2), sp.Sequential()),
        sp.MaxPooling(2, 2, padding=1, size_rule="floor"),
        sp.Dropout(0.25, rng=3),
        sp.ReLU(),
        sp.AveragePooling(2, 2, stride=1),
        sp.SparseToDense(sp.Lattice.cubic(2)),
        sp.DenseToSparse(2, ground=None),
        sp.GlobalPooling("max"),
        sp.NetworkInNetwork(8, 3, rng=4))


def trained(net, x):
    """Let running statistics and weights leave where they began."""
    optimizer = sp.SGD(net.parameters(), 0.1)
    for _ in range(2):
        sp.softmax_cross_entropy(net(x), [0, 1]).backward()
        optimizer.step()
        optimizer.zero_grad()
    return net


@pytest.fixture
def tiny(tmp_path):
    """As `saved`, in few bytes."""
    net = sp.Sequential(sp.NetworkInNetwork(2, 3, rng=0), sp.BatchNormalization(3))
    sp.save(tmp_path / "net.safetensors", net)
    return tmp_path / "net.safetensors", net


@pytest.fixture
def saved(tmp_path, rng):
    """A path where a small network was saved, and the network."""
    net = sp.models.from_spec("4C3-BN-MP2-6C2-output", 3, classes=2, rng=0)
    sp.save(tmp_path / "net.safetensors", net, extra={"note": [1, None, "ü"]})
    return tmp_path / "net.safetensors", net


NETWORKS = {
    "one of each": (one_of_each, 3),
    "deepcnet": (lambda: sp.models.deepcnet(2, 4, 3, 3, dropout=0.5, rng=0), 3),
    "deepcnin": (lambda: sp.models.deepcnin(2, 4, 3, 3, rng=0), 3),
    "spec": (lambda: sp.models.from_spec("4C3-BN-ReLU-MP2/1-8SC3-LReLU0.1-D0.3-output", 3, classes=3, rng=0), 3),
}


@pytest.mark.parametrize("make, channels", NETWORKS.values(), ids=NETWORKS)
def test_a_network_comes_back_with_the_same_bits(make, channels, tmp_path, rng):
    x = sparse(rng, channels)
    net = trained(make(), x)
    sp.save(tmp_path / "net.safetensors", net)
    back = sp.load(tmp_path / "net.safetensors")
    assert back.training and repr(back) == repr(net) and back.spec() == net.spec()
    state = back.state()
    assert list(state) == list(net.state())
    for name, array in net.state().items():
        assert state[name].dtype == array.dtype
        assert_array_equal(state[name], array)
    assert_array_equal(back.eval()(x).data, net.eval()(x).data)
    assert all(p.requires_grad for p in back.train().parameters())


@pytest.mark.parametrize("make, size", [(lambda: sp.models.lenet5(rng=0), 32),
                                        (lambda: sp.models.unet(2, 4, 1, 2, d=2, rng=0), 8)])
def test_other_models_come_back_with_the_same_bits(make, size, tmp_path, rng):
    x = sparse(rng, 1, size=size, ground=None)
    net = make().eval()
    sp.save(tmp_path / "net.safetensors", net)
    back = sp.load(tmp_path / "net.safetensors").eval()
    mine, theirs = (getattr(y, "features", y).data for y in (net(x), back(x)))
    assert_array_equal(mine, theirs)


def test_a_perceptron_comes_back(tmp_path, rng):
    net, rows = sp.models.mlp((5, 7, 3), rng=0), rng.normal(size=(4, 5))
    sp.save(tmp_path / "net.safetensors", net)
    assert_array_equal(sp.load(tmp_path / "net.safetensors")(rows).data, net(rows).data)


def test_a_file_is_read_on_the_backend_in_use(saved, ops):
    net = sp.load(saved[0])
    assert net.layers[0].weight.dtype == (np.float64 if ops == "reference" else np.float32)
    assert_array_equal(net.state()["layers.0.weight"].astype(np.float32), saved[1].state()["layers.0.weight"])


def test_layers_of_ones_own_are_given_to_load(tmp_path, rng):
    net = sp.Sequential(Scale(3, power=2), sp.GlobalPooling())
    net.layers[0].factor.data[...] = 0.3
    sp.save(tmp_path / "net.safetensors", net)
    with pytest.raises(FileError, match=r"layers that are known, got 'Scale'; .*load\(path, layers=\[Scale\]\)"):
        sp.load(tmp_path / "net.safetensors")
    back, x = sp.load(tmp_path / "net.safetensors", layers=[Scale]), sparse(rng)
    assert back.layers[0].power == 2
    assert_array_equal(back(x).data, net(x).data)
    with pytest.raises(TypeError, match="Layer as their base"):
        sp.load(tmp_path / "net.safetensors", layers=[dict])


def test_extra_values_come_back(saved):
    assert load_with_extra(saved[0])[1] == {"note": [1, None, "ü"]}


def test_layers_that_were_exchanged_are_saved_as_they_are_now(tmp_path, rng):
    net = sp.Sequential(sp.Residual(sp.NetworkInNetwork(3, 3, rng=0)), sp.Concatenate(sp.ReLU(), sp.ReLU()),
                        sp.GlobalPooling(), sp.NetworkInNetwork(6, 10, rng=0))
    net.layers[-1] = sp.NetworkInNetwork(6, 4, rng=1)
    net.layers[0].shortcut = sp.NetworkInNetwork(3, 3, rng=2)
    net.layers[1].branches[0] = sp.LeakyReLU(0.5)
    net.layers.append(sp.Dropout(0.1))
    sp.save(tmp_path / "net.safetensors", net)
    back, x = sp.load(tmp_path / "net.safetensors").eval(), sparse(rng)
    assert repr(back) == repr(net)
    assert_array_equal(back(x).data, net.eval()(x).data)


def test_a_container_with_a_constructor_of_its_own_is_made_by_it(tmp_path, rng):
    class Head(sp.Sequential):
        def __init__(self, channels, *, rng=None):
            super().__init__(sp.GlobalPooling(), sp.NetworkInNetwork(channels, 2, rng=rng))

    net, x = Head(3, rng=0), sparse(rng)
    sp.save(tmp_path / "net.safetensors", net)
    back = sp.load(tmp_path / "net.safetensors", layers=[Head])
    assert repr(back) == "Head(3)"
    assert_array_equal(back(x).data, net(x).data)


def changed(net, change):
    change(net)
    return net


class Odd(sp.Layer):
    def __init__(self, odd=None):
        self.odd = np.array([{}])


@pytest.mark.parametrize(
    "net, message",
    [
        (lambda: [sp.ReLU()], "save: expected a Layer, got a list"),
        (lambda: changed(sp.Dropout(0.5), lambda layer: setattr(layer, "p", 0.1)), "with p=0.5, as it was.*got p=0.1"),
        (lambda: changed(sp.ReLU(), lambda layer: setattr(layer, "more", sp.Tensor([[1.0]]))), "more, which load"),
        (lambda: changed(Scale(2), lambda layer: setattr(layer, "factor", sp.Tensor([[1.0] * 9]))), "factor, which"),
        (lambda: Scale(3, power=print), "can be saved.*got a builtin_function_or_method"),
        (lambda: Odd(), "odd: expected an array of whole or real.*object"),
    ],
)
def test_what_would_not_come_back_is_not_saved(net, message, tmp_path):
    with pytest.raises(TypeError, match=message):
        sp.save(tmp_path / "net.safetensors", net())
    assert not os.listdir(tmp_path)


def test_saving_leaves_what_was_there_or_replaces_it_whole(saved, monkeypatch):
    path, net = saved
    before, other = path.read_bytes(), sp.models.from_spec("4C3-BN-MP2-6C2-output", 3, classes=2, rng=1)

    def fails(*_):
        raise OSError("no room")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no room"):
        patch.setattr(os, "replace", fails)
        sp.save(path, other)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]
    sp.save(path, other)
    assert_array_equal(sp.load(path).layers[0].weight.data, other.layers[0].weight.data)
    assert os.listdir(path.parent) == [path.name]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="a folder that exists, got .*nowhere'; create"):
        sp.save(tmp_path / "nowhere" / "net.safetensors", sp.ReLU())
    with pytest.raises(FileNotFoundError):
        sp.load(tmp_path / "nothing.safetensors")
    with pytest.raises(IsADirectoryError):
        sp.load(tmp_path)


def equal(a, b):
    """Whether two networks are the same in words and bits."""
    mine, theirs = a.state(), b.state()
    return repr(a) == repr(b) and list(mine) == list(theirs) and all((mine[k] == theirs[k]).all() for k in mine)


def refused_or_equal(path, content, net):
    """Load damaged content: True where it was refused by FileError; anything but that or an equal network fails."""
    path.write_bytes(content)
    try:
        back = sp.load(path)
    except FileError as error:
        assert str(path) in str(error)
        return True
    assert equal(back, net)
    return False


def test_a_file_cut_at_any_length_is_refused(tiny):
    path, net = tiny
    whole = path.read_bytes()
    assert all(refused_or_equal(path, whole[:n], net) for n in range(len(whole)))
    assert not refused_or_equal(path, whole, net)


def test_a_damaged_file_is_refused_or_does_no_harm(saved, rng):
    path, net = saved
    whole = path.read_bytes()
    refused = 0
    for _ in range(600):
        content = bytearray(whole)
        kind, at, n = rng.integers(6), int(rng.integers(len(whole))), int(rng.integers(1, 40))
        if kind < 2:                                                     # flipped bits
            for spot in rng.integers(len(whole), size=kind * n + 1):
                content[spot] ^= 1 << rng.integers(8)
        elif kind == 2:                                                  # a stretch of noise
            content[at:at + n] = rng.bytes(len(content[at:at + n]))
        elif kind == 3:                                                  # something lost
            del content[at:at + n]
        elif kind == 4:                                                  # something put in
            content[at:at] = rng.bytes(n)
        else:                                                            # the header's length
            content[:8] = struct.pack("<Q", [0, 1, 2**62, 2**64 - 1, at][rng.integers(5)])
        refused += refused_or_equal(path, bytes(content), net)
    assert refused > 550


def test_a_bit_flipped_anywhere_among_the_numbers_is_found(tiny):
    path, net = tiny
    whole = path.read_bytes()
    start = 8 + struct.unpack("<Q", whole[:8])[0]
    for at in range(start, len(whole)):
        content = bytearray(whole)
        content[at] ^= 1
        assert refused_or_equal(path, bytes(content), net)


def test_weights_that_are_no_real_numbers_are_refused(tiny):
    path, net = tiny
    arrays, text = archive.read(path, KIND)
    for dtype in (np.int32, np.bool_):
        archive.write(path, KIND, {**arrays, "layers.0.weight": arrays["layers.0.weight"].astype(dtype)}, text)
        with pytest.raises(FileError, match=f"layers.0.weight: expected float32, got {np.dtype(dtype)}"):
            sp.load(path)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def raw(header, body=b""):
    """Return the bytes of a .safetensors file with any header."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def foreign():
    """List (name, content, what the error says)."""
    numbers = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    return [
        ("empty", b"", "a complete"),
        ("text", b"a text that is no network" * 9, "a complete"),
        ("pickle", pickle.dumps(Bomb()) + bytes(100), "a complete"),
        ("zip", b"PK\x03\x04" + bytes(100), "a complete"),
        ("someone's tensors", raw(numbers, bytes(8)), "one without a format"),
        ("someone's metadata", raw({"__metadata__": {"format": "pt"}, **numbers}, bytes(8)), "of format 'pt'"),
        ("bfloat16", raw({"__metadata__": {"format": KIND, "version": "1"},
                          "w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)), "checksum"),
        ("a huge tensor", raw({"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}), "a complete"),
        ("a checkpoint", raw({"__metadata__": {"format": "spconv_cy checkpoint"}}), "checkpoints by fit"),
        ("a newer version", raw({"__metadata__": {"format": KIND, "version": "2"}}), "got .2.; install a newer"),
        ("an odd version", raw({"__metadata__": {"format": KIND, "version": "9" * 5000}}), "expected version 1"),
        ("no checksum", raw({"__metadata__": {"format": KIND, "version": "1"}}), "checksum"),
    ]


@each("content, message", [case[1:] for case in foreign()], ids=[case[0] for case in foreign()])
def test_a_foreign_file_is_refused_and_nothing_in_it_runs(content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.safetensors").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FileError, match=message):
            sp.load("net.safetensors")
    assert os.listdir(tmp_path) == ["net.safetensors"]


def layer(name, *arguments, **options):
    return {"class": name, "arguments": list(arguments), "options": options}


BILLION = 10**9
HOSTILE = {
    "nothing": None,
    "a number": 3,
    "a text": "ReLU",
    "a list": [layer("ReLU")],
    "no class": {},
    "a lattice": {"lattice": "cubic", "d": 2},
    "the base class": layer("Layer"),
    "a class that is no layer": layer("Grid"),
    "a function": layer("os.system", "mkdir executed"),
    "a built-in": layer("__import__", "os"),
    "a class that is a number": {"class": 3, "arguments": [], "options": {}},
    "a class that is a list": {"class": ["ReLU"], "arguments": [], "options": {}},
    "arguments that are none": {"class": "ReLU", "arguments": 3, "options": {}},
    "options that are none": {"class": "ReLU", "arguments": [], "options": [1]},
    "no options": {"class": "ReLU", "arguments": []},
    "unknown options": layer("ReLU", power=3),
    "too many arguments": layer("ReLU", 1, 2, 3),
    "a layer that holds text": layer("Sequential", "ReLU"),
    "a layer for a number": layer("NetworkInNetwork", layer("ReLU"), 3),
    "a layer for random state": layer("NetworkInNetwork", 3, 3, rng=layer("ReLU")),
    "large channels": layer("NetworkInNetwork", 4000, 4000),
    "huge channels": layer("NetworkInNetwork", BILLION, BILLION),
    "endless channels": layer("NetworkInNetwork", float("inf"), 3),
    "channels that are none": layer("NetworkInNetwork", float("nan"), 3),
    "a huge window": layer("Convolution", 8, 1, 1, BILLION),
    "a huge pooling": layer("Sequential", layer("MaxPooling", 8, BILLION), layer("NetworkInNetwork", BILLION, 2)),
    "a huge dimension": layer("Convolution", BILLION, 1, 1, 3),
    "a huge lattice": layer("Convolution", {"lattice": "cubic", "d": BILLION}, 1, 1, 3),
    "a lattice of another kind": layer("Convolution", {"lattice": "__import__", "d": 2}, 1, 1, 3),
    "a lattice without dimension": layer("Convolution", {"lattice": "cubic"}, 1, 1, 3),
    "huge running statistics": layer("BatchNormalization", 10**12),
    "statistics below zero": layer("BatchNormalization", -5),
    "no groups": layer("Convolution", 2, 4, 4, 3, groups=0),
    "many layers, one too large": layer("Sequential", *[layer("NetworkInNetwork", 100, 100)] * 200),
    "other parameters": layer("NetworkInNetwork", 3, 3),
}
HOSTILE = {name: json.dumps(network) for name, network in HOSTILE.items()} | {
    "layers deeper than the stack": '{"class": "Sequential", "arguments": [' * 30_000 + "]}" * 30_000,
    "layers as deep as the stack": '{"class": "Sequential", "options": {}, "arguments": [' * 600 + "]}" * 600,
    "lists deeper than the stack": "[" * 100_000 + "]" * 100_000,
    "lists as deep as the stack": '{"class": "Convolution", "options": {}, "arguments": %s}' % ("[" * 700 + "]" * 700),
    "an endless number": "9" * 100_000,
    "no JSON": "{'class': 'ReLU'}",
}


@each("network", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_description_is_refused_and_costs_nothing(network, tmp_path, monkeypatch):
    # The checksum is right: whoever wrote these meant to.
    monkeypatch.chdir(tmp_path)
    arrays, entries = {"w": np.ones(5, np.float32)}, {"network": network, "extra": "null"}
    checksum = checksum_of(entries, arrays)
    save_file(arrays, "net.safetensors", {"format": KIND, "version": "1", **entries, "checksum": checksum})
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match="^net.safetensors: ") as refused:
            sp.load("net.safetensors")
        assert "checksum" not in str(refused.value)
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()
    assert os.listdir(tmp_path) == ["net.safetensors"]
