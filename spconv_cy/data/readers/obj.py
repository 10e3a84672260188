"""OBJ, Wavefront's: lines of vertices and of polygons, in text."""

from spconv_cy.data.readers.polygons import lines_of, mesh_of, numbers_of
from spconv_cy.errors import FileError
from spconv_cy.writing import new_file


def read_obj(path):
    """Read a Mesh from the v and f lines of an OBJ file; all else in it is left out, and no file that it names opened.

    Vertices count from 1; negative ones count back from the last that stands before the face.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: a line that does not fit, a file with neither vertices nor faces.
    """
    points, sizes, corners = [], [], []
    for number, line in enumerate(_joined(lines_of(path)), 1):
        kind, *words = line.split("#", 1)[0].split() or [""]
        if kind == "v":
            if len(words) < 3:
                raise FileError(f"{path}, line {number}: {line.strip()[:40]!r} came; v x y z fits")
            points += words[:3]
        elif kind == "f":
            sizes.append(len(words))
            corners += [_vertex(path, number, word, len(points) // 3) for word in words]
    if not points and not sizes:
        raise FileError(f"{path}: neither a vertex nor a face came; lines v x y z and f a b c fit")
    return mesh_of(path, numbers_of(path, points, "the vertices"), sizes, corners)


def write_obj(path, mesh):
    """Write a Mesh as OBJ; its numbers come back bit for bit."""
    with new_file(path) as file:
        file.writelines(f"v {x!r} {y!r} {z!r}\n".encode() for x, y, z in mesh.vertices.tolist())
        file.writelines(f"f {a} {b} {c}\n".encode() for a, b, c in (mesh.triangles + 1).tolist())


def _vertex(path, number, word, n):
    text = word.split("/", 1)[0]
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 18):
        raise FileError(f"{path}, line {number}: {word[:40]!r} came; a vertex, vertex/texture or vertex/texture/normal "
                        "fits")
    vertex = int(text)
    if vertex == 0 or vertex < -n:
        raise FileError(f"{path}, line {number}: vertex {vertex} came after {n} vertices; from 1 up, or from -{n} to "
                        "-1, fits")
    return vertex - 1 if vertex > 0 else n + vertex


def _joined(lines):
    """Lines with those that end in a backslash joined to the next."""
    waiting = ""
    for line in lines:
        if line.endswith("\\"):
            waiting += line[:-1] + " "
        else:
            yield waiting + line
            waiting = ""
    if waiting:
        yield waiting
