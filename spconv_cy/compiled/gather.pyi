from typing import Any

import numpy as np
from numpy.typing import NDArray

_Rows = NDArray[np.float32]
_Numbers = NDArray[np.integer[Any]]

def take(x: _Rows, rows: _Numbers, ground: _Rows | None = None, *, n_threads: int = 1) -> _Rows: ...
def scatter_add(x: _Rows, rows: _Numbers, m: int, mean: bool = False, *, n_threads: int = 1) -> _Rows: ...
def scatter_max(x: _Rows, rows: _Numbers, m: int, *, n_threads: int = 1) -> tuple[_Rows, NDArray[np.int32]]: ...
