from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from spconv_cy.compiled.pairs import Pairs

def isas() -> tuple[str, ...]: ...
def isa() -> str: ...
def select_isa(name: str | None = None) -> None: ...
@overload
def conv(
    x: NDArray[np.float32],
    w: NDArray[np.float32],
    pairs: Pairs,
    *,
    bias: NDArray[np.float32] | None = None,
    slope: float | None = None,
    rows: NDArray[np.float32] | None = None,
    residual: NDArray[np.float32] | None = None,
    measure: Literal[False] = False,
    n_threads: int = 1,
) -> NDArray[np.float32]: ...
@overload
def conv(
    x: NDArray[np.float32],
    w: NDArray[np.float32],
    pairs: Pairs,
    *,
    bias: NDArray[np.float32] | None = None,
    slope: float | None = None,
    rows: NDArray[np.float32] | None = None,
    residual: NDArray[np.float32] | None = None,
    measure: Literal[True],
    n_threads: int = 1,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def conv_dw(
    x: NDArray[np.float32], dy: NDArray[np.float32], pairs: Pairs, groups: int = 1, *, n_threads: int = 1
) -> NDArray[np.float32]: ...
def conv_gradients(
    x: NDArray[np.float32], w: NDArray[np.float32], dy: NDArray[np.float32], pairs: Pairs, turned: Pairs,
    bias: bool = True, *, n_threads: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]: ...
def max_pool(
    x: NDArray[np.float32], pairs: Pairs, ground: NDArray[np.float32] | None = None,
    is_open: NDArray[np.uint8] | None = None, slope: float | None = None, *, n_threads: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.int32]]: ...
def max_pool_dx(
    dy: NDArray[np.float32], winner: NDArray[np.int32], n: int, transposed: Pairs | None = None,
    z: NDArray[np.float32] | None = None, slope: float = 1.0, *, n_threads: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def sum_pool(x: NDArray[np.float32], pairs: Pairs, *, n_threads: int = 1) -> NDArray[np.float32]: ...
def segment_sum(
    x: NDArray[np.float32], starts: NDArray[np.int64], *, n_threads: int = 1
) -> NDArray[np.float32]: ...
def segment_max(
    x: NDArray[np.float32], starts: NDArray[np.int64], *, n_threads: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.int32]]: ...
