"""OFF, the Object File Format: vertices, then polygons, in text."""

import re
from itertools import chain

import numpy as np

from spconv_cy.data.text import read_lines
from spconv_cy.errors import FileError
from spconv_cy.readers.polygons import mesh_of, numbers_of, shown
from spconv_cy.writing import new_file

HEAD = re.compile(rb"(ST)?(C)?(N)?OFF(.*)")
COLOURS = (0, 1, 3, 4)                              # numbers after a face: its place in a table, or a colour


def read_off(path):
    """Read a Mesh from text OFF, also with comments, or with counts on the first line (ModelNet).

    A vertex is a line of as many numbers as the first word declares: x y z, with N a normal of 3 more, with C a colour
    of 3 or 4, with ST a place of 2 in a texture. A face is its number of corners, as many vertices, and 0, 1, 3 or 4
    numbers of a colour. Normals, colours and places are passed over.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: another format; fewer or more vertices or faces than the file tells; numbers that do not fit.
    """
    lines = [(number, line) for number, line in enumerate(
        (line.partition(b"#")[0].strip() for line in read_lines(path)), 1) if line]
    first = lines[0][1] if lines else b""
    head = HEAD.fullmatch(first)
    if not head:
        raise FileError(f"{path}: {shown(first)} is the first line; OFF fits (text, three coordinates)")
    if b"BINARY" in head[4]:
        raise FileError(f"{path}: binary OFF came; text fits: write it anew as text, or as PLY")
    lines = [(lines[0][0], head[4])] * bool(head[4].strip()) + lines[1:]
    told = lines[0][1] if lines else b""
    counts = numbers_of(path, told.split(), "the counts")
    if len(counts) not in (2, 3) or not ((counts == np.floor(counts)) & (counts >= 0) & (counts < 2**53)).all():
        raise FileError(f"{path}: the counts {shown(told)} came; the numbers of vertices, faces and edges, from 0 up, "
                        "fit")
    n, f = int(counts[0]), int(counts[1])
    if n + f > len(lines) - 1:
        raise FileError(f"{path}: {n} vertices and {f} faces are told, and {len(lines) - 1} lines came; the file is "
                        "cut short or its counts are wrong")
    vertices = _vertices(path, head, lines[1:1 + n])
    sizes, corners = _faces(path, lines[1 + n:1 + n + f])
    if len(lines) > 1 + n + f:
        number, line = lines[1 + n + f]
        raise FileError(f"{path}, line {number}: expected the end of the file after {n} vertices and {f} faces, got "
                        f"{shown(line)}; tell all of them in the counts, or take it out")
    return mesh_of(path, vertices, sizes, corners)


def write_off(path, mesh):
    """Write a Mesh as text OFF; its numbers come back bit for bit."""
    with new_file(path) as file:
        file.write(f"OFF\n{len(mesh.vertices)} {len(mesh.triangles)} 0\n".encode())
        file.writelines(f"{x!r} {y!r} {z!r}\n".encode() for x, y, z in mesh.vertices.tolist())
        file.writelines(f"3 {a} {b} {c}\n".encode() for a, b, c in mesh.triangles.tolist())


def _vertices(path, head, lines):
    texture, colour, normal, _ = head.groups()
    least = 3 + 3 * bool(normal) + 3 * bool(colour) + 2 * bool(texture)
    word, rows = head[0][:head.start(4)].decode(), [line.split() for _, line in lines]
    fit = (least, least + 1) if colour else (least,)
    for i, ((number, line), row) in enumerate(zip(lines, rows, strict=True)):
        if len(row) not in fit or len(row) != len(rows[0]):
            wanted = len(rows[0]) if len(rows[0]) in fit else " or ".join(map(str, fit))
            raise FileError(f"{path}, line {number}: vertex {i} is {shown(line)}, {len(row)} numbers; {wanted} fit "
                            f"after {word}: name what a vertex holds in that word, as COFF and NOFF do")
    numbers = numbers_of(path, list(chain(*rows)), "the vertices").reshape(len(rows), -1 if rows else 3)
    return numbers[:, :3]


def _faces(path, lines):
    faces = [line.split() for _, line in lines]
    sizes = numbers_of(path, [face[0] for face in faces], "the sizes of faces")
    for i, (size, face) in enumerate(zip(sizes, faces, strict=True)):
        if not 0 <= size < len(face) or size != int(size):
            raise FileError(f"{path}, line {lines[i][0]}: face {i} is {shown(lines[i][1])}; its number of corners and "
                            "as many vertices fit")
        if len(face) - 1 - int(size) not in COLOURS:
            raise FileError(f"{path}, line {lines[i][0]}: face {i} is {shown(lines[i][1])}, with "
                            f"{len(face) - 1 - int(size)} numbers after its {int(size)} vertices; 0, or 1, 3 or 4 for "
                            "a colour, fit")
    numbers_of(path, [word for size, face in zip(sizes, faces, strict=True) for word in face[1 + int(size):]],
               "the colours of faces")
    words = [word for size, face in zip(sizes, faces, strict=True) for word in face[1:1 + int(size)]]
    return sizes, numbers_of(path, words, "the faces")
