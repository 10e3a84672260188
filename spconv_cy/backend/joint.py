"""What the CPU computes by one call, with the bits of several operations of Ops one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy import _core
from spconv_cy.backend.ops import open_windows
from spconv_cy.compiled import frozen
from spconv_cy.config import threads
from spconv_cy.types import Array

if TYPE_CHECKING:
    from spconv_cy.backend.structure import Rulebook

FEW_PAIRS = 16384


def serves(*arrays: Any) -> bool:
    """Return True if all arrays are as compiled loops read them: float32, C-contiguous and aligned, on the CPU."""
    for a in arrays:
        if type(a) is not np.ndarray or a.dtype != np.float32 or not (a.flags.c_contiguous and a.flags.aligned):
            return False
    return True


def serves_weights(w: Array) -> bool:
    """Return True for weights, in any strides, that compiled loops can read."""
    return type(w) is np.ndarray and w.dtype == np.float32 and w.flags.aligned


def conv_gradients(x: Array, w: Array, rulebook: Rulebook, dy: Array, bias: bool
                   ) -> tuple[Array, Array, Array | None]:
    """Return the gradients (dx, dw, db) of Ops.conv; db is None unless `bias`."""
    return _core.conv_gradients(x, w, dy, rulebook.pairs, rulebook.T.pairs, bias, n_threads=threads())


def max_pool(x: Array, rulebook: Rulebook, ground: Array | None, slope: float) -> tuple[Array, Array]:
    """Return Ops.max_pool through a leaky ReLU of that slope."""
    is_open = None if ground is None else opened(rulebook)
    return _core.max_pool(x, rulebook.pairs, ground, is_open, slope, n_threads=threads())


def max_pool_dx(dy: Array, z: Array, winner: Array, n: int, rulebook: Rulebook, slope: float) -> tuple[Array, Array]:
    """Return Ops.max_pool_dx of a max-pooling through a leaky ReLU of that slope, which returned z."""
    return _core.max_pool_dx(dy, winner, n, rulebook.T.pairs, z, slope, n_threads=threads())


def opened(rulebook: Rulebook) -> Array:
    """Return (n_out,) uint8: 1 where the ground state competes."""
    # What is counted for many pairs is kept for the next pass; for few, keeping takes longer than counting.
    if rulebook.n_pairs <= FEW_PAIRS:
        return frozen.open_windows(rulebook.pairs, rulebook.volume)
    return open_windows(rulebook).view(np.uint8)
