"""The pairs of a rulebook in one immutable object: compiled, or its plain twin without the compiled core."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class PlainPairs:
    """Pairs for an installation without the compiled core; see spconv_cy.compiled.pairs.Pairs."""

    __slots__ = ("in_rows", "out_rows", "offset_ptr", "n_in", "n_out", "tile_ptr")

    in_rows: NDArray[np.int32]
    out_rows: NDArray[np.int32]
    offset_ptr: NDArray[np.int64]
    n_in: int
    n_out: int
    tile_ptr: NDArray[np.int64]

    def __init__(self, in_rows: NDArray[np.int32], out_rows: NDArray[np.int32], offset_ptr: NDArray[np.int64],
                 n_in: int, n_out: int, tile_ptr: NDArray[np.int64], known: int = 0) -> None:
        views: dict[int, Any] = {}                                       # one array for both sides, as in an identity
        for name, value in zip(self.__slots__, (in_rows, out_rows, offset_ptr, n_in, n_out, tile_ptr), strict=True):
            kept: Any = value
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
                kept = views.setdefault(id(value), value.view())
            object.__setattr__(self, name, kept)

    @property
    def n_offsets(self) -> int:
        """Number of offsets."""
        return len(self.offset_ptr) - 1

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Pairs: {name} cannot be assigned")

    def __reduce__(self) -> tuple[Any, ...]:
        return PlainPairs, tuple(getattr(self, name) for name in self.__slots__)


try:
    from spconv_cy.compiled.pairs import Pairs as Pairs
except ImportError:
    Pairs = PlainPairs                                                   # type: ignore[assignment, misc]
