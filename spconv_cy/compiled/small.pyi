from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spconv_cy.compiled.pairs import Pairs

def sets(precision: str) -> dict[str, str | None]: ...
def in_use(precision: str) -> tuple[str, str | None]: ...
def select(name: str | None = None) -> None: ...
def width(c: int, dtype: DTypeLike) -> int: ...

class Begin:
    rows: NDArray[Any] | None
    def __init__(self, rows: NDArray[Any] | None) -> None: ...

class Packed:
    name: str
    def __init__(self, weights: NDArray[np.uint16] | NDArray[np.int8], name: str | None = None) -> None: ...
    @property
    def shape(self) -> tuple[int, int, int]: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def extras(self) -> int: ...
    def weights(self) -> NDArray[Any]: ...
    def begin(self, rows: NDArray[Any] | None) -> Begin: ...
    def scratch_bytes(self, pairs: Pairs, n_threads: int = 1) -> int: ...

def conv(
    x: NDArray[Any],
    packed: Packed,
    pairs: Pairs,
    *,
    scale: NDArray[np.float32] | None = None,
    shift: NDArray[np.float32] | None = None,
    begin: NDArray[Any] | Begin | None = None,
    residual: NDArray[Any] | None = None,
    residual_scale: NDArray[np.float32] | None = None,
    slope: float | None = None,
    to: DTypeLike = ...,
    step: float | None = None,
    zero: int = 0,
    y: NDArray[Any] | None = None,
    room: NDArray[np.float32] | None = None,
    n_threads: int = 1,
) -> NDArray[Any]: ...
def encode(
    x: NDArray[np.float32], to: DTypeLike, *, step: float | None = None, zero: int = 0,
    y: NDArray[Any] | None = None, n_threads: int = 1
) -> NDArray[Any]: ...
def decode(
    x: NDArray[Any],
    c: int,
    *,
    scale: float | NDArray[np.float32] | None = None,
    shift: float | NDArray[np.float32] | None = None,
    y: NDArray[np.float32] | None = None,
    n_threads: int = 1,
) -> NDArray[np.float32]: ...
def mapped(
    x: NDArray[Any],
    c: int,
    to: DTypeLike,
    *,
    scale: float | NDArray[np.float32] | None = None,
    shift: float | NDArray[np.float32] | None = None,
    slope: float | None = None,
    step: float | None = None,
    zero: int = 0,
    y: NDArray[Any] | None = None,
    n_threads: int = 1,
) -> NDArray[Any]: ...
def max_pool(
    x: NDArray[Any],
    pairs: Pairs,
    ground: NDArray[Any],
    is_open: NDArray[np.uint8] | None = None,
    *,
    y: NDArray[Any] | None = None,
    n_threads: int = 1,
) -> NDArray[Any]: ...
