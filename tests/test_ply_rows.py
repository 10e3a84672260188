"""PLY: rows are what the header declares, in a time that grows with the file alone; else an error names the place."""

import struct
import sys

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.errors import FileError

TYPES = {"char": "b", "uchar": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I", "float": "f", "double": "d"}
FORMS = {"<": "binary_little_endian", ">": "binary_big_endian", "": "ascii"}
XYZ = [("float", "x"), ("float", "y"), ("float", "z")]
HEAD = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
FACE = "element face 1\nproperty list uchar int vertex_indices\n"
ROWS = "0 0 0\n1 0 0\n0 1 0\n"


def packed(order, tables):
    """A PLY file: tables of (name, [(type, property)], rows); a list is a sequence in its row."""
    head, rows = f"ply\nformat {FORMS[order]} 1.0\n", []
    for name, properties, table in tables:
        head += f"element {name} {len(table)}\n" + "".join(f"property {kind} {what}\n" for kind, what in properties)
        for row in table:
            values = []
            for (kind, _), value in zip(properties, row, strict=True):
                words = kind.split()
                if words[0] == "list":
                    values += [(words[1], len(value)), *((words[2], one) for one in value)]
                else:
                    values.append((kind, value))
            rows.append(values)
    head = (head + "end_header\n").encode()
    if not order:
        return head + "".join(" ".join(repr(value) for _, value in row) + "\n" for row in rows).encode()
    return head + b"".join(struct.pack(order + TYPES[kind], value) for row in rows for kind, value in row)


def read(tmp_path, content):
    path = tmp_path / "a.ply"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return sp.readers.read_mesh(path)


def drawn(rng, kind):
    return float(np.float32(rng.normal())) if kind in ("float", "double") else int(rng.integers(0, 100))


@pytest.mark.parametrize("order", FORMS)
def test_vertices_and_faces_come_back_from_among_any_other_properties_lists_and_tables(tmp_path, rng, order):
    for _ in range(30):
        n, kinds = int(rng.integers(3, 9)), list(TYPES)
        points = rng.normal(size=(n, 3)).astype(np.float32).tolist()
        faces = [rng.integers(0, n, rng.integers(3, 7)).tolist() for _ in range(rng.integers(0, 20))]
        tables = {"vertex": [[*XYZ], [list(p) for p in points]], "edge": [[], [[] for _ in range(rng.integers(0, 3))]],
                  "face": [[(f"list {kinds[rng.integers(6)]} int", "vertex_indices")], [[f] for f in faces]]}
        for properties, rows in tables.values():
            for i in range(int(rng.integers(1, 4))):
                at, kind = int(rng.integers(len(properties) + 1)), kinds[rng.integers(8)]
                if rng.random() < 0.5:
                    properties.insert(at, (f"list {kinds[rng.integers(6)]} {kind}", f"more{i}"))
                else:
                    properties.insert(at, (kind, f"more{i}"))
                for row in rows:
                    row.insert(at, [drawn(rng, kind) for _ in range(rng.integers(0, 4))]
                               if "list" in properties[at][0] else drawn(rng, kind))
        names = rng.permutation(list(tables))
        found = read(tmp_path, packed(order, [(name, *tables[name]) for name in names]))
        assert found.vertices.tolist() == points
        assert found.triangles.tolist() == [[f[0], f[i], f[i + 1]] for f in faces for i in range(1, len(f) - 1)]


@each("content, message", [
    (HEAD + "end_header\n0 0 0 255 128 0\n1 0 0 255 128 0\n0 1 0 255 128 0\n",
     "line 8: expected 3 numbers in row 0 of vertex, as the header declares, got 6"),
    (HEAD + "end_header\n0 0 0\n1 0\n0 1 0\n", "line 9: expected 3 numbers in row 1 of vertex.* got 2"),
    (HEAD + "end_header\n0 0 0 1 0 0\n0 1 0\n", "line 8: expected 3 numbers"),
    (HEAD + "end_header\n0 0\n0 1 0\n0 0 1 0\n", "line 8: expected 3 numbers.* got 2"),
    (HEAD + "end_header\n" + ROWS + "5 5 5\n", "line 11: expected the end of the file after .* got 1 more lines"),
    (HEAD + FACE + "end_header\n" + ROWS + "9 9 9\n3 0 1 2\n", "line 13: expected 10 numbers in row 0 of face.* got 3"),
    (HEAD + FACE + "end_header\n" + ROWS + "3 0 1 2 9\n", "line 13: expected 4 numbers in row 0 of face.* got 5"),
    (HEAD + FACE + "end_header\n" + ROWS + "3 0 1\n", "line 13: expected 4 numbers in row 0 of face.* got 3"),
    (HEAD + FACE + "end_header\n" + ROWS, "face.*got the end of the file in row 0"),
    (HEAD + "element a 1\nproperty list uchar uchar b\nproperty list uchar uchar c\nend_header\n" + ROWS + "1 2\n",
     "line 14: expected at least 3 numbers in row 0 of a, as the header declares, got 2"),
    (HEAD.replace("vertex 3", "vertex 1") + "end_header\n0 0 0 9 9 9\n", "line 8: expected 3 numbers"),
    (HEAD + "end_header\n0 0 0 1 0 0 0 1 0 5\n", "expected the end of the file after the 3 rows .* 1 more numbers"),
    (HEAD + "end_header\n" + ROWS + "# a note\n", "line 11: expected numbers in the rows, got '#'"),
    (HEAD + "end_header\n1_0 0 0\n1 0 0\n0 1 0\n", "line 8: expected numbers in the rows, got '1_0'"),
    (HEAD + "end_header\n0 0 0\n\u0663 0 0\n0 1 0\n", "line 9: expected numbers in the rows, got '٣'"),
    (HEAD + FACE + "end_header\n" + ROWS + "3 0 1.5 2\n", "line 13: .*header.*got 1.5 in face 0"),
    (HEAD + "property uchar red\nend_header\n0 0 0 1\n0 0 0 300\n1 1 1 2\n",
     "line 10: expected uint8 from 0 to 255, as the header declares, got 300.0 as red of row 1 of vertex"),
    (HEAD + "property char a\nend_header\n0 0 0 1\n0 0 0 -129\n1 1 1 2\n",
     "line 10: .*got -129.0 as a of row 1 of vertex"),
    (HEAD + "property short a\nend_header\n0 0 0 1\n0 0 0 nan\n1 1 1 2\n",
     "line 10: .*got nan as a of row 1 of vertex"),
    (HEAD + "property list uchar uchar a\nend_header\n0 0 0 0\n0 0 0 1 2.5\n1 1 1 0\n",
     "line 10: .*got 2.5 as a of row 1 of vertex"),
    (HEAD + "end_header\n1e300 0 0\n1 0 0\n0 1 0\n", r"line 8: .*float.*got 1e\+300 as x of row 0 of vertex"),
    (HEAD + "end_header\ninf 0 0\n1 0 0\n0 1 0\n", "got .inf.* as vertex 0"),
    (HEAD.replace("3", "99999999999999999") + "end_header\n" + ROWS, "expected 99999999999999999.*got 9 numbers"),
    (HEAD.replace("1.0", "1.1") + "end_header\n" + ROWS, "line 2: .*format.*got 'format ascii 1.1'"),
    (HEAD.replace("element", "format ascii 1.0\nelement") + "end_header\n" + ROWS,
     "line 3: .*format.*got 'format ascii 1.0'"),
    (HEAD.replace("element vertex 3\n", "") + "end_header\n" + ROWS, "line 3: .*property.*got 'property float x'"),
    (HEAD.replace("property float z", "property list uchar float z") + "end_header\n", "with numbers x, y and z"),
    (HEAD.replace("vertex", "vertices") + "end_header\n" + ROWS, "expected an element 'vertex'.*got none"),
    (HEAD + FACE + "property list uchar int vertex_index\nend_header\n" + ROWS + "3 0 1 2 3 0 2 1\n",
     "face.*got vertex_indices and vertex_index"),
    (HEAD + "element tristrips 1\nproperty list int int vertex_indices\nend_header\n" + ROWS + "3 0 1 2\n",
     "polygons.*got the list vertex_indices in 'tristrips'"),
    ("PLY" + HEAD[3:] + "end_header\n" + ROWS, "expected a PLY header, with.*got 'PLY'"),
    (HEAD + "end_headers\n" + ROWS, "expected a PLY header with a.*got none")])
def test_rows_that_the_header_does_not_declare_are_refused_with_their_line(tmp_path, content, message):
    with pytest.raises(FileError, match=message):
        read(tmp_path, content)


def test_bytes_after_the_last_row_are_refused_and_fewer_too(tmp_path):
    whole = packed("<", [("vertex", XYZ, [[0, 0, 0], [1, 0, 0]]), ("edge", [("uchar", "a")], [[10]])])
    assert len(read(tmp_path, whole).vertices) == 2
    for more in (b"\n", bytes(12), whole):
        with pytest.raises(FileError, match=f"after the 3 rows .* got {len(more)} more bytes"):
            read(tmp_path, whole + more)
    for n in range(1, 26):
        with pytest.raises(FileError, match="cut short"):
            read(tmp_path, whole[:-n])


def test_what_is_declared_and_empty_is_no_error(tmp_path):
    content = HEAD + "element a 99999999999999999\nend_header\n\n0 0 0\n\n1 0 0\n0 1 0\n\n"
    assert len(read(tmp_path, content).vertices) == 3
    assert len(read(tmp_path, HEAD.replace("3", "0") + "end_header").vertices) == 0
    content = HEAD.replace("element", FACE + "element") + "end_header\n3 0 1 2\n" + ROWS
    assert read(tmp_path, content).triangles.tolist() == [[0, 1, 2]]
    largest = HEAD + "end_header\n3.4028235e+38 0 0\n1 0 0\n0 1 0\n"          # rounds to the last of float32
    assert read(tmp_path, largest).vertices[0, 0] == 3.4028235e38
    one_line = HEAD + FACE + "end_header\n" + ROWS.replace("\n", " ") + "3 0 1 2"
    assert read(tmp_path, one_line).triangles.tolist() == [[0, 1, 2]]


def calls(function):
    """How many functions are called, of Python and of C: a time that does not depend on the machine."""
    count = [0]

    def note(_, event, __):
        count[0] += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count[0]


@pytest.mark.parametrize("order", FORMS)
def test_faces_of_mixed_sizes_cost_a_few_calls_each(tmp_path, order):
    points = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]
    counts = {}
    all_sizes = {"few": [3, 4] * 50, "equal": [3] * 2000, "in turn": [3, 4] * 1000, "3456": [3, 4, 5, 6] * 500}
    for name, sizes in all_sizes.items():
        faces = [[[0, 1, 2, 3, 0, 1][:n]] for n in sizes]
        content = packed(order, [("vertex", XYZ, points), ("face", [("list uchar int", "vertex_indices")], faces)])
        (tmp_path / "a.ply").write_bytes(content)
        counts[name] = calls(lambda: sp.readers.read_mesh(tmp_path / "a.ply"))
    for name in ("in turn", "3456"):
        assert counts[name] - counts["few"] < 10 * 2000 and counts[name] < counts["equal"] + 10 * 2000


