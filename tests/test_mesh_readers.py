"""Readers of meshes: files that the test writes come back, damaged and hostile ones are refused with their place."""

import struct

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.errors import FileError
from spconv_cy.readers.ply import read_ply, write_ply

POINTS = [(0, 0, 0), (1, 0, 0), (1, 1.5, 0), (0, 1, 0), (0, 0, -2.25)]
FACES = [(0, 1, 2, 3), (0, 1, 4), (4, 3, 2, 1, 0)]
TRIANGLES = [[0, 1, 2], [0, 2, 3], [0, 1, 4], [4, 3, 2], [4, 2, 1], [4, 1, 0]]


def off(head="OFF\n", points=POINTS, faces=FACES, counts=None, more=""):
    lines = [" ".join(map(str, p)) + more for p in points]
    lines += [f"{len(f)} {' '.join(map(str, f))}" + more for f in faces]
    return head + (counts or f"{len(points)} {len(faces)} 0") + "\n" + "\n".join(lines) + "\n"


def obj(points=POINTS, faces=FACES):
    return "".join(f"v {x} {y} {z}\n" for x, y, z in points) + "".join(
        f"f {' '.join(str(1 + v) for v in f)}\n" for f in faces)


def ply(order="<", points=POINTS, faces=FACES, count="uchar", n=None):
    """A PLY file with a table before and after, properties that nobody asked for, and polygons of several sizes."""
    form = {"<": "binary_little_endian", ">": "binary_big_endian", "": "ascii"}[order]
    head = (f"ply\nformat {form} 1.0\ncomment made by hand\nelement camera 1\nproperty short a\nproperty list uint "
            f"float b\nelement vertex {n or len(points)}\nproperty uchar red\nproperty float x\nproperty double y\n"
            f"property float z\nelement face {len(faces)}\nproperty list uchar float texcoord\n"
            f"property list {count} int vertex_indices\nproperty uchar flags\nelement edge 1\nproperty int a\n"
            "end_header\n").encode()
    rows = [("h", 7), ("I", 2), ("f", 0.5), ("f", 1.5)]
    for x, y, z in points:
        rows += [("B", 200), ("f", x), ("d", y), ("f", z)]
    for face in faces:
        rows += [("B", 1), ("f", 0.25), ({"uchar": "B", "char": "b", "int": "i"}[count], len(face))]
        rows += [("i", v) for v in face] + [("B", 3)]
    rows.append(("i", 9))
    if order == "":
        return head + " ".join(str(value) for _, value in rows).encode()
    return head + b"".join(struct.pack(order + kind, value) for kind, value in rows)


def js(points=POINTS, faces=TRIANGLES):
    return f"// a rabbit\nexports.positions={[list(p) for p in points]}\nexports.cells = {[list(f) for f in faces]};\n"


