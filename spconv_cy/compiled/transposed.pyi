import numpy as np
from numpy.typing import NDArray

def copy_transposed(x: NDArray[np.float32], y: NDArray[np.float32]) -> bool: ...
