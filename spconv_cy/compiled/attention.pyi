from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float32]
_Rows = NDArray[np.int64]

class Windows:
    def lists(self) -> list[_Rows]: ...

def partition(sites: NDArray[np.int32], size: Sequence[int], shift: Sequence[int]) -> Windows | None: ...
def attend_all(
    rows: _Floats, positions: _Floats | None, heads: int, windows: Windows, n_threads: int = 1
) -> tuple[_Floats, _Floats]: ...
def attend_all_dx(
    rows: _Floats,
    positions: _Floats | None,
    heads: int,
    windows: Windows,
    shares: _Floats,
    dy: _Floats,
    n_threads: int = 1,
) -> tuple[_Floats, _Floats | None]: ...
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
