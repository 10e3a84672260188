"""PLY, Stanford's polygon format: a header that declares tables, then their rows, as text or binary."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from spconv_cy.data.readers.polygons import mesh_of, numbers_of
from spconv_cy.errors import FileError
from spconv_cy.writing import new_file

TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
         "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
         "float32": "f4", "float64": "f8"}
ORDERS = {"ascii": None, "binary_little_endian": "<", "binary_big_endian": ">"}
MOST_HEADER = 2**20
FACES = ("vertex_indices", "vertex_index")


@dataclass
class Table:
    """A declared table: its name, its rows, and for each property (name, type of its count or None, type)."""

    name: str
    n: int
    properties: list = field(default_factory=list)


def read_ply(path):
    """Read a Mesh from PLY, as text or binary of either byte order; tables other than vertex and face are passed over.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: a header that does not fit, or rows that are fewer or other than it tells.
    """
    data = Path(path).read_bytes()
    order, tables, begin = _header(path, data)
    body = data[begin:]
    if order is None:
        body = numbers_of(path, body.split(), "the rows")
    vertices, sizes, corners, at = np.zeros((0, 3)), np.zeros(0, np.int64), np.zeros(0), 0
    for table in tables:
        runs, at = _rows(path, table, body, at, order)
        if table.name == "vertex" and runs:
            vertices = np.concatenate([np.column_stack([rows[axis] for axis in "xyz"]) for rows in runs])
        elif table.name == "face" and runs:
            name = next(name for name, count, _ in table.properties if count and name in FACES)
            sizes = np.repeat([rows[name].shape[1] for rows in runs], [len(rows) for rows in runs])
            corners = np.concatenate([rows[name].ravel() for rows in runs])
    return mesh_of(path, vertices, sizes, corners)


def write_ply(path, mesh, *, text=False):
    """Write a Mesh as PLY, little-endian binary or text; its numbers come back bit for bit.

    Raises:
        FileError: more vertices than int32 counts.
    """
    n, m = len(mesh.vertices), len(mesh.triangles)
    if n > 2**31:
        raise FileError(f"{path}: {n} vertices came; PLY counts them by int32")
    head = (f"ply\nformat {'ascii' if text else 'binary_little_endian'} 1.0\nelement vertex {n}\nproperty double x\n"
            f"property double y\nproperty double z\nelement face {m}\nproperty list uchar int vertex_indices\n"
            "end_header\n")
    if text:
        body = "".join(f"{x!r} {y!r} {z!r}\n" for x, y, z in mesh.vertices.tolist()).encode()
        body += "".join(f"3 {a} {b} {c}\n" for a, b, c in mesh.triangles.tolist()).encode()
    else:
        faces = np.zeros(m, [("size", "u1"), ("corners", "<i4", 3)])
        faces["size"], faces["corners"] = 3, mesh.triangles
        body = mesh.vertices.astype("<f8").tobytes() + faces.tobytes()
    with new_file(path) as file:
        file.write(head.encode() + body)


def _header(path, data):
    end = data.find(b"end_header", 0, MOST_HEADER)
    begin = data.find(b"\n", end, end + 13) + 1
    if not data.startswith(b"ply") or end < 0 or not begin:
        raise FileError(f"{path}: no PLY header came; a line 'ply', declarations and a line 'end_header' fit")
    order, tables = "", []
    for number, line in enumerate(data[:end].decode("ascii", "replace").splitlines()[1:], 2):
        match line.split():
            case ["format", form, "1.0"] if form in ORDERS and order == "":
                order = ORDERS[form]
            case ["element", name, n] if n.isascii() and n.isdigit() and len(n) < 18:
                tables.append(Table(name, int(n)))
            case ["property", "list", count, kind, name] if tables and {count, kind} <= set(TYPES):
                _add(path, number, tables[-1], name, TYPES[count], TYPES[kind])
            case ["property", kind, name] if tables and kind in TYPES:
                _add(path, number, tables[-1], name, None, TYPES[kind])
            case [] | ["comment" | "obj_info", *_]:
                pass
            case _:
                raise FileError(f"{path}, line {number}: {line[:60]!r} came; 'format ascii 1.0' (or "
                                "binary_little_endian, binary_big_endian), 'element NAME COUNT' and 'property TYPE "
                                "NAME' fit")
    if order == "":
        raise FileError(f"{path}: no line 'format' came; ascii, binary_little_endian or binary_big_endian fits")
    _check_tables(path, tables)
    return order, tables, begin


def _add(path, number, table, name, count, kind):
    if any(name == known for known, _, _ in table.properties):
        raise FileError(f"{path}, line {number}: a second property {name!r} of {table.name} came; one of a name fits")
    if count is not None and count[0] == "f":
        raise FileError(f"{path}, line {number}: a list counted by a float came; a whole type fits")
    table.properties.append((name, count, kind))


def _check_tables(path, tables):
    by_name = {table.name: table for table in tables}
    if len(by_name) < len(tables):
        raise FileError(f"{path}: two elements of one name came; one of each fits")
    lists = {table.name: {name: count is not None for name, count, _ in table.properties} for table in tables}
    if any(lists.get("vertex", {}).get(axis, True) for axis in "xyz"):
        raise FileError(f"{path}: no element 'vertex' with numbers x, y and z came; a mesh has them")
    face = lists.get("face", {})
    if by_name.get("face", Table("", 0)).n and not any(face.get(name, False) for name in FACES):
        raise FileError(f"{path}: the element 'face' has no list vertex_indices; a mesh has it")


def _rows(path, table, body, at, order):
    """Return runs of rows whose lists are of the same lengths, each run one array, and where the last ends.

    `body` is bytes, or numbers where the file is text.
    """
    runs, left, chunk = [], table.n if table.properties else 0, 16
    while left:
        row = _row_type(path, table, body, at, order, table.n - left)
        width = row.itemsize // (8 if order is None else 1)
        n = min(left, chunk, (len(body) - at) // width)
        if order is None:
            rows = np.frombuffer(body[at:at + n * width].tobytes(), row)
        else:
            rows = np.frombuffer(body, row, n, at)
        same = np.ones(n, bool)
        for name in row.names:
            if name.startswith("count of "):
                same &= rows[name] == rows[name][0]
        n = int(same.argmin()) if not same.all() else n
        at, left, chunk = at + n * width, left - n, 2 * n + 16           # so that no run is looked at over and over
        runs.append(rows[:n])
    return runs, at


def _row_type(path, table, body, at, order, number):
    """The structured dtype of the row that begins at `at`, by the lengths of its lists."""
    fields, place = [], at
    for name, count, kind in table.properties:
        if count is not None:
            size = _count(path, table, body, place, order, count, number)
            fields.append((f"count of {name}", "f8" if order is None else order + count))
            place += 1 if order is None else np.dtype(count).itemsize
            fields.append((name, "f8" if order is None else order + kind, (size,)))
            place += size * (1 if order is None else np.dtype(kind).itemsize)
        else:
            fields.append((name, "f8" if order is None else order + kind))
            place += 1 if order is None else np.dtype(kind).itemsize
        if place > len(body):
            raise FileError(f"{path}: the file ends in row {number} of {table.n} of {table.name}; it is cut short or "
                            "its counts are wrong")
    return np.dtype(fields)


def _count(path, table, body, place, order, count, number):
    if order is None:
        size = body[place] if place < len(body) else 0.0
    else:
        raw = body[place:place + np.dtype(count).itemsize]
        size = int(np.frombuffer(raw, order + count)[0]) if len(raw) == np.dtype(count).itemsize else 0
    # A list that is longer than the file would overflow the row's type before its end is looked at.
    if not 0 <= size <= len(body) or size != int(size):
        raise FileError(f"{path}: a list of {size} numbers in row {number} of {table.name}; a whole number from 0 to "
                        "what the file holds fits")
    return int(size)
