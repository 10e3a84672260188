import numpy as np
from numpy.typing import NDArray

from spconv_cy.compiled.pairs import Pairs

_Floats = NDArray[np.float32]

def conv(
    x: _Floats,
    ground: _Floats,
    w: _Floats,
    pairs: Pairs,
    one: Pairs,
    bias: _Floats | None = None,
    slope: float | None = None,
    *,
    n_threads: int = 1,
) -> tuple[_Floats, _Floats]: ...
