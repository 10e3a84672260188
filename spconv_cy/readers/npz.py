"""Reads handwriting from an .npz of arrays: omniglot_strokes.npz, pendigits.npz, and what `write_npz` writes."""

import io

import numpy as np

from spconv_cy.checks import checked_path
from spconv_cy.data.handwriting import Handwriting
from spconv_cy.data.strokes import Characters
from spconv_cy.readers.arrays import arrays_of, checked_ends, checked_floats, checked_names, checked_numbers
from spconv_cy.writing import new_file


def read_npz(path):
    """Read xy (points, 2), stroke_end, char_end (cumulative), label, writer, classes, and fold and t where there.

    Arrays of other names are not looked at.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: an array is missing, damaged or does not fit the others. No pickle in it is run.
    """
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


def write_npz(path, handwriting):
    """Write Handwriting for `read_npz`, at just this path; points and times are kept as float64."""
    path = checked_path("write_npz", path)
    if not isinstance(handwriting, Handwriting):
        raise TypeError(f"write_npz: a {type(handwriting).__name__} came; Handwriting fits")
    packed = handwriting.characters
    more = {} if handwriting.tested is None else {"fold": handwriting.tested.astype(np.int8)}
    if handwriting.times is not None:
        more["t"] = handwriting.times
    packing = io.BytesIO()                                               # numpy seeks in what it packs into
    np.savez_compressed(packing, xy=packed.points, stroke_end=packed.stroke_starts[1:],
                        char_end=packed.character_starts[1:], label=handwriting.labels, writer=handwriting.writers,
                        classes=np.array(handwriting.classes, None if handwriting.classes else "U1"), **more)
    with new_file(path) as file:
        file.write(packing.getbuffer())
