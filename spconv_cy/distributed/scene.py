"""One scene that is too large for one memory: each rank has the sites between two cuts, and layers run as usual."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spconv_cy.arguments import known_arguments
from spconv_cy.backend.switch import ops_of, watch, watchers
from spconv_cy.checks import as_array, checked_integers, kind_of
from spconv_cy.distributed.ranks import Ranks, world
from spconv_cy.distributed.scene_grid import SceneGrid
from spconv_cy.distributed.scene_ops import SceneOps
from spconv_cy.errors import BackendError, GridError, ShapeError, expected
from spconv_cy.sites import Grid
from spconv_cy.tensor import SparseTensor, Tensor
from spconv_cy.types import Array, ArrayLike

MOST_EVEN = 1.05                        # sites of the fullest rank, as a multiple of the least that whole slabs allow


class Kind(NamedTuple):
    """What all ranks' parts of a scene must have in common."""

    d: int
    size: tuple[int, ...] | None
    lattice: Any
    channels: int
    dtype: str
    ground: bytes | None
    others: tuple[tuple[Any, ...], ...]


@known_arguments
def scatter(x: SparseTensor | None, *others: ArrayLike, ranks: Ranks | None = None, axis: int = 0,
            multiple: int = 32) -> Any:
    """Return this rank's part of one scene, a SparseTensor that the usual layers take.

    The scene is the sites of all ranks' x together. It is cut into as many slabs along one axis as there are ranks,
    with about equally many sites, and each rank gets the sites in its slab. Layers exchange the rows at the cuts,
    forward and backward, and sum over the rows of all ranks: batch normalisation, losses and the gradients of
    parameters are those of the whole scene, and equal on every rank. An optimiser is used as on one process, not in
    `Averaged`.

    All ranks must call the same layers in the same order. Layers that need whole samples raise an error.

    Args:
        x: SparseTensor of any of the scene's sites, no site on two ranks: each rank reads its own part of a file, or
            one rank has all. None: no sites; the others are left out too.
        others: arrays (n, ...) with a row for each of `x.sites`, such as labels; they go where the sites go.
        ranks: Ranks; None: all processes of this run.
        axis: the coordinate along which the scene is cut, from 0.
        multiple: cuts are at multiples of a power of 2, up to this one if the slabs are even enough then. If it is the
            product of the network's strides or more, strided windows of adjacent cells need no exchange.

    Returns:
        SparseTensor, and the others as arrays, if any rank gave some. `x.features` is a leaf of the tape, and its
        `requires_grad` that of the given features.

    Raises:
        TypeError: x is no SparseTensor.
        ShapeError: the ranks' parts do not fit each other; the axis is not one.
        GridError: a site on two ranks.
        BackendError: arrays on a GPU.

    >>> x = SparseTensor.from_sites([[0, 3, 1], [0, 0, 2]], [[1.0], [2.0]], ground=None)
    >>> part, labels = scatter(x, [7, 8])
    >>> part.sites.tolist(), labels.tolist()
    ([[0, 0, 2], [0, 3, 1]], [7, 8])
    """
    ranks = world() if ranks is None else ranks
    checked_integers("scatter", 1, multiple=multiple)
    arrays = _checked(x, others)
    kind = _agreed(ranks, x, arrays)
    if not 0 <= axis < kind.d:
        raise ShapeError(expected("scatter", f"axis from 0 to {kind.d - 1}", repr(axis)))
    sites, arrays = _given(x, arrays, kind)
    samples = max(ranks.gather(0 if x is None else x.grid.samples))
    cuts = _cuts(ranks, sites[:, 1 + axis], int(multiple))
    sites, *arrays = _dealt(ranks, cuts, sites[:, 1 + axis], [sites, *arrays])
    own, (features, *arrays) = _arranged(sites, arrays, kind.size, samples, kind.lattice)
    _check_distinct(ranks, len(sites) - own.n)
    grid = SceneGrid.of(ranks, cuts, axis, own)
    needs = any(ranks.gather(x is not None and x.features.requires_grad))
    ground = None if kind.ground is None else Tensor.of(np.frombuffer(kind.ground, kind.dtype)[None].copy())
    watchers[:] = [watch]
    ops = SceneOps(ops_of(features), ranks)
    made = SparseTensor(Tensor.leaf(ops.part(features, grid.place.n_all), needs), grid, ground)
    return (made, *arrays) if arrays else made


