from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spconv_cy.compiled.pairs import Pairs

class Shape:
    def __new__(
        cls,
        offsets: NDArray[np.int32],
        size: Sequence[int],
        stride: Sequence[int],
        dilation: Sequence[int],
        origin: Sequence[int],
        keeps: bool,
        stages: Sequence[NDArray[np.int32]] = (),
    ) -> Shape: ...

class Chain:
    def __new__(cls, links: Sequence[tuple[int, Shape, Sequence[int] | None]]) -> Chain: ...
    def __call__(
        self, sites: NDArray[np.int32], most: int
    ) -> list[tuple[Pairs, NDArray[np.int32] | None] | None]: ...
