"""OBJ, Wavefront's format: lines of vertices and of polygons, in text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.data.text import read_lines
from spconv_cy.errors import FileError, expected
from spconv_cy.readers.polygons import mesh_of, numbers_of, shown
from spconv_cy.writing import new_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spconv_cy.data.meshes import Mesh
    from spconv_cy.types import PathLike

COUNTS = (3, 4, 6, 7)                               # of numbers after v: x y z; w; red green blue; alpha
SKIPPED = frozenset(b"""vt vn vp g o s mg usemtl usemap mtllib maplib lod bevel c_interp d_interp shadow_obj
                        trace_obj l p""".split())                        # they neither make nor move polygons
CORNER = re.compile(rb"(-?[0-9]{1,17})(?:/(?:-?[0-9]+)?(?:/(?:-?[0-9]+)?)?)?")


def read_obj(path: PathLike) -> Mesh:
    """Read a Mesh from the v and f lines of an OBJ file; files that it names are not opened.

    Vertices count from 1; negative numbers count back from the last vertex before the face. A vertex is x y z, with an
    optional colour (red green blue, alpha) or weight, which must be 1. Groups, names, materials, normals, textures,
    lines and points are skipped. A backslash joins a line to the next, except in a comment.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: a malformed line, or a line of another kind, such as a free-form surface; or a file with neither
            vertices nor faces.
    """
    points: list[bytes] = []
    more: list[bytes] = []
    sizes: list[int] = []
    corners: list[int] = []
    for number, line in _joined(read_lines(path)):
        kind, *words = line.split() or [b""]
        place = f"{path}, line {number}"
        if kind == b"v":
            _check_vertex(place, line, words)
            points += words[:3]
            more += words[3:]
        elif kind == b"f":
            sizes.append(len(words))
            corners += [_vertex(place, word, len(points) // 3) for word in words]
        elif kind and kind not in SKIPPED:
            raise FileError(expected(place, "v, f, or a line that defines no surface", shown(kind),
                                     "write the surface as polygons, or remove the line"))
    if not points and not sizes:
        raise FileError(expected(f"{path}", "lines v x y z and f a b c", "neither a vertex nor a face"))
    numbers_of(f"{path}", more, "the colours")
    return mesh_of(path, numbers_of(f"{path}", points, "the vertices"), sizes, np.array(corners, np.int64))


def write_obj(path: PathLike, mesh: Mesh) -> None:
    """Write a Mesh as OBJ; reading the file returns the same numbers, bit for bit."""
    with new_file(path) as file:
        file.writelines(f"v {x!r} {y!r} {z!r}\n".encode() for x, y, z in mesh.vertices.tolist())
        file.writelines(f"f {a} {b} {c}\n".encode() for a, b, c in (mesh.triangles + 1).tolist())


def _check_vertex(place: str, line: bytes, words: list[bytes]) -> None:
    if len(words) not in COUNTS:
        raise FileError(expected(place, "v x y z, optionally followed by a weight (1 number) or a colour (3 or 4 "
                                 "numbers)", shown(line)))
    if len(words) == 4 and numbers_of(place, words[3:], "the vertices") != 1:
        raise FileError(expected(place, "the weight 1", shown(words[3]), "divide x, y and z by it, or remove it"))


def _vertex(place: str, word: bytes, n: int) -> int:
    match = CORNER.fullmatch(word)
    if match is None:
        raise FileError(expected(place, "a vertex, vertex/texture or vertex/texture/normal", shown(word)))
    vertex = int(match[1])
    if vertex == 0 or vertex < -n:
        raise FileError(expected(place, f"a vertex from 1 up, or from -{n} to -1, after {n} vertices", vertex))
    return vertex - 1 if vertex > 0 else n + vertex


def _joined(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield (number of its first line, text without comment); lines that end in a backslash are joined to the next."""
    waiting: list[bytes] = []
    first = 0
    for number, line in enumerate(lines, 1):
        line, comment, _ = line.partition(b"#")
        first = first or number
        if line.endswith(b"\\") and not comment:
            waiting.append(line[:-1])
        else:
            yield first, b" ".join([*waiting, line])
            waiting, first = [], 0
    if waiting:
        yield first, b" ".join(waiting)
