"""One batch out of parts: tensors put side by side, and a builder that takes sites as they come."""

import numpy as np

from spconv_cy.autograd import Tensor
from spconv_cy.backend.switch import current, ops_of
from spconv_cy.checks import as_list, checked_flags, is_one_of
from spconv_cy.dlpack import as_numpy, without_mask
from spconv_cy.errors import ShapeError
from spconv_cy.functional.selection import active_of
from spconv_cy.sites.grid import Grid, as_sites, check_samples
from spconv_cy.sites.lattice import SITES, as_lattice, is_whole, per_axis
from spconv_cy.tensor import SparseTensor, checked_tensor


def collate(tensors):
    """Make one batch of several SparseTensors, their samples in turn; features and ground state are copied.

    Args:
        tensors: SparseTensors of one lattice, size, number of channels and ground state.

    Raises:
        ShapeError: none came, or they do not fit.
        GridError: more samples than a grid takes.

    >>> x = SparseTensor.from_sites([[0, 1]], [[1.0]], size=4)
    >>> collate([x, x]).sites.tolist()
    [[0, 1], [1, 1]]
    """
    alone = isinstance(tensors, SparseTensor)
    tensors = [tensors] if alone else as_list("collate", tensors, "a list of SparseTensors")
    for x in tensors:
        if not isinstance(x, SparseTensor):
            raise TypeError(f"collate: a {type(x).__name__} came; a list of SparseTensors fits")
    if not tensors:
        raise ShapeError("collate: no tensors came; at least one fits")
    if any(t is not None and t.requires_grad for x in tensors for t in (x.features, x.ground)):
        raise ShapeError("collate: tensors on the tape came, whose gradients a batch does not carry; collate what goes "
                         "into the network, or what came out of it inside no_grad()")
    first = tensors[0]
    for x in tensors[1:]:
        same_ground = (x.ground is None) == (first.ground is None) and (
            first.ground is None or np.array_equal(x.ground.numpy(), first.ground.numpy()))
        if (x.grid.lattice, x.grid.size, x.channels) != (first.grid.lattice, first.grid.size, first.channels) \
                or not same_ground:
            raise ShapeError(f"collate: {x} and {first} came; equal lattice, size, channels and ground state fit")
    samples = np.cumsum([0] + [x.grid.samples for x in tensors])
    check_samples("collate", int(samples[-1]))
    rows = np.cumsum([0] + [x.grid.n for x in tensors])
    sites = np.concatenate([x.sites for x in tensors])
    sites[:, 0] += np.repeat(samples[:-1], np.diff(rows)).astype(np.int32)
    grid = Grid(sites, first.grid.size, int(samples[-1]), first.grid.lattice)
    ops = ops_of(*(x.features.data for x in tensors))
    point_rows = None
    if all(x.point_rows is not None for x in tensors):
        point_rows = np.concatenate([x.point_rows + start for x, start in zip(tensors, rows[:-1], strict=True)])
    features = Tensor.of(ops.xp.concatenate([x.features.data for x in tensors]))
    ground = None if first.ground is None else Tensor.of(first.ground.data.copy())
    return SparseTensor(features, grid, ground, point_rows)


