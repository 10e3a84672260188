"""Reads handwriting from an .npz of arrays: omniglot_strokes.npz, pendigits.npz, and what `write_npz` writes."""

import io

import numpy as np

from spconv_cy.data.handwriting import Handwriting
from spconv_cy.data.readers.arrays import arrays_of, checked_ends, checked_numbers
from spconv_cy.data.strokes import Characters
from spconv_cy.errors import FileError
from spconv_cy.writing import new_file


def read_npz(path):
    """Read xy (points, 2), stroke_end, char_end (cumulative), label, writer, classes, and fold and t where there.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: an array is missing, damaged or does not fit the others. No pickle in it is run.
    """
    arrays = arrays_of(path, ("xy", "stroke_end", "char_end", "label", "writer", "classes"), ("fold", "t"))
    points, n_points = arrays["xy"], len(arrays["xy"])
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "iuf":
        raise FileError(f"{path}: xy {points.shape} {points.dtype} came; (points, 2) numbers fit")
    bad = np.flatnonzero(~np.isfinite(points).all(1))
    if len(bad):
        raise FileError(f"{path}: point {bad[0]} of xy is {points[bad[0]].tolist()}; finite numbers fit")
    strokes = checked_ends(path, "stroke_end", arrays["stroke_end"], n_points, least=1)
    characters = checked_ends(path, "char_end", arrays["char_end"], len(strokes) - 1, least=0)
    n, classes = len(characters) - 1, arrays["classes"]
    if classes.ndim != 1 or classes.dtype.kind not in "iuUS":
        raise FileError(f"{path}: classes {classes.shape} {classes.dtype} came; (classes,) names or numbers fit")
    labels = checked_numbers(path, "label", arrays["label"], (n,), 0, len(classes) - 1)
    writers = checked_numbers(path, "writer", arrays["writer"], (n,), -1, 2**62)
    tested = checked_numbers(path, "fold", arrays["fold"], (n,), 0, 1) == 1 if "fold" in arrays else None
    times = arrays.get("t")
    if times is not None and (times.shape != (n_points,) or times.dtype.kind not in "iuf"
                              or not np.isfinite(times).all()):
        raise FileError(f"{path}: t {times.shape} {times.dtype} came; ({n_points},) finite numbers fit")
    packed = Characters(points.astype(np.float64), strokes, characters)
    return Handwriting(packed, labels, tuple(classes.tolist()), writers, tested,
                       None if times is None else times.astype(np.float64))


def write_npz(path, handwriting):
    """Write Handwriting for `read_npz`, at just this path; points and times are kept as float64."""
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
