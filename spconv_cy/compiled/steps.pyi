from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_Flat = NDArray[np.float32]
KINDS: dict[str, int]
PIECE: int

def step(kind: str, weights: Sequence[_Flat], gradients: Sequence[_Flat], moments: Sequence[Sequence[_Flat]],
         rates: Sequence[float], corrections: Sequence[float], *, factor: float = 1.0, decay: float = 0.0,
         momentum: float = 0.0, second: float = 0.0, eps: float = 0.0, n_threads: int = 1) -> list[tuple[int, int]]: ...
def sum_of_squares(gradients: Sequence[_Flat], *, n_threads: int = 1) -> float: ...
