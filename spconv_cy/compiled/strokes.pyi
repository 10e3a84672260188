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
    time_shifts: NDArray[np.float64] | None = None,
    *,
    planes: int,
    size: int,
    scale: float,
    spacing: float,
    slices: int = 1,
    pace: float = 0.0,
    n_threads: int = 1,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...
def draw_signatures(
    points: NDArray[np.float64],
    stroke_starts: NDArray[np.int64],
    character_starts: NDArray[np.int64],
    items: NDArray[np.int64],
    matrices: NDArray[np.float64] | None,
    shifts: NDArray[np.float64] | None,
    stroke_shifts: NDArray[np.float64] | None,
    picked: NDArray[np.int64] | None = None,
    *,
    level: int,
    timed: bool,
    size: int,
    scale: float,
    window: float,
    n_threads: int = 1,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...
def sign(
    points: NDArray[np.float64],
    path_starts: NDArray[np.int64],
    picked: NDArray[np.int64] | None = None,
    *,
    level: int,
    n_threads: int = 1,
) -> NDArray[np.float64]: ...
