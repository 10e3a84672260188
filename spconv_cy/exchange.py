"""Sparse tensors from and to what others hold: padded batches, scipy's matrices, COO arrays."""

from collections import namedtuple

import numpy as np

from spconv_cy.backend.host import hosted
from spconv_cy.backend.switch import current
from spconv_cy.checks import as_array, as_list
from spconv_cy.dlpack import as_numpy
from spconv_cy.errors import ShapeError
from spconv_cy.functional.dense import as_tensor, reshape
from spconv_cy.functional.selection import kept_rows, look_up
from spconv_cy.functional.sparse import gather
from spconv_cy.sites.grid import Grid
from spconv_cy.sites.lattice import is_whole
from spconv_cy.tensor import SparseTensor, checked_tensor

EMPTY = -1
Padded = namedtuple("Padded", "tensor rows")
Coo = namedtuple("Coo", "coords data shape")


def from_padded(sites, features, size=None, lengths=None, *, ground="zero", reduce="error", lattice=None):
    """Make a tensor of a padded batch: of each sample a list of sites of the same length, the rest left empty.

    Args:
        sites: (b, l, d) integers; a site is empty where all its coordinates are -1, or where lengths say so.
        features: (b, l, c), an array or a Tensor; copied.
        size, ground, reduce, lattice: as for SparseTensor.from_sites.
        lengths: (b,) ints, the first so many sites of a sample are there; then a -1 is a coordinate like any other.

    Returns:
        Padded(tensor, rows): rows (b, l) int32 are the rows of the sites, -1 where empty; `to_padded(y, rows)` goes
        back with them. The tensor's point_rows are those of the sites that are not empty.

    Raises:
        ShapeError, GridError: as from_sites; lengths that do not fit.

    Source: SparseConvNet's BLInputLayer.

    >>> x, rows = from_padded([[[2], [0]], [[1], [-1]]], [[[1.0], [2.0]], [[3.0], [0.0]]], size=4)
    >>> x.sites.tolist(), rows.tolist()
    ([[0, 0], [0, 2], [1, 1]], [[1, 0], [2, -1]])
    """
    sites, features = as_array("from_padded: sites", as_numpy(sites, "from_padded")), as_tensor(features)
    fits = sites.ndim == features.data.ndim == 3 and sites.shape[:2] == features.shape[:2] and sites.shape[2]
    if not fits or sites.dtype.kind not in "iu":
        raise ShapeError(f"from_padded: sites {sites.shape} of {sites.dtype} and features {features.shape} came; "
                         "integers (b, l, d) and numbers (b, l, c) fit")
    b, l, _ = sites.shape
    there = ~(sites == EMPTY).all(2) if lengths is None else np.arange(l) < _checked_lengths(lengths, b, l)[:, None]
    points = np.flatnonzero(there)
    samples = np.broadcast_to(np.arange(b)[:, None], (b, l))
    places = sites[there]
    if places.dtype == np.uint64:                                        # beside the samples they would become floats
        places = np.minimum(places, 2**62).astype(np.int64)
    listed = np.column_stack([samples[there], places])
    given = gather(reshape(features, (b * l, features.shape[2])), points)
    x = SparseTensor.from_sites(listed, given, size, b, ground=ground, reduce=reduce, lattice=lattice)
    rows = np.full((b, l), EMPTY, np.int32)
    rows[there] = x.point_rows
    return Padded(x, rows)


def to_padded(x, rows=None, *, kept="all"):
    """Return (sites, features) of a tensor as a padded batch; what is empty has sites of -1 and features of zero.

    Args:
        x: SparseTensor.
        rows: (b, l) ints, the row of each place, -1: empty, as from_padded gave them; by default each sample's rows in
            their order, l the most that a sample has.
        kept: "all": each place has the features of its row; "first" or "last": of the places that share a row only the
            first or last one has them, as after that reduce; the others have zeros.

    Returns:
        sites (b, l, d) int32 and features, a Tensor (b, l, c) with gradients to those of x.

    Raises:
        ShapeError: rows that do not fit; another `kept`.

    Source: SparseConvNet's BLOutputLayer.
    """
    checked_tensor("to_padded", x)
    rows = _listed(x.grid.batch_starts) if rows is None else as_array("to_padded: rows", rows)
    if rows.shape[:-1] != (x.grid.samples,) or rows.dtype.kind not in "iu" \
            or (rows.size and not -1 <= rows.min() <= rows.max() < x.grid.n):
        raise ShapeError(f"to_padded: rows {rows.shape} of {rows.dtype} came; ({x.grid.samples}, l) rows -1 to "
                         f"{x.grid.n - 1} fit")
    there = rows >= 0
    sites, wanted = np.full((*rows.shape, x.grid.d), EMPTY, np.int32), np.full(rows.shape, EMPTY, np.int64)
    sites[there] = x.sites[rows[there], 1:]
    wanted[there] = kept_rows(rows[there], x.grid.n, kept)
    return sites, reshape(look_up(x.features, None, wanted.reshape(-1)), (*rows.shape, x.channels))


