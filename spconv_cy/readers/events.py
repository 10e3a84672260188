"""Reads recordings of event cameras from an .npz of arrays, such as events_dvs.npz."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_path
from spconv_cy.data.events import Events
from spconv_cy.errors import FileError
from spconv_cy.readers.arrays import arrays_of

if TYPE_CHECKING:
    from spconv_cy.types import PathLike


@known_arguments
def read_events(path: PathLike) -> Events:
    """Read t (n,) in microseconds, x and y (n,) in pixels, on (n,) and size (width, height) from an .npz file.

    Arrays of other names are not read.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: an array is missing, damaged or does not match the others. Pickles are never run.
    """
    checked_path("read_events", path)
    arrays = arrays_of(path, ("t", "x", "y", "on", "size"), ())
    try:
        return Events(**arrays)  # type: ignore[arg-type]
    except ValueError as error:
        raise FileError(f"{path}: {error}") from error
