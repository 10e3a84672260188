from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_Rows = NDArray[np.int32]
_Pointers = NDArray[np.int64]

def pairs(
    sites: NDArray[np.int32],
    out_sites: NDArray[np.int32],
    offsets: NDArray[np.int32],
    stride: Sequence[int],
    n_threads: int = 1,
) -> tuple[_Rows, _Rows, _Pointers, _Pointers, int] | None: ...
def valid(
    sites: NDArray[np.int32],
    offsets: NDArray[np.int32],
    size: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    origin: Sequence[int],
    out_size: Sequence[int] | None,
    n_threads: int = 1,
) -> tuple[NDArray[np.int32], _Rows, _Rows, _Pointers, _Pointers, int] | None: ...
def spread(
    sites: NDArray[np.int32],
    stages: Sequence[NDArray[np.int32]],
    offsets: NDArray[np.int32],
    stride: Sequence[int],
    n_threads: int = 1,
) -> tuple[NDArray[np.int32], _Rows, _Rows, _Pointers, _Pointers, int] | None: ...
def folded(
    sites: NDArray[np.int32],
    offsets: NDArray[np.int32],
    stride: Sequence[int],
    n_threads: int = 1,
) -> NDArray[np.int32] | None: ...
