import numpy as np
from numpy.typing import NDArray

def rasterise(
    points: NDArray[np.float64],
    stroke_starts: NDArray[np.int64],
    character_starts: NDArray[np.int64],
    items: NDArray[np.int64],
    matrices: NDArray[np.float64] | None,
    shifts: NDArray[np.float64] | None,
    stroke_shifts: NDArray[np.float64] | None,
    *,
    planes: int,
    size: int,
    scale: float,
    spacing: float,
    n_threads: int = 1,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...
