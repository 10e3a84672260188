"""LAS and LAZ by laspy: all dimensions, counts that are checked, damage."""

import struct
import sys

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose, assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import FileError


def test_without_laspy_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "laspy", None)
    (tmp_path / "a.las").write_bytes(b"LASF")
    with pytest.raises(ImportError, match=r'laspy to be installed for .las and .laz.*pip install "spconv_cy\[las\]"'):
        sp.readers.read_points(tmp_path / "a.las")


@pytest.fixture
def scan(tmp_path, rng):
    """Return (path of a .las, points, intensity, classification)."""
    laspy = pytest.importorskip("laspy")
    header = laspy.LasHeader(point_format=3, version="1.4")
    header.scales, header.offsets = [0.01] * 3, [4.5e5, 5.0e6, 0]
    las = laspy.LasData(header)
    points = np.round(rng.uniform(-50, 50, (200, 3)), 2) + header.offsets
    las.x, las.y, las.z = points.T
    las.intensity, las.classification = np.arange(200), rng.integers(0, 10, 200)
    las.red = np.arange(200) * 256
    las.add_extra_dim(laspy.ExtraBytesParams("height", "float32"))
    las.height = np.linspace(0, 1, 200)
    las.write(tmp_path / "a.las")
    return tmp_path / "a.las", points, np.asarray(las.classification)


def test_all_dimensions_of_a_scan_are_read(scan, tmp_path):
    path, points, classes = scan
    cloud = sp.readers.read_points(path)
    assert_allclose(cloud.points, points, atol=1e-6)
    assert_array_equal(cloud.labels(), classes)
    assert cloud.values["intensity"].tolist() == list(range(200)) and cloud.values["red"][3] == 768
    assert_allclose(cloud.values["height"], np.linspace(0, 1, 200), atol=1e-6)
    assert {"return_number", "gps_time"} <= set(cloud.values) and cloud.features().shape[0] == 200
    if pytest.importorskip("laspy").LazBackend.detect_available():
        import laspy

        laspy.read(path).write(tmp_path / "a.laz")
        again = sp.readers.read_points(tmp_path / "a.laz")
        assert_array_equal(again.points, cloud.points)
        content = (tmp_path / "a.laz").read_bytes()
        (tmp_path / "a.laz").write_bytes(content[:-len(content) // 3])
        with pytest.raises(FileError, match="a.laz: expected "):
            sp.readers.read_points(tmp_path / "a.laz")


# The public header of LAS 1.2 and a point of its format 1, as the specification of ASPRS has them.
HEADER = "<4sHHIHH8sBB32s32sHHHIIBHI5I3d3d6d"
POINT = [("x", "<i4"), ("y", "<i4"), ("z", "<i4"), ("intensity", "<u2"), ("returns", "u1"), ("classification", "u1"),
         ("angle", "i1"), ("user", "u1"), ("source", "<u2"), ("gps_time", "<f8")]


@pytest.mark.parametrize("n", [0, 1, 50])
def test_a_scan_written_after_the_specification_is_read(n, tmp_path, rng):
    pytest.importorskip("laspy")
    record = np.zeros(n, POINT)
    record["x"], record["y"], record["z"] = rng.integers(-10**6, 10**6, (3, n))
    record["classification"], record["gps_time"] = np.arange(n) % 8 | 0x20, np.arange(n) / 7     # 0x20: synthetic
    header = struct.pack(HEADER, b"LASF", 0, 0, 0, 0, 0, b"", 1, 2, b"by hand", b"test", 1, 2026, 227, 227, 0, 1,
                         record.dtype.itemsize, n, n, 0, 0, 0, 0, 0.01, 0.01, 0.001, 1000, 2000, -5, *[0] * 6)
    (tmp_path / "a.las").write_bytes(header + record.tobytes())
    cloud = sp.readers.read_points(tmp_path / "a.las")
    assert_allclose(cloud.points, np.stack([record["x"] * 0.01 + 1000, record["y"] * 0.01 + 2000,
                                            record["z"] * 0.001 - 5], 1))
    assert_array_equal(cloud.labels(), np.arange(n) % 8)
    assert_array_equal(cloud.values["gps_time"], record["gps_time"])
    assert np.all(cloud.values["synthetic"] == 1)


def test_extra_dimensions_of_several_numbers_are_columns(scan):
    laspy, path = pytest.importorskip("laspy"), scan[0]
    las = laspy.read(path)
    las.add_extra_dim(laspy.ExtraBytesParams("normal", "3float32"))
    las.normal = np.arange(600).reshape(200, 3)
    las.write(path)
    found = sp.readers.read_points(path).values
    assert_array_equal(np.stack([found[f"normal_{i}"] for i in range(3)], 1), las.normal)


@each("names", [("normal", "normal_0"), ("normal_2", "normal")])
def test_two_columns_of_one_name_are_refused(names, scan, tmp_path):
    laspy = pytest.importorskip("laspy")
    las = laspy.read(scan[0])
    for name in names:
        las.add_extra_dim(laspy.ExtraBytesParams(name, "3float32" if name == "normal" else "float32"))
    las.write(tmp_path / "b.las")
    single = next(name for name in names if name != "normal")
    with pytest.raises(FileError, match=f"{single} of the dimensions {names[0]} and {names[1]}.*rename one"):
        sp.readers.read_points(tmp_path / "b.las")


def test_columns_of_alike_names_are_all_read(scan):
    laspy, path = pytest.importorskip("laspy"), scan[0]
    las = laspy.read(path)
    for name, kind in (("normal", "3float32"), ("normal_3", "float32"), ("normal_1_", "2uint8")):
        las.add_extra_dim(laspy.ExtraBytesParams(name, kind))
    las.normal, las.normal_3, las["normal_1_"] = np.ones((200, 3)), np.full(200, 2), np.full((200, 2), 3)
    las.write(path)
    found = sp.readers.read_points(path).values
    assert [found[name][7] for name in ("normal_1", "normal_2", "normal_3", "normal_1__0")] == [1, 1, 2, 3]


def test_without_lazrs_the_extra_is_named(tmp_path, monkeypatch):
    laspy = pytest.importorskip("laspy")
    monkeypatch.setattr(laspy.LazBackend, "detect_available", lambda: ())
    (tmp_path / "a.laz").write_bytes(b"LASF")
    with pytest.raises(ImportError, match=r'lazrs to be installed for .laz.*pip install "spconv_cy\[las\]"'):
        sp.readers.read_points(tmp_path / "a.laz")


def test_damaged_scans_are_file_errors(scan, tmp_path, rng):
    path, _, _ = scan
    whole, refused = path.read_bytes(), 0
    for content, message in ((whole[:-7], "bytes of 200 points, as declared"), (b"", "LAS or LAZ file"),
                             (whole[:150], "LAS or LAZ file"), (b"no scan at all" * 30, "LAS or LAZ file")):
        path.write_bytes(content)
        with pytest.raises(FileError, match=f"a.las: .*{message}"):
            sp.readers.read_points(path)
    for _ in range(60):
        content = bytearray(whole)
        content[rng.integers(400)] ^= 1 << rng.integers(8)
        path.write_bytes(content)
        try:
            sp.readers.read_points(path)
        except FileError:
            refused += 1
    assert refused > 3
    with pytest.raises(FileNotFoundError):
        sp.readers.read_points(tmp_path / "none.las")
