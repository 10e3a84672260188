"""PLY, Stanford's polygon format: a header that declares tables, then their rows, as text or binary."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.data.text import unmarked
from spconv_cy.errors import FileError, expected
from spconv_cy.readers.fields import cloud_of
from spconv_cy.readers.ply_rows import FACES, Body, Table
from spconv_cy.readers.polygons import mesh_of, shown
from spconv_cy.writing import new_file

if TYPE_CHECKING:
    from spconv_cy.data import Mesh, PointCloud
    from spconv_cy.types import Array, PathLike

TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
         "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
         "float32": "f4", "float64": "f8"}
ORDERS = {"ascii": None, "binary_little_endian": "<", "binary_big_endian": ">"}
MOST_HEADER = 2**20


def read_ply(path: PathLike) -> Mesh:
    """Read a Mesh from PLY, as text or binary of either byte order, with or without a byte order mark.

    The file must hold exactly the rows that its header declares. In a text each row is a line (or one line holds all
    rows), and its numbers have the types of their properties. Header lines end with CR, LF or CRLF. The mesh consists
    of x, y and z of `vertex` and the list vertex_indices (or vertex_index) of `face`. Other properties are skipped,
    and so are other tables without such a list.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: a malformed header; fewer, more or other rows than it declares; a table other than face that holds
            polygons, such as tristrips.
    """
    body, tables = _opened(path)
    _check_vertices(f"{path}", tables)
    _check_faces(f"{path}", tables)
    vertices, sizes, corners = np.zeros((0, 3)), np.zeros(0, np.int64), np.zeros(0)
    for table in tables:
        rows = body.rows(table)
        if table.name == "vertex":
            vertices = np.column_stack([rows.numbers(axis) for axis in "xyz"])
        elif table.name == "face" and table.n:
            sizes, corners = rows.lists(next(name for name in FACES if name in table.properties))
    body.end(tables)
    return mesh_of(path, vertices, sizes, corners)


def read_ply_points(path: PathLike) -> PointCloud:
    """Read x, y, z and the other numbers of `vertex`, such as red, intensity or label, in the types of the header.

    Lists of vertices and other tables, such as faces, are skipped. The rules of `read_ply` hold otherwise.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: a malformed header; fewer, more or other rows than it declares.
    """
    body, tables = _opened(path)
    columns: dict[str, Array] | None = None
    for table in tables:
        rows = body.rows(table)
        if table.name.lower() in ("vertex", "point"):
            kinds = {name: kind for name, (count, kind) in table.properties.items() if count is None}
            columns = {name: rows.numbers(name).astype(kind) for name, kind in kinds.items()}
    body.end(tables)
    if columns is None:
        raise FileError(expected(f"{path}", "an element 'vertex' with numbers x, y and z", "none"))
    return cloud_of(path, columns)


def write_ply(path: PathLike, mesh: Mesh, *, text: bool = False) -> None:
    """Write a Mesh as PLY, little-endian binary or text; reading the file returns the same numbers, bit for bit.

    Raises:
        FileError: more than 2^31 vertices, which int32 cannot count.
    """
    n, m = len(mesh.vertices), len(mesh.triangles)
    if n > 2**31:
        raise FileError(expected(f"{path}", f"at most {2**31} vertices, as PLY counts them by int32", n))
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


def write_ply_points(path: PathLike, cloud: PointCloud) -> None:
    """Write a PointCloud as little-endian binary PLY; reading the file returns the same numbers, bit for bit.

    Raises:
        FileError: points that have not 3 coordinates, or values that PLY has no type for.
    """
    names = {kind: name for name, kind in reversed(TYPES.items())}
    values = {name: value.astype(np.uint8) if value.dtype.kind == "b" else _narrowed(value)
              for name, value in cloud.values.items()}
    for name, value in values.items():
        if value.dtype.str[1:] not in names or not re.fullmatch(r"[!-~]+", name) or name in ("x", "y", "z"):
            raise FileError(expected(f"{path}", "named numbers of up to 32 bits or float64", f"{name!r:.40} of "
                                     f"{value.dtype}", "change its type, or write a .csv"))
    if cloud.points.shape[1] != 3:
        raise FileError(expected(f"{path}", "points in 3 dimensions", cloud.points.shape[1], "write a .csv"))
    columns = {**dict(zip("xyz", cloud.points.T, strict=True)), **values}
    rows = np.zeros(len(cloud), [(name, "<" + value.dtype.str[1:]) for name, value in columns.items()])
    for name, value in columns.items():
        rows[name] = value
    head = "".join(f"property {names[value.dtype.str[1:]]} {name}\n" for name, value in columns.items())
    with new_file(path) as file:
        file.write(f"ply\nformat binary_little_endian 1.0\nelement vertex {len(cloud)}\n{head}end_header\n".encode()
                   + rows.tobytes())


def _narrowed(value: Array) -> Array:
    """Return int64 numbers, which PLY has no type for, as int32 if that holds them."""
    fits = value.dtype.kind in "iu" and value.dtype.itemsize == 8 and (
        not value.size or -2**31 <= int(value.min()) <= int(value.max()) < 2**31)
    return value.astype(np.int32) if fits else value


def _opened(path: PathLike) -> tuple[Body, list[Table]]:
    """Return the rows of a file, not yet read, and the tables that its header declares."""
    data = Path(path).read_bytes()
    header, content = _parts(path, data)
    order, tables = _declared(path, header)
    return Body(path, content, order, tables, (len(header) + 1, len(data) - len(content))), tables


def _parts(path: PathLike, data: bytes) -> tuple[list[bytes], bytes]:
    """Return the lines of the header, without its last, and what follows the header."""
    data = unmarked(f"{path}", data)
    first = re.split(rb"[\r\n]", data[:MOST_HEADER], maxsplit=1)[0]
    if first.strip() != b"ply":
        raise FileError(expected(f"{path}", "a PLY header, with 'ply' as the first line", shown(first)))
    # A binary body may begin with the byte of LF: after a header whose lines end with CR alone, it belongs to the body.
    end = b"\r" if re.match(rb"\r(?!\n)", data[len(first):len(first) + 2]) else b"\n"
    lines: list[bytes] = []
    begin = 0
    while 0 <= begin < min(len(data), MOST_HEADER):
        stop = data.find(end, begin, MOST_HEADER)
        line, begin = (data[begin:stop], stop + 1) if stop >= 0 else (data[begin:MOST_HEADER], len(data))
        if line.strip() == b"end_header":
            return lines, data[begin:]
        lines.append(line)
    raise FileError(expected(f"{path}", f"a PLY header with a line 'end_header' in the first {MOST_HEADER} bytes",
                             "none", "the file is cut short, its header is longer, or its lines end in different ways"))


def _declared(path: PathLike, header: list[bytes]) -> tuple[str | None, list[Table]]:
    """Return the byte order, None for text, and the tables."""
    order: str | None = ""
    tables: list[Table] = []
    for number, line in enumerate(header[1:], 2):
        place = f"{path}, line {number}"
        match line.decode("latin-1").split():
            case ["format", form, "1.0"] if form in ORDERS and order == "":
                order = ORDERS[form]
            case ["element", name, n] if n.isascii() and n.isdigit() and len(n) < 18:
                tables.append(Table(name, int(n)))
            case ["property", "list", count, kind, name] if tables and {count, kind} <= set(TYPES):
                _add(place, tables[-1], name, TYPES[count], TYPES[kind])
            case ["property", kind, name] if tables and kind in TYPES:
                _add(place, tables[-1], name, None, TYPES[kind])
            case [] | ["comment" | "obj_info", *_]:
                pass
            case _:
                raise FileError(expected(
                    place, "'format ascii 1.0' (or binary_little_endian, binary_big_endian) once, then 'element NAME "
                    "COUNT', each with its 'property TYPE NAME' or 'property list TYPE TYPE NAME'", shown(line)))
    if order == "":
        raise FileError(expected(f"{path}", "a line 'format' with ascii, binary_little_endian or binary_big_endian",
                                 "none"))
    if len({table.name for table in tables}) < len(tables):
        raise FileError(expected(f"{path}", "one element of each name", "two"))
    return order, tables


def _add(place: str, table: Table, name: str, count: str | None, kind: str) -> None:
    if name in table.properties:
        raise FileError(expected(place, f"one property {name!r} of {table.name}", "a second"))
    if count is not None and count[0] == "f":
        raise FileError(expected(place, "a list whose count has an integer type", "a float type"))
    table.properties[name] = count, kind


def _check_vertices(path: str, tables: list[Table]) -> None:
    vertex = next((table.properties for table in tables if table.name == "vertex"), {})
    if any(axis not in vertex or vertex[axis][0] for axis in "xyz"):
        raise FileError(expected(path, "an element 'vertex' with numbers x, y and z", "none"))


def _check_faces(path: str, tables: list[Table]) -> None:
    lists = {table.name: {name for name, (count, _) in table.properties.items() if count} for table in tables}
    for table in tables:
        found = [name for name in FACES if name in lists[table.name]]
        if table.name == "face" and table.n and not found:
            raise FileError(expected(path, "a list vertex_indices in the element 'face'", "none"))
        if table.name == "face" and len(found) > 1:
            raise FileError(expected(path, "one list of vertices in the element 'face'", f"{' and '.join(found)}"))
        if table.name != "face" and table.n and found:
            raise FileError(expected(path, "polygons in the element 'face' only",
                                     f"the list {found[0]} in {table.name!r}", "write them as faces"))
