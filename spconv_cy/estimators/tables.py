"""Arrays of numbers as X and y of scikit-learn's conventions: checked, with plain messages for what does not fit."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np

from spconv_cy.backend.switch import hosted
from spconv_cy.checks import as_array, is_real, kind_of, shortened
from spconv_cy.data import PointCloud
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
    for at, value in np.ndenumerate(found):
        if is_missing(value) and not is_real(value):
            raise ValueError(expected(who, "numbers", f"a missing value, {value!r}, {_place(at)}",
                                      "fill or leave out such rows"))
    try:
        return found.astype(np.float64)
    except TypeError:
        wrong = next(v for v in found.ravel() if not is_real(v) and not isinstance(v, (bool, str, np.bool_)))
        raise TypeError(expected(who, "numbers", kind_of(wrong), "an argument must be a string or a number")) from None
    except ValueError:
        at = next(at for at, value in np.ndenumerate(found) if isinstance(value, str) and not _is_number(value))
        raise ValueError(expected(who, "numbers", f"{found[at]!r:.40} {_place(at)}", "encode text as numbers, or "
                                  "leave such columns out")) from None


def _place(at: tuple[int, ...]) -> str:
    """Return the place of a number, for a message."""
    return f"in row {at[0]}, column {at[1]}" if len(at) == 2 else f"at item {', '.join(map(str, at))}"


def _is_number(text: str) -> bool:
    try:
        return bool(float(text) or True)
    except ValueError:
        return False


def names_of(who: str, X: Any) -> Array | None:
    """Return the names of the columns of a data frame or a PointCloud, or of all in a list; None without names of text.

    The coordinates of a PointCloud are x, y, z, x3 and so on. One without features has no names.

    Raises:
        ValueError: data frames of different columns.
    """
    parts = X.ravel() if isinstance(X, np.ndarray) and X.dtype == object else X if isinstance(X, (list, tuple)) else [X]
    first = _names(parts[0]) if len(parts) else None
    if first is None:
        return None
    for i, names in enumerate(map(_names, parts)):
        if names != first:
            raise ValueError(expected(who, f"the columns of cloud 0, {shortened(first)}, in all clouds",
                                      f"{'none with names' if names is None else shortened(names)} in cloud {i}"))
    return np.array(first, object)


def _names(X: Any) -> list[str] | None:
    if isinstance(X, PointCloud):
        named = X.feature_names()
        return [*("x", "y", "z", *(f"x{i}" for i in range(3, 99)))[:X.points.shape[1]], *named] if named else None
    columns = getattr(X, "columns", None)
    names = None if columns is None else list(columns)
    if not names or not all(isinstance(name, str) for name in names):
        return None
    first = next(iter(X.to_numpy().flat), 0) if len(names) == 1 else 0
    return None if hasattr(first, "__len__") else names                  # a column of clouds


def check_names(who: str, X: Any, fitted: Array | None) -> None:
    """Raise ValueError if a data frame has other columns than in training; warn if one of both has no names.

    The words after the semicolon are scikit-learn's.
    """
    names, name = names_of(who, X), who.partition(".")[0]
    if (names is None) != (fitted is None):
        warnings.warn(f"X does not have valid feature names, but {name} was fitted with feature names" if names is None
                      else f"X has feature names, but {name} was fitted without feature names", stacklevel=5)
    if names is None or fitted is None or names.tolist() == fitted.tolist():
        return
    told = "The feature names should match those that were passed during fit.\n"
    other, missing = sorted({*names} - {*fitted}), sorted({*fitted} - {*names})
    for words, found in (("unseen at fit time", other), ("seen at fit time, yet now missing", missing)):
        lines = [*found[:5], *["..."] * (len(found) > 5)]
        told += f"Feature names {words}:\n{''.join(f'- {line}{chr(10)}' for line in lines)}" if found else ""
    if not other and not missing:
        told += "Feature names must be in the same order as they were in fit.\n"
    raise ValueError(expected(who, f"X with the columns {shortened(list(fitted))}", shortened(list(names)), told))


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
