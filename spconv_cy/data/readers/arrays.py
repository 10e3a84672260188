"""What readers of .npz files share: arrays of bounded size without pickles, checked against each other."""

import numpy as np

from spconv_cy.errors import FileError

MOST = 2**33                                        # bytes of one array


def arrays_of(path, needed, optional):
    """Return {name: array} of an .npz file: all that are needed, and the optional ones that are there.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: an array is missing or damaged, or larger than 8 GiB. No pickle in it is run.
    """
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as found:
                large = [entry.filename for entry in found.zip.infolist() if entry.file_size > MOST]
                if large:
                    raise FileError(f"{path}: {large[0]} would take more than {MOST} bytes; the file is damaged")
                missing = [name for name in needed if name not in found]
                if missing:
                    raise FileError(f"{path}: no {', '.join(missing)} in it; {', '.join(needed)} fit")
                return {name: found[name] for name in (*needed, *optional) if name in found}
        except FileError:
            raise
        except Exception as error:                                       # zipfile's, zlib's and numpy's own are many
            raise FileError(f"{path}: not a whole .npz file ({error}); it is damaged, cut short or foreign: fetch it "
                            "again") from error


def checked_ends(path, name, ends, last, least):
    """Return the starts (n + 1,) int64 of parts that end at `ends` (n,), each `least` long, the last at `last`."""
    if ends.ndim != 1 or ends.dtype.kind not in "iu":
        raise FileError(f"{path}: {name} {ends.shape} {ends.dtype} came; a row of whole numbers fits")
    starts = np.concatenate([[0], ends.astype(np.int64)]).astype(np.int64)
    bad = np.flatnonzero(np.diff(starts) < least)
    if len(bad) or starts[-1] != last:
        where = f"falls at {bad[0]}" if len(bad) else f"ends at {starts[-1]}"
        raise FileError(f"{path}: {name} {where}; it fits when it rises to {last}"
                        + (" by 1 or more" if least else ""))
    return starts


def checked_numbers(path, name, values, shape, low, high):
    """Return whole numbers of that shape, from `low` to `high`, as int64."""
    if values.shape != shape or values.dtype.kind not in "iub":
        raise FileError(f"{path}: {name} {values.shape} {values.dtype} came; {shape} whole numbers fit")
    bad = np.flatnonzero((values < low) | (values > high))
    if len(bad):
        raise FileError(f"{path}: {name} {bad[0]} is {values[bad[0]]}; {low} to {high} fit")
    return values.astype(np.int64)
