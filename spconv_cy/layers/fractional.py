"""Fractional max-pooling: regions of one to three sites, drawn for each sample, axis and call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spconv_cy.checks import generator, is_one_of, is_real
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers.inputs import checked_sparse
from spconv_cy.layers.layer import Layer, Role
from spconv_cy.layers.pooling import checked_background, max_pooled
from spconv_cy.sites import Grid, fractional
from spconv_cy.sites.lattice import LatticeLike, as_lattice, per_axis
from spconv_cy.sites.regions import Regions
from spconv_cy.tensor import SparseTensor
from spconv_cy.types import Seed

LETTERS = {"random": "R", "pseudorandom": "P", "disjoint": "D", "fixed": "O", "shared": "S"}


class FractionalMaxPooling(Layer):
    """Max-pooling over regions with random bounds, which shrinks a field by a ratio from 1 to below 2.

    Regions are drawn at every call, in evaluation too: `evaluate(net, data, repeats=12)` averages over calls, with a
    seed of its own. Sizes are computed from the output: a field is `in_size(out_size)`, which is
    floor(out_size * ratio + 1/2), or one more if that equals out_size.

    Args:
        lattice: Lattice (the cubic one), or its dimension.
        ratio: input sites per output along an axis, 1 <= ratio < 2, a number or d numbers; 1 leaves the axis unchanged.
        sequence: "pseudorandom": region i begins at ceil(ratio * (i + u)) with u drawn; "random": the steps of 1 and 2
            in random order, which distorts more.
        overlap: "fixed": regions of 2 sites, 1 or 2 apart; "disjoint": adjacent regions of 1 or 2 sites; "shared":
            regions of 2 or 3 sites that share one site with the next.
        background: as for MaxPooling.
        size_rule: "exact" raises an error for a field that no output size gives (`in_size` returns sizes that do);
            "nearest" takes the number of regions nearest to size / ratio, for any field.
        rng: seed or numpy Generator for the regions; its state is part of a checkpoint.

    Raises:
        ShapeError: arguments out of range; at the call, a grid without a size, or of a size that does not fit.

    Source: Graham 2014, arXiv:1412.6071.

    >>> pool = FractionalMaxPooling(2, 2**0.5, rng=0)
    >>> pool.in_size(25), pool.out_size((35, 24))
    ((35, 35), (25, 17))
    """

    role = Role.CHANNELWISE

    def __init__(self, lattice: LatticeLike, ratio: float | Sequence[float], *, sequence: str = "pseudorandom",
                 overlap: str = "fixed", background: str = "ground", size_rule: str = "exact",
                 rng: Seed = None) -> None:
        self.lattice = as_lattice(lattice)
        if self.lattice.kind != "cubic":
            raise ShapeError(expected("FractionalMaxPooling", "the cubic lattice (regions are products of intervals)",
                                      f"{self.lattice}", f"give {self.lattice.d}, or use MaxPooling"))
        self.ratios = _checked_ratios(ratio, self.lattice.d)
        for name, value, fits in (("sequence", sequence, fractional.SEQUENCES),
                                  ("overlap", overlap, fractional.OVERLAPS),
                                  ("size_rule", size_rule, ("exact", "nearest"))):
            if not is_one_of(value, fits):
                raise ShapeError(expected("FractionalMaxPooling", f"{name} to be one of {', '.join(fits)}",
                                          f"{value!r}"))
        self.ratio, self.sequence, self.overlap, self.size_rule = ratio, sequence, overlap, size_rule
        self.background = checked_background(self, background)
        self.rng = generator("FractionalMaxPooling", rng)

    def __call__(self, x: SparseTensor) -> SparseTensor:
        """Draw regions and take the maximum over each."""
        checked_sparse(self, x)
        return max_pooled(x, *self.draw(x.grid).rules(x.grid), background=self.background)

    def draw(self, grid: Grid) -> Regions:
        """Return newly drawn Regions over a grid."""
        if grid.lattice != self.lattice:
            raise ShapeError(expected(f"{self}", f"a grid on {self.lattice}", f"one on {grid.lattice}"))
        if grid.size is None:
            raise ShapeError(expected(f"{self}", "a grid with a size", "an unbounded grid",
                                      "give the input a size: SparseTensor.from_sites(..., size=...)"))
        return fractional.draw(self.rng, self.lattice, grid.samples, grid.size, self.out_size(grid.size), self.sequence,
                               self.overlap)

    def out_size(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """Return the output's size, d ints, for a field of `size`, d ints."""
        if self.size_rule == "nearest":
            return tuple(self._nearest(n, ratio, size) for n, ratio in zip(size, self.ratios, strict=True))
        found = tuple(map(fractional.out_size, size, self.ratios))
        for axis, (n, m, ratio) in enumerate(zip(size, found, self.ratios, strict=True)):
            if not m or fractional.in_size(m, ratio) != n:
                fits = " or ".join(str(fractional.in_size(near, ratio)) for near in (m, m + 1) if near)
                raise ShapeError(expected(f"{self}", f"{fits} sites along axis {axis} for a ratio of {ratio:.6g}",
                                          f"a field of size {tuple(size)}",
                                          "change the field, or give size_rule='nearest'"))
        return found

    def _nearest(self, n: int, ratio: float, size: tuple[int, ...]) -> int:
        if ratio > 1 and n < 2:
            raise ShapeError(expected(f"{self}", "2 or more sites along each axis", f"a field of size {tuple(size)}"))
        return n if ratio == 1 else min(max(int(n / ratio + 0.5), -(-n // 2)), n - 1)

    def in_size(self, out_size: int | tuple[int, ...]) -> int | tuple[int, ...]:
        """Return the field size that gives `out_size`."""
        sizes = per_axis(out_size, self.lattice.d, "FractionalMaxPooling out_size", 1)
        return tuple(map(fractional.in_size, sizes, self.ratios))

    def notation(self) -> str:
        """Return the notation, such as "POFMP1.5".

        P or R is the sequence; D, O or S are disjoint, overlapping (fixed) or shared regions.
        """
        if len(set(self.ratios)) > 1 or self.background != "ground" or self.size_rule != "exact":
            return ""
        return f"{LETTERS[self.sequence]}{LETTERS[self.overlap]}FMP{self.ratios[0]!r}"


def _checked_ratios(ratio: float | Sequence[float], d: int) -> tuple[float, ...]:
    axes: Any = tuple(ratio) if isinstance(ratio, (list, tuple)) else (ratio,) * d if is_real(ratio) else ()
    if len(axes) != d or not all(is_real(v) and 1 <= v < 2 for v in axes):
        raise ShapeError(expected("FractionalMaxPooling", f"ratio to be a number from 1 to below 2, or {d} of them",
                                  f"{ratio!r}", "use MaxPooling for 2 and more"))
    return tuple(map(float, axes))
