"""Reads and writes meshes; the ending of the file's name selects the format: .off, .ply, .obj, and to read, .js."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_path, kind_of
from spconv_cy.data.meshes import Mesh
from spconv_cy.errors import FileError, expected
from spconv_cy.readers.js import read_js
from spconv_cy.readers.obj import read_obj, write_obj
from spconv_cy.readers.off import read_off, write_off
from spconv_cy.readers.ply import read_ply, write_ply

if TYPE_CHECKING:
    from collections.abc import Callable

    from spconv_cy.types import PathLike

    Format = TypeVar("Format")

READERS: dict[str, Callable[[PathLike], Mesh]] = {".off": read_off, ".ply": read_ply, ".obj": read_obj, ".js": read_js}
WRITERS: dict[str, Callable[[PathLike, Mesh], None]] = {".off": write_off, ".ply": write_ply, ".obj": write_obj}


@known_arguments
def read_mesh(path: PathLike) -> Mesh:
    """Read a Mesh from an .off, .ply or .obj file, or from the .js of npm's bunny.

    Polygons are divided into triangles from their first corner. Colours, normals and textures are skipped, and files
    that an .obj names are not opened. Text may begin with a byte order mark, and lines may end with CR, LF or CRLF.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: another ending; or the file is damaged, cut short or in another format, or its rows or columns
            differ from those that it declares. The message names the place.
    """
    checked_path("read_mesh", path)
    return _of(READERS, path)(path)


@known_arguments
def write_mesh(path: PathLike, mesh: Mesh) -> None:
    """Write a Mesh as .off, .obj or binary .ply; reading the file returns the same numbers, bit for bit.

    Raises:
        FileError: another ending.
    """
    if not isinstance(mesh, Mesh):
        raise TypeError(expected("write_mesh", "a Mesh", kind_of(mesh)))
    path = checked_path("write_mesh", path)
    _of(WRITERS, path)(path, mesh)


def _of(formats: dict[str, Format], path: PathLike) -> Format:
    ending = Path(path).suffix.lower()
    if ending not in formats:
        raise FileError(expected(f"{path}", f"a name that ends in {', '.join(formats)}", f"{ending!r}"))
    return formats[ending]
