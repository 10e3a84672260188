"""Arrays of numbers as X and y of scikit-learn's conventions: checked, with plain messages for what does not fit."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np

from spconv_cy.backend.switch import hosted
from spconv_cy.checks import as_array, is_real, kind_of
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import ShapeError, expected
from spconv_cy.types import Array, ArrayLike, FloatArray


def is_missing(value: object) -> bool:
    """Return True for NaN, NaT and pandas' NA."""
    if type(value).__name__ in ("NAType", "NaTType"):
        return True
    return is_real(value) and bool(value != value)


def as_table(who: str, X: Any, least: int = 1) -> FloatArray:
    """Return X as float64 (n, columns), finite.

    Args:
        who: named in errors.
        X: array, nested lists or data frame.
        least: the smallest number of rows.

    Raises:
        ValueError, TypeError: something else; the message says which rows or values do not fit.
    """
    if hasattr(X, "tocsr") or hasattr(X, "nnz"):
        raise TypeError(expected(who, "a dense array", "a sparse matrix", "use X.toarray(); sparse matrices are not "
                                 "supported"))
    found = as_array(who, hosted(X))
    if found.dtype.kind == "c":
        raise ValueError(expected(who, "real numbers", found.dtype, "Complex data not supported"))
    if found.dtype == object:
        found = _numbers(who, found)
    if found.dtype.kind not in "iufb":
        raise ValueError(expected(who, "numbers", f"an array of {found.dtype}"))
    if found.ndim != 2:
        raise ShapeError(expected(who, "an array (n, columns)", f"shape {found.shape}", "Reshape your data: "
                                  "X.reshape(-1, 1) for one column, X.reshape(1, -1) for one row"))
    if len(found) < least:
        raise ValueError(expected(who, f"at least {least} row", f"0 sample(s) (shape={found.shape})"))
    if not found.shape[1]:
        raise ValueError(expected(who, "at least one column", f"0 feature(s) (shape={found.shape}) while a minimum of "
                                  "1 is required."))
    table = found.astype(np.float64)
    if not np.isfinite(table).all():
        wrong = np.argwhere(~np.isfinite(table))[0]
        name = "NaN" if np.isnan(table[tuple(wrong)]) else "inf (infinity)"
        raise ValueError(expected(who, "finite numbers", f"{name} in row {wrong[0]}, column {wrong[1]}",
                                  "fill or leave out such rows"))
    return table


def _numbers(who: str, found: Array) -> Array:
    for value in found.ravel():
        if is_missing(value) and not is_real(value):
            raise ValueError(expected(who, "numbers", f"a missing value, {value!r}", "fill or leave out such rows"))
    try:
        return found.astype(np.float64)
    except TypeError:
        wrong = next(v for v in found.ravel() if not is_real(v) and not isinstance(v, (bool, str, np.bool_)))
        raise TypeError(expected(who, "numbers", kind_of(wrong), "an argument must be a string or a number")) from None
    except ValueError as error:
        raise ValueError(expected(who, "numbers", error)) from None


def names_of(X: Any) -> Array | None:
    """Return the names of a data frame's columns, if all are text; else None."""
    columns = getattr(X, "columns", None)
    names = None if columns is None else list(columns)
    if not names or not all(isinstance(name, str) for name in names):
        return None
    return np.array(names, object)


def without_column(who: str, y: Any) -> Any:
    """Return y (n,); a column (n, 1) becomes (n,), with the warning that scikit-learn gives."""
    y = hosted(y)
    shape: tuple[int, ...] = getattr(y, "shape", ())
    if len(shape) == 2 and shape[1] == 1:
        kind = getattr(sys.modules.get("sklearn.exceptions"), "DataConversionWarning", UserWarning)
        warnings.warn(f"A column-vector y was passed when a 1d array was expected. {who}: give y.ravel()", kind,
                      stacklevel=5)
        return np.asarray(y).ravel()
    return y


def as_targets(who: str, y: Any, n: int) -> FloatArray:
    """Return y as float64 (n,) or (n, k), finite.

    Raises:
        ValueError: something else.
    """
    if y is None:
        raise ShapeError(expected(who, f"numbers ({n},) or ({n}, k)", "None", "y should be a 1d array"))
    found = as_array(who, without_mask(hosted(y), who))
    if found.dtype == object:
        found = _numbers(who, found)
    if not n:
        raise ShapeError(expected(who, "at least one sample", "none"))
    if found.ndim not in (1, 2) or len(found) != n or found.dtype.kind not in "iufb" or not found.size:
        raise ShapeError(expected(who, f"numbers ({n},) or ({n}, k)", f"shape {found.shape} of {found.dtype}"))
    numbers = found.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(expected(who, "finite numbers", "NaN or infinity", "leave out such samples"))
    return numbers


def as_weights(who: str, sample_weight: ArrayLike | None, n: int) -> FloatArray | None:
    """Return weights (n,) as float64, or None.

    Raises:
        ValueError: another shape, numbers below 0 or not finite, or all of them zero.
    """
    if sample_weight is None:
        return None
    found = as_array(f"{who}: sample_weight", sample_weight)
    if found.shape != (n,) or found.dtype.kind not in "iufb" or not ((found >= 0) & np.isfinite(found)).all():
        got = f"{found.shape} of {found.dtype}"
        if found.shape == (n,) and found.dtype.kind in "if":
            i = int(np.flatnonzero(~((found >= 0) & np.isfinite(found)))[0])
            got = f"{found[i]} at item {i}"
        raise ShapeError(expected(who, f"sample_weight ({n},), numbers from 0 up", got))
    if n and not found.any():
        raise ValueError(expected(who, "at least one sample weight that is not zero", "zeros only"))
    return found.astype(np.float64)
