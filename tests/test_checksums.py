"""CRC-32 by the processor's instructions against zlib's, and what loading a network does with it."""

import importlib.util
import sys
import zlib

import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy.compiled import checksum
from spconv_cy.compiled.frozen import Packed, packed_floats
from spconv_cy.compiled.transposed import copy_transposed
from spconv_cy.errors import FileError, ShapeError
from spconv_cy.io import archive, checksums
from spconv_cy.io.peers.layout import copied

LENGTHS = (0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 191, 192, 4095, 70_001)


@pytest.fixture
def frozen(tmp_path):
    """Return the path of a frozen network with weights of several sizes."""
    net = sp.Sequential(sp.SubmanifoldConvolution(2, 3, 20, rng=0), sp.LeakyReLU(), sp.Convolution(2, 20, 33, 2, rng=1))
    path = tmp_path / "frozen.safetensors"
    sp.save(path, sp.freeze(net.eval()))
    return path


def test_crc32_is_that_of_zlib_for_any_length_and_place():
    rng = np.random.default_rng(0)
    content = rng.integers(0, 256, 100_000, np.uint8)
    for length in (*LENGTHS, *rng.integers(0, 400, 300)):
        first, before = int(rng.integers(0, 130)), int(rng.integers(0, 2**32))
        piece = content[first:first + length]
        assert checksum.crc32(piece, before) == zlib.crc32(piece, before)
        assert checksum.crc32(piece.tobytes()) == zlib.crc32(piece)
    assert checksum.kernel() in ("pclmul", "armcrc", "zlib")


@pytest.mark.parametrize("array", [np.zeros((0, 3)), np.array(2.5), np.arange(24, dtype=np.float16).reshape(2, 3, 4),
                                   np.array([True, False])])
def test_crc32_takes_arrays_of_any_shape_and_dtype(array):
    assert checksum.crc32(array) == zlib.crc32(array.tobytes())


def test_crc32_refuses_arrays_whose_numbers_lie_apart():
    with pytest.raises(ValueError, match="contiguous"):
        checksum.crc32(np.zeros((4, 4))[:, ::2])


def test_joined_pieces_have_the_crc32_of_the_whole(monkeypatch):
    monkeypatch.setitem(sys.modules, "spconv_cy.compiled.checksum", None)
    spec = importlib.util.spec_from_file_location("plain_checksums", checksums.__file__)
    plain = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plain)
    assert plain.crc32 is zlib.crc32
    content = np.random.default_rng(1).bytes(5000)
    for cut in (0, 1, 63, 64, 2500, 5000):
        first, second = zlib.crc32(content[:cut]), zlib.crc32(content[cut:])
        for joined in (checksum.joined, plain.joined):
            assert joined(first, second, 5000 - cut) == zlib.crc32(content)
    assert checksum.joined(7, 0, 0) == plain.joined(7, 0, 0) == 7


def test_the_checksum_of_a_file_is_that_of_zlib(tmp_path):
    arrays = {"b": np.arange(5.0), "a": np.ones((3, 0), np.float32), "c": np.arange(70, dtype=np.int8)}
    archive.write(tmp_path / "file", "kind", arrays, {"text": 1})
    shapes = [(name, arrays[name].dtype.name, arrays[name].shape) for name in "abc"]
    crc = zlib.crc32(archive.json.dumps([[("text", "1")], shapes]).encode())
    for name in "abc":
        crc = zlib.crc32(arrays[name].tobytes(), crc)
    assert f'"checksum":"{crc:08x}"' in (tmp_path / "file").read_bytes().decode("latin-1")


def test_loading_a_frozen_network_reads_its_weights_once(frozen, monkeypatch):
    read = []
    monkeypatch.setattr(archive, "crc32", lambda content: read.append(len(content)) or checksum.crc32(content))
    net = sp.load(frozen)
    small = sum(array.nbytes for name, array in net.state().items() if not name.endswith("weight"))
    told = read[-1]                                                      # the names and shapes
    if checksum.kernel() != "zlib":
        assert sum(read) - told == small < net.weight_bytes()


