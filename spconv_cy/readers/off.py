"""OFF, the Object File Format: vertices, then polygons, in text."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.data.text import read_lines
from spconv_cy.errors import FileError, expected
from spconv_cy.readers.polygons import mesh_of, numbers_of, shown
from spconv_cy.writing import new_file

if TYPE_CHECKING:
    from spconv_cy.data.meshes import Mesh
    from spconv_cy.types import Array, PathLike

    Lines = list[tuple[int, bytes]]                 # line number, text

HEAD = re.compile(rb"(ST)?(C)?(N)?OFF(.*)")
COLOURS = (0, 1, 3, 4)                              # numbers after a face: an index into a table, or a colour


def read_off(path: PathLike) -> Mesh:
    """Read a Mesh from text OFF, also with comments, or with the counts on the first line (ModelNet).

    A vertex is a line of numbers, as many as the first word declares: x y z, with N 3 more for a normal, with C 3 or 4
    more for a colour, with ST 2 more for a place in a texture. A face is its number of corners, as many vertices, and
    0, 1, 3 or 4 numbers of a colour. Normals, colours and texture places are skipped.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: another format; fewer or more vertices or faces than declared; malformed numbers.
    """
    lines = [(number, line) for number, line in enumerate(
        (line.partition(b"#")[0].strip() for line in read_lines(path)), 1) if line]
    first = lines[0][1] if lines else b""
    head = HEAD.fullmatch(first)
    if not head:
        raise FileError(expected(f"{path}", "OFF on the first line (text, three coordinates)", shown(first)))
    if b"BINARY" in head[4]:
        raise FileError(expected(f"{path}", "text OFF", "binary OFF", "save it as text, or as PLY"))
    lines = [(lines[0][0], head[4])] * bool(head[4].strip()) + lines[1:]
    n, f = _counts(path, lines)
    vertices = _vertices(path, head, lines[1:1 + n])
    sizes, corners = _faces(path, lines[1 + n:1 + n + f])
    if len(lines) > 1 + n + f:
        number, line = lines[1 + n + f]
        raise FileError(expected(f"{path}, line {number}", f"the end of the file after {n} vertices and {f} faces",
                                 shown(line), "declare all of them in the counts, or remove it"))
    return mesh_of(path, vertices, sizes, corners)


def write_off(path: PathLike, mesh: Mesh) -> None:
    """Write a Mesh as text OFF; reading the file returns the same numbers, bit for bit."""
    with new_file(path) as file:
        file.write(f"OFF\n{len(mesh.vertices)} {len(mesh.triangles)} 0\n".encode())
        file.writelines(f"{x!r} {y!r} {z!r}\n".encode() for x, y, z in mesh.vertices.tolist())
        file.writelines(f"3 {a} {b} {c}\n".encode() for a, b, c in mesh.triangles.tolist())


def _counts(path: PathLike, lines: Lines) -> tuple[int, int]:
    """Return the numbers of vertices and faces that the first of the lines declares."""
    text = lines[0][1] if lines else b""
    counts = numbers_of(f"{path}", text.split(), "the counts")
    if len(counts) not in (2, 3) or not ((counts == np.floor(counts)) & (counts >= 0) & (counts < 2**53)).all():
        raise FileError(expected(f"{path}", "counts of vertices, faces and edges, from 0 up", shown(text)))
    n, f = int(counts[0]), int(counts[1])
    if n + f > len(lines) - 1:
        raise FileError(expected(f"{path}", f"lines for {n} vertices and {f} faces, as declared",
                                 f"{len(lines) - 1} lines", "the file is cut short or its counts are wrong"))
    return n, f


def _vertices(path: PathLike, head: re.Match[bytes], lines: Lines) -> Array:
    texture, colour, normal, _ = head.groups()
    least = 3 + 3 * bool(normal) + 3 * bool(colour) + 2 * bool(texture)
    word, rows = head[0][:head.start(4)].decode(), [line.split() for _, line in lines]
    fit = (least, least + 1) if colour else (least,)
    for i, ((number, line), row) in enumerate(zip(lines, rows, strict=True)):
        if len(row) not in fit or len(row) != len(rows[0]):
            wanted = len(rows[0]) if len(rows[0]) in fit else " or ".join(map(str, fit))
            raise FileError(expected(f"{path}, line {number}", f"{wanted} numbers in vertex {i} after {word}",
                                     f"{len(row)}: {shown(line)}",
                                     "declare in that word what a vertex holds, such as COFF or NOFF"))
    numbers = numbers_of(f"{path}", list(chain(*rows)), "the vertices").reshape(len(rows), -1 if rows else 3)
    return numbers[:, :3]


def _faces(path: PathLike, lines: Lines) -> tuple[Array, Array]:
    faces = [line.split() for _, line in lines]
    sizes = numbers_of(f"{path}", [face[0] for face in faces], "the sizes of faces")
    for i, (size, face) in enumerate(zip(sizes, faces, strict=True)):
        place = f"{path}, line {lines[i][0]}"
        if not 0 <= size < len(face) or size != int(size):
            raise FileError(expected(place, f"the number of corners of face {i} and as many vertices",
                                     shown(lines[i][1])))
        after = len(face) - 1 - int(size)
        if after not in COLOURS:
            raise FileError(expected(place, f"0 numbers after the {int(size)} vertices of face {i}, or 1, 3 or 4 for a "
                                     "colour", f"{after}: {shown(lines[i][1])}"))
    numbers_of(f"{path}", [word for size, face in zip(sizes, faces, strict=True) for word in face[1 + int(size):]],
               "the colours of faces")
    words = [word for size, face in zip(sizes, faces, strict=True) for word in face[1:1 + int(size)]]
    return sizes, numbers_of(f"{path}", words, "the faces")
