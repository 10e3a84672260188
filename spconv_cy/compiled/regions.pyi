from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

def pairs(
    sites: NDArray[np.int32],
    low: Sequence[int],
    side: Sequence[int],
    tables: Sequence[NDArray[np.int32]],
    n_threads: int = 1,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]] | None: ...