def test_headers_cost_the_same_for_each_property(tmp_path):
    for kind in ("char", "list char char"):
        counts = []
        for n in (200, 400, 800):
            head = HEAD + "element a 1\n" + "".join(f"property {kind} a{i}\n" for i in range(n)) + "end_header\n"
            (tmp_path / "a.ply").write_text(head + ROWS + "0 " * n + "\n")
            counts.append(calls(lambda: sp.readers.read_mesh(tmp_path / "a.ply")))
        assert counts[2] - counts[1] < 2.2 * (counts[1] - counts[0])


def test_lists_of_any_length_are_passed_over_and_refused_where_they_cannot_be(tmp_path):
    head = HEAD.replace("ascii", "binary_little_endian").encode()
    points = np.eye(3, dtype="<f4").tobytes()

    def found(count, rows):
        table = f"element a 2\nproperty list {count} uchar b\nend_header\n".encode()
        return read(tmp_path, head + table + points + rows)

    assert len(found("uint", struct.pack("<I", 10**6) + bytes(10**6 + 4)).vertices) == 3
    for count, rows in (("int", struct.pack("<ii", -4, 0)), ("uint", struct.pack("<I", 2**32 - 1)),
                        ("char", b"\1\1\xff\0"), ("uchar", b"\0\5\1")):
        with pytest.raises(FileError, match="expected a list of|got the end of the file in row 1"):
            found(count, rows)
