from typing import Any

import numpy as np
from numpy.typing import NDArray

from spconv_cy.compiled.pairs import Pairs

_Rows = NDArray[np.float32]

def packed_floats(shape: tuple[int, ...]) -> int: ...

class Packed:
    def __new__(cls, w: _Rows, room: _Rows | None = None) -> Packed: ...
    @property
    def crc(self) -> int | None: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def groups(self) -> int: ...
    @property
    def channels_in(self) -> int: ...
    @property
    def channels_out(self) -> int: ...
    @property
    def n_offsets(self) -> int: ...
    def weight(self) -> _Rows: ...
    def scratch_bytes(
        self, pairs: Pairs, n_threads: int = 1, before: Packed | None = None, then: Packed | None = None
    ) -> int: ...
    def __reduce__(self) -> Any: ...

def conv(
    x: _Rows,
    packed: Packed,
    pairs: Pairs,
    y: _Rows,
    bias: _Rows | None = None,
    rows: _Rows | None = None,
    slope: float | None = None,
    residual: _Rows | None = None,
    n_threads: int = 1,
    room: _Rows | None = None,
    before: tuple[_Rows, Packed, _Rows | None, _Rows | None, float | None] | None = None,
    then: tuple[Packed, _Rows | None, _Rows | None, float | None] | None = None,
) -> None: ...
def mapped(
    x: _Rows,
    y: _Rows,
    rows: _Rows | None = None,
    residual: _Rows | None = None,
    slope: float | None = None,
    n_threads: int = 1,
) -> None: ...
def open_windows(pairs: Pairs, volume: int | NDArray[np.int64]) -> NDArray[np.uint8]: ...
def max_pool(
    x: _Rows,
    pairs: Pairs,
    y: _Rows,
    ground: _Rows | None = None,
    volume: int | NDArray[np.int64] | None = None,
    slope: float | None = None,
    n_threads: int = 1,
) -> None: ...