def from_scipy(matrices, *, ground="zero", lattice=None):
    """Make a tensor of one channel of scipy.sparse matrices: each is a sample, each stored entry an active site.

    Args:
        matrices: a matrix or array of scipy.sparse of any format, or a list of them of equal shape (h, w). An entry
            that is stored twice counts as the sum, as scipy has it; a stored zero is an active site.
        ground, lattice: as for SparseTensor.from_sites.

    Raises:
        ShapeError: something else, or shapes that differ.

    >>> import scipy.sparse
    >>> x = from_scipy(scipy.sparse.eye(3))
    >>> x.sites.tolist(), x.grid.size
    ([[0, 0, 0], [0, 1, 1], [0, 2, 2]], (3, 3))
    """
    matrices = list(matrices) if isinstance(matrices, (list, tuple)) else [matrices]
    shapes = {getattr(matrix, "shape", None) for matrix in matrices if hasattr(matrix, "tocoo")}
    if len(shapes) != 1 or not all(hasattr(matrix, "tocoo") for matrix in matrices) or len(*shapes) != 2:
        raise ShapeError(f"from_scipy: {', '.join(map(_named, matrices)) or 'no matrix'} came; a scipy.sparse matrix, "
                         "or a list of them of one shape (h, w), fits")
    entries = [matrix.tocoo() for matrix in matrices]
    sites = [np.column_stack([np.full(len(entry.data), i), hosted(entry.row), hosted(entry.col)])
             for i, entry in enumerate(entries)]
    values = np.concatenate([hosted(entry.data) for entry in entries])
    return SparseTensor.from_sites(np.concatenate(sites), values[:, None], *shapes, len(entries), ground=ground,
                                   reduce="sum", lattice=lattice)


def to_scipy(x):
    """Return a list of scipy.sparse.coo_array (h, w), one for each sample; explicit zeros stay.

    Args:
        x: SparseTensor of one channel on a sized grid of dimension 2, its ground state zero or None.

    Raises:
        ShapeError: another tensor.
    """
    from scipy.sparse import coo_array

    _check_zero_elsewhere("to_scipy", x)
    if x.grid.d != 2 or x.channels != 1:
        raise ShapeError(f"to_scipy: {x} of dimension {x.grid.d} came; one channel in dimension 2 fits, and to_coo "
                         "takes any")
    values = x.features.numpy()[:, 0]
    samples = zip(x.grid.batch_starts[:-1], x.grid.batch_starts[1:], strict=True)
    return [coo_array((values[low:high], tuple(x.sites[low:high, 1:].T)), shape=x.grid.size) for low, high in samples]


def from_coo(array, d=None, *, ground="zero", lattice=None):
    """Make a tensor of a COO array, as of pydata/sparse: where an entry is stored, in any channel, a site is active.

    Args:
        array: object with `coords` (axes, entries), `data` (entries,) and `shape`, of layout (b, c, *size), or
            (b, *size) or (*size) where d says so. An entry that is stored twice counts as the sum.
        d: dimension, the number of last axes that are coordinates; by default all but two.
        ground, lattice: as for SparseTensor.from_sites.

    Returns:
        SparseTensor; its point_rows are the rows of the entries.

    Raises:
        ShapeError: an array that does not fit, or one whose fill_value is not 0.
    """
    coords, data, shape = _checked_coo(array)
    d = len(shape) - 2 if d is None else d
    if not is_whole(d) or not max(1, len(shape) - 2) <= d <= len(shape):
        raise ShapeError(f"from_coo: shape {shape} and d {d!r} came; (b, c, *size), (b, *size) or (*size) fits, where "
                         "d is the number of its coordinates")
    while len(shape) < d + 2:                                            # the batch, then the channels
        at = len(shape) - d
        coords, shape = np.insert(coords, at, 0, axis=0), (*shape[:at], 1, *shape[at:])
    grid, rows = Grid.arrange(coords[[0, *range(2, d + 2)]].T, shape[2:], shape[0], lattice)
    values = current().on_host(data)
    features = np.zeros((grid.n, shape[1]), values.dtype)
    np.add.at(features, (rows, coords[1]), values)
    x = SparseTensor.from_sites(grid.sites, features, grid.size, grid.samples, ground=ground, lattice=lattice)
    return SparseTensor(x.features, x.grid, x.ground, rows)