@known_arguments
def gather(x: SparseTensor, *others: ArrayLike) -> Any:
    """Return the whole scene as a SparseTensor on rank 0, in canonical order; None on the other ranks.

    All ranks must call it. There are no gradients through it.

    Args:
        x: this rank's part, as scatter and layers make it.
        others: arrays (n, ...) with a row for each of `x.sites`, such as predictions, or `x.features.grad`.

    Returns:
        SparseTensor, or (SparseTensor, *arrays) with others; on other ranks None, or a tuple of them.

    Raises:
        TypeError: x is not part of a scene.
        ShapeError: arrays with another number of rows.
    """
    if not isinstance(x, SparseTensor) or not isinstance(x.grid, SceneGrid):
        raise TypeError(expected("gather", "a SparseTensor that scatter or a layer made of its result", kind_of(x)))
    ranks, grid = x.grid.place.ranks, x.grid
    arrays = [x.sites, x.features.numpy(), *_checked(x, others)[1:]]
    found = [_to_first(ranks, array) for array in arrays]
    if not ranks.first:
        return (None,) * (1 + len(others)) if others else None
    own, (features, *rest) = _arranged(found[0], found[1:], grid.size, grid.samples, grid.lattice)
    ground = None if x.ground is None else Tensor.of(x.ground.numpy())
    whole = SparseTensor(Tensor.of(features), own, ground)
    return (whole, *rest) if others else whole


def _checked(x: SparseTensor | None, others: tuple[ArrayLike, ...]) -> list[Array]:
    """Return the features and the other arrays, plain."""
    if x is None:
        if others:
            raise TypeError(expected("scatter", "no other arrays without a SparseTensor", f"{len(others)} arrays"))
        return []
    if not isinstance(x, SparseTensor):
        raise TypeError(expected("scatter", "a SparseTensor or None", kind_of(x)))
    features = x.features.data
    if not isinstance(features, np.ndarray):
        raise BackendError(expected("scatter", "features of numpy", kind_of(features), 'use x.to("cpu")'))
    arrays = [np.asarray(features), *(np.asarray(as_array("scatter: others", other)) for other in others)]
    for array in arrays:
        if array.shape[:1] != (x.grid.n,):
            raise ShapeError(expected("scatter", f"arrays with {x.grid.n} rows, one for each site", array.shape))
    return arrays


def _agreed(ranks: Ranks, x: SparseTensor | None, arrays: list[Array]) -> Kind:
    """Return the Kind of all parts, from the first rank that has one."""
    mine = None
    if x is not None:
        ground = None if x.ground is None else np.asarray(x.ground.numpy()).tobytes()
        mine = Kind(x.grid.d, x.grid.size, x.grid.lattice, x.channels, str(x.features.dtype), ground,
                    tuple((str(array.dtype), array.shape[1:]) for array in arrays[1:]))
    found = [(rank, kind) for rank, kind in enumerate(ranks.gather(mine)) if kind is not None]
    if not found:
        raise ShapeError(expected("scatter", "a SparseTensor on at least one rank", "None on all"))
    for rank, kind in found:
        if kind != found[0][1]:
            raise ShapeError(expected("scatter", f"parts that fit each other, on rank {found[0][0]} {found[0][1]}",
                                      f"{kind} on rank {rank}", "give all the same size, channels, dtype and others"))
    agreed: Kind = found[0][1]
    return agreed


def _given(x: SparseTensor | None, arrays: list[Array], kind: Kind) -> tuple[NDArray[np.int32], list[Array]]:
    """Return this rank's sites and arrays, empty ones for None."""
    if x is not None:
        return x.grid.sites, arrays
    return (np.empty((0, 1 + kind.d), np.int32),
            [np.empty((0, kind.channels), kind.dtype),
             *(np.empty((0, *shape), dtype) for dtype, shape in kind.others)])


