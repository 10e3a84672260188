"""Runs a saved network on the sites and features of an .npz file, and writes the result to another one."""

from __future__ import annotations

import numpy as np

from spconv_cy.checks import checked_path, shortened
from spconv_cy.errors import FileError, expected
from spconv_cy.io.file import load
from spconv_cy.io.pth import read_checkpoint
from spconv_cy.tensor import SparseTensor, Tensor
from spconv_cy.types import Array, PathLike
from spconv_cy.writing import new_file


def predict_file(net: PathLike, inputs: PathLike, outputs: PathLike) -> SparseTensor | Tensor:
    """Return a network's result on the scenes of a file, after writing it to another file.

    Args:
        net: path of a network that `save` wrote.
        inputs: path of an .npz file with `sites` (n, 1 + d), whole numbers with the batch index first; `features`
            (n, c); and, if the field has a size, `size` (d,).
        outputs: path of the .npz file to write, with `features`, and for a sparse result `sites` and, if there is one,
            `size`. Rows are in the order of the sites, sorted by sample and coordinates.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: a file is damaged, or has no such arrays.
        ShapeError, GridError: the arrays do not fit each other or the network.
    """
    path, target = checked_path("predict", inputs), checked_path("predict", outputs)
    arrays = read_checkpoint(path)
    missing = [name for name in ("sites", "features") if name not in arrays]
    if missing:
        raise FileError(expected(path, "arrays sites (n, 1 + d) and features (n, c)", shortened(list(arrays))))
    layer = load(net).eval()
    size = _checked_size(path, arrays["size"]) if "size" in arrays else None
    y = layer(SparseTensor.from_sites(arrays["sites"], arrays["features"], size, ground=None))
    found: dict[str, Array] = {"features": (y.features if isinstance(y, SparseTensor) else y).numpy()}
    if isinstance(y, SparseTensor):
        found |= {"sites": y.sites} | ({} if y.grid.size is None else {"size": np.array(y.grid.size)})
    with new_file(target) as file:
        np.savez(file, **found)                                          # type: ignore[arg-type]
    return y


def _checked_size(path: str, size: Array) -> tuple[int, ...]:
    numbers = np.asarray(size).ravel()
    if numbers.dtype.kind not in "iuf" or not np.array_equal(numbers, np.floor(numbers)):
        raise FileError(expected(path, "size (d,), whole numbers", shortened(list(map(str, numbers)))))
    return tuple(map(int, numbers))
