"""Point clouds in PLY, PCD, KITTI's and tables' files: what real files hold, and what is damaged in them."""

import struct
import tracemalloc

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import FileError, ShapeError
from spconv_cy.readers.lzf import expanded

XYZ = np.array([[0.5, -1.25, 3.0], [1e6, 0.0, -0.0], [-7.0, 2.5, 0.125]])
RGB = np.array([0xFF8001, 0x000000, 0x1020FF])
PLY = ("ply\nformat ascii 1.0\ncomment a scan\nobj_info x\nelement camera 1\nproperty list uchar float pose\n"
       "element vertex 3\nproperty float x\nproperty float y\nproperty float z\nproperty uchar red\n"
       "property list uchar int near\nproperty int Label\nproperty double intensity\n"
       "element face 1\nproperty list uchar int vertex_indices\nend_header\n2 1 2\n"
       "0.5 -1.25 3 255 0 7 0.5\n1e6 0 -0 0 2 1 2 8 nan\n-7 2.5 0.125 16 1 0 -9 2\n3 0 1 2\n")
PCD = ("# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS x y z rgb label _\nSIZE 4 4 4 4 2 1\n"
       "TYPE F F F F U U\nCOUNT 1 1 1 1 1 3\nWIDTH 3\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 3\nDATA ascii\n")


