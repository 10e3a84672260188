"""Layers that go back to the finer sites that a window was laid over: the inverse convolution, un-pooling."""

from spconv_cy.errors import ShapeError
from spconv_cy.functional.sparse import conv, sum_pool
from spconv_cy.layers.convolution import Convolution
from spconv_cy.layers.inputs import checked_channels, checked_sparse
from spconv_cy.layers.layer import Layer
from spconv_cy.layers.role import Role
from spconv_cy.sites.regions import Regions
from spconv_cy.sites.window import Window
from spconv_cy.tensor import SparseTensor


class Deconvolution(Convolution):
    """Undo a strided window: back to the very sites that it was laid over, by its rulebook with the sides swapped.

    Site p of the remembered grid gets the sum of x[j] @ weight[k] over the pairs (p, j) of every offset k of the
    earlier window. The grid itself remembers (`x.grid.source`), so nothing is named and nothing is looked up.

    Args:
        lattice: Lattice, or the dimension of the cubic one, 1 to 8.
        channels_in, channels_out: number of channels, of the coarse and of the fine sites.
        size, stride, dilation, padding, shape, taps: those of the convolution or pooling that made the coarse sites.
        bias: whether a bias is added, to every restored site.
        groups, rng: as for Convolution.

    Attributes: weight, bias and window as for Convolution.

    Raises:
        ShapeError: at the call, sites that no window made, or another window; a tensor with a ground state, since the
            restored sites are not all that a dense transposed convolution would change.

    Source: Graham et al. 2018, arXiv:1711.10275, section 3.

    >>> x = SparseTensor.from_sites([[0, 3], [0, 4]], [[1.0], [2.0]], ground=None)
    >>> Deconvolution(1, 1, 5, 2, 2, rng=0)(Convolution(1, 1, 1, 2, 2, rng=0)(x)).sites.tolist()
    [[0, 3], [0, 4]]
    """

    role = Convolution.role

    def __init__(self, lattice, channels_in, channels_out, size=None, stride=1, *, dilation=1, padding=0, bias=True,
                 groups=1, shape="full", taps=None, rng=None):
        window = Window(lattice, size, stride, dilation, padding, shape=shape, taps=taps)
        self._begin(window, channels_in, channels_out, bias, groups, rng)

    def __call__(self, x):
        return self.activated(x)

    def activated(self, x, slope=None):
        """Restore, and apply a leaky ReLU of that slope unless it is None."""
        checked_sparse(self, x)
        checked_channels(self, x.channels, self.channels_in)
        grid, rulebook = remembered(self, x)
        return SparseTensor(conv(x.features, self.weight, rulebook.T, self.bias, slope=slope), grid)

    def in_size(self, out_size):
        """Return the coarse field under the field `out_size`."""
        return self.window.out_size(out_size)

    def multiply_adds(self, x, y):
        """Count by coarse rows and volume, by pairs, and dense."""
        each = self.channels_in * self.channels_out // self.groups
        sites = None if x.grid.size is None else x.grid.samples * x.grid.field
        return (x.grid.n * self.window.volume * each, x.grid.source.rulebook.n_pairs * each,
                None if sites is None else sites * self.window.volume * each)

    def notation(self):
        """Return "" since the papers' notation has no word for it."""
        return ""


class UnPooling(Layer):
    """Give the row of each coarse site to the finer sites that it was pooled from; where windows overlap, the sum.

    Args:
        lattice: Lattice, or the dimension of the cubic one.
        size, stride, padding, shape, taps: those of the pooling or convolution that made the coarse sites; the stride
            is the size unless given. Without size and taps it goes back along whatever made them, such as the regions
            of a FractionalMaxPooling.

    Raises:
        ShapeError: as for Deconvolution.

    Source: SparseConvNet.
    """

    role = Role.CHANNELWISE

    def __init__(self, lattice, size=None, stride=None, *, padding=0, shape="full", taps=None):
        self.window = None
        if size is not None or taps is not None:
            self.window = Window(lattice, size, stride, 1, padding, shape=shape, taps=taps)

    def __call__(self, x):
        grid, rulebook = remembered(self, x)
        return SparseTensor(sum_pool(x.features, rulebook.T), grid)

    def in_size(self, out_size):
        """Return the coarse field under the field `out_size`."""
        if self.window is None:
            raise ShapeError(f"{self}: a field came, but only the coarse sites know what made them; give the layer the "
                             "size of the pooling that it undoes")
        return self.window.out_size(out_size)


def remembered(layer, x):
    """Return (finer grid, rulebook from it to x's grid) that x's grid remembers; refuse another window than layer's."""
    checked_sparse(layer, x)
    who, wanted, source = type(layer).__name__, layer.window, x.grid.source
    if source is None:
        raise ShapeError(f"{who}: {x} came, whose sites no window made; the output of a strided Convolution or of a "
                         "pooling fits, or of layers after it that keep the sites")
    if wanted is not None and _shape(source.window) != _shape(wanted):
        raise ShapeError(f"{who}: {_shown(wanted)} came for sites that {_shown(source.window)} made; give the {who} "
                         "the same window")
    refuse_ground(layer, x, "sites that are restored have no common one")
    return source.parent, source.rulebook


def refuse_ground(layer, x, why):
    """Raise ShapeError where a tensor has a ground state that a layer has no exact answer for."""
    if x.ground is not None:
        raise ShapeError(f"{type(layer).__name__}: {x} came with a ground state, but {why}; begin with ground=None "
                         "(from_sites, from_points, from_dense), or drop it: x.with_features(x.features, ground=None)")


def _shape(window):
    if isinstance(window, Regions):
        return window
    return (window.lattice, window.size, window.stride, window.dilation, window.origin, window.shape, window.taps,
            window.kind == "transposed")


def _shown(window):
    if isinstance(window, Regions):
        return repr(window)
    shape = {"full": ""}.get(window.shape, f" {window.shape}") if window.taps is None else f" {len(window.taps)}-tap"
    return (f"a{' transposed' if window.kind == 'transposed' else ''}{shape} window of size {window.size}, stride "
            f"{window.stride}, dilation {window.dilation} and padding {window.origin}")
