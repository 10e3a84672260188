"""Reads and writes meshes by the ending of the file's name: .off, .ply, .obj."""

from pathlib import Path

from spconv_cy.data.readers.obj import read_obj, write_obj
from spconv_cy.data.readers.off import read_off, write_off
from spconv_cy.data.readers.ply import read_ply, write_ply
from spconv_cy.errors import FileError

FORMATS = {".off": (read_off, write_off), ".ply": (read_ply, write_ply), ".obj": (read_obj, write_obj)}


def read_mesh(path):
    """Read a Mesh from an .off, .ply or .obj file; polygons are cut into triangles from their first corner.

    Colours, normals and textures are left out, and files that an .obj names are not opened.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: another ending; a file that is damaged, cut short or foreign: says where.
    """
    return _format(path)[0](path)


def write_mesh(path, mesh):
    """Write a Mesh as .off, .obj or binary .ply, whose numbers come back bit for bit.

    Raises:
        FileError: another ending.
    """
    _format(path)[1](path, mesh)


def _format(path):
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise FileError(f"{path}: the ending {ending!r} came; {', '.join(FORMATS)} fit")
    return FORMATS[ending]