def read(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return sp.readers.read_points(path)


def packed_rgb():
    return RGB.astype(np.uint32).view(np.float32)


def rows():
    kinds = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<f4"), ("label", "<u2"), ("pad", "V3")]
    table = np.zeros(3, kinds)
    for i, axis in enumerate("xyz"):
        table[axis] = XYZ[:, i]
    table["rgb"], table["label"] = packed_rgb(), [7, 65535, 0]
    return table


def literal(content):
    """LZF that stores all bytes as they are."""
    parts = [content[at:at + 32] for at in range(0, len(content), 32)]
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


def pcd(form):
    table = rows()
    if form == "ascii":
        words = [" ".join([*map(repr, row.item()[:3]), repr(float(color)), str(row["label"]), "0 0 0"])
                 for row, color in zip(table, packed_rgb(), strict=True)]
        return PCD.encode() + "\n".join(words).encode() + b"\n"
    content = table.tobytes()
    if form == "binary_compressed":
        content = b"".join(table[name].tobytes() for name in table.dtype.names)
        content = struct.pack("<II", len(literal(content)), len(content)) + literal(content)
    return PCD.replace("ascii", form).encode() + content


def check(cloud, labels=(7, 65535, 0)):
    assert_array_equal(cloud.points, XYZ)
    assert cloud.labels().tolist() == list(labels)
    colours = np.stack([cloud.values[name] for name in ("red", "green", "blue")], 1)
    assert_array_equal(colours, [[255, 128, 1], [0, 0, 0], [16, 32, 255]])
    assert colours.dtype == np.uint8 and set(cloud.values) == {"red", "green", "blue", "label"}


# PLY


@pytest.mark.parametrize("form", ["ascii", "<", ">"])
def test_the_properties_of_vertices_are_read_in_their_types(tmp_path, form):
    content = PLY
    if form != "ascii":
        name = {"<": "binary_little_endian", ">": "binary_big_endian"}[form]
        head = PLY.replace("ascii", name).partition("end_header\n")
        content = (head[0] + head[1]).encode() + struct.pack(form + "B2f", 2, 1, 2)
        for values, near in (((0.5, -1.25, 3, 255), ((), 7, 0.5)), ((1e6, 0, -0.0, 0), ((1, 2), 8, np.nan)),
                             ((-7, 2.5, 0.125, 16), ((0,), -9, 2))):
            content += struct.pack(form + "3fB", *values)
            content += struct.pack(f"{form}B{len(near[0])}iid", len(near[0]), *near[0], *near[1:])
        content += struct.pack(form + "B3i", 3, 0, 1, 2)
    cloud = read(tmp_path, "a.ply", content)
    assert_array_equal(cloud.points, XYZ)
    assert {name: value.dtype.str[1:] for name, value in cloud.values.items()} == {"red": "u1", "Label": "i4",
                                                                                   "intensity": "f8"}
    assert cloud.labels().tolist() == [7, 8, -9] and cloud.values["red"].tolist() == [255, 0, 16]
    assert_array_equal(cloud.values["intensity"], [0.5, np.nan, 2])
    assert_array_equal(cloud.features("red", "intensity"), np.float32([[255, 0.5], [0, np.nan], [16, 2]]))


@each("change", [
    lambda text: text.replace("\n", "\r\n").encode(), lambda text: text.replace("\n", "\r").encode(),
    lambda text: text.replace("\n", " \t \n").encode(), lambda text: text.encode("utf-8-sig"),
    lambda text: text.replace("property float x", "  property   float\tx").encode(),
    lambda text: text.replace(" x\n", " X\n").encode(), lambda text: text.rstrip("\n").encode(),
    lambda text: text.replace("-7 2.5", "\n\n  -7    2.5").encode(),
    lambda text: text.replace("int ", "int32 ").encode(),
    lambda text: text.replace("element face 1\nproperty list uchar int vertex_indices\n", "").replace(
        "3 0 1 2\n", "").encode(),
    lambda text: text.replace("property list uchar int vertex_indices", "property list uchar int corners").encode()])
def test_ply_as_other_programs_write_it_is_the_same(tmp_path, change):
    cloud = read(tmp_path, "a.ply", change(PLY))
    assert_array_equal(cloud.points, XYZ)
    assert cloud.labels().tolist() == [7, 8, -9]


def test_ply_without_points_is_empty_and_without_vertices_refused(tmp_path):
    head = PLY.partition("end_header\n")[0].replace("vertex 3", "vertex 0").replace("face 1", "face 0").replace(
        "camera 1", "camera 0")
    cloud = read(tmp_path, "a.ply", head + "end_header\n")
    assert len(cloud) == 0 and cloud.features().shape == (0, 2)
    with pytest.raises(FileError, match="an element 'vertex' with numbers x, y and z, got none"):
        read(tmp_path, "a.ply", "ply\nformat ascii 1.0\nelement face 0\nproperty list uchar int a\nend_header\n")
    with pytest.raises(FileError, match="one column z, got x, y, w, red"):
        read(tmp_path, "a.ply", PLY.replace("property float z", "property float w"))


# PCD


@each("form", ["ascii", "binary", "binary_compressed"])
@each("change", [
    lambda head: head, lambda head: head.replace("\n", "\r\n"), lambda head: head.replace("\n", "  \n"),
    lambda head: head.replace("FIELDS", "COLUMNS").replace("VERSION 0.7", "VERSION .5"),
    lambda head: head.replace("VIEWPOINT 0 0 0 1 0 0 0\n", ""), lambda head: head.replace("HEIGHT 1\n", ""),
    lambda head: head.replace("POINTS 3\n", ""), lambda head: head.replace("WIDTH 3", "# a note\n\nWIDTH\t3"),
    lambda head: head.replace("WIDTH 3\nHEIGHT 1", "WIDTH 1\nHEIGHT 3"), lambda head: "\ufeff" + head,
    lambda head: head.replace("TYPE F F F F U U", "type f f f f u u").replace("DATA", "data"),
    lambda head: head.partition("\n")[2]])
def test_pcd_in_all_forms_and_as_other_programs_write_it_is_the_same(tmp_path, form, change):
    head, data, rest = pcd(form).partition(f"DATA {form}\n".encode())
    content = change(head.decode() + data.decode()).encode() + rest
    check(read(tmp_path, "a.pcd", content))
    if form == "ascii":
        check(read(tmp_path, "a.PCD", content.replace(b"\n", b"\r\n").replace(b"\r\r\n", b"\r\n")))
        check(read(tmp_path, "a.pcd", content.rstrip(b"\n") + b"\n\n# the end"))


def test_pcd_keeps_points_that_are_nan_and_counts_of_fields(tmp_path):
    head = ("FIELDS X Y Z normal\nSIZE 8 4 4 4\nTYPE F I F F\nCOUNT 1 1 1 2\nWIDTH 2\nHEIGHT 1\nPOINTS 2\n")
    text = head + "DATA ascii\nnan 1 2 3 4\n5 -6 inf 7 8\n"
    cloud = read(tmp_path, "a.pcd", text)
    assert_array_equal(cloud.points, [[np.nan, 1, 2], [5, -6, np.inf]])
    assert_array_equal(cloud.features(), [[3, 4], [7, 8]])
    assert list(cloud.values) == ["normal_0", "normal_1"] and len(cloud.finite()) == 0
    content = b"".join([np.array([0, 5.0]).tobytes(), np.array([1, -6], "<i4").tobytes(),
                        np.array([2, 3], "<f4").tobytes(), np.array([[3, 4], [7, 8]], "<f4").tobytes()])
    compressed = struct.pack("<II", len(literal(content)), len(content)) + literal(content)
    cloud = read(tmp_path, "a.pcd", (head + "DATA binary_compressed\n").encode() + compressed)
    assert_array_equal(cloud.features(), [[3, 4], [7, 8]])
    integer = PCD.replace("TYPE F F F F U U", "TYPE F F F U U U")
    check(read(tmp_path, "a.pcd", integer.replace("ascii", "binary").encode() + rows().tobytes()))


def test_pcd_without_points_is_empty(tmp_path):
    empty = PCD.replace("WIDTH 3", "WIDTH 0").replace("POINTS 3", "POINTS 0")
    for form, rest in (("ascii", b""), ("binary", b""), ("binary_compressed", b""), ("binary_compressed", bytes(8))):
        assert len(read(tmp_path, "a.pcd", empty.replace("ascii", form).encode() + rest)) == 0
        assert len(read(tmp_path, "a.pcd", empty.replace("ascii", form).rstrip().encode())) == 0


def test_lzf_references_overlap_and_what_is_no_lzf_is_refused():
    assert expanded(bytes([0, 7, 7 << 5, 91, 0]), 101) == b"\7" * 101                    # long, of distance 1
    assert expanded(b"", 0) == b""
    content = bytes([3, 1, 2, 3, 4, 2 << 5, 3, 1, 9, 9, 1 << 5, 5])
    assert expanded(content, 13) == bytes([1, 2, 3, 4, 1, 2, 3, 4, 9, 9, 1, 2, 3][:10]) + bytes([1, 2, 3])
    for wrong, size, words in ((bytes([5, 1]), 6, "cut short"), (bytes([32]), 3, "cut short"),
                               (bytes([224, 1]), 3, "cut short"), (bytes([0, 1, 32, 1]), 4, "before the first"),
                               (bytes([1, 1, 1]), 1, "more than 1"), (bytes([0, 1]), 2, "1 bytes in place of 2")):
        with pytest.raises(ValueError, match=words):
            expanded(wrong, size)


@each("change, message", [
    (lambda c: c.replace(b"DATA ascii", b"DATA zip"), "line 11: expected FIELDS.*got 'DATA zip'"),
    (lambda c: c.replace(b"WIDTH 3", b"WIDTH 4"), "POINTS to be 4, WIDTH times HEIGHT, got 3"),
    (lambda c: c.replace(b"WIDTH 3", b"WIDTH -3"), "got 'WIDTH -3'"),
    (lambda c: c.replace(b"WIDTH 3", b"WIDTH 9").replace(b"POINTS 3", b"POINTS 9"), "9 points, as declared, got 3"),
    (lambda c: c.replace(b"SIZE 4 4 4 4 2 1", b"SIZE 4 4 4 4 2"), "as many entries in FIELDS"),
    (lambda c: c.replace(b"SIZE 4", b"SIZE 3"), "'x' of TYPE 'F', SIZE '3'"),
    (lambda c: c.replace(b"COUNT 1", b"COUNT 99999999"), "COUNT '99999999'"),
    (lambda c: c.replace(b"x y z", b"x y y"), "different names in FIELDS"),
    (lambda c: c.replace(b"x y z", b"x y w"), "one column z, got x, y, w"),
    (lambda c: c.replace(b"FIELDS", b"FELDER"), "got 'FELDER x"),
    (lambda c: c.replace(b"TYPE F F F F U U\n", b""), "no TYPE"),
    (lambda c: c.replace(b" 7 0 0 0", b" 70000 0 0 0"), "whole numbers from 0 to 65535 in label"),
    (lambda c: c.replace(b" 7 0 0 0", b" 7.5 0 0 0"), "whole numbers from 0 to 65535 in label"),
    (lambda c: c.replace(b" 7 0 0 0", b" seven 0 0 0"), "numbers in the points, got 'seven'"),
    (lambda c: c.replace(b" 7 0 0 0", b" 7 0 0"), "line 12: expected 8 numbers"),
    (lambda c: c[:60], "a PCD header that ends with a line DATA"), (lambda c: b"", "a PCD header"),
    (lambda c: c.replace(b"POINTS 3", b"POINTS 3\nPOINTS 3"), "once each"),
    (lambda c: c.replace(b"WIDTH 3\n", b"").replace(b"POINTS 3\n", b""), "no WIDTH")])
def test_pcd_headers_that_do_not_fit_are_refused_by_name(tmp_path, change, message):
    with pytest.raises(FileError, match=rf"a\.pcd.*{message}"):
        read(tmp_path, "a.pcd", change(pcd("ascii")))


@each("form, change, message", [
    ("binary", lambda c: c[:-1], "63 bytes of 3 points, as declared, got 62"),
    ("binary", lambda c: c + b"more", "63 bytes of 3 points, as declared, got 67"),
    ("binary", lambda c: c.replace(b"WIDTH 3", b"WIDTH 2000000000").replace(b"POINTS 3", b"POINTS 2000000000"),
     "42000000000 bytes of 2000000000 points"),
    ("binary_compressed", lambda c: c[:-2], "bytes of 3 points"),
    ("binary_compressed", lambda c: c.replace(struct.pack("<I", 63), struct.pack("<I", 64)), "got 64 in"),
    ("binary_compressed", lambda c: c.replace(b"WIDTH 3", b"WIDTH 99999999").replace(b"POINTS 3", b"POINTS 99999999")
     .replace(struct.pack("<I", 63), struct.pack("<I", 99999999 * 21)), "at most 90 times the compressed ones"),
    ("binary_compressed", lambda c: c.replace(struct.pack("<II", 65, 63), struct.pack("<II", 64, 63)), "cut short"),
    ("binary_compressed", lambda c: c[:-65] + b"\xff" * 65, "compressed by LZF, got others .a reference"),
    ("binary_compressed", lambda c: c.partition(b"compressed\n")[0] + b"compressed\n12", "two sizes")])
def test_pcd_bodies_that_do_not_fit_are_refused_before_memory_is_taken(tmp_path, form, change, message):
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=rf"a\.pcd: expected .*{message}"):
            read(tmp_path, "a.pcd", change(pcd(form)))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name, whole", [("a.ply", PLY.encode()), *((f"{form}.pcd", pcd(form)) for form in (
    "ascii", "binary", "binary_compressed")), ("a.csv", b"x,y,z,label\n1,2,3,4\n5,6,7,8\n9,1,2,3\n")])