def to_coo(x):
    """Return Coo(coords, data, shape) of layout (b, c, *size), which `sparse.COO(*to_coo(x))` takes.

    Args:
        x: SparseTensor on a sized grid, its ground state zero or None.

    Returns:
        coords (2+d, n c) int64, data (n c,), shape; all channels of an active site are stored, zeros too.

    Raises:
        ShapeError: another tensor.
    """
    _check_zero_elsewhere("to_coo", x)
    sites, c = np.repeat(x.sites.astype(np.int64), x.channels, axis=0), np.tile(np.arange(x.channels), x.grid.n)
    coords = np.stack([sites[:, 0], c, *sites[:, 1:].T])
    return Coo(coords, x.features.numpy().reshape(-1), (x.grid.samples, x.channels, *x.grid.size))


def _check_zero_elsewhere(who, x):
    checked_tensor(who, x)
    if x.grid.size is None:
        raise ShapeError(f"{who}: {x} came, which is unbounded; give its sites a size, or crop(low, high, moved=True)")
    if x.ground is not None and x.ground.numpy().any():
        raise ShapeError(f"{who}: {x} came, whose ground state is not zero, as what is not stored is; to_dense() "
                         "paints it in")


def _checked_lengths(lengths, b, l):
    array = as_array("from_padded: lengths", as_numpy(lengths))
    if array.shape != (b,) or array.dtype.kind not in "iu" or (b and not 0 <= array.min() <= array.max() <= l):
        raise ShapeError(f"from_padded: lengths {array.shape} of {array.dtype} came; ({b},) whole numbers from 0 to "
                         f"{l} fit")
    return array


def _checked_coo(array):
    if not all(hasattr(array, name) for name in ("coords", "data", "shape")):
        raise ShapeError(f"from_coo: {_named(array)} came; an array with coords, data and shape fits: from_scipy takes "
                         "scipy's matrices")
    coords, data = (as_array(f"from_coo: {name}", getattr(array, name)) for name in ("coords", "data"))
    shape = tuple(as_list("from_coo: shape", array.shape, "a tuple, one length for each axis"))
    if not all(is_whole(n) and n >= 0 for n in shape):
        raise ShapeError(f"from_coo: shape {shape} came; whole numbers from 0 up fit")
    if coords.ndim != 2 or data.ndim != 1 or coords.shape != (len(shape), len(data)) or coords.dtype.kind not in "iu":
        raise ShapeError(f"from_coo: coords {coords.shape} of {coords.dtype}, data {data.shape} and shape {shape} "
                         "came; integers (axes, entries), (entries,) and one length for each axis fit")
    fill = as_array("from_coo: fill_value", getattr(array, "fill_value", 0))
    if fill.ndim or fill.dtype.kind not in "biufc" or fill != 0:
        raise ShapeError(f"from_coo: fill_value {fill} came; 0 fits")
    if coords.size and ((coords < 0) | (coords >= np.array(shape)[:, None])).any():
        raise ShapeError(f"from_coo: coords from {coords.min(1)} to {coords.max(1)} came with shape {shape}; they must "
                         "lie inside")
    return coords, data, shape


def _named(thing):
    return f"{type(thing).__name__} {getattr(thing, 'shape', '')}".strip()


def _listed(starts):
    counts = np.diff(starts)
    places = np.arange(counts.max(initial=0))
    return np.where(places < counts[:, None], starts[:-1, None] + places, EMPTY)
