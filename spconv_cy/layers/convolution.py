"""Convolutions: a window, its weights, three lines of arithmetic."""

from spconv_cy.checks import checked_flags, generator, is_one_of
from spconv_cy.errors import ShapeError
from spconv_cy.functional.dense import as_tensor, leaky_relu, less_row
from spconv_cy.functional.initial import glorot, zeros
from spconv_cy.functional.sparse import conv
from spconv_cy.layers.inputs import checked_channels, checked_counts, checked_rows, checked_sparse
from spconv_cy.layers.layer import Activated
from spconv_cy.layers.role import Role
from spconv_cy.sites.rulebook import Rulebook
from spconv_cy.sites.window import Window
from spconv_cy.tensor import SparseTensor

MIXING = Role.ACTIVATES | Role.MIXES


class Convolution(Activated):
    """Convolve over every window that holds an active site.

    An inactive site inside a window counts as the ground state, so the result equals the dense convolution of
    x.to_dense() to rounding, and the output's ground state is the dense value of a window without active sites.

    Args:
        lattice: Lattice, or the dimension of the cubic one, 1 to 8.
        channels_in, channels_out: number of channels.
        size: of the window, an int or d ints; None where taps are given.
        stride: an int or d ints.
        dilation: an int or d ints.
        padding: sites of ground state around a sized field, an int or d ints.
        bias: whether a bias is added.
        groups: channels are split into so many groups that do not mix.
        size_rule: "exact" refuses a field that the stride does not divide, "floor" leaves the rest out.
        shape: of the window: "full", "cross", "ball", "nearest"; as for Window.
        taps: a list of taps, d ints each, in place of size and shape; as for Window.
        sites: where outputs are: "valid", "cell" (floor(site / stride)) or "centre" (the middle is active). With the
            last two, outputs elsewhere have the ground state by definition, not as a dense network has it.
        min_active: active sites that a window must hold for an output; with fewer it has the ground state.
        rng: seed or numpy Generator for the weights.

    Attributes:
        weight: Tensor (k, c, o), or (k, g, c/g, o/g); the offsets lexicographic, the last axis fastest.
        bias: Tensor (1, o), or None.
        window: Window.

    Raises:
        ShapeError: arguments that do not fit; at the call, other channels or a field that does not fit.

    Source: Graham 2014, arXiv:1409.6070, section 3.
    """

    @property
    def role(self) -> Role:
        """Return what the plan of a network may assume."""
        return MIXING if self.weight.data.ndim == 3 else Role.ACTIVATES

    def __init__(self, lattice, channels_in, channels_out, size=None, stride=1, *, dilation=1, padding=0, bias=True,
                 groups=1, size_rule="exact", shape="full", taps=None, sites="valid", min_active=1, rng=None):
        if not is_one_of(sites, ("valid", "cell", "centre")):
            raise ShapeError(f"Convolution: sites {sites!r} came; 'valid', 'cell' or 'centre' fit")
        window = Window(lattice, size, stride, dilation, padding, sites, size_rule, shape, taps, min_active)
        self._begin(window, channels_in, channels_out, bias, groups, rng)

    def _begin(self, window, channels_in, channels_out, bias, groups, rng):
        channels_in, channels_out, groups = checked_counts(self, channels_in=channels_in, channels_out=channels_out,
                                                           groups=groups)
        checked_flags(type(self).__name__, bias=bias)
        if channels_in % groups or channels_out % groups:
            raise ShapeError(f"{type(self).__name__}: {channels_in} channels in, {channels_out} out and {groups} "
                             "groups came; the groups must divide both")
        self.window, self.channels_in, self.channels_out, self.groups = window, channels_in, channels_out, groups
        shape = (window.volume, channels_in // groups, channels_out // groups)
        rng = generator(type(self).__name__, rng)
        self.weight = glorot(shape if groups == 1 else (shape[0], groups, *shape[1:]), rng)
        self.bias = zeros((1, channels_out)) if bias else None

    def __call__(self, x, grid=None):
        """Convolve; with a Grid, at its sites and no others."""
        return self.activated(x) if grid is None else self.activated(x, grid=grid)

    def activated(self, x, slope=None, grid=None):
        """Convolve, and apply a leaky ReLU of that slope unless it is None."""
        checked_sparse(self, x)
        checked_channels(self, x.channels, self.channels_in)
        grid, rulebook = self.rules(x, grid)
        features, ground, bias = x.features, None, self.bias
        if x.ground is not None:
            bias = conv(x.ground, self.weight, rulebook.ground, self.bias)
            ground = bias if slope is None else leaky_relu(bias, slope)
            features = features if x.ground_is_zero else less_row(features, x.ground)
        features = conv(features, self.weight, rulebook, bias, slope=slope)
        return SparseTensor(features, grid, ground, x.point_rows if grid is x.grid else None)

    def rules(self, x, grid=None):
        """Return (output grid, rulebook) of the window over a SparseTensor, at the sites of `grid` if it is given."""
        return rules_of(x, self.window, grid)

    def in_size(self, out_size):
        """Return the field that gives `out_size`."""
        return self.window.in_size(out_size)

    def multiply_adds(self, x, y):
        """Count by rows and volume, by pairs, and dense."""
        each = self.channels_in * self.channels_out // self.groups
        sites = None if y.grid.size is None else y.grid.samples * y.grid.field
        _, rulebook = x.grid.rules(self.window)
        return (y.grid.n * self.window.volume * each, rulebook.n_pairs * each,
                None if sites is None else sites * self.window.volume * each)

    def notation(self):
        """Return such as "32C3", "32C3/2" with a stride; "" where the notation has no word for it."""
        size, stride = set(self.window.size), set(self.window.stride)
        plain = (self.window.is_plain and len(size) == len(stride) == 1 and set(self.window.dilation) == {1}
                 and self.groups == 1 and self.bias is not None and self.window.size_rule == "exact"
                 and (self.window.keeps_sites or set(self.window.origin) == {0}))
        if not plain:
            return ""
        stride = stride.pop()
        letter = "SC" if self.window.keeps_sites else "C"
        return f"{self.channels_out}{letter}{size.pop()}" + (f"/{stride}" if stride > 1 else "")


class SubmanifoldConvolution(Convolution):
    """Convolve at the input's own active sites alone.

    With `ground=None` inactive sites count as zero. With a ground state the same expression as in `Convolution` is
    computed at the active sites; elsewhere the result is the new ground state by definition, which is not what a
    dense network would do.

    Args:
        lattice: Lattice, or the dimension of the cubic one.
        channels_in, channels_out: number of channels.
        size: of the window, centred, by default 3; an even size reaches one site further on the low side.
        dilation, bias, groups, shape, rng: as for Convolution. Shape "nearest" on the simplex lattice is the
            permutohedral convolution.
        taps: a list of taps, d ints each, from the site itself, in place of size and shape.

    Source: Graham and van der Maaten 2017, arXiv:1706.01307.
    """

    def __init__(self, lattice, channels_in, channels_out, size=None, *, dilation=1, bias=True, groups=1, shape="full",
                 taps=None, rng=None):
        size = 3 if size is None and taps is None else size
        window = Window(lattice, size, 1, dilation, 0, "submanifold", shape=shape, taps=taps)
        self._begin(window, channels_in, channels_out, bias, groups, rng)


def rules_of(x, window, grid=None):
    """Return (output grid, rulebook) of a window over a SparseTensor, at the sites of `grid` where one is given."""
    return x.grid.rules(window) if grid is None else (grid, x.grid.rules_to(window, grid))


class NetworkInNetwork(Activated):
    """Multiply each row by one matrix: a convolution of size 1, a linear layer.

    Args:
        channels_in, channels_out: number of channels.
        bias: whether a bias is added.
        rng: seed or numpy Generator.

    Takes a SparseTensor, or a Tensor or array (b, c). `weight` is (1, c, o), `bias` (1, o) or None.

    Source: Lin et al. 2013, arXiv:1312.4400.
    """

    role = MIXING

    def __init__(self, channels_in, channels_out, *, bias=True, rng=None):
        channels_in, channels_out = checked_counts(self, channels_in=channels_in, channels_out=channels_out)
        checked_flags("NetworkInNetwork", bias=bias)
        self.channels_in, self.channels_out = channels_in, channels_out
        self.weight = glorot((1, channels_in, channels_out), generator("NetworkInNetwork", rng))
        self.bias = zeros((1, channels_out)) if bias else None

    def activated(self, x, slope=None):
        """Multiply, and apply a leaky ReLU of that slope unless it is None."""
        if not isinstance(x, SparseTensor):
            return self._rows(as_tensor(x), slope)
        ground = None if x.ground is None else self._rows(x.ground, slope)
        return x.with_features(self._rows(x.features, slope), ground)

    def _rows(self, x, slope):
        checked_rows(self, x, self.channels_in)
        return conv(x, self.weight, Rulebook.identity(len(x)), self.bias, slope=slope)

    def multiply_adds(self, x, y):
        """Count by rows; dense over all sites of the field."""
        each = self.channels_in * self.channels_out
        if not isinstance(y, SparseTensor):
            return (len(y) * each,) * 3
        dense = None if y.grid.size is None else y.grid.samples * y.grid.field * each
        return y.grid.n * each, y.grid.n * each, dense

    def notation(self):
        """Return such as "32C1"; "" without a bias."""
        return f"{self.channels_out}C1" if self.bias is not None else ""
