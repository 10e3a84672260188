"""Features of given sites as rows of a grid: duplicates are refused or merged."""

import numpy as np

from spconv_cy.autograd import Tensor
from spconv_cy.backend.numbers import own
from spconv_cy.backend.ops import Ops
from spconv_cy.backend.switch import current, ops_of
from spconv_cy.checks import is_one_of
from spconv_cy.errors import GridError, ShapeError, expected
from spconv_cy.functional.dense import as_tensor, copy
from spconv_cy.functional.selection import REDUCTIONS, merge
from spconv_cy.functional.sparse import gather
from spconv_cy.sites import Grid, Lattice
from spconv_cy.sites.points import floored, inside
from spconv_cy.types import Array, ArrayLike, PerAxis

OUTSIDE = ("error", "drop")


def arranged(sites: ArrayLike, features: Tensor | ArrayLike, size: PerAxis | None, samples: int | None,
             ground: str | None, reduce: str, lattice: Lattice | None) -> tuple[Tensor, Grid, Tensor | None, Array]:
    """Return (features, grid, ground state, row of each site); the arguments are those of SparseTensor.from_sites."""
    if not is_one_of(reduce, REDUCTIONS):
        raise ShapeError(expected("from_sites", f"reduce to be one of {', '.join(map(repr, REDUCTIONS))}",
                                  repr(reduce)))
    grid, rows = Grid.arrange(sites, size, samples, lattice)
    if reduce == "error" and grid.n != len(rows):
        raise GridError(expected("from_sites", "distinct sites", f"{len(rows) - grid.n} duplicates among {len(rows)}",
                                 "remove them, or merge their features with reduce='sum', 'mean', 'max', 'first' or "
                                 "'last'"))
    ops = ops_of(features.data) if isinstance(features, Tensor) else current()
    given, wanted = _checked_features(features, len(rows)), features
    merged = merge(given, rows, grid.n, reduce)
    if merged is given:                                                  # in order already, and not copied yet
        merged = copy(given) if given is wanted else Tensor.of(own(given.data, wanted))
    return merged, grid, _ground_of(ground, given, ops), rows


def placed(points: ArrayLike, features: Tensor | ArrayLike, cell: ArrayLike, size: PerAxis | None,
           samples: int | None, ground: str | None, reduce: str, lattice: Lattice | None, *, outside: str
           ) -> tuple[Tensor, Grid, Tensor | None, Array]:
    """Return the same of points (n, 1+d); a point outside the size has the row -1 if `outside` is "drop"."""
    if not is_one_of(outside, OUTSIDE) or outside is None:
        raise ShapeError(expected("from_points", "outside to be 'error' or 'drop'", repr(outside)))
    if outside == "error":
        return arranged(floored(points, cell, lattice), features, size, samples, ground, reduce, lattice)
    found = inside(points, cell, size, samples, lattice)
    given = _checked_features(features, found.n)
    merged, grid, row, rows = arranged(found.sites, gather(given, found.points), size, found.samples, ground, reduce,
                                       lattice)
    every = np.full(found.n, -1, np.int32)
    every[found.points] = rows
    return merged, grid, row, every


def _checked_features(features: Tensor | ArrayLike, n: int) -> Tensor:
    found = as_tensor(features)
    if found.data.ndim != 2 or len(found) != n:
        raise ShapeError(expected("features", f"shape ({n}, channels), a row for each site", found.shape,
                                  "use features[:, None] for one channel" if found.data.ndim == 1 else ""))
    return found


def _ground_of(ground: str | None, features: Tensor, ops: Ops) -> Tensor | None:
    if ground is None:
        return None
    if isinstance(ground, str) and ground == "zero":
        return Tensor.of(ops.xp.zeros((1, features.shape[1]), features.dtype))
    raise ShapeError(expected("from_sites", "ground to be 'zero' (an exact ground state) or None", repr(ground)))


def read_only(rows: Array | None) -> Array | None:
    """Return a view of an array that cannot be written, None for None.

    Layers that keep the sites share the same rows: writing into those of one tensor would change them all.
    """
    if not isinstance(rows, np.ndarray) or not rows.flags.writeable:
        return rows
    rows = rows.view()
    rows.flags.writeable = False
    return rows
