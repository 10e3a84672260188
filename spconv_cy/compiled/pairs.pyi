import numpy as np
from numpy.typing import NDArray

class Pairs:
    in_rows: NDArray[np.int32]
    out_rows: NDArray[np.int32]
    offset_ptr: NDArray[np.int64]
    tile_ptr: NDArray[np.int64]
    n_in: int
    n_out: int
    def __new__(
        cls,
        in_rows: NDArray[np.int32],
        out_rows: NDArray[np.int32],
        offset_ptr: NDArray[np.int64],
        n_in: int,
        n_out: int,
        tile_ptr: NDArray[np.int64],
    ) -> Pairs: ...
