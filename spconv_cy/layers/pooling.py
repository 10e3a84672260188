"""Pooling over windows, and over whole samples."""

from spconv_cy.autograd import Tensor
from spconv_cy.errors import ShapeError
from spconv_cy.functional.dense import leaky_relu
from spconv_cy.functional.sparse import average_pool, global_pool, max_pool
from spconv_cy.layers.layer import Layer, checked_sparse
from spconv_cy.sites.window import Window
from spconv_cy.tensor import SparseTensor


class _Pooling(Layer):
    def __init__(self, lattice, size, stride, padding, size_rule):
        self.window = Window(lattice, size, size if stride is None else stride, 1, padding, "valid", size_rule)

    def in_size(self, out_size):
        """Return the field that gives `out_size`."""
        return self.window.in_size(out_size)

    def _notation(self, letters):
        size, stride = set(self.window.size), set(self.window.stride)
        if len(size) > 1 or len(stride) > 1 or set(self.window.origin) != {0} or self.window.size_rule != "exact":
            return ""
        size, stride = size.pop(), stride.pop()
        return f"{letters}{size}" + (f"/{stride}" if stride != size else "")


class MaxPooling(_Pooling):
    """Take the maximum over every window that holds an active site.

    Args:
        lattice: Lattice, or the dimension of the cubic one.
        size: of the window, an int or d ints.
        stride: an int or d ints; by default the size.
        padding: sites of ground state around a sized field.
        background: "ground": the ground state competes where a site of the window is not active (with `ground=None`
            active sites only); "zero": max(0, active sites), as SparseConvNet and spconv have it.
        size_rule: "exact" refuses a field that the stride does not divide, "floor" leaves the rest out.

    The first of equals in offset order gets the gradient, an active site before an equal ground state.

    Source: Graham 2014, arXiv:1409.6070, section 3.
    """

    channelwise = True

    def __init__(self, lattice, size, stride=None, *, padding=0, background="ground", size_rule="exact"):
        super().__init__(lattice, size, stride, padding, size_rule)
        if background not in ("ground", "zero"):
            raise ShapeError(f"MaxPooling: background {background!r} came; 'ground' or 'zero' fit")
        self.background = background

    def __call__(self, x):
        checked_sparse(self, x)
        grid, rulebook = x.grid.rules(self.window)
        if self.background == "ground":
            return SparseTensor(max_pool(x.features, x.ground, rulebook), grid, x.ground)
        ground = None if x.ground is None else leaky_relu(x.ground, 0)
        return SparseTensor(leaky_relu(max_pool(x.features, None, rulebook), 0), grid, ground)

    def notation(self):
        """Return such as "MP2", "MP3/2"."""
        return self._notation("MP") if self.background == "ground" else ""


class AveragePooling(_Pooling):
    """Average over every window that holds an active site; inactive sites count as the ground state (None: as zero).

    Arguments as for MaxPooling, without `background`.
    """

    channelwise = True

    def __init__(self, lattice, size, stride=None, *, padding=0, size_rule="exact"):
        super().__init__(lattice, size, stride, padding, size_rule)

    def __call__(self, x):
        checked_sparse(self, x)
        grid, rulebook = x.grid.rules(self.window)
        return SparseTensor(average_pool(x.features, x.ground, rulebook), grid, x.ground)

    def notation(self):
        """Return such as "AP2"."""
        return self._notation("AP")


class GlobalPooling(Layer):
    """Reduce each sample to one row: SparseTensor -> Tensor (b, c).

    Args:
        kind: "average", "sum" or "max".
        over: "active": the active sites alone; "field": all sites, the inactive ones counting as the ground state
            (None: as zero), which equals the dense result and needs a sized grid.

    A sample without active sites gives the ground state (zeros where there is none).
    """

    channelwise = True

    def __init__(self, kind="average", *, over="active"):
        if kind not in ("average", "sum", "max") or over not in ("active", "field"):
            raise ShapeError(f"GlobalPooling: kind {kind!r} over {over!r} came; 'average', 'sum' or 'max' over "
                             "'active' or 'field' fit")
        self.kind, self.over = kind, over

    def __call__(self, x):
        checked_sparse(self, x)
        ground, field = x.ground, None
        if self.over == "field":
            if x.grid.size is None:
                raise ShapeError("GlobalPooling: an unbounded grid came, which has no field; use over='active', or "
                                 "give the input a size")
            field = x.grid.field
            ground = Tensor.of(x.features.data[:0].sum(0, keepdims=True)) if ground is None else ground
        return global_pool(x.features, ground, x.grid.batch_starts, kind=self.kind, field=field)

    def notation(self):
        """Return "GP" for the plain average."""
        return "GP" if (self.kind, self.over) == ("average", "active") else ""
