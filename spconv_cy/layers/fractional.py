"""Fractional max-pooling: regions of one or two sites, drawn anew for each sample, axis and call."""


from spconv_cy.checks import generator, is_one_of, is_real
from spconv_cy.errors import ShapeError
from spconv_cy.layers.inputs import checked_sparse
from spconv_cy.layers.layer import Layer
from spconv_cy.layers.pooling import checked_background, max_pooled
from spconv_cy.layers.role import Role
from spconv_cy.sites import fractional
from spconv_cy.sites.lattice import as_lattice, per_axis

LETTERS = {"random": "R", "pseudorandom": "P", "disjoint": "D", "fixed": "O", "shared": "S"}


class FractionalMaxPooling(Layer):
    """Shrink a field by a ratio between 1 and 2: the maximum over regions whose bounds are drawn, in testing too.

    Args:
        lattice: Lattice (the cubic one), or its dimension.
        ratio: sites an axis per output, 1 <= ratio < 2, a number or d numbers; 1 leaves the axis as it is.
        sequence: "pseudorandom": region i begins at ceil(ratio * (i + u)), u drawn; "random": the steps of 1 and 2 in
            any order, which distorts more.
        overlap: "fixed": regions of 2 sites, 1 or 2 apart; "disjoint": of 1 or 2 sites, side by side; "shared": of 2 or
            3, neighbours with a row in common.
        background: as for MaxPooling.
        size_rule: "exact" refuses a field that no output size gives (`in_size` tells those that fit); "nearest" takes
            as many regions as come nearest to size / ratio, and they cover any field.
        rng: seed or numpy Generator for the regions; its state is part of a checkpoint.

    Every call draws: `evaluate(net, data, repeats=12)` averages over calls, from a seed of its own. Networks are built
    from the top: a field is `in_size(out_size)`, floor(out_size * ratio + 1/2), or one more if that is out_size.

    Raises:
        ShapeError: arguments out of range; at the call, a grid without a size, or of a size that does not fit.

    Source: Graham 2014, arXiv:1412.6071.

    >>> pool = FractionalMaxPooling(2, 2**0.5, rng=0)
    >>> pool.in_size(25), pool.out_size((35, 24))
    ((35, 35), (25, 17))
    """

    role = Role.CHANNELWISE

    def __init__(self, lattice, ratio, *, sequence="pseudorandom", overlap="fixed", background="ground",
                 size_rule="exact", rng=None):
        self.lattice = as_lattice(lattice)
        if self.lattice.kind != "cubic":
            raise ShapeError(f"FractionalMaxPooling: {self.lattice} came; its regions are products of intervals, which "
                             f"the cubic lattice has: {self.lattice.d} fits, or MaxPooling")
        self.ratios = _checked_ratios(ratio, self.lattice.d)
        for name, value, fits in (("sequence", sequence, fractional.SEQUENCES),
                                  ("overlap", overlap, fractional.OVERLAPS),
                                  ("size_rule", size_rule, ("exact", "nearest"))):
            if not is_one_of(value, fits):
                raise ShapeError(f"FractionalMaxPooling: {name} {value!r} came; one of {', '.join(fits)} fits")
        self.ratio, self.sequence, self.overlap, self.size_rule = ratio, sequence, overlap, size_rule
        self.background = checked_background(self, background)
        self.rng = generator("FractionalMaxPooling", rng)

    def __call__(self, x):
        checked_sparse(self, x)
        return max_pooled(x, *self.draw(x.grid).rules(x.grid), self.background)

    def draw(self, grid):
        """Return new Regions over a grid."""
        if grid.lattice != self.lattice:
            raise ShapeError(f"{self}: a grid on {grid.lattice} came; {self.lattice} fits")
        if grid.size is None:
            raise ShapeError(f"{self}: an unbounded grid came, which no regions cover; give the input a size: "
                             "SparseTensor.from_sites(..., size=...)")
        return fractional.draw(self.rng, self.lattice, grid.samples, grid.size, self.out_size(grid.size), self.sequence,
                               self.overlap)

    def out_size(self, size):
        """Return the output's size for a field of `size`, d ints."""
        if self.size_rule == "nearest":
            return tuple(self._nearest(n, ratio, size) for n, ratio in zip(size, self.ratios, strict=True))
        found = tuple(map(fractional.out_size, size, self.ratios))
        for axis, (n, m, ratio) in enumerate(zip(size, found, self.ratios, strict=True)):
            if not m or fractional.in_size(m, ratio) != n:
                fits = " or ".join(str(fractional.in_size(near, ratio)) for near in (m, m + 1) if near)
                raise ShapeError(f"{self}: a field of size {tuple(size)} came; on axis {axis} {fits} sites fit a ratio "
                                 f"of {ratio:.6g}: change the field, or give size_rule='nearest'")
        return found

    def _nearest(self, n, ratio, size):
        if ratio > 1 and n < 2:
            raise ShapeError(f"{self}: a field of size {tuple(size)} came; 2 sites an axis or more fit")
        return n if ratio == 1 else min(max(int(n / ratio + 0.5), -(-n // 2)), n - 1)

    def in_size(self, out_size):
        """Return the field that gives `out_size`."""
        out_size = per_axis(out_size, self.lattice.d, "FractionalMaxPooling out_size", 1)
        return tuple(map(fractional.in_size, out_size, self.ratios))

    def notation(self):
        """Return such as "POFMP1.5": P or R for the sequence, D, O or S for disjoint, overlapping (fixed), shared."""
        if len(set(self.ratios)) > 1 or self.background != "ground" or self.size_rule != "exact":
            return ""
        return f"{LETTERS[self.sequence]}{LETTERS[self.overlap]}FMP{self.ratios[0]!r}"


def _checked_ratios(ratio, d):
    axes = (ratio,) * d if is_real(ratio) else ratio
    axes = tuple(axes) if isinstance(axes, (list, tuple)) else ()
    if len(axes) != d or not all(is_real(v) and 1 <= v < 2 for v in axes):
        raise ShapeError(f"FractionalMaxPooling: ratio {ratio!r} came; a number from 1 to below 2, or {d}, one an "
                         "axis, fits; for 2 and more there is MaxPooling")
    return tuple(map(float, axes))
