"""Checks of what layers are given."""

from __future__ import annotations

from spconv_cy.checks import is_integer, kind_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.sites.lattice import Lattice
from spconv_cy.tensor import SparseTensor, Tensor

MOST_CHANNELS = 2**20


def checked_sparse(layer: object, x: object) -> None:
    """Raise TypeError if the input of a layer with windows is not a SparseTensor."""
    if not isinstance(x, SparseTensor):
        raise TypeError(expected(f"{layer}", "a SparseTensor", kind_of(x),
                                 "make one of arrays by SparseTensor.from_sites(sites, features)"))


def checked_lattice(layer: object, x: SparseTensor, lattice: Lattice) -> None:
    """Raise TypeError if x has no sites, ShapeError if they lie on another lattice than the layer's."""
    checked_sparse(layer, x)
    if x.grid.lattice != lattice:
        raise ShapeError(expected(f"{layer}", f"sites on {lattice}", f"{x} on {x.grid.lattice}"))


def checked_counts(layer: object, **counts: object) -> tuple[int, ...]:
    """Return numbers of channels (or groups) as ints.

    Raises:
        ShapeError: one is not a whole number from 1 to 2**20.
    """
    for name, n in counts.items():
        if not is_integer(n) or not 1 <= n <= MOST_CHANNELS:  # type: ignore[operator]
            raise ShapeError(expected(type(layer).__name__, f"{name} to be a whole number from 1 to {MOST_CHANNELS}",
                                      f"{n!r}"))
    return tuple(int(n) for n in counts.values())  # type: ignore[call-overload]


def checked_rows(layer: object, x: Tensor, channels: int) -> None:
    """Raise ShapeError if a tensor is not rows of that many channels."""
    if x.data.ndim != 2:
        raise ShapeError(expected(f"{layer}", f"rows of shape (n, {channels})", f"shape {x.shape}"))
    checked_channels(layer, x.shape[1], channels)


def checked_channels(layer: object, found: int, wanted: int) -> None:
    """Raise ShapeError if features have another number of channels than a layer was made for."""
    if found != wanted:
        raise ShapeError(expected(f"{layer}", f"features with {wanted} channel{'s' * (wanted != 1)}", f"{found}"))
