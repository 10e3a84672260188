from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_Rows = NDArray[np.int32]
_Pointers = NDArray[np.int64]

def arrange(sites: NDArray[np.int32], n_threads: int = 1) -> tuple[NDArray[np.int32], _Rows] | None: ...
def bounds(sites: NDArray[np.int32], n_threads: int = 1) -> _Pointers: ...
def find(sites: NDArray[np.int32], queries: NDArray[np.int32], n_threads: int = 1) -> _Rows | None: ...
def merged(a: NDArray[np.int32], b: NDArray[np.int32]) -> tuple[_Rows, _Rows]: ...
def pairs(
    sites: NDArray[np.int32],
    out_sites: NDArray[np.int32],
    offsets: NDArray[np.int32],
    stride: Sequence[int],
    n_threads: int = 1,
) -> tuple[_Rows, _Rows, _Pointers, _Pointers] | None: ...
def valid(
    sites: NDArray[np.int32],
    offsets: NDArray[np.int32],
    size: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    origin: Sequence[int],
    out_size: Sequence[int] | None,
    n_threads: int = 1,
) -> tuple[NDArray[np.int32], _Rows, _Rows, _Pointers, _Pointers] | None: ...
def tile_pointers(out_rows: _Rows, offset_ptr: _Pointers, n_out: int, n_threads: int = 1) -> _Pointers: ...
def ascend(rows: _Rows, offset_ptr: _Pointers, n_threads: int = 1) -> bool: ...
def transpose(
    in_rows: _Rows, out_rows: _Rows, offset_ptr: _Pointers, n_in: int, n_threads: int = 1
) -> tuple[_Rows, _Rows]: ...
def fan_in(out_rows: _Rows, tile_ptr: _Pointers, n_out: int, n_threads: int = 1) -> _Rows: ...
