from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_Rows = NDArray[np.int32]
_Pointers = NDArray[np.int64]

def cells(
    sites: NDArray[np.int32],
    stride: Sequence[int],
    origin: Sequence[int],
    out_size: Sequence[int] | None,
    n_threads: int = 1,
) -> tuple[NDArray[np.int32], _Rows, _Rows, _Pointers, _Pointers, int] | None: ...
