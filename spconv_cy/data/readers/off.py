"""OFF, the Object File Format: vertices, then polygons, in text."""

import numpy as np

from spconv_cy.data.readers.polygons import lines_of, mesh_of, numbers_of
from spconv_cy.errors import FileError
from spconv_cy.writing import new_file


def read_off(path):
    """Read a Mesh from text OFF, also with normals, colours, comments, or counts on the first line (ModelNet).

    Raises:
        FileNotFoundError: there is no such file.
        FileError: another format; fewer vertices or faces than the file tells; numbers that do not fit.
    """
    lines = [line for line in (line.split("#", 1)[0].strip() for line in lines_of(path)) if line]
    word, _, rest = (lines[0] if lines else "").partition("OFF")
    if not lines or not lines[0].startswith(word + "OFF") or word not in ("", "C", "N", "CN", "ST", "STC", "STN"):
        raise FileError(f"{path}: {(lines or [''])[0][:40]!r} is the first line; OFF fits (text, three coordinates)")
    if "BINARY" in rest:
        raise FileError(f"{path}: binary OFF came; text fits: write it anew as text, or as PLY")
    lines = ([rest] if rest.strip() else []) + lines[1:]
    counts = numbers_of(path, (lines or [""])[0].split(), "the counts")
    if len(counts) not in (2, 3) or not ((counts == np.floor(counts)) & (counts >= 0) & (counts < 2**53)).all():
        raise FileError(f"{path}: the counts {(lines or [''])[0][:40]!r} came; the numbers of vertices, faces and "
                        "edges, from 0 up, fit")
    n, f = int(counts[0]), int(counts[1])
    if n + f > len(lines) - 1:
        raise FileError(f"{path}: {n} vertices and {f} faces are told, and {len(lines) - 1} lines came; the file is "
                        "cut short or its counts are wrong")
    rows = [line.split(None, 3)[:3] for line in lines[1:1 + n]]
    short = next((i for i, row in enumerate(rows) if len(row) < 3), None)
    if short is not None:
        raise FileError(f"{path}: vertex {short} is {lines[1 + short][:40]!r}; three numbers fit")
    vertices = numbers_of(path, [word for row in rows for word in row], "the vertices")
    faces = [line.split() for line in lines[1 + n:1 + n + f]]
    sizes = numbers_of(path, [face[0] for face in faces], "the sizes of faces")
    for i, (size, face) in enumerate(zip(sizes, faces, strict=True)):
        if not 0 <= size < len(face) or size != int(size):
            raise FileError(f"{path}: face {i} is {' '.join(face)[:40]!r}; its number of corners and as many vertices "
                            "fit")
    words = [word for size, face in zip(sizes, faces, strict=True) for word in face[1:1 + int(size)]]
    return mesh_of(path, vertices, sizes, numbers_of(path, words, "the faces"))


def write_off(path, mesh):
    """Write a Mesh as text OFF; its numbers come back bit for bit."""
    with new_file(path) as file:
        file.write(f"OFF\n{len(mesh.vertices)} {len(mesh.triangles)} 0\n".encode())
        file.writelines(f"{x!r} {y!r} {z!r}\n".encode() for x, y, z in mesh.vertices.tolist())
        file.writelines(f"3 {a} {b} {c}\n".encode() for a, b, c in mesh.triangles.tolist())