def test_damaged_clouds_are_read_or_a_file_error(tmp_path, rng, name, whole):
    refused = 0
    for trial in range(150):
        content = bytearray(whole)
        for _ in range(1 + trial % 3):
            content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        content = content[:rng.integers(len(content))] if trial % 5 == 0 else content
        try:
            with np.errstate(all="ignore"):
                read(tmp_path, name, bytes(content))
        except FileError as error:
            refused += 1
            assert name in str(error)
    assert refused > 20


# KITTI


def test_kitti_scans_are_read_with_their_labels(tmp_path):
    scan, labels = tmp_path / "00" / "velodyne" / "000007.bin", tmp_path / "00" / "labels" / "000007.label"
    scan.parent.mkdir(parents=True)
    table = np.column_stack([XYZ, [0.0, 0.25, 1.0]]).astype("<f4")
    scan.write_bytes(table.tobytes())
    assert_array_equal(sp.readers.read_points(scan).features(), [[0], [0.25], [1]])
    labels.parent.mkdir()
    labels.write_bytes(np.array([40, 252 | 3 << 16, 0], "<u4").tobytes())
    for cloud in (sp.readers.read_points(scan), sp.readers.read_kitti(scan, labels)):
        assert cloud.labels().tolist() == [40, 252, 0] and cloud.values["instance"].tolist() == [0, 3, 0]
        assert_array_equal(cloud.points, table[:, :3])
        assert_array_equal(cloud.features(), table[:, 3:])               # labels and instances are no features
    labels.write_bytes(bytes(8))
    with pytest.raises(FileError, match="12 bytes, a label for each of 3 points, got 8"):
        sp.readers.read_points(scan)
    scan.write_bytes(np.zeros((4, 5), "<f4").tobytes() * 3)
    with pytest.raises(FileError, match="labels/000007.label: expected 60 bytes"):
        sp.readers.read_kitti(scan)
    scan = scan.rename(tmp_path / "nu.pcd.bin")
    assert set(sp.readers.read_kitti(scan, columns=5).values) == {"intensity", "ring"}
    scan.write_bytes(bytes(20))
    with pytest.raises(FileError, match="rows of 16 bytes, 4 float32 numbers, got 20 bytes; .* columns=5"):
        sp.readers.read_points(scan)
    scan.write_bytes(b"")
    assert len(sp.readers.read_points(scan)) == 0
    with pytest.raises(FileNotFoundError):
        sp.readers.read_kitti(scan, tmp_path / "none.label")
    with pytest.raises(ShapeError, match="columns to be a whole number from 3 to 6"):
        sp.readers.read_kitti(scan, columns=2)


