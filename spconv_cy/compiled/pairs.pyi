import numpy as np
from numpy.typing import NDArray

_Rows = NDArray[np.int32]
_Pointers = NDArray[np.int64]

TILE_ROWS: int

class Pairs:
    in_rows: NDArray[np.int32]
    out_rows: NDArray[np.int32]
    offset_ptr: NDArray[np.int64]
    tile_ptr: NDArray[np.int64]
    n_in: int
    n_out: int
    n_offsets: int
    def __new__(
        cls,
        in_rows: NDArray[np.int32],
        out_rows: NDArray[np.int32],
        offset_ptr: NDArray[np.int64],
        n_in: int,
        n_out: int,
        tile_ptr: NDArray[np.int64],
    ) -> Pairs: ...

def tile_pointers(out_rows: _Rows, offset_ptr: _Pointers, n_out: int, n_threads: int = 1) -> _Pointers: ...
def ascend(rows: _Rows, offset_ptr: _Pointers, n_threads: int = 1) -> bool: ...
def transpose(
    in_rows: _Rows, out_rows: _Rows, offset_ptr: _Pointers, n_in: int, n_threads: int = 1
) -> tuple[_Rows, _Rows]: ...
def fan_in(out_rows: _Rows, tile_ptr: _Pointers, n_out: int, n_threads: int = 1) -> _Rows: ...
