"""Reads recordings of event cameras from an .npz of arrays, such as events_dvs.npz."""

from spconv_cy.data.events import Events
from spconv_cy.errors import FileError
from spconv_cy.readers.arrays import arrays_of


def read_events(path):
    """Read t (n,) in microseconds, x and y (n,) in pixels, on (n,) and size (width, height) from an .npz.

    Arrays of other names are not looked at.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: an array is missing, damaged or does not fit the others. No pickle in it is run.
    """
    arrays = arrays_of(path, ("t", "x", "y", "on", "size"), ())
    try:
        return Events(**arrays)
    except ValueError as error:
        raise FileError(f"{path}: {error}") from error