class BatchBuilder:
    """Take samples and their sites as they come; `tensor()` makes a SparseTensor of what is there.

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

    def __init__(self, lattice, channels, size=None, *, ground="zero"):
        if not is_whole(channels) or not 1 <= channels <= 2**20:
            raise ShapeError(f"BatchBuilder: channels {channels!r} came; a whole number from 1 up fits")
        self.lattice, self.channels, self.ground, self.samples = as_lattice(lattice), int(channels), ground, 0
        self.size = None if size is None else per_axis(size, self.lattice.d, "BatchBuilder size", 1)
        if not is_one_of(ground, ("zero", None)):
            raise ShapeError(f"BatchBuilder: ground {ground!r} came; 'zero' (an exact ground state) or None fits")
        self._n, self._sites = 0, [np.zeros((0, 1 + self.lattice.d), np.int32)]
        self._features, self._ranks = [current().on_host(np.zeros((0, self.channels)))], [np.zeros(0, np.int64)]

    def add_sample(self):
        """Begin a sample, to which all that follows belongs, and return its batch index; it may stay empty."""
        self.samples += 1
        return self.samples - 1

    def set_site(self, site, features, *, overwrite=True):
        """Give a site (d,) of the sample its features (c,); one that has some keeps them where overwrite is False."""
        self.set_sites([site], [features], overwrite=overwrite)

    def set_sites(self, sites, features, *, overwrite=True):
        """Give sites of the sample their features, in turn.

        Args:
            sites: (n, d) integers.
            features: (n, c).
            overwrite: whether a site that has features already gets these instead.

        Raises:
            ShapeError: no sample has begun; shapes or dtypes that do not fit.
            GridError: a site outside the size.
        """
        if not self.samples:
            raise ShapeError("set_sites: no sample has begun; call add_sample() first")
        without_mask(sites, "set_sites")
        try:
            given = np.asarray(as_numpy(sites))
        except ValueError:
            given = np.asarray(None)
        if given.ndim != 2 or given.shape[1] != self.lattice.d:
            raise ShapeError(f"set_sites: sites {given.shape} came; (n, {self.lattice.d}) fit, without a batch index")
        sites = as_sites(np.insert(given, 0, 0, axis=1))
        sites[:, 0] = self.samples - 1
        self._put("set_sites", sites, features, overwrite, self.samples)

    def add_dense(self, dense, offset=0, threshold=0.0):
        """Add a sample of a dense array, and return its batch index.

        Args:
            dense: (c, *size); sites are active where any channel is larger than `threshold` in size.
            offset: an int or d ints, the site of the array's first element.
            threshold: a number from 0 up.

        Raises:
            ShapeError, GridError: as for set_sites.
        """
        return self._append("add_dense", *active_of(current().on_host(dense)[None], threshold), 1, offset)

    def add_tensor(self, x, offset=0):
        """Add the samples of a SparseTensor, its sites moved by an offset, and return the batch index of the first.

        Args:
            x: SparseTensor of this dimension and number of channels; of its ground state nothing is taken.
            offset: an int or d ints.

        Raises:
            ShapeError, GridError: as for set_sites.
        """
        checked_tensor("add_tensor", x)
        if x.grid.lattice != self.lattice:
            raise ShapeError(f"add_tensor: {x} on {x.grid.lattice} came; {self.lattice} fits")
        return self._append("add_tensor", x.sites, x.features.numpy(), x.grid.samples, offset)

    def tensor(self):
        """Return the SparseTensor of all that came; its point_rows are the rows of the sites in the order they came."""
        ranks = np.concatenate(self._ranks)
        order = np.argsort(ranks)
        sites, features = np.concatenate(self._sites)[order], np.concatenate(self._features)[order]
        x = SparseTensor.from_sites(sites, features, self.size, self.samples, ground=self.ground, reduce="last",
                                    lattice=self.lattice)
        rows = np.empty_like(x.point_rows)
        rows[order] = x.point_rows
        return SparseTensor(x.features, x.grid, x.ground, rows)

    def _append(self, who, sites, features, samples, offset):
        if sites.shape[1] != 1 + self.lattice.d:
            raise ShapeError(f"{who}: sites of dimension {sites.shape[1] - 1} came; dimension {self.lattice.d} fits")
        offset = per_axis(offset, self.lattice.d, f"{who} offset", None, SITES)
        sites = as_sites(sites.astype(np.int64) + (self.samples, *offset))
        self._put(who, sites, features, True, self.samples + samples)
        self.samples += samples
        return self.samples - samples

    def _put(self, who, sites, features, overwrite, samples):
        checked_flags(who, overwrite=overwrite)
        features = np.array(current().on_host(features))                 # kept here until tensor() is called
        if features.shape != (len(sites), self.channels):
            raise ShapeError(f"{who}: features {features.shape} came with {len(sites)} sites; "
                             f"{(len(sites), self.channels)} fit")
        Grid.arrange(sites, self.size, samples, self.lattice)            # refuses what lies outside, here and now
        # What counts at a site is the highest rank: the last that overwrites, or where none does the first.
        places = np.arange(self._n, self._n + len(sites))
        self._n += len(sites)
        self._ranks.append(places if overwrite else -1 - places)
        self._sites.append(sites)
        self._features.append(features)

    def __repr__(self):
        return f"BatchBuilder({self.lattice}, {self.samples} samples, {self.channels} channels, size {self.size})"
