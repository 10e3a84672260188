"""PLY, Stanford's polygon format: a header that declares tables, then their rows, as text or binary."""

import re
from pathlib import Path

import numpy as np

from spconv_cy.data.text import unmarked
from spconv_cy.errors import FileError
from spconv_cy.readers.ply_rows import FACES, Body, Table
from spconv_cy.readers.polygons import mesh_of, shown
from spconv_cy.writing import new_file

TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
         "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
         "float32": "f4", "float64": "f8"}
ORDERS = {"ascii": None, "binary_little_endian": "<", "binary_big_endian": ">"}
MOST_HEADER = 2**20


def read_ply(path):
    """Read a Mesh from PLY, as text or binary of either byte order, with a byte order mark or not.

    The file must hold the rows that its header declares and nothing else; in a text each row is a line (or one line
    holds all), and its numbers are of their properties' types. Header lines end in CR, LF or CRLF. The mesh is made of
    x, y and z of `vertex` and the list vertex_indices (or vertex_index) of `face`. Other properties, and other tables
    without such a list, are passed over.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: a header that does not fit, rows that are fewer, more or other than it declares, or a table other
            than face that holds polygons, such as tristrips.
    """
    data = Path(path).read_bytes()
    header, content = _parts(path, data)
    order, tables = _declared(path, header)
    body = Body(path, content, order, tables, (len(header) + 1, len(data) - len(content)))
    vertices, sizes, corners = np.zeros((0, 3)), np.zeros(0, np.int64), np.zeros(0)
    for table in tables:
        rows = body.rows(table)
        if table.name == "vertex":
            vertices = np.column_stack([rows.numbers(axis) for axis in "xyz"])
        elif table.name == "face" and table.n:
            sizes, corners = rows.lists(next(name for name in FACES if name in table.properties))
    body.end(tables)
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


def _parts(path, data):
    """Return the lines of the header but its last, and what follows it."""
    data = unmarked(path, data)
    first = re.match(rb"[^\r\n]*", data[:MOST_HEADER])[0]
    if first.strip() != b"ply":
        raise FileError(f"{path}: no PLY header came; the first line is {shown(first)}, 'ply' fits")
    # A binary body may begin with the byte of LF: after a header whose lines end in CR alone it is the body's.
    end = b"\r" if re.match(rb"\r(?!\n)", data[len(first):len(first) + 2]) else b"\n"
    lines, begin = [], 0
    while 0 <= begin < min(len(data), MOST_HEADER):
        stop = data.find(end, begin, MOST_HEADER)
        line, begin = (data[begin:stop], stop + 1) if stop >= 0 else (data[begin:MOST_HEADER], len(data))
        if line.strip() == b"end_header":
            return lines, data[begin:]
        lines.append(line)
    raise FileError(f"{path}: no PLY header that ends came; a line 'end_header' fits in the first {MOST_HEADER} bytes: "
                    "the file is cut short, its header is longer, or its lines end in different ways")


def _declared(path, header):
    """Return the byte order, None for text, and the tables."""
    order, tables = "", []
    for number, line in enumerate(header[1:], 2):
        words = line.decode("latin-1").split()
        match words:
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
                raise FileError(f"{path}, line {number}: {shown(line)} came; 'format ascii 1.0' (or "
                                "binary_little_endian, binary_big_endian) once, then 'element NAME COUNT', each with "
                                "its 'property TYPE NAME' or 'property list TYPE TYPE NAME', fit")
    if order == "":
        raise FileError(f"{path}: no line 'format' came; ascii, binary_little_endian or binary_big_endian fits")
    _check_tables(path, tables)
    return order, tables


def _add(path, number, table, name, count, kind):
    if name in table.properties:
        raise FileError(f"{path}, line {number}: a second property {name!r} of {table.name} came; one of a name fits")
    if count is not None and count[0] == "f":
        raise FileError(f"{path}, line {number}: a list counted by a float came; a whole type fits")
    table.properties[name] = count, kind


def _check_tables(path, tables):
    by_name = {table.name: table for table in tables}
    if len(by_name) < len(tables):
        raise FileError(f"{path}: two elements of one name came; one of each fits")
    lists = {table.name: {name for name, (count, _) in table.properties.items() if count} for table in tables}
    vertex = by_name.get("vertex", Table("", 0)).properties
    if any(axis not in vertex or axis in lists["vertex"] for axis in "xyz"):
        raise FileError(f"{path}: no element 'vertex' with numbers x, y and z came; a mesh has them")
    for table in tables:
        found = [name for name in FACES if name in lists[table.name]]
        if table.name == "face" and table.n and not found:
            raise FileError(f"{path}: the element 'face' has no list vertex_indices; a mesh has it")
        if table.name == "face" and len(found) > 1:
            raise FileError(f"{path}: the element 'face' has both lists, {' and '.join(found)}; one of them fits")
        if table.name != "face" and table.n and found:
            raise FileError(f"{path}: the element {table.name!r} holds polygons or strips in its list {found[0]}; "
                            "those of 'face' are read: write them there")
