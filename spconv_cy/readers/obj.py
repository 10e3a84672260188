"""OBJ, Wavefront's: lines of vertices and of polygons, in text."""

import re

import numpy as np

from spconv_cy.data.text import read_lines
from spconv_cy.errors import FileError
from spconv_cy.readers.polygons import mesh_of, numbers_of, shown
from spconv_cy.writing import new_file

COUNTS = (3, 4, 6, 7)                               # of numbers after v: x y z; w; red green blue; alpha
PASSED_OVER = frozenset(b"""vt vn vp g o s mg usemtl usemap mtllib maplib lod bevel c_interp d_interp shadow_obj
                            trace_obj l p""".split())                    # none of them makes or moves a polygon
CORNER = re.compile(rb"(-?[0-9]{1,17})(?:/(?:-?[0-9]+)?(?:/(?:-?[0-9]+)?)?)?")


def read_obj(path):
    """Read a Mesh from the v and f lines of an OBJ file; no file that it names is opened.

    Vertices count from 1; negative ones count back from the last that stands before the face. A vertex is x y z, with a
    colour (red green blue, alpha) or a weight, which must be 1. Groups, names, materials, normals, textures, lines and
    points are passed over. A backslash joins a line to the next, but not in a comment.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: a line that does not fit, or of a kind other than these, such as a free-form surface; a file with
            neither vertices nor faces.
    """
    points, more, sizes, corners = [], [], [], []
    for number, line in _joined(read_lines(path)):
        kind, *words = line.split() or [b""]
        if kind == b"v":
            if len(words) not in COUNTS:
                raise FileError(f"{path}, line {number}: {shown(line)} came; v x y z fits, with 1 more number for a "
                                "weight or 3 or 4 more for a colour")
            points += words[:3]
            more += words[3:]
            if len(words) == 4 and numbers_of(f"{path}, line {number}", words[3:], "the vertices") != 1:
                raise FileError(f"{path}, line {number}: expected the weight 1, got {shown(words[3])}; divide x, y and "
                                "z by what is meant, or take it out")
        elif kind == b"f":
            sizes.append(len(words))
            corners += [_vertex(path, number, word, len(points) // 3) for word in words]
        elif kind and kind not in PASSED_OVER:
            raise FileError(f"{path}, line {number}: {shown(kind)} came; v, f and what has no part in a surface of "
                            "polygons fit: write the surface as polygons, or take the line out")
    if not points and not sizes:
        raise FileError(f"{path}: neither a vertex nor a face came; lines v x y z and f a b c fit")
    numbers_of(path, more, "the colours")
    return mesh_of(path, numbers_of(path, points, "the vertices"), sizes, np.array(corners, np.int64))


def write_obj(path, mesh):
    """Write a Mesh as OBJ; its numbers come back bit for bit."""
    with new_file(path) as file:
        file.writelines(f"v {x!r} {y!r} {z!r}\n".encode() for x, y, z in mesh.vertices.tolist())
        file.writelines(f"f {a} {b} {c}\n".encode() for a, b, c in (mesh.triangles + 1).tolist())


def _vertex(path, number, word, n):
    match = CORNER.fullmatch(word)
    if match is None:
        raise FileError(f"{path}, line {number}: {shown(word)} came; a vertex, vertex/texture or vertex/texture/normal "
                        "fits")
    vertex = int(match[1])
    if vertex == 0 or vertex < -n:
        raise FileError(f"{path}, line {number}: vertex {vertex} came after {n} vertices; from 1 up, or from -{n} to "
                        "-1, fits")
    return vertex - 1 if vertex > 0 else n + vertex


def _joined(lines):
    """Yield (number of the first, line without comment), those that end in a backslash joined to the next."""
    waiting, first = [], None
    for number, line in enumerate(lines, 1):
        line, comment, _ = line.partition(b"#")
        first = first or number
        if line.endswith(b"\\") and not comment:
            waiting.append(line[:-1])
        else:
            yield first, b" ".join([*waiting, line])
            waiting, first = [], None
    if waiting:
        yield first, b" ".join(waiting)