# Tables of text


@pytest.mark.parametrize("text", [
    "x,y,z,energy,label,kind\n1,2,3,0.5,7,mu\n4,5,6,,8,e\n", "x;y;z;energy;label;kind\n1;2;3;0.5;7;mu\n4;5;6;nan;8;e\n",
    "# x y z energy label kind\n1 2 3 .5 7 mu\n4 5  6 NaN 8 e",
    "x\ty\tz\tenergy\tlabel\tkind\n1\t2\t3\t5e-1\t7\tmu\n4\t5\t6\t\t8\te\n",
    "// a note\n\n# x, y, z, energy, label, kind\r\n1, 2, 3, 0.5, 7, mu\r\n4, 5, 6, NA, 8, e\r\n# the end\r\n",
    '\ufeffx,y,z,energy,label,"kind"\n"1",2,3,0.5,7,"mu"\n4,5,6,,8,e\n',
    "kind,label,z,y,x,energy\nmu,7,3,2,1,0.5\ne,8,6,5,4,\n"])
def test_tables_of_text_are_read_as_people_write_them(tmp_path, text):
    cloud = read(tmp_path, "a.csv", text)
    assert_array_equal(cloud.points, [[1, 2, 3], [4, 5, 6]])
    assert_array_equal(cloud.features(), np.float32([[0.5], [np.nan]]))
    assert cloud.labels().tolist() == [7, 8] and cloud.values["kind"].tolist() == ["mu", "e"]


