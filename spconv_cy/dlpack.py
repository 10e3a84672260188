"""Arrays of other libraries, read by DLPack without a copy; masked arrays are refused."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from spconv_cy.errors import BackendError, ShapeError, expected

CPU = 1                                                                  # kDLCPU of the protocol
MOST_AXES = 64                                                           # of a numpy array


def without_mask(array: Any, who: str = "array") -> Any:
    """Return `array` unchanged; raise ShapeError if it is a masked array, or a list that holds one at any depth.

    numpy drops the mask when it makes an array of a masked one, and the masked elements would count as data.

    Raises:
        ShapeError: a masked array.
    """
    if isinstance(array, _masked()) or isinstance(array, (list, tuple)) and _holds_masked(array):
        raise ShapeError(expected(who, "an array without a mask", "a masked one",
                                  "fill it with .filled(...), or leave out the rows that are masked"))
    return array


def as_numpy(array: Any, who: str = "array") -> Any:
    """Return an array of another library as a numpy array of the same memory, by DLPack; anything else unchanged.

    Raises:
        BackendError: its memory is not the CPU's.
        ShapeError: its library refuses DLPack, numpy has no such dtype, or the array is masked.
    """
    array = without_mask(array, who)
    if isinstance(array, (np.ndarray, np.generic)) or not hasattr(array, "__dlpack_device__"):
        return array
    device, _ = array.__dlpack_device__()
    if device != CPU:
        raise BackendError(expected(
            who, f"an array in the CPU's memory (DLPack device {CPU})", f"{_kind(array)} on device {int(device)}",
            "copy it first: torch .cpu(), cupy .get(), jax.device_get"))
    try:
        return np.from_dlpack(array)
    except (BufferError, RuntimeError, TypeError) as error:
        raise unreadable(array, error) from error


def unreadable(array: Any, error: Exception) -> ShapeError:
    """Return the ShapeError for an array that DLPack cannot pass from its library to ours."""
    return ShapeError(expected("array", "one that DLPack can pass", f"{_kind(array)} ({error})",
                               "give a copy without gradients (torch: .detach()), of a dtype that numpy has"))


def _kind(array: Any) -> str:
    return f"{type(array).__module__}.{type(array).__name__}"


def _masked() -> type | tuple[()]:
    # As long as nobody has imported numpy.ma, which takes 13 ms, there are no masked arrays.
    return getattr(sys.modules.get("numpy.ma"), "MaskedArray", ())


def _holds_masked(items: Any, depth: int = 0) -> bool:
    kinds = set(map(type, items))
    if any(issubclass(kind, _masked()) for kind in kinds):
        return True
    if depth == MOST_AXES or not any(issubclass(kind, (list, tuple)) for kind in kinds):
        return False
    return any(_holds_masked(item, depth + 1) for item in items if isinstance(item, (list, tuple)))


def is_cupy(array: object) -> bool:
    """Return True if an array is one of CuPy, without importing CuPy."""
    return type(array).__module__.split(".")[0] == "cupy"
