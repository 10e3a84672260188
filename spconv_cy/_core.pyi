from typing import Protocol

import numpy as np
from numpy.typing import NDArray

class _Rules(Protocol):
    in_rows: NDArray[np.int32]
    out_rows: NDArray[np.int32]
    offset_ptr: NDArray[np.int64]
    tile_ptr: NDArray[np.int64]
    fan_in: NDArray[np.int32]
    volume: int | NDArray[np.int64]
    n_in: int
    n_out: int

def isas() -> tuple[str, ...]: ...
def isa() -> str: ...
def select_isa(name: str | None = None) -> None: ...
def openmp() -> bool: ...
def conv(
    x: NDArray[np.float32],
    w: NDArray[np.float32],
    rulebook: _Rules,
    *,
    bias: NDArray[np.float32] | None = None,
    slope: float | None = None,
    n_threads: int = 1,
) -> NDArray[np.float32]: ...
def conv_dw(
    x: NDArray[np.float32], dy: NDArray[np.float32], rulebook: _Rules, groups: int = 1, *, n_threads: int = 1
) -> NDArray[np.float32]: ...
def max_pool(
    x: NDArray[np.float32], rulebook: _Rules, ground: NDArray[np.float32] | None = None, *, n_threads: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.int32]]: ...
def max_pool_dx(
    dy: NDArray[np.float32], winner: NDArray[np.int32], n: int, rulebook: _Rules | None = None, *, n_threads: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def sum_pool(x: NDArray[np.float32], rulebook: _Rules, *, n_threads: int = 1) -> NDArray[np.float32]: ...
def scatter_add(
    x: NDArray[np.float32], rows: NDArray[np.int32], m: int, *, n_threads: int = 1
) -> NDArray[np.float32]: ...
def segment_sum(
    x: NDArray[np.float32], starts: NDArray[np.int64], *, n_threads: int = 1
) -> NDArray[np.float32]: ...
def segment_max(
    x: NDArray[np.float32], starts: NDArray[np.int64], *, n_threads: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.int32]]: ...
