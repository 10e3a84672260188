from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spconv_cy.compiled.pairs import Pairs

_Bounds = tuple[NDArray[np.int32], NDArray[np.int32], int]

def even(
    own: NDArray[np.float64], column: int, m: int, room: int, steps: int, width: int, more: int
) -> _Bounds: ...
def shuffled(places: NDArray[np.int64], m: int, twos: int, width: int, more: int) -> _Bounds: ...
def rules(
    sites: NDArray[np.int32],
    lows: Sequence[NDArray[np.int32]],
    highs: Sequence[NDArray[np.int32]],
    size: Sequence[int],
    spans: Sequence[int],
    most: int,
) -> tuple[Pairs, NDArray[np.int32], int | NDArray[np.int64]] | None: ...