@pytest.mark.parametrize("place", [-3, -700, -4000])
def test_damage_in_a_frozen_network_is_found(frozen, place):
    content = bytearray(frozen.read_bytes())
    content[place] ^= 4
    frozen.write_bytes(content)
    with pytest.raises(FileError, match="matches its checksum"):
        sp.load(frozen)


def test_damage_in_a_description_is_called_damage(frozen):
    content = frozen.read_bytes()
    assert content.count(b"Convolve") == 2
    frozen.write_bytes(content.replace(b"Convolve", b"Convulse"))
    with pytest.raises(FileError, match="matches its checksum"):
        sp.load(frozen)


def test_packed_weights_lie_in_the_room_that_is_given():
    w = np.random.default_rng(2).normal(size=(9, 5, 20)).astype(np.float32)
    room = np.zeros(packed_floats(w.shape), np.float32)
    packed = Packed(w, room)
    np.testing.assert_array_equal(packed.weight()[:, 0], w)
    assert np.sort(room[room != 0]).tolist() == np.sort(w.ravel()).tolist()
    assert packed.crc in (zlib.crc32(w.tobytes()), None)
    assert Packed(w.astype(np.float64)).crc is None
    assert Packed(np.asfortranarray(w)).crc is None
    with pytest.raises(ShapeError, match="room of"):
        Packed(w, room[1:])


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 16, 32), (3, 17, 15), (1, 40, 33), (0, 4, 4), (2, 0, 3)])
def test_transposed_weights_are_copied(shape):
    k, c, o = shape
    stored = np.random.default_rng(3).normal(size=(o, k, c)).astype(np.float32)
    for view in (stored.transpose(1, 2, 0), stored.transpose(1, 2, 0)[::-1, :, ::-1]):
        into = np.full(shape, 7, np.float32)
        assert copy_transposed(view, into) is True
        np.testing.assert_array_equal(into, view)
    with pytest.raises(ShapeError, match="copy_transposed"):
        copy_transposed(stored.transpose(1, 2, 0), np.zeros((k, c, o + 1), np.float32))


@pytest.mark.parametrize("wrong", [np.nan, -np.inf, np.inf])
def test_a_copy_of_a_weight_tells_whether_it_is_finite(wrong):
    rng = np.random.default_rng(5)
    stored = rng.normal(size=(40, 3, 2, 33)).astype(np.float32)
    stored[0, 0, 0, :2] = 3e38, 1e-42                                    # whose squares are not finite, or zero
    for order in ((0, 1, 2, 3), (1, 2, 3, 0), (2, 1, 0, 3), (3, 2, 0, 1)):
        for dtype in (np.float32, np.float64):
            view = stored.astype(dtype).transpose(order)
            into = np.empty(view.shape, dtype)
            assert copied(view, into)
            np.testing.assert_array_equal(into, view)
            for place in (0, view.size - 1, *rng.integers(0, view.size, 9)):
                other = view.copy(order="K")
                other.flat[place] = wrong
                assert other.strides == view.strides and not copied(other, into)
    for row in (stored[:, 0, 0], stored[:, 0, 0].T, stored[0, 0, 0], stored[:0]):
        assert copied(row, np.empty(row.shape, np.float32))


def test_weights_between_other_bytes_are_not_turned_by_whole_numbers():
    rows = np.zeros(20, [("name", "u1"), ("weight", "f4", (8, 5))])
    rows["weight"] = np.random.default_rng(4).normal(size=(20, 8, 5))
    view, into = rows["weight"].transpose(1, 2, 0), np.zeros((8, 5, 20), np.float32)
    with pytest.raises(ShapeError, match=r"copy_transposed: expected aligned weights .* strides \(20, 4, 161\)"):
        copy_transposed(view, into)
    copied(view, into)
    np.testing.assert_array_equal(into, view)
