from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_Rows = NDArray[np.int32]
_Pointers = NDArray[np.int64]

class Change:
    n: int
    m: int
    added: int
    gone: int
    @property
    def rows_added(self) -> _Rows: ...

def change(old: NDArray[np.int32], now: NDArray[np.int32], most: int) -> Change | None: ...
def grown(
    old: NDArray[np.int32],
    in_rows: _Rows,
    out_rows: _Rows,
    inputs: Change,
    reached: NDArray[np.int32],
) -> tuple[NDArray[np.int32], Change]: ...
def patched(
    in_rows: _Rows,
    out_rows: _Rows,
    offset_ptr: _Pointers,
    inputs: Change,
    outputs: Change,
    sites: NDArray[np.int32],
    out_sites: NDArray[np.int32],
    offsets: NDArray[np.int32],
    stride: Sequence[int],
    n_threads: int = 1,
) -> tuple[_Rows, _Rows, _Pointers, _Pointers] | None: ...
