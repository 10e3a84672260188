"""Sparse tensors from and to other formats: padded batches, scipy's matrices, COO arrays."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.backend.switch import current, hosted
from spconv_cy.checks import as_array, as_list, is_integer, kind_of
from spconv_cy.dlpack import as_numpy
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional import gather, reshape
from spconv_cy.functional.selection import kept_rows, look_up
from spconv_cy.sites import Grid, Lattice, Window
from spconv_cy.tensor import SparseTensor, Tensor, as_tensor, checked_tensor
from spconv_cy.types import Array, ArrayLike, IntegerArray, PerAxis

if TYPE_CHECKING:
    from scipy.sparse import coo_array

__all__ = ["Coo", "Padded", "Strided", "from_coo", "from_padded", "from_scipy", "strided_sites", "to_coo", "to_padded",
           "to_scipy"]
EMPTY = -1


def __dir__() -> list[str]:
    return __all__


class SparseMatrix(Protocol):
    """A matrix or array of scipy.sparse."""

    shape: tuple[int, ...]

    def tocoo(self) -> object:
        """Return it with the attributes row, col and data."""


class CooLike(Protocol):
    """A COO array, as of pydata/sparse."""

    coords: Any
    data: Any
    shape: tuple[int, ...]


class Padded(NamedTuple):
    """A tensor, and the row of each place of the padded batch, (b, l) int32, -1 if it is empty."""

    tensor: SparseTensor
    rows: IntegerArray


class Coo(NamedTuple):
    """A COO array: coords (axes, entries), data (entries,) and shape."""

    coords: IntegerArray
    data: Array
    shape: tuple[int, ...]


class Strided(NamedTuple):
    """Sites (n, 1+d) int64 whose coordinates are multiples of the stride, d ints."""

    sites: IntegerArray
    stride: tuple[int, ...]


@known_arguments
def from_padded(sites: ArrayLike, features: Tensor | ArrayLike, size: PerAxis | None = None,
                lengths: ArrayLike | None = None, *, ground: str | None = "zero", reduce: str = "error",
                lattice: Lattice | None = None) -> Padded:
    """Return a tensor of a padded batch, in which all samples have the same number of places, some of them empty.

    Args:
        sites: (b, l, d) integers; without lengths, a place is empty if all its coordinates are -1.
        features: (b, l, c), an array or a Tensor; copied.
        size, ground, reduce, lattice: as for SparseTensor.from_sites.
        lengths: (b,) ints, the number of sites of each sample, which come first; -1 is an ordinary coordinate then.

    Returns:
        Padded(tensor, rows): rows (b, l) int32 are the rows of the places, -1 if empty, for `to_padded(y, rows)`. The
        tensor's point_rows are those of the places that are not empty.

    Raises:
        ShapeError, GridError: as from_sites; lengths that do not fit.

    Source: SparseConvNet's BLInputLayer.

    >>> x, rows = from_padded([[[2], [0]], [[1], [-1]]], [[[1.0], [2.0]], [[3.0], [0.0]]], size=4)
    >>> x.sites.tolist(), rows.tolist()
    ([[0, 0], [0, 2], [1, 1]], [[1, 0], [2, -1]])
    """
    given, numbers = as_array("from_padded: sites", as_numpy(sites, "from_padded")), as_tensor(features)
    fits = given.ndim == numbers.data.ndim == 3 and given.shape[:2] == numbers.shape[:2] and given.shape[2]
    if not fits or given.dtype.kind not in "iu":
        raise ShapeError(expected("from_padded", "sites (b, l, d) of integers and features (b, l, c)",
                                  f"{given.shape} of {given.dtype} and {numbers.shape}"))
    b, l, _ = given.shape
    there = ~(given == EMPTY).all(2) if lengths is None else np.arange(l) < _checked_lengths(lengths, b, l)[:, None]
    points = np.flatnonzero(there)
    samples = np.broadcast_to(np.arange(b)[:, None], (b, l))
    places = given[there]
    if places.dtype == np.uint64:                        # joined with the int64 sample numbers they would become floats
        places = np.minimum(places, 2**62).astype(np.int64)
    listed = np.column_stack([samples[there], places])
    kept = gather(reshape(numbers, (b * l, numbers.shape[2])), points)
    x = SparseTensor.from_sites(listed, kept, size, b, ground=ground, reduce=reduce, lattice=lattice)
    rows = np.full((b, l), EMPTY, np.int32)
    rows[there] = np.asarray(x.point_rows)
    return Padded(x, rows)


@known_arguments
def to_padded(x: SparseTensor, rows: ArrayLike | None = None, *, kept: str = "all") -> tuple[IntegerArray, Tensor]:
    """Return (sites, features) of a tensor as a padded batch; empty places have sites of -1 and features of zero.

    Args:
        x: SparseTensor.
        rows: (b, l) ints, the row of each place, -1 if empty, as from_padded returns them; by default the rows of each
            sample in order, and l is the largest number of rows of a sample.
        kept: "all": each place has the features of its row; "first" or "last": of the places with the same row only the
            first or last one has them; the other places get zeros.

    Returns:
        sites (b, l, d) int32 and features, a Tensor (b, l, c) with gradients to those of x.

    Raises:
        ShapeError: rows that do not fit; an invalid `kept`.

    Source: SparseConvNet's BLOutputLayer.
    """
    checked_tensor("to_padded", x)
    given = _listed(x.grid.batch_starts) if rows is None else as_array("to_padded: rows", rows)
    if given.shape[:-1] != (x.grid.samples,) or given.dtype.kind not in "iu" \
            or (given.size and not -1 <= given.min() <= given.max() < x.grid.n):
        raise ShapeError(expected("to_padded", f"rows ({x.grid.samples}, l) from -1 to {x.grid.n - 1}",
                                  f"{given.shape} of {given.dtype}"))
    there = given >= 0
    sites, wanted = np.full((*given.shape, x.grid.d), EMPTY, np.int32), np.full(given.shape, EMPTY, np.int64)
    sites[there] = x.sites[given[there], 1:]
    wanted[there] = kept_rows(given[there], x.grid.n, kept)
    return sites, reshape(look_up(x.features, None, wanted.reshape(-1)), (*given.shape, x.channels))


@known_arguments
def from_scipy(matrices: SparseMatrix | Sequence[SparseMatrix], *, ground: str | None = "zero",
               lattice: Lattice | None = None) -> SparseTensor:
    """Return a tensor of one channel: each scipy.sparse matrix is a sample, each stored entry an active site.

    Args:
        matrices: a matrix or array of scipy.sparse of any format, or a list of them of equal shape (h, w). Entries that
            are stored twice are added, as in scipy; a stored zero is an active site.
        ground, lattice: as for SparseTensor.from_sites.

    Raises:
        ShapeError: other objects, or shapes that differ.

    >>> import scipy.sparse
    >>> x = from_scipy(scipy.sparse.eye(3))
    >>> x.sites.tolist(), x.grid.size
    ([[0, 0, 0], [0, 1, 1], [0, 2, 2]], (3, 3))
    """
    given: list[Any] = list(matrices) if isinstance(matrices, (list, tuple)) else [matrices]
    shapes = [matrix.shape for matrix in given if hasattr(matrix, "tocoo")]
    if not shapes or len(shapes) < len(given) or len(set(shapes)) > 1 or len(shapes[0]) != 2:
        raise ShapeError(expected("from_scipy", "a scipy.sparse matrix, or a list of them of one shape (h, w)",
                                  ", ".join(map(_named, given)) or "no matrix"))
    entries = [matrix.tocoo() for matrix in given]
    sites = [np.column_stack([np.full(len(entry.data), i), hosted(entry.row), hosted(entry.col)])
             for i, entry in enumerate(entries)]
    values = np.concatenate([hosted(entry.data) for entry in entries])
    return SparseTensor.from_sites(np.concatenate(sites), values[:, None], shapes[0], len(entries), ground=ground,
                                   reduce="sum", lattice=lattice)


@known_arguments
def to_scipy(x: SparseTensor) -> "list[coo_array]":
    """Return a list of scipy.sparse.coo_array (h, w), one for each sample; active sites of zero are stored, too.

    Args:
        x: SparseTensor of one channel on a grid of dimension 2 with a size; its ground state is zero or None.

    Raises:
        ShapeError: x is not such a tensor.
    """
    from scipy.sparse import coo_array

    _check_zero_elsewhere("to_scipy", x)
    if x.grid.d != 2 or x.channels != 1:
        raise ShapeError(expected("to_scipy", "one channel in dimension 2", f"{x} of dimension {x.grid.d}",
                                  "to_coo accepts any"))
    values = x.features.numpy()[:, 0]
    samples = zip(x.grid.batch_starts[:-1], x.grid.batch_starts[1:], strict=True)
    return [coo_array((values[low:high], tuple(x.sites[low:high, 1:].T)), shape=x.grid.size) for low, high in samples]


@known_arguments
def from_coo(array: CooLike, d: int | None = None, *, ground: str | None = "zero", lattice: Lattice | None = None
             ) -> SparseTensor:
    """Return a tensor of a COO array, as of pydata/sparse: a site with a stored entry, in any channel, is active.

    Args:
        array: object with `coords` (axes, entries), `data` (entries,) and `shape`, with layout (b, c, *size), or
            (b, *size) or (*size) depending on d. Entries that are stored twice are added.
        d: dimension, the number of last axes that are coordinates; by default all but two.
        ground, lattice: as for SparseTensor.from_sites.

    Returns:
        SparseTensor; its point_rows are the rows of the entries.

    Raises:
        ShapeError: an array that does not fit, or one whose fill_value is not 0.
    """
    coords, data, shape = _checked_coo(array)
    d = len(shape) - 2 if d is None else d
    if not is_integer(d) or not max(1, len(shape) - 2) <= d <= len(shape):
        raise ShapeError(expected("from_coo", "a shape (b, c, *size), (b, *size) or (*size) and d, the number of axes "
                                  "of size", f"{shape} and {d!r}"))
    while len(shape) < d + 2:                                            # the batch, then the channels
        at = len(shape) - d
        coords, shape = np.insert(coords, at, 0, axis=0), (*shape[:at], 1, *shape[at:])
    grid, rows = Grid.arrange(coords[[0, *range(2, d + 2)]].T, shape[2:], shape[0], lattice)
    values = current().on_host(data)
    features = np.zeros((grid.n, shape[1]), values.dtype)
    np.add.at(features, (rows, coords[1]), values)
    x = SparseTensor.from_sites(grid.sites, features, grid.size, grid.samples, ground=ground, lattice=lattice)
    return SparseTensor(x.features, x.grid, x.ground, rows)


@known_arguments
def to_coo(x: SparseTensor) -> Coo:
    """Return Coo(coords, data, shape) with layout (b, c, *size), for `sparse.COO(*to_coo(x))`.

    Args:
        x: SparseTensor on a grid with a size; its ground state is zero or None.

    Returns:
        coords (2+d, n c) int64, data (n c,), shape; all channels of active sites are stored, also zeros.

    Raises:
        ShapeError: x is not such a tensor.
    """
    _check_zero_elsewhere("to_coo", x)
    sites, c = np.repeat(x.sites.astype(np.int64), x.channels, axis=0), np.tile(np.arange(x.channels), x.grid.n)
    coords = np.stack([sites[:, 0], c, *sites[:, 1:].T])
    return Coo(coords, x.features.numpy().reshape(-1), (x.grid.samples, x.channels, *x.grid.size))  # type: ignore[misc]


@known_arguments
def strided_sites(x: SparseTensor, stride: PerAxis = 1) -> Strided:
    """Return the sites of x in the units of the first tensor, as MinkowskiEngine and torchsparse number them.

    Here a window of stride s divides coordinates by s. There they stay multiples of the product of all strides, the
    tensor stride. Use it to compare sites with those of such a library.

    Args:
        x: SparseTensor, such as the output of an encoder.
        stride: tensor stride of the sites with which the layers began, an int or d ints.

    Returns:
        Strided(sites, stride): the sites of x, their coordinates times the tensor stride of x, and that stride.

    Raises:
        ShapeError: regions without a stride made the sites, or a transposed window whose stride does not divide.

    >>> from spconv_cy.layers import MaxPooling
    >>> x = SparseTensor.from_sites([[0, 5], [0, 8]], [[1.0], [2.0]], ground=None)
    >>> found = strided_sites(MaxPooling(1, 2)(MaxPooling(1, 2)(x)))
    >>> found.sites.tolist(), found.stride
    ([[0, 4], [0, 8]], (4,))
    """
    grid: Grid = checked_tensor("strided_sites", x).grid
    found = grid.lattice.per_axis(stride, "strided_sites: stride", 1)
    for window in reversed(list(_windows_before(grid))):
        if not isinstance(window, Window):
            raise ShapeError(expected("strided_sites", "sites that windows made", f"{window}, which have no stride"))
        if window.kind != "transposed":
            found = tuple(a * b for a, b in zip(found, window.stride, strict=True))
        elif any(a % b for a, b in zip(found, window.stride, strict=True)):
            raise ShapeError(expected("strided_sites", f"a tensor stride that {window.stride}, the stride of a "
                                      "transposed window, divides", found, "give a larger stride="))
        else:
            found = tuple(a // b for a, b in zip(found, window.stride, strict=True))
    return Strided(grid.sites * np.array([1, *found], np.int64), found)


def _windows_before(grid: Grid) -> Iterator[object]:
    while grid.source is not None:
        yield grid.source.window
        grid = grid.source.parent


def _check_zero_elsewhere(who: str, x: SparseTensor) -> None:
    checked_tensor(who, x)
    if x.grid.size is None:
        raise ShapeError(expected(who, "a tensor with a size", x, "give its sites a size, or crop(low, high, "
                                  "moved=True)"))
    if x.ground is not None and x.ground.numpy().any():
        raise ShapeError(expected(who, "a ground state of zero, like that of entries which are not stored", x,
                                  "use to_dense(), which contains the ground state"))


def _checked_lengths(lengths: ArrayLike, b: int, l: int) -> IntegerArray:
    array = as_array("from_padded: lengths", as_numpy(lengths))
    if array.shape != (b,) or array.dtype.kind not in "iu" or (b and not 0 <= array.min() <= array.max() <= l):
        raise ShapeError(expected("from_padded", f"lengths ({b},) of whole numbers from 0 to {l}",
                                  f"{array.shape} of {array.dtype}"))
    return array


def _checked_coo(array: Any) -> tuple[IntegerArray, Array, tuple[int, ...]]:
    if not all(hasattr(array, name) for name in ("coords", "data", "shape")):
        raise ShapeError(expected("from_coo", "an array with coords, data and shape", _named(array),
                                  "use from_scipy for scipy's matrices"))
    coords, data = (as_array(f"from_coo: {name}", getattr(array, name)) for name in ("coords", "data"))
    shape = tuple(as_list("from_coo: shape", array.shape, "a tuple, one length for each axis"))
    if not all(is_integer(n) and n >= 0 for n in shape):
        raise ShapeError(expected("from_coo", "a shape of whole numbers from 0 up", shape))
    if coords.ndim != 2 or data.ndim != 1 or coords.shape != (len(shape), len(data)) or coords.dtype.kind not in "iu":
        raise ShapeError(expected("from_coo", "coords (axes, entries) of integers, data (entries,) and a shape of axes",
                                  f"{coords.shape} of {coords.dtype}, {data.shape} and {shape}"))
    fill = as_array("from_coo: fill_value", getattr(array, "fill_value", 0))
    if fill.ndim or fill.dtype.kind not in "biufc" or fill != 0:
        raise ShapeError(expected("from_coo", "a fill_value of 0", fill))
    if coords.size and ((coords < 0) | (coords >= np.array(shape)[:, None])).any():
        raise ShapeError(expected("from_coo", f"coords inside shape {shape}",
                                  f"{coords.min(1)} to {coords.max(1)}"))
    return coords, data, shape


def _named(thing: object) -> str:
    return f"{kind_of(thing)} {getattr(thing, 'shape', '')}".strip()


def _listed(starts: IntegerArray) -> IntegerArray:
    counts = np.diff(starts)
    places = np.arange(counts.max(initial=0))
    return np.where(places < counts[:, None], starts[:-1, None] + places, EMPTY)
