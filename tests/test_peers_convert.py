"""convert and to_peer: matching by order and by names, reports, errors that change nothing, and the commands."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pth_writer import tensor, zipped
from safetensors.numpy import load_file

import spconv_cy as sp
from spconv_cy.cli import main
from spconv_cy.errors import FileError, ShapeError

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"


def network(bias=False):
    """Return a small network of ours."""
    return sp.Sequential(
        sp.SubmanifoldConvolution(3, 4, 6, bias=bias, rng=0), sp.BatchNormalization(6), sp.ReLU(),
        sp.Convolution(3, 6, 5, 2, 2, bias=bias, rng=1), sp.BatchNormalization(5, debias=False), sp.ReLU())


@pytest.fixture
def state(rng):
    """Return a state of spconv 2 for that network."""
    shapes = {"conv1.weight": (6, 3, 3, 3, 4), "conv2.weight": (5, 2, 2, 2, 6)}
    found = {name: rng.random(shape, np.float32) for name, shape in shapes.items()}
    for name, channels in (("bn1", 6), ("bn2", 5)):
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            found[f"{name}.{leaf}"] = rng.random(channels, np.float32)
        found[f"{name}.num_batches_tracked"] = np.array(7, np.int64)
    return found


NAMES = {"conv1": "layers.0", "bn1": "layers.1", "conv2": "layers.3", "bn2": "layers.4"}


def unchanged(net, call, message, error=ShapeError):
    """A call raises an error and leaves a network as it was."""
    before = {name: array.copy() for name, array in net.state().items()}
    with pytest.raises(error, match=message):
        call()
    assert all(np.array_equal(before[name], array) for name, array in net.state().items())


@pytest.mark.parametrize("names", [None, NAMES])
def test_by_order_and_by_names(names, state):
    net, report = sp.io.convert(state, network(), names=names)
    mine = net.state()
    assert np.array_equal(mine["layers.0.weight"], state["conv1.weight"].transpose(1, 2, 3, 4, 0).reshape(27, 4, 6))
    assert np.array_equal(mine["layers.4.running_variance"][0], state["bn2.running_var"])
    assert mine["layers.1.running_steps"] == [7] and "layers.4.running_steps" not in mine
    assert report.skipped == ("bn2.num_batches_tracked",) and not report.missing + report.left_over + report.outside
    assert len(report) == len(report.reshaped) == 11
    assert [match.path for match in report][:2] == ["layers.0.weight", "layers.1.weight"]
    assert str(report).splitlines()[0].split() == ["from", "spconv", "2.x", "shape", "to", "shape", "read", "as"]
    assert "1 skipped: bn2.num_batches_tracked" in str(report)


def test_statistics_without_a_count_are_those_of_long_training(state):
    del state["bn1.num_batches_tracked"]
    assert sp.io.convert(state, network())[0].state()["layers.1.running_steps"] == [2**20]


def test_what_only_one_side_has(state):
    net = network()
    del state["bn1.bias"]
    state["extra.weight"] = np.ones(3, np.float32)
    unchanged(net, lambda: sp.io.convert(state, net, names=NAMES), r"1 missing \(layers.1.bias\) and 1 left over "
              r"\(extra.weight\); give names=\{module: layer\}, the prefix= of the modules, or strict=False")
    _, report = sp.io.convert(state, net, names=NAMES, strict=False)
    assert report.missing == ("layers.1.bias",) and report.left_over == ("extra.weight",)
    unchanged(net, lambda: sp.io.convert(state, network(bias=True), names=NAMES), "missing .*layers.0.bias")


def test_a_prefix_takes_a_part_of_a_checkpoint(state):
    whole = {f"backbone.{name}": array for name, array in state.items()} | {"head.weight": np.ones((2, 2))}
    assert sp.io.convert(whole, network(), prefix="backbone.")[1].outside == ("head.weight",)
    with pytest.raises(ShapeError, match="expected arrays whose names begin with 'neck.', got backbone.conv1.weight, "):
        sp.io.convert(whole, network(), prefix="neck.")


def test_shapes_and_numbers_that_do_not_fit_change_nothing(state):
    net = network()
    wrong = state | {"conv2.weight": np.ones((5, 3, 3, 3, 6), np.float32)}
    unchanged(net, lambda: sp.io.convert(wrong, net), r"convert: conv2.weight: expected a weight of spconv 2.x for "
              r"Convolution\(3, 6, 5, 2, 2, .*, got shape \(5, 3, 3, 3, 6\)")
    old = state | {"conv1.weight": np.ones((3, 3, 3, 4, 6), np.float32)}
    unchanged(net, lambda: sp.io.convert(old, net), "it fits source='spconv1' or 'paddle'")
    unchanged(net, lambda: sp.io.convert(state | {"bn2.bias": np.ones(4)}, net), "convert: bn2.bias: expected 5 num")
    unchanged(net, lambda: sp.io.convert(state | {"bn2.bias": np.ones(5, int)}, net), "bn2.bias.*int64")
    unchanged(net, lambda: sp.io.convert(state | {"bn2.bias": np.full(5, 1e300)}, net), "layers.4.bias.*float32")
    more = state | {"conv3.weight": np.ones((5, 2, 2, 2, 6), np.float32)}
    unchanged(net, lambda: sp.io.convert(more, net), "expected 2 convolutions .*got a checkpoint with 3")


def test_names_that_are_unknown_or_twice(state):
    for names, message in ((NAMES | {"conv9": "layers.3"}, "names of modules of the checkpoint, got others: conv9"),
                           (NAMES | {"bn2": "layers.9"}, "names of layers of the network, got others: layers.9"),
                           (NAMES | {"bn2": "layers.1"}, "layers.1 twice")):
        with pytest.raises(ShapeError, match=message):
            sp.io.convert(state, network(), names=names)


def test_wrong_kinds_of_arguments(state):
    net = network()
    for error, message, call in (
            (ShapeError, "source to be one of 'spconv2', .*, got 'caffe'", lambda: sp.io.convert(state, net, "caffe")),
            (TypeError, "expected a Layer or the name of a family, got an int", lambda: sp.io.convert(state, 3)),
            (TypeError, "names to be a dict", lambda: sp.io.convert(state, net, names=[1])),
            (ShapeError, "one_by_one to be one of 'raw', .*'x'", lambda: sp.io.convert(state, net, one_by_one="x")),
            (TypeError, "layout to be text", lambda: sp.io.convert(state, net, layout=3)),
            (TypeError, "prefix to be text", lambda: sp.io.convert(state, net, prefix=3)),
            (ShapeError, "strict to be True or False", lambda: sp.io.convert(state, net, strict="x")),
            (TypeError, "a: expected an array, got a dict; give the dict", lambda: sp.io.convert({"a": {}}, net)),
            (TypeError, "names that are text, got 3", lambda: sp.io.convert({3: np.ones(3)}, net)),
            (TypeError, "the path of a checkpoint or a dict", lambda: sp.io.convert(3, net)),
            (ShapeError, "with which second begins, got names such as none;", lambda: sp.io.convert({}, "second")),
            (ShapeError, "got a checkpoint with 1 .''.", lambda: sp.io.convert({**state, "n": np.ones(1)}, net)),
            (TypeError, "to_peer: expected a Layer", lambda: sp.io.to_peer(3)),
            (FileError, "net.pth: expected the name of a .safetensors", lambda: sp.io.to_peer(net, path="net.pth")),
            (ShapeError, "to_peer: expected names for all", lambda: sp.io.to_peer(net, names={"a": "layers.0"})),
            (ShapeError, "got unknown ones: b", lambda: sp.io.to_peer(net, names={"a": "b"})),
            (ShapeError, "layers that spconv 2.x has", lambda: sp.io.to_peer(sp.layers.WindowAttention(2, 2, 1, 2)))):
        unchanged(net, call, message, error)


def test_a_shared_layer_is_matched_once(state):
    shared = sp.SubmanifoldConvolution(3, 4, 4, bias=False)
    net = sp.Sequential(shared, sp.ReLU(), shared)
    net, report = sp.io.convert({"a.weight": np.ones((4, 3, 3, 3, 4), np.float32)}, net)
    assert len(report) == 1 and (shared.weight.numpy() == 1).all()


def test_the_way_back_writes_a_file_that_others_read(state, tmp_path):
    net, _ = sp.io.convert(state, network(), names=NAMES)
    again = sp.io.to_peer(net, names=NAMES, path=tmp_path / "peer.safetensors")
    assert all(np.array_equal(again[name], state[name]) for name in again)
    assert state.keys() - again.keys() == {"bn2.num_batches_tracked"}
    found = load_file(tmp_path / "peer.safetensors")
    assert found.keys() == again.keys() and all(np.array_equal(found[name], again[name]) for name in found)
    sp.io.convert(tmp_path / "peer.safetensors", network(), names=NAMES)


def test_other_layers_with_rows_of_weights(rng):
    net = sp.Sequential(sp.NetworkInNetwork(2, 4), sp.layers.PReLU(4), sp.layers.LayerNormalization(4))
    state = {"a.weight": rng.random((4, 2)), "a.bias": rng.random(4), "b.weight": rng.random(4),
             "c.weight": rng.random(4), "c.bias": rng.random(4)}
    net, _ = sp.io.convert(state, net)
    assert np.allclose(net[1].weight.numpy()[0], state["b.weight"])
    assert np.allclose(net[2].bias.numpy()[0], state["c.bias"])
    instance = sp.layers.InstanceNormalization(4)
    sp.io.convert({"n.weight": rng.random((1, 4)), "n.bias": np.ones((1, 4))}, instance, "minkowski")
    assert (instance.bias.numpy() == 1).all()


def test_one_slope_for_all_channels_as_of_torch_is_repeated(rng):
    net = sp.Sequential(sp.layers.PReLU(4), sp.layers.PReLU(1))
    net, report = sp.io.convert({"a.weight": np.array([0.3], np.float32), "b.weight": np.array([0.2], np.float32)}, net)
    assert [match.how for match in report] == ["repeated", "(1, c)"]
    assert np.array_equal(net[0].weight.numpy(), np.full((1, 4), 0.3, np.float32))
    rows = rng.normal(size=(5, 4)).astype(np.float32)
    x = sp.SparseTensor.from_sites(np.arange(10).reshape(5, 2), rows, samples=9, ground=None)
    assert np.allclose(net[0](x).features.numpy(), np.where(rows > 0, rows, np.float32(0.3) * rows))
    with pytest.raises(ShapeError, match="a.weight: expected 4 numbers, got shape .2,."):
        sp.io.convert({"a.weight": np.ones(2), "b.weight": np.ones(1)}, net)


def test_the_count_of_a_running_average_of_networks_is_skipped(state):
    averaged = {"n_averaged": np.array(3), **{f"module.{name}": array for name, array in state.items()}}
    _, report = sp.io.convert(averaged, network(), names=NAMES, prefix="module.")
    assert report.outside == ("n_averaged",)
    net, report = sp.io.convert(averaged, network())
    assert "n_averaged" in report.skipped
    assert np.array_equal(net.state()["layers.4.bias"][0], state["bn2.bias"])


def mutated(state, rng):
    """Return a state with one to three of its arrays missing, renamed or of another shape, dtype or content."""
    state = dict(state)
    for name in rng.choice(list(state), rng.integers(1, 4), replace=False):
        array = state.pop(name)
        dtypes = (int, bool, complex, "U8", object, np.float16)
        changed = [
            None, array.T, array[None], array[..., :-1] if array.ndim else array.reshape(1, 1), array * np.nan,
            np.zeros((0,) * array.ndim, np.float32), array.astype(dtypes[rng.integers(len(dtypes))]),
            np.ones(tuple(rng.integers(1, 4, rng.integers(0, 7))), np.float32)][rng.integers(8)]
        if changed is not None:
            state[name if rng.random() < 0.8 else f"{name}.x"] = changed
    return state


DAMAGED = {  # family: source, a network of it
    "unet": ("sparseconvnet", lambda: sp.models.unet(2, 3, 3, 4, rng=0)),
    "minkunet": ("minkowski", lambda: sp.models.minkunet("14A", 3, 4, width=1 / 32, d=2, rng=0)),
    "minkfpn": ("minkowski", lambda: sp.models.minkfpn(1, 4, channels=(4, 4), repeats=(1, 2), attention=True, rng=0)),
    "spvcnn": ("torchsparse", lambda: sp.models.SPVCNN(4, 5, width=1 / 32, rng=0)),
    "pcgc_decoder": ("minkowski", lambda: sp.models.PCGCDecoder((4, 4, 4), rng=0)),
    "open3d_unet": ("open3d", lambda: sp.models.unet(3, 3, 3, 4, reps=2, residual=True, rng=0)),
    "ptv3": ("spconv1", lambda: sp.models.PointTransformerParts(4, (4, 6), (1, 2), (4,), (1,), rng=0)),
}


@pytest.mark.parametrize("family", DAMAGED)
def test_damaged_states_are_refused_in_plain_words(family, rng):
    source, make = DAMAGED[family]
    state, refused = sp.io.to_peer(make(), source, names=family), 0
    for strict in (True, False) * 7:
        try:
            sp.io.convert(mutated(state, rng), family, source, strict=strict)
        except ShapeError:
            refused += 1
    assert 4 <= refused <= 14


def test_the_example_of_the_docs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "converting.md").read_text()
    (example,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "names = {" in block]
    build, _, convert = example.partition("net, report = ")
    space = {"sp": sp}
    exec(build, space)
    state = sp.io.to_peer(space["net"], names=space["names"], one_by_one="linear")
    before = space["net"].state()["layers.3.weight"].copy()
    np.savez(tmp_path / "mine.npz", **{name: array + 1 for name, array in state.items()})
    exec(f"net, report = {convert}".replace("mine.pth", "mine.npz"), space)
    assert len(space["report"]) == len(space["net"].state())
    assert np.allclose(space["net"].state()["layers.3.weight"], before + 1)


def test_numbers_that_are_not_finite_and_masked_arrays_are_refused(state):
    net = network()
    for name, value in (("conv1.weight", np.nan), ("bn2.running_mean", np.inf), ("bn1.bias", -np.inf)):
        wrong = {**state, name: state[name].copy()}
        wrong[name].flat[3] = value
        unchanged(net, lambda wrong=wrong: sp.io.convert(wrong, net, names=NAMES),
                  rf"convert: {name}: expected finite numbers, got {value}, 1 of \d+ are not finite; take an earlier")
    wrong = state | {"bn1.bias": np.ma.masked_array(state["bn1.bias"], [True] + [False] * 5)}
    unchanged(net, lambda: sp.io.convert(wrong, net, names=NAMES), "convert: bn1.bias: expected .*masked")
    half = {name: array.astype(np.float16) if array.dtype.kind == "f" else array for name, array in state.items()}
    assert len(sp.io.convert(half, net, names=NAMES)[1]) == 11


# Commands


def run(command, folder):
    """Run a command of the README in a folder."""
    words = command.split()
    assert words[0] == "spconv-cy"
    return subprocess.run([sys.executable, "-m", "spconv_cy", *words[1:]], cwd=folder, capture_output=True, text=True)


def test_the_three_commands_of_the_readme(tmp_path):
    text = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"```\n(spconv-cy info [^`]*spconv-cy convert[^`]*spconv-cy predict[^`]*)```", text)
    commands = block.strip().splitlines()
    assert len(commands) == 3
    file = np.load(GOLDEN / "spconv_networks.npz")
    (tmp_path / "spunet.pth").write_bytes((GOLDEN / "spunet.pth").read_bytes())
    np.savez(tmp_path / "scene.npz", sites=file["spunet/sites"], features=file["spunet/rows"], size=file["spunet/size"])
    for command in commands:
        # The widths of this small network leave two readings of its weights.
        done = run(command + (" --layout krsc" if " convert " in command else ""), tmp_path)
        assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "classes.npz")
    assert np.array_equal(found["sites"], file["spunet/out_sites"])
    assert np.abs(found["features"] - file["spunet/out_rows"]).max() <= 2e-6 * np.abs(file["spunet/out_rows"]).max()


def test_the_command_prints_the_report_or_one_line_of_error(tmp_path, capsys):
    target = str(tmp_path / "net.safetensors")
    call = ["convert", str(GOLDEN / "spunet.pth"), target, "--from", "spconv2", "--network"]
    assert main([*call, "spunet", "--layout", "krsc"]) == 0
    assert "158 arrays matched" in capsys.readouterr().out
    assert main([*call, "second", "--layout", "krsc"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("spconv-cy convert: ") and told.count("\n") == 1
    assert "expected second with the weights of spconv 2.x, got others; it fits --network 'spunet' with --from" in told
    assert main([*call, "spuneet"]) == 2 and "; did you mean 'spunet'?" in capsys.readouterr().err
    assert main([*call, "spunet"]) == 1 and "give --layout: 'krsc', 'rskc'" in capsys.readouterr().err
    assert main([call[0], call[1], str(tmp_path / "net.pth"), "--network", "spunet"]) == 2
    assert "net.pth: expected the name of a .safetensors file to write" in capsys.readouterr().err
    assert not (tmp_path / "net.pth").exists()
    assert main(["predict", target, target, str(tmp_path / "out.npz")]) == 1
    assert "expected arrays sites (n, 1 + d) and features (n, c)" in capsys.readouterr().err
    assert main(["predict", target, str(tmp_path / "none.npz"), str(tmp_path / "out.npz")]) == 1


def test_the_command_takes_a_key_a_table_of_names_and_a_network_of_ours(tmp_path, capsys, state):
    arrays = {name: array for name, array in state.items() if "tracked" not in name}
    np.savez(tmp_path / "mine.npz", **{f"other.{name}": array for name, array in arrays.items()})
    sp.save(tmp_path / "ours.safetensors", network())
    (tmp_path / "names.json").write_text(json.dumps({f"other.{theirs}": ours for theirs, ours in NAMES.items()}))
    call = ["convert", str(tmp_path / "mine.npz"), str(tmp_path / "net.safetensors"), "--network",
            str(tmp_path / "ours.safetensors")]
    assert main([*call, "--names", str(tmp_path / "names.json")]) == 0
    assert "10 arrays matched" in capsys.readouterr().out
    net = sp.load(tmp_path / "net.safetensors")
    assert np.array_equal(net.state()["layers.4.bias"][0], state["bn2.bias"])
    for text, told in (("{", "a file that is no JSON"), ("[1]", "JSON with a list"), ('{"a": 3}', "an int for 'a'"),
                       ("[" * 100_000, "a file that is no JSON"), ('{"a": "b"}', "names of modules of the checkpoint")):
        (tmp_path / "names.json").write_text(text)
        assert main([*call, "--names", str(tmp_path / "names.json")]) == 1
        shown = capsys.readouterr().err
        assert told in shown and shown.count("\n") == 1, shown
    assert main([*call, "--names", str(tmp_path)]) == 1 and "a folder" in capsys.readouterr().err
    assert main([*call, "--names", str(tmp_path / "none.json")]) == 1 and "none.json" in capsys.readouterr().err


def test_the_command_reads_the_entry_of_a_key(tmp_path, capsys):
    sp.save(tmp_path / "ours.safetensors", sp.NetworkInNetwork(3, 2, bias=False))
    numbers = np.arange(12, dtype=np.float32)
    linear = {"a.weight": tensor("f4", "0", 12, (2, 3))}
    ema = {"a.weight": tensor("f4", "0", 12, (2, 3), (3, 1), 6)}
    (tmp_path / "net.pth").write_bytes(zipped({"model": linear, "ema": ema}, {"0": numbers.tobytes()}))
    call = ["convert", str(tmp_path / "net.pth"), str(tmp_path / "net.safetensors"), "--network",
            str(tmp_path / "ours.safetensors")]
    for key, first in ((None, 0), ("model", 0), ("ema", 6)):
        assert main([*call, *([] if key is None else ["--key", key])]) == 0, capsys.readouterr().err
        assert sp.load(tmp_path / "net.safetensors").weight.numpy()[0, 0, 0] == first
    assert main([*call, "--key", "none"]) == 1
    assert "expected a file with the key 'none', got 'model', 'ema'; give one of these" in capsys.readouterr().err
    assert main([*call, "--no-strict", "--key", ""]) == 1
    assert main([call[0], call[1], call[2], "--network", str(tmp_path / "none.safetensors")]) == 1
    assert "none.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize("dtype", ["int8", "bool", "complex64", "object"])
def test_a_weight_of_other_numbers_is_named_as_in_the_checkpoint(dtype):
    net = sp.SubmanifoldConvolution(3, 4, 2, bias=False, rng=0)
    with pytest.raises(ShapeError, match=f"convert: conv.weight: expected an array of floats, got {dtype}"):
        sp.io.convert({"conv.weight": np.ones((2, 3, 3, 3, 4), dtype)}, net)
