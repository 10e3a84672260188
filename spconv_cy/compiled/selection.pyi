import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float32]
_Words = NDArray[np.int32]

def best(
    scores: NDArray[np.float64], starts: NDArray[np.int64], ks: NDArray[np.int64]
) -> NDArray[np.bool_]: ...
def kept(
    x: _Floats, scores: _Floats, sites: _Words, threshold: float, k: int, gate: bool, n_threads: int = 1
) -> tuple[_Words, _Words, _Floats]: ...
def with_coordinates(
    x: _Floats, sites: _Words, centre: NDArray[np.float64], half: NDArray[np.float64], n_threads: int = 1
) -> _Floats: ...