def read(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return sp.readers.read_mesh(path)


@each("name, content", [
    ("a.off", off()), ("a.OFF", off("# made by hand\n\nOFF # head\n")), ("a.off", off("OFF")), ("a.off", off("OFF ")),
    ("a.off", off("COFF\n", more=" 0.1 0.2 0.3 1")), ("a.off", off(counts="5 3")),
    ("a.obj", obj()), ("a.obj", "mtllib /etc/passwd\n# f 1 2 9\n" + obj().replace("f 1 2 3", "f -5 \\\n -4/7 3//2")),
    ("a.ply", ply("<")), ("a.ply", ply(">")), ("a.ply", ply("")), ("a.ply", ply("<", count="int")),
    ("a.ply", ply().replace(b"\n", b"\r\n", 18)), ("a.js", js())])
def test_files_of_polygons_come_back_as_triangles(tmp_path, name, content):
    mesh = read(tmp_path, name, content)
    assert mesh.vertices.tolist() == [list(map(float, p)) for p in POINTS] and mesh.triangles.tolist() == TRIANGLES


@pytest.mark.parametrize("ending", ["off", "obj", "ply"])
def test_what_is_written_comes_back_bit_for_bit(tmp_path, rng, ending):
    mesh = sp.data.Mesh(rng.standard_normal((50, 3)) * 1e7**rng.standard_normal((50, 1)), rng.integers(0, 50, (80, 3)))
    path = tmp_path / f"mesh.{ending}"
    for written in (mesh, sp.data.Mesh(mesh.vertices, np.zeros((0, 3), int))):
        sp.readers.write_mesh(path, written)
        found = sp.readers.read_mesh(path)
        assert np.array_equal(found.vertices, written.vertices) and np.array_equal(found.triangles, written.triangles)


def test_ply_is_written_as_text_too_and_long_runs_of_equal_polygons_come_back(tmp_path, rng):
    mesh = sp.data.Mesh(rng.standard_normal((300, 3)), rng.integers(0, 300, (1000, 3)))
    write_ply(tmp_path / "a.ply", mesh, text=True)
    assert np.array_equal(read_ply(tmp_path / "a.ply").vertices, mesh.vertices)
    sizes = np.repeat(rng.integers(3, 7, 60), rng.integers(1, 50, 60))
    faces = [tuple(rng.integers(0, 5, n).tolist()) for n in sizes]
    expected = [[f[0], f[i], f[i + 1]] for f in faces for i in range(1, len(f) - 1)]
    for order in "<>", "":
        for one in order or ("",):
            assert read(tmp_path, "b.ply", ply(one, faces=faces)).triangles.tolist() == expected


@each("name, content, message", [
    ("a.off", off(counts="999999999999 3 0"), "expected lines for.*got 8 lines"),
    ("a.off", off(counts="5 99 0"), "cut short"),
    ("a.off", off(counts="-1 3 0"), "expected counts of vertices,.*got '-1 3 0'"),
    ("a.off", off(counts="inf 3 0"), "expected counts of vertices,.*got 'inf 3 0'"),
    ("a.off", off(counts="5"), "expected counts of vertices,.*got '5'"),
    ("a.off", off(counts="five 3 0"), "expected numbers in the counts, got 'five'"),
    ("a.off", "", "expected OFF on the first.*got ''"),
    ("a.off", "OFF", "expected counts of vertices,.*got ''"),
    ("a.off", off("4OFF\n"), "expected OFF on the first.*got '4OFF'"),
    ("a.off", off("OFF BINARY\n"), "expected text OFF, got binary OFF"),
    ("a.off", off().replace("1.5", "nan"), r"got \[1.0, nan, 0.0\] as vertex 2"),
    ("a.off", off().replace("1.5", "1e999"), r"got \[1.0, inf, 0.0\] as vertex 2"),
    ("a.off", off().replace("1 0 0", "1 0"), "vertex 1"),
    ("a.off", off(faces=[(0, 1, 5)]), "expected vertices from 0 to 4 in faces, got 5.0 in face 0"),
    ("a.off", off(faces=[(0, 1, 2), (0, -1, 2)]), "got -1.0 in face 1"),
    ("a.off", off(faces=[(0, 1.5, 2)]), "got 1.5 in face 0"),
    ("a.off", off(faces=[(0, 1)]), "corners.*got 2 in face 0"),
    ("a.off", off().replace("3 0 1 4", "9 0 1 4"), "expected the number of.*got '9 0 1 4'"),
    ("a.off", off().replace("3 0 1 4", "inf 0 1 4"), "face.*got 'inf 0 1 4'"),
    ("a.off", b"OFF\n1 0 0\n\0\0", "expected a text file, got a zero at byte 10"),
    ("a.stl", "", "expected a name that ends in.*got '.stl'"),
    ("a.js", js().replace("cells", "cels"), "expected exports.cells as a.*got none"), ("a.js", "", "exports.positions"),
    ("a.js", js().replace("1.5", "f()"), r"exports.*got other text \(Expecting value: line 1 column 28 \(char 27\)\)"),
    ("a.js", "exports.cells=" + "[" * 99_999, r"list.*got other text \(maximum recursion depth exceeded while decod"),
    ("a.js", js().replace("1.5", "NaN"), "nan"),
    ("a.js", js(faces=[(0, 1, 5)]), "got 5 in face 0"), ("a.js", js(faces=[(0, 1.0, 4)]), "exports.cells"),
    ("a.js", js([(0, 0), (1, 2)]), "exports.positions"), ("a.js", js().replace("1.5", "[2]"), "exports.positions"),
    ("a.obj", "", "neither a vertex nor a face"), ("a.obj", obj() + "f 1 2 99\n", "got 98 in face 3"),
    ("a.obj", obj() + "f 1 2 0\n", "line 9: expected a vertex from 1 up,.*got 0"),
    ("a.obj", obj() + "f 1 2 -6\n", "expected a vertex from 1 up,.*got -6"),
    ("a.obj", obj() + "f 1 2 " + "9" * 5000, "line 9: .*got '9999999999999999999999999999999999999999'"),
    ("a.obj", obj() + "f 1 2 --1", "line 9: expected a vertex,.*got '--1'"),
    ("a.obj", obj() + "f 1 2 ²", "line 9: expected a vertex,.*got '²'"),
    ("a.obj", obj() + "f 1 2\n", "corners.*got 2 in face 3"),
    ("a.obj", obj() + "v 1 2\n", "line 9: expected v x y z, optionally followed.*got 'v 1 2'"),
    ("a.obj", obj() + "v 1 2 x\n", "expected numbers in the vertices, got 'x'"),
    ("a.ply", ply(n=999999999999), "cut short or"), ("a.ply", ply()[:-30], "cut short or"),
    ("a.ply", ply()[:300], "expected a PLY header with"),
    ("a.ply", b"ply\n", "expected a PLY header with"),
    ("a.ply", b"", "expected a PLY header, with.*got ''"),
    ("a.ply", ply("")[:-40], "face.*got the end of the file in row 1"),
    ("a.ply", ply().replace(b"vertex 5", b"vertex -5"), "line 7: .*element.*got 'element vertex -5'"),
    ("a.ply", ply().replace(b"little_endian", b"middle_endian"), "line 2"),
    ("a.ply", ply().replace(b"uchar red", b"pickle red"), "line 8: .*property.*got 'property pickle red'"),
    ("a.ply", ply().replace(b"float x", b"float w"), "expected an element 'vertex'.*got none"),
    ("a.ply", ply().replace(b"float x", b"float y"), "expected one property 'y' of.*got a second"),
    ("a.ply", ply().replace(b"vertex_indices", b"vertex_corners"), "expected a list.*got none"),
    ("a.ply", ply().replace(b"element edge", b"element face"), "expected one element of each name, got two"),
    ("a.ply", ply().replace(b"format binary_little_endian 1.0\n", b""), "expected a line 'format'.*got none"),
    ("a.ply", ply().replace(b"list uchar float", b"list float float"), "list.*got a float type"),
    ("a.ply", ply("<", [(0, np.nan, 0)] * 5), r"got \[0.0, nan, 0.0\] as vertex 0"),
    ("a.ply", ply("<", faces=[(0, 1, 7)]), "got 7 in face 0"),
    ("a.ply", ply("").replace(b" 3 0 1 4 ", b" 3 0 nan 4 "), "got nan in face 1"),
    ("a.ply", ply("").replace(b" 3 0 1 4 ", b" nan 0 1 4 "), "expected a list of 0 or more.*got nan"),
    ("a.ply", ply("").replace(b" 3 0 1 4 ", b" -3 0 1 4 "), "expected a list of 0 or more.*got -3.0"),
    ("a.ply", ply("").replace(b" 3 0 1 4 ", b" 1e18 0 1 4 "), r"expected a list of 0 or more.*got 1e\+18"),
    ("a.ply", ply("").replace(b" 3 0 1 4 ", b" x 0 1 4 "), "expected numbers in the rows, got 'x'"),
    ("a.ply", ply("<", count="char", faces=[(0,) * 127]).replace(b"\x7f" + bytes(4), b"\x80" + bytes(4)),
     "expected a list of 0 or more.*got -128")])
def test_damaged_and_hostile_meshes_are_refused_in_plain_words(tmp_path, name, content, message):
    with pytest.raises(FileError, match=message):
        read(tmp_path, name, content)


@pytest.mark.parametrize("name, content", [("a.off", off().encode()), ("a.obj", obj().encode()), ("a.ply", ply("<")),
                                           ("a.ply", ply("")), ("a.ply", ply(">", count="int"))])
def test_any_damage_is_refused_or_gives_a_mesh_that_fits(tmp_path, rng, name, content):
    for _ in range(150):
        damaged = bytearray(content[:rng.integers(len(content))] if rng.random() < 0.3 else content)
        for _ in range(rng.integers(1, 4)):
            if damaged:
                damaged[rng.integers(len(damaged))] = rng.integers(256)
        try:
            mesh = read(tmp_path, name, bytes(damaged))
        except FileError:
            continue
        assert np.isfinite(mesh.vertices).all()
        assert mesh.triangles.size == 0 or 0 <= mesh.triangles.min() <= mesh.triangles.max() < len(mesh.vertices)


def test_a_file_that_is_not_there_is_no_damaged_one(tmp_path):
    for ending in ("off", "obj", "ply"):
        with pytest.raises(FileNotFoundError):
            sp.readers.read_mesh(tmp_path / f"none.{ending}")
    with pytest.raises(FileError, match="expected a name that ends in.*got '.txt'"):
        sp.readers.write_mesh(tmp_path / "a.txt", sp.data.Mesh([], []))
