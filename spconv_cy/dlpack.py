"""The door of all arrays that come: other libraries' are read where they lie, by DLPack; masked ones are refused."""

import numpy as np

from spconv_cy.errors import BackendError, ShapeError

CPU = 1                                                                  # kDLCPU of the protocol
MOST_AXES = 64                                                           # of a numpy array


def without_mask(array, who="array"):
    """Return what came as it is, unless it is a masked array, or a list that holds one at any depth.

    numpy drops the mask where an array is made of it, and what was masked would count as data.

    Raises:
        ShapeError: it is masked.
    """
    if isinstance(array, np.ma.MaskedArray) or isinstance(array, (list, tuple)) and _holds_masked(array):
        raise ShapeError(f"{who}: expected an array without a mask, got a masked one; fill it with .filled(...), or "
                         "leave out the rows that are masked")
    return array


def as_numpy(array, who="array"):
    """Return an array that speaks DLPack as a numpy array over the same memory, anything else as it is.

    Raises:
        BackendError: its memory is not the CPU's.
        ShapeError: its library does not hand it out, or numpy has no such dtype; a masked array.
    """
    array = without_mask(array, who)
    if isinstance(array, (np.ndarray, np.generic)) or not hasattr(array, "__dlpack_device__"):
        return array
    device, _ = array.__dlpack_device__()
    if device != CPU:
        raise BackendError(f"a {_kind(array)} on a device of DLPack's kind {int(device)} came; the CPU's memory, kind "
                           f"{CPU}, fits: bring it there first, as with torch's .cpu(), cupy's .get() or "
                           "jax.device_get")
    try:
        return np.from_dlpack(array)
    except (BufferError, RuntimeError, TypeError) as error:
        raise unreadable(array, error) from error


def unreadable(array, error):
    """Return the ShapeError for an array that its library does not hand out by DLPack, or that its reader refused."""
    return ShapeError(f"a {_kind(array)} came that does not come through DLPack ({error}); a plain copy fits, without "
                      "gradients (torch: .detach()) and of a dtype that numpy has")


def _kind(array):
    return f"{type(array).__module__}.{type(array).__name__}"


def _holds_masked(items, depth=0):
    kinds = set(map(type, items))
    if any(issubclass(kind, np.ma.MaskedArray) for kind in kinds):
        return True
    if depth == MOST_AXES or not any(issubclass(kind, (list, tuple)) for kind in kinds):
        return False
    return any(_holds_masked(item, depth + 1) for item in items if isinstance(item, (list, tuple)))


def is_cupy(array):
    """Tell whether an array is one of CuPy, which is not imported to find out."""
    return type(array).__module__.split(".")[0] == "cupy"