def _arranged(sites: Array, arrays: list[Array], size: tuple[int, ...] | None, samples: int, lattice: Any
              ) -> tuple[Grid, list[Array]]:
    """Return the Grid of sites, and the rows of arrays in its order."""
    grid, rows = Grid.arrange(sites, size, samples, lattice)
    order = np.argsort(rows, kind="stable")
    return grid, [np.ascontiguousarray(array[order]) for array in arrays]


def _cuts(ranks: Ranks, along: Array, multiple: int) -> tuple[int, ...]:
    """Return size - 1 ascending coordinates between which the ranks have about equally many sites.

    They are multiples of the largest power of 2 that leaves the slabs even enough.
    """
    values, counts = np.unique(along, return_counts=True)
    parts = ranks.gather((values, counts))
    values, places = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    counts = np.bincount(places, np.concatenate([part[1] for part in parts]), len(values))
    step, best = 1, _cut_at(values, counts, ranks.size, 1)
    least = _fullest(values, counts, best)
    while 2 * step <= multiple:
        step *= 2
        cuts = _cut_at(values, counts, ranks.size, step)
        if _fullest(values, counts, cuts) <= MOST_EVEN * least:
            best = cuts
    return best


def _cut_at(values: Array, counts: Array, size: int, step: int) -> tuple[int, ...]:
    if not len(values):
        return (0,) * (size - 1)
    slabs, places = np.unique(values // step, return_inverse=True)
    before = np.concatenate([[0], np.cumsum(np.bincount(places, counts))])
    ends = np.append(slabs, slabs[-1] + 1) * step
    chosen = [int(np.abs(before - before[-1] * rank / size).argmin()) for rank in range(1, size)]
    return tuple(int(ends[i]) for i in np.maximum.accumulate(chosen))


def _fullest(values: Array, counts: Array, cuts: tuple[int, ...]) -> float:
    held = np.bincount(np.searchsorted(cuts, values, "right"), counts, len(cuts) + 1)
    return float(held.max())


def _dealt(ranks: Ranks, cuts: tuple[int, ...], along: Array, arrays: list[Array]) -> list[Array]:
    """Return the rows of arrays that lie in this rank's slab, from the ranks in their order."""
    owner = np.searchsorted(np.array(cuts, np.int64), along, "right")
    rows = [np.flatnonzero(owner == rank) for rank in range(ranks.size)]
    counts = np.array(ranks.gather([len(r) for r in rows]))[:, ranks.rank]
    found = []
    for array in arrays:
        received = {rank: np.empty((int(counts[rank]), *array.shape[1:]), array.dtype)
                    for rank in range(ranks.size) if rank != ranks.rank and counts[rank]}
        ranks.exchange({rank: np.ascontiguousarray(array[rows[rank]]) for rank in range(ranks.size)
                        if rank != ranks.rank and len(rows[rank])}, received)
        received[ranks.rank] = array[rows[ranks.rank]]
        found.append(np.concatenate([received[rank] for rank in sorted(received)]))
    return found


def _check_distinct(ranks: Ranks, lost: int) -> None:
    lost = sum(ranks.gather(lost))
    if lost:
        raise GridError(expected("scatter", "each site on one rank", f"{lost} that are on two or more", "give each "
                                 "rank a part of its own, or None to all ranks but one"))


def _to_first(ranks: Ranks, array: Array) -> Array:
    """Return the arrays of all ranks, joined in their order, on rank 0."""
    array = np.ascontiguousarray(array)
    counts = ranks.gather(len(array))
    received = {rank: np.empty((n, *array.shape[1:]), array.dtype) for rank, n in enumerate(counts) if rank and n}
    if ranks.size > 1:
        ranks.exchange({} if ranks.first or not len(array) else {0: array}, received if ranks.first else {})
    return np.concatenate([array, *received.values()]) if ranks.first else array