def test_tables_without_names_with_counts_and_with_other_axes(tmp_path):
    assert_array_equal(read(tmp_path, "a.xyz", "1 2 3 9\n4 5 6 9\n").features(), [[9], [9]])
    assert read(tmp_path, "a.pts", "2\n1 2 3 9\n4 5 6 9\n").values["c3"].tolist() == [9, 9]
    assert read(tmp_path, "a.txt", "1 2\n").points.tolist() == [[1, 2]]
    assert read(tmp_path, "a.csv", "x,y,t\n1,2,3\n").points.tolist() == [[1, 2]]
    assert len(read(tmp_path, "a.csv", "x,y,z,label\n")) == 0 and len(read(tmp_path, "a.csv", "")) == 0
    assert read(tmp_path, "a.csv", ",x,y,e,\n0,1,2,7,\n1,3,4,8,\n").features().tolist() == [[7], [8]]  # row numbers
    (tmp_path / "b.csv").write_text("event,px,py,pz,pe\n0,1,2,3,4\n1,5,6,7,8\n")
    cloud = sp.readers.read_points(tmp_path / "b.csv", axes=("px", "py", "pz"))
    assert_array_equal(sp.readers.read_points(tmp_path / "b.csv", axes="px, py,pz").points, cloud.points)
    assert cloud.points.tolist() == [[1, 2, 3], [5, 6, 7]] and cloud.features().tolist() == [[4], [8]]
    for text, message in (("2\n1 2 3\n", "2 points, as declared in the first line, got 1"),
                          ("x,y,z\n1,2\n", "line 2: expected 3 columns, as in the first line, got 2"),
                          ("x,y,z,x\n1,2,3,4\n", "different names of columns, got 'x' twice"),
                          ("a,b,c\n1,2,3\n", "one column x, got a, b, c; name the coordinates, as in axes="),
                          ("x,y,z\n1,2,three\n", "numbers in z, got text such as 'three'"),
                          ("x;y;z\n1,5;2;3\n4;5;6\n", "numbers in x, got text such as '1,5'"),
                          (b"x,y,z\n1,2,\xff\n", "line 2: expected text in utf-8")):
        with pytest.raises(FileError, match=message):
            read(tmp_path, "a.csv", text)
    with pytest.raises(FileError, match=r"a name that ends in \.ply, \.pcd.*got '\.doc'"):
        read(tmp_path, "a.doc", "")
    with pytest.raises(FileNotFoundError):
        sp.readers.read_points(tmp_path / "none.pcd")


