"""Types that public signatures share."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

# A numpy array, or on the cuda backend a CuPy array, which has the same methods.
Array: TypeAlias = npt.NDArray[Any]
IntegerArray: TypeAlias = npt.NDArray[np.integer[Any]]
FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
ArrayLike: TypeAlias = npt.ArrayLike
PathLike: TypeAlias = str | os.PathLike[str]
# A size, offset or stride: a number for all axes, or one for each axis.
PerAxis: TypeAlias = int | Sequence[int] | IntegerArray
# A seed: anything that np.random.default_rng accepts.
if TYPE_CHECKING:
    Seed: TypeAlias = (int | np.integer[Any] | Sequence[int] | IntegerArray | np.random.Generator
                       | np.random.BitGenerator | np.random.SeedSequence | np.random.RandomState | None)
else:
    Seed = object                                                        # numpy.random takes long to import
# Which batches of an epoch to make: a function of their number that returns the numbers of some.
Choose: TypeAlias = Callable[[int], Sequence[int]]
# Result of the body of a differentiable function: an array, and a function that maps the gradient of that array to one
# gradient per argument (an array, a function that computes it on demand, or None).
Gradient: TypeAlias = Array | Callable[[], Array] | None
Backward: TypeAlias = Callable[[Array], Sequence[Gradient]]
Recorded: TypeAlias = tuple[Array, Backward]
