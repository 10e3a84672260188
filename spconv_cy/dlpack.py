"""Arrays of other libraries, read where they lie: the DLPack protocol, by numpy's own reader."""

import numpy as np

from spconv_cy.errors import BackendError, ShapeError

CPU = 1                                                                  # kDLCPU of the protocol


def as_numpy(array):
    """Return an array that speaks DLPack as a numpy array over the same memory, anything else as it is.

    Raises:
        BackendError: its memory is not the CPU's.
        ShapeError: its library does not hand it out, or numpy has no such dtype.
    """
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
