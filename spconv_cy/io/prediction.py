"""Runs a saved network on the sites and features of an .npz file, and writes the result to another file."""

from __future__ import annotations

import os
from importlib.util import find_spec

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.autograd import no_grad
from spconv_cy.checks import checked_path, shortened
from spconv_cy.errors import FileError, expected
from spconv_cy.io.file import load
from spconv_cy.io.pth import read_checkpoint
from spconv_cy.layers import Layer
from spconv_cy.layers.evaluating import evaluating
from spconv_cy.tensor import SparseTensor, Tensor
from spconv_cy.types import Array, PathLike
from spconv_cy.writing import new_file

WRITTEN = (".npz", ".parquet", "")


@known_arguments
def predict_file(net: PathLike | Layer, inputs: PathLike, outputs: PathLike) -> SparseTensor | Tensor:
    """Return a network's result on the scenes of a file, after writing it to another file.

    Args:
        net: path of a network that `save` wrote, or a Layer, which is used in evaluation mode.
        inputs: path of an .npz file with `sites` (n, 1 + d), whole numbers with the batch index first; `features`
            (n, c); and, if the field has a size, `size` (d,).
        outputs: path of the file to write, with the ending .npz or .parquet, or none. An .npz file has `features`, and
            for a sparse result `sites` and, if there is one, `size`. A .parquet file (with pyarrow) has a row for each
            row of features: columns `sample`, `x0`, `x1`, ... of a sparse result, and `f0`, `f1`, ... Rows are in the
            order of the sites, sorted by sample and coordinates. The file is written whole or not at all.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: a file is damaged, or has no such arrays; another ending of the file to write.
        ShapeError, GridError: the arrays do not fit each other or the network.
        ImportError: a .parquet file, and pyarrow is not installed.
    """
    path, target = checked_path("predict", inputs), checked_path("predict", outputs)
    ending = os.path.splitext(target)[1].lower()
    if ending not in WRITTEN:
        raise FileError(expected(target, "the name of an .npz or .parquet file to write", "another ending"))
    if ending == ".parquet":
        check_parquet()
    arrays = read_checkpoint(path)
    missing = [name for name in ("sites", "features") if name not in arrays]
    if missing:
        raise FileError(expected(path, "arrays sites (n, 1 + d) and features (n, c)", shortened(list(arrays))))
    layer = net if isinstance(net, Layer) else load(net)
    size = _checked_size(path, arrays["size"]) if "size" in arrays else None
    with evaluating(layer), no_grad():
        y = layer(SparseTensor.from_sites(arrays["sites"], arrays["features"], size, ground=None))
    if ending == ".parquet":
        _write_parquet(target, y)
    else:
        _write_npz(target, y)
    return y


def check_parquet() -> None:
    """Raise ImportError if .parquet files cannot be written."""
    if find_spec("pyarrow") is None:
        raise ImportError(expected("predict", "pyarrow to be installed for .parquet files", "no such package",
                                   "pip install pyarrow, or write .npz files"))


def _write_npz(target: str, y: SparseTensor | Tensor) -> None:
    found: dict[str, Array] = {"features": (y.features if isinstance(y, SparseTensor) else y).numpy()}
    if isinstance(y, SparseTensor):
        found |= {"sites": y.sites} | ({} if y.grid.size is None else {"size": np.array(y.grid.size)})
    with new_file(target) as file:
        np.savez(file, **found)                                          # type: ignore[arg-type]


def _write_parquet(target: str, y: SparseTensor | Tensor) -> None:
    import pyarrow
    from pyarrow import parquet

    columns: dict[str, Array] = {}
    if isinstance(y, SparseTensor):
        columns = {"sample": y.sites[:, 0], **{f"x{i}": axis for i, axis in enumerate(y.sites.T[1:])}}
    rows = (y.features if isinstance(y, SparseTensor) else y).numpy()
    columns |= {f"f{i}": np.ascontiguousarray(column) for i, column in enumerate(rows.T)}
    with new_file(target) as file:
        parquet.write_table(pyarrow.table(columns), file)


def _checked_size(path: str, size: Array) -> tuple[int, ...]:
    numbers = np.asarray(size).ravel()
    if numbers.dtype.kind not in "iuf" or not np.array_equal(numbers, np.floor(numbers)):
        raise FileError(expected(path, "size (d,), whole numbers", shortened(list(map(str, numbers)))))
    return tuple(map(int, numbers))
