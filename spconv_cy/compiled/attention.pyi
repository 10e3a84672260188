import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float32]
_Rows = NDArray[np.int64]

def attend(
    rows: _Floats,
    positions: _Floats | None,
    heads: int,
    window: _Rows,
    places: _Rows | None,
    y: _Floats,
    n_threads: int = 1,
) -> _Floats: ...
def attend_dx(
    rows: _Floats,
    heads: int,
    window: _Rows,
    shares: _Floats,
    dy: _Floats,
    drows: _Floats,
    n_threads: int = 1,
) -> _Floats: ...
