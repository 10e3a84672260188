"""Batches from parts: `collate` joins tensors, and BatchBuilder takes samples one after the other."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.backend.switch import current, ops_of
from spconv_cy.checks import as_list, checked_flags, checked_integers, is_one_of, kind_of
from spconv_cy.dlpack import as_numpy, without_mask
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.selection import active_of
from spconv_cy.sites.grid import Grid, as_sites, check_samples
from spconv_cy.sites.lattice import SITES, Lattice, as_lattice, per_axis
from spconv_cy.tensor import SparseTensor, Tensor, checked_tensor
from spconv_cy.types import Array, ArrayLike, PerAxis


@known_arguments
def collate(tensors: SparseTensor | Iterable[SparseTensor]) -> SparseTensor:
    """Return one batch of several SparseTensors, their samples one after the other; all is copied.

    Args:
        tensors: SparseTensors of one lattice, size, number of channels and ground state.

    Raises:
        ShapeError: there are no tensors, or they do not fit each other.
        GridError: more samples than a grid can have.

    >>> x = SparseTensor.from_sites([[0, 1]], [[1.0]], size=4)
    >>> collate([x, x]).sites.tolist()
    [[0, 1], [1, 1]]
    """
    parts = _checked_parts(tensors)
    first = parts[0]
    samples = np.cumsum([0] + [x.grid.samples for x in parts])
    check_samples("collate", int(samples[-1]))
    rows = np.cumsum([0] + [x.grid.n for x in parts])
    sites = np.concatenate([x.sites for x in parts])
    sites[:, 0] += np.repeat(samples[:-1], np.diff(rows)).astype(np.int32)
    grid = Grid(sites, first.grid.size, int(samples[-1]), first.grid.lattice)
    ops = ops_of(*(x.features.data for x in parts))
    found = [np.where(x.point_rows < 0, -1, x.point_rows + start).astype(np.int32)
             for x, start in zip(parts, rows[:-1], strict=True) if x.point_rows is not None]
    point_rows = np.concatenate(found) if len(found) == len(parts) else None
    features = Tensor.of(ops.xp.concatenate([x.features.data for x in parts]))
    ground = None if first.ground is None else Tensor.of(first.ground.data.copy())
    return SparseTensor(features, grid, ground, point_rows)


def _checked_parts(tensors: SparseTensor | Iterable[SparseTensor]) -> list[SparseTensor]:
    alone = isinstance(tensors, SparseTensor)
    parts: list[Any] = [tensors] if alone else as_list("collate", tensors, "a list of SparseTensors")
    for x in parts:
        if not isinstance(x, SparseTensor):
            raise TypeError(expected("collate", "a list of SparseTensors", kind_of(x)))
    if not parts:
        raise ShapeError(expected("collate", "at least one SparseTensor", "none"))
    if any(t is not None and t.requires_grad for x in parts for t in (x.features, x.ground)):
        raise ShapeError(expected("collate", "tensors without gradients, which a batch cannot keep",
                                  "tensors that need gradients",
                                  "collate the input of the network, or its output inside no_grad()"))
    first = parts[0]
    ground = None if first.ground is None else first.ground.numpy()
    kind = (first.grid.lattice, first.grid.size, first.features.data.shape[1])
    for x in parts[1:]:
        if (x.grid.lattice, x.grid.size, x.features.data.shape[1]) != kind or not _is_ground(x.ground, ground):
            raise ShapeError(expected("collate", "tensors with the same lattice, size, channels and ground state",
                                      f"{x} and {first}"))
    return parts


def _is_ground(found: Tensor | None, ground: Array | None) -> bool:
    if found is None or ground is None:
        return found is None and ground is None
    return bool((found.numpy() == ground).all())


@known_arguments
class BatchBuilder:
    """A batch to which samples and sites are added; `tensor()` returns it as a SparseTensor.

    Args:
        lattice: Lattice, or the dimension of the cubic one.
        channels: number of channels.
        size: an int or d ints, the field; None: unbounded.
        ground: "zero" or None, as for SparseTensor.from_sites.

    Source: SparseConvNet's InputBatch.

    >>> builder = BatchBuilder(2, 1, size=(4, 4))
    >>> builder.add_sample()
    0
    >>> builder.set_sites([[3, 1], [0, 2]], [[1.0], [2.0]])
    >>> builder.set_site([3, 1], [5.0])
    >>> builder.tensor().sites.tolist(), builder.tensor().features.data.tolist()
    ([[0, 0, 2], [0, 3, 1]], [[2.0], [5.0]])
    """

    def __init__(self, lattice: Lattice | int, channels: int, size: PerAxis | None = None, *,
                 ground: str | None = "zero") -> None:
        checked_integers("BatchBuilder", 1, 2**20, channels=channels)
        self.lattice, self.channels, self.ground, self.samples = as_lattice(lattice), int(channels), ground, 0
        self.size = None if size is None else per_axis(size, self.lattice.d, "BatchBuilder size", 1)
        if not is_one_of(ground, ("zero", None)):
            raise ShapeError(expected("BatchBuilder", "ground to be 'zero' (an exact ground state) or None",
                                      repr(ground)))
        self._n, self._sites = 0, [np.zeros((0, 1 + self.lattice.d), np.int32)]
        self._features, self._ranks = [current().on_host(np.zeros((0, self.channels)))], [np.zeros(0, np.int64)]

    def add_sample(self) -> int:
        """Begin a sample and return its batch index; the sites that are set from now on belong to it."""
        self.samples += 1
        return self.samples - 1

    def set_site(self, site: ArrayLike, features: ArrayLike, *, overwrite: bool = True) -> None:
        """Set the features (c,) of one site (d,) of the sample; see set_sites."""
        sites, rows = [site], [features]
        self.set_sites(sites, rows, overwrite=overwrite)                 # type: ignore[arg-type]

    def set_sites(self, sites: ArrayLike, features: ArrayLike, *, overwrite: bool = True) -> None:
        """Set the features of sites of the sample, one after the other.

        Args:
            sites: (n, d) integers.
            features: (n, c).
            overwrite: True: the new features replace those that a site already has; False: it keeps them.

        Raises:
            ShapeError: there is no sample yet; shapes or dtypes that do not fit.
            GridError: a site outside the size.
        """
        if not self.samples:
            raise ShapeError(expected("set_sites", "a sample", "none yet", "call add_sample() first"))
        without_mask(sites, "set_sites")
        try:
            given = np.asarray(as_numpy(sites))
        except ValueError:
            given = np.asarray(None)
        if given.ndim != 2 or given.shape[1] != self.lattice.d:
            raise ShapeError(expected("set_sites", f"sites (n, {self.lattice.d}), without a batch index", given.shape))
        indexed = as_sites(np.insert(given, 0, 0, axis=1))
        indexed[:, 0] = self.samples - 1
        self._put("set_sites", indexed, features, overwrite, self.samples)

    def add_dense(self, dense: ArrayLike, offset: PerAxis = 0, threshold: float = 0.0) -> int:
        """Add a sample from a dense array and return its batch index.

        Args:
            dense: (c, *size); a site is active if any |channel| > threshold.
            offset: an int or d ints, the site of the array's first element.
            threshold: a number from 0 up.

        Raises:
            ShapeError, GridError: as for set_sites.
        """
        sites, features = active_of(current().on_host(dense)[None], threshold)
        return self._append("add_dense", sites, features, 1, offset)

    def add_tensor(self, x: SparseTensor, offset: PerAxis = 0) -> int:
        """Add the samples of a SparseTensor, moved by an offset, and return the batch index of the first.

        Args:
            x: SparseTensor of this lattice and number of channels; its ground state is not used.
            offset: an int or d ints.

        Raises:
            ShapeError, GridError: as for set_sites.
        """
        checked_tensor("add_tensor", x)
        if x.grid.lattice != self.lattice:
            raise ShapeError(expected("add_tensor", f"a tensor on {self.lattice}", f"{x} on {x.grid.lattice}"))
        return self._append("add_tensor", x.sites, x.features.numpy(), x.grid.samples, offset)

    def tensor(self) -> SparseTensor:
        """Return the batch as a SparseTensor; its point_rows are the rows of the sites in the order they were given."""
        ranks = np.concatenate(self._ranks)
        order = np.argsort(ranks)
        sites, features = np.concatenate(self._sites)[order], np.concatenate(self._features)[order]
        x = SparseTensor.from_sites(sites, features, self.size, self.samples, ground=self.ground, reduce="last",
                                    lattice=self.lattice)
        rows = np.empty(len(order), np.int32)
        rows[order] = np.asarray(x.point_rows)
        return SparseTensor(x.features, x.grid, x.ground, rows)

    def _append(self, who: str, sites: Array, features: Array, samples: int, offset: PerAxis) -> int:
        if sites.shape[1] != 1 + self.lattice.d:
            raise ShapeError(expected(who, f"sites of dimension {self.lattice.d}", sites.shape[1] - 1))
        moved_by = per_axis(offset, self.lattice.d, f"{who} offset", None, SITES)
        moved = as_sites(sites.astype(np.int64) + (self.samples, *moved_by))
        self._put(who, moved, features, True, self.samples + samples)
        self.samples += samples
        return self.samples - samples

    def _put(self, who: str, sites: Array, features: ArrayLike, overwrite: bool, samples: int) -> None:
        checked_flags(who, overwrite=overwrite)
        kept = np.array(current().on_host(features))                     # until tensor() is called
        if kept.shape != (len(sites), self.channels):
            raise ShapeError(expected(who, f"features {(len(sites), self.channels)} for {len(sites)} sites",
                                      kept.shape))
        Grid.arrange(sites, self.size, samples, self.lattice)            # raises at once if sites lie outside
        # The entry of a site with the highest rank counts: the last one that overwrites, otherwise the first.
        places = np.arange(self._n, self._n + len(sites))
        self._n += len(sites)
        self._ranks.append(places if overwrite else -1 - places)
        self._sites.append(sites)
        self._features.append(kept)

    def __repr__(self) -> str:
        return f"BatchBuilder({self.lattice}, {self.samples} samples, {self.channels} channels, size {self.size})"
