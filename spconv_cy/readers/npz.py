"""Reads handwriting from an .npz of arrays, such as omniglot_strokes.npz or pendigits.npz, and writes it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_path, kind_of
from spconv_cy.data import Characters, Handwriting
from spconv_cy.errors import expected
from spconv_cy.readers.arrays import arrays_of, checked_ends, checked_floats, checked_names, checked_numbers
from spconv_cy.writing import new_file

if TYPE_CHECKING:
    from spconv_cy.types import PathLike


@known_arguments
def read_handwriting(path: PathLike) -> Handwriting:
    """Read xy (points, 2), stroke_end and char_end (cumulative), label, writer, classes, and, if present, fold and t.

    Arrays of other names are not read.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: an array is missing, damaged or does not match the others. Pickles are never run.
    """
    checked_path("read_handwriting", path)
    arrays = arrays_of(path, ("xy", "stroke_end", "char_end", "label", "writer", "classes"), ("fold", "t"))
    points = checked_floats(path, "xy", arrays["xy"], (None, 2), "(points, 2)")
    strokes = checked_ends(path, "stroke_end", arrays["stroke_end"], len(points), least=1)
    characters = checked_ends(path, "char_end", arrays["char_end"], len(strokes) - 1, least=0)
    n, classes = len(characters) - 1, checked_names(path, "classes", arrays["classes"])
    labels = checked_numbers(path, "label", arrays["label"], (n,), 0, len(classes) - 1)
    writers = checked_numbers(path, "writer", arrays["writer"], (n,), -1, 2**62)
    tested = checked_numbers(path, "fold", arrays["fold"], (n,), 0, 1) == 1 if "fold" in arrays else None
    times = None
    if "t" in arrays:
        times = checked_floats(path, "t", arrays["t"], (len(points),), f"({len(points)},)")
    return Handwriting(Characters(points, strokes, characters), labels, classes, writers, tested, times)


@known_arguments
def write_handwriting(path: PathLike, handwriting: Handwriting) -> None:
    """Write Handwriting for `read_handwriting`; the path is used unchanged, points and times are stored as float64."""
    path = checked_path("write_handwriting", path)
    if not isinstance(handwriting, Handwriting):
        raise TypeError(expected("write_handwriting", "Handwriting", kind_of(handwriting)))
    packed = handwriting.characters
    arrays = {"xy": packed.points, "stroke_end": packed.stroke_starts[1:], "char_end": packed.character_starts[1:],
              "label": handwriting.labels, "writer": handwriting.writers,
              "classes": np.array(handwriting.classes, None if handwriting.classes else "U1")}
    if handwriting.tested is not None:
        arrays["fold"] = handwriting.tested.astype(np.int8)
    if handwriting.times is not None:
        arrays["t"] = handwriting.times
    packing = io.BytesIO()                                               # numpy seeks in the file that it writes
    np.savez_compressed(packing, **arrays)  # type: ignore[arg-type]
    with new_file(path) as file:
        file.write(packing.getbuffer())
