"""Reads and writes meshes by the ending of the file's name: .off, .ply, .obj; and reads npm's .js."""

from pathlib import Path

from spconv_cy.checks import checked_path
from spconv_cy.data.meshes import Mesh
from spconv_cy.errors import FileError
from spconv_cy.readers.js import read_js
from spconv_cy.readers.obj import read_obj, write_obj
from spconv_cy.readers.off import read_off, write_off
from spconv_cy.readers.ply import read_ply, write_ply

READERS = {".off": read_off, ".ply": read_ply, ".obj": read_obj, ".js": read_js}
WRITERS = {".off": write_off, ".ply": write_ply, ".obj": write_obj}


def read_mesh(path):
    """Read a Mesh from an .off, .ply or .obj file, or the .js of npm's bunny.

    Polygons are cut into triangles from their first corner. Colours, normals and textures are left out, and files
    that an .obj names are not opened. Texts may begin with a byte order mark, and lines end in CR, LF or CRLF.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: another ending; a file that is damaged, cut short or foreign, or holds other rows or columns than it
            declares: says where.
    """
    return _of(READERS, path)(path)


def write_mesh(path, mesh):
    """Write a Mesh as .off, .obj or binary .ply, whose numbers come back bit for bit.

    Raises:
        FileError: another ending.
    """
    if not isinstance(mesh, Mesh):
        raise TypeError(f"write_mesh: a {type(mesh).__name__} came; a Mesh fits")
    path = checked_path("write_mesh", path)
    _of(WRITERS, path)(path, mesh)


def _of(formats, path):
    ending = Path(path).suffix.lower()
    if ending not in formats:
        raise FileError(f"{path}: the ending {ending!r} came; {', '.join(formats)} fit")
    return formats[ending]