# Arrays, and what is written


def test_clouds_are_written_and_read_again_bit_for_bit(tmp_path, rng):
    cloud = sp.data.PointCloud(rng.normal(size=(50, 3)) * 10.0**rng.integers(-300, 300, (50, 1)), {
        "red": rng.integers(0, 256, 50).astype(np.uint8), "label": rng.integers(-9, 9, 50),
        "energy": rng.normal(size=50).astype(np.float32), "t": rng.normal(size=50)})
    for name in ("a.ply", "a.csv"):
        sp.readers.write_points(tmp_path / name, cloud)
        again = sp.readers.read_points(tmp_path / name)
        assert again.points.tobytes() == cloud.points.tobytes() and list(again.values) == list(cloud.values)
        for key, value in cloud.values.items():
            assert_array_equal(again.values[key].astype(value.dtype), value)
    sp.readers.write_points(tmp_path / "none.ply", cloud.take([]))
    assert len(sp.readers.read_points(tmp_path / "none.ply")) == 0
    for name, wrong, message in (("a.las", cloud, r"ends in \.ply or \.csv"), ("a.ply", sp.data.PointCloud(
            [[1.0, 2]]), "points in 3 dimensions, got 2"), ("a.ply", sp.data.PointCloud(XYZ, {"a": ["x"] * 3}),
                                                            "'a' of <U1"), ("a.ply", sp.data.PointCloud(
            XYZ, {"a b": [1, 2, 3]}), "'a b' of int32")):
        with pytest.raises(FileError, match=message):
            sp.readers.write_points(tmp_path / name, wrong)
    with pytest.raises(TypeError, match="a PointCloud, got an ndarray"):
        sp.readers.write_points(tmp_path / "a.ply", XYZ)


def test_arrays_are_clouds(tmp_path):
    np.savez(tmp_path / "a.npz", xyz=XYZ, label=[1, 2, 3], color=np.arange(9).reshape(3, 3), scene="attic")
    cloud = sp.readers.read_points(tmp_path / "a.npz")
    assert cloud.labels().tolist() == [1, 2, 3] and cloud.features().tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    np.save(tmp_path / "a.npy", np.column_stack([XYZ, [5, 6, 7]]))
    assert_array_equal(sp.readers.read_points(tmp_path / "a.npy").values["c3"], [5, 6, 7])
    np.save(tmp_path / "b.npy", XYZ[0])
    for name, message in (("b.npy", r"an array \(n, d\)"), ("c.npz", "points, xyz, coord or coords, got other"),
                          ("d.npz", "complete .npz"), ("e.npy", "e.npy: expected .*complete")):
        np.savez(tmp_path / "c.npz", other=XYZ)
        (tmp_path / "d.npz").write_bytes(b"PK")
        (tmp_path / "e.npy").write_bytes(b"\x93NUMPY")
        with pytest.raises(FileError, match=message):
            sp.readers.read_points(tmp_path / name)


def test_a_cloud_is_checked_and_gives_features_and_labels():
    cloud = sp.data.PointCloud(XYZ.tolist(), {"intensity": [1, 2, 3], "scalar_Classification": [4.0, 5, 6]})
    assert cloud.labels().tolist() == [4, 5, 6] and cloud.take([2, 0]).values["intensity"].tolist() == [3, 1]
    assert "3 points in 3 dimensions; intensity, scalar_Classification" in repr(cloud)
    for call, message in ((lambda: sp.data.PointCloud([1, 2]), r"points \(n, d\)"),
                          (lambda: sp.data.PointCloud(XYZ, {"a": [1]}), r"a of shape \(3,\), one for each point"),
                          (lambda: cloud.features("red"), "values named 'red', got intensity"),
                          (lambda: sp.data.PointCloud(XYZ).labels(), "values named label, .* or alike, got none"),
                          (lambda: sp.data.PointCloud(XYZ, {"a": list("abc")}).features("a"), "numbers in a")):
        with pytest.raises(ShapeError, match=message):
            call()
    with pytest.raises(TypeError, match="values to be a dict"):
        sp.data.PointCloud(XYZ, [1, 2, 3])
