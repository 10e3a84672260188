"""convert, to_peer and their commands with files that are hostile, and with options that do not belong to the file."""

import resource
from pathlib import Path

import numpy as np
import pth_writer as writer
import pytest

import spconv_cy as sp
from spconv_cy.cli import main
from spconv_cy.errors import FileError, ShapeError, printable
from spconv_cy.io.modules import numbers_in

GOLDEN = Path(__file__).resolve().parent / "golden"


def network():
    """Return a small network of ours."""
    return sp.Sequential(sp.SubmanifoldConvolution(3, 4, 6, bias=False, rng=0), sp.BatchNormalization(6),
                         sp.NetworkInNetwork(6, 5, rng=1))


@pytest.fixture
def state(rng):
    """Return a state of spconv 2 for that network."""
    found = {"conv.weight": rng.random((6, 3, 3, 3, 4), np.float32), "last.weight": rng.random((5, 6), np.float32),
             "last.bias": rng.random(5, np.float32)}
    return found | {f"bn.{leaf}": rng.random(6, np.float32) for leaf in ("weight", "bias", "running_mean",
                                                                        "running_var")}


def peak():
    """Return the largest memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_a_small_file_of_wide_tensors_builds_no_large_network(tmp_path):
    state = sp.io.read_checkpoint(GOLDEN / "spunet.pth")
    made = {}
    for name, array in state.items():                                    # all widths times 40, one number in the file
        shape = tuple(n if array.ndim == 5 and 0 < i < 4 else 40 * n for i, n in enumerate(array.shape))
        made[name] = writer.tensor("f4" if array.ndim else "i8", str(array.ndim == 0), 1, shape, (0,) * array.ndim)
    path = tmp_path / "wide.pth"
    path.write_bytes(writer.zipped(made, {"False": bytes(4), "True": bytes(8)}))
    before = peak()
    with pytest.raises(ShapeError, match="got those of a larger network"):
        sp.io.convert(path, "spunet", layout="krsc")
    assert peak() - before < 64


def test_numbers_in_shared_memory_count_once():
    a = np.zeros((6, 4), np.float32)
    for arrays, count in (([a], 24), ([a, a], 24), ([a[:4], a[2:]], 24), ([a.T, a[::-1]], 24), ([a[:, ::2]], 12),
                          ([np.broadcast_to(np.float32(1), (9, 9))], 1), ([a, a.copy()], 48), ([a[:0]], 0), ([], 0),
                          ([np.float32(3), a.astype(np.float16)], 25)):
        assert numbers_in(arrays) == count


def test_names_of_a_file_are_printed_without_control_characters(state, capsys):
    odd = {f"a\x1b[2J\n\ud800\u202e{'x' * 300}.{name}": array for name, array in state.items()}
    text = str(sp.io.convert(odd, network())[1])
    assert all(line.isprintable() and len(line) < 300 for line in text.split("\n")) and text.count("\n") == 8
    del odd[next(name for name in odd if name.endswith("last.bias"))]
    with pytest.raises(ShapeError, match="1 missing") as error:
        sp.io.convert(odd | {"\x1b\n.weight": np.ones((2, 2))}, network(), names={
            f"a\x1b[2J\n\ud800\u202e{'x' * 300}.{theirs}": ours
            for theirs, ours in (("conv", "layers.0"), ("bn", "layers.1"), ("last", "layers.2"))})
    assert str(error.value).isprintable()
    assert printable("a\nb é") == "a\nb é" and printable("\ud800\x07") == "\\ud800\\x07"


def test_options_that_do_not_belong_to_the_file_are_refused(state):
    for message, call in (
            ("others: lst; there are conv, ", lambda: sp.io.convert(state, network(), one_by_one={"lst": "raw"})),
            ("to_peer: .* others: lst", lambda: sp.io.to_peer(network(), one_by_one={"lst": "raw"})),
            ("conv.weight: .*check source=", lambda: sp.io.convert(
                state | {"conv.weight": np.ones((6, 3, 3, 3, 5), np.float32)}, network())),
            ("bn.running_var: expected variances, numbers from 0 up, got -1", lambda: sp.io.convert(
                state | {"bn.running_var": -np.ones(6, np.float32)}, network())),
            ("got others: conv; give prefix='model.'$", lambda: sp.io.convert(
                {f"model.{name}": array for name, array in state.items()}, network(), names={"conv": "layers.0"}))):
        with pytest.raises(ShapeError, match=message):
            call()


def test_a_wrong_source_or_family_is_named():
    net = sp.models.voxel_backbone_8x(4, rng=0)
    for one, other in (("spconv1", "spconv2"), ("spconv2", "spconv1")):
        state = sp.io.to_peer(net, one, names="second")
        with pytest.raises(ShapeError, match=f"convert: expected second with .*; it fits source='{one}'$"):
            sp.io.convert(state, "second", other)
    state = sp.io.read_checkpoint(GOLDEN / "spunet.pth")
    with pytest.raises(ShapeError, match="larger network; check network= and source="):
        sp.io.convert(state, "second")
    wide = {name: np.zeros([64 * n for n in array.shape[:1]] + list(array.shape[1:])) for name, array in state.items()}
    with pytest.raises(ShapeError, match="the modules of second, got none named conv1.0.0, .*; check the name"):
        sp.io.convert(wide, "second")


def test_a_configuration_file_is_no_json(tmp_path):
    for text, kind in (("[model]\na = 1\n", "a text"), ('{"a": 1}', "a JSON text"), ("[1, 2]", "a JSON text")):
        (tmp_path / "x.pth").write_text(text)
        with pytest.raises(FileError, match=f"got {kind}"):
            sp.io.read_checkpoint(tmp_path / "x.pth")


def test_commands_do_not_write_over_what_they_read(state, tmp_path, capsys):
    net, scene = tmp_path / "net.safetensors", tmp_path / "scene.npz"
    sp.save(net, network())
    arrays = {"sites": np.array([[0, 1, 2, 3]]), "features": np.ones((1, 4), np.float32)}
    np.savez(scene, **arrays)
    before = net.read_bytes(), scene.read_bytes()
    for call in (["convert", str(net), str(net), "--network", "second"], ["predict", str(net), str(scene), str(scene)],
                 ["predict", str(net), str(scene), str(net)]):
        assert main(call) == 2
        assert "expected the name of a new file to write, got a file that is read" in capsys.readouterr().err
    assert before == (net.read_bytes(), scene.read_bytes())


def test_predict_wants_a_size_of_whole_numbers(tmp_path, capsys):
    net, scene, out = (str(tmp_path / name) for name in ("net.safetensors", "scene.npz", "out.npz"))
    sp.save(net, network())
    arrays = {"sites": np.array([[0, 1, 2, 3]]), "features": np.ones((1, 4), np.float32)}
    for size in ([8.5, 8, 8], [np.nan, 8, 8], [True, True, True], [1j, 8, 8]):
        np.savez(scene, size=np.array(size), **arrays)
        assert main(["predict", net, scene, out]) == 1
        assert "scene.npz: expected size (d,), whole numbers" in capsys.readouterr().err
    np.savez(scene, size=np.array([8.0, 8, 8]), **arrays)
    assert main(["predict", net, scene, out]) == 0


def test_a_file_that_cannot_be_made_is_named_in_the_error():
    with pytest.raises(OSError) as error:
        sp.io.to_peer(sp.NetworkInNetwork(2, 3), "spconv1", path="/proc/self/net.safetensors")
    assert error.value.filename == "/proc/self/net.safetensors"


@pytest.mark.parametrize("source, word", [("spconv2", "matrix"), ("paddle", "linear"), ("sparseconvnet", "raw")])
def test_a_weight_is_not_written_in_a_way_that_the_library_does_not_have(source, word):
    with pytest.raises(ShapeError, match=f"to_peer: last: expected one_by_one=.* got '{word}'"):
        sp.io.to_peer(sp.NetworkInNetwork(4, 4, rng=0), source, names={"last": ""}, one_by_one=word)
