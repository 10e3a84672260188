"""The VGG networks of submanifold convolutions, and their plus blocks that look further by strided branches."""


from spconv_cy.checks import generator
from spconv_cy.errors import ShapeError
from spconv_cy.layers.activation import ReLU
from spconv_cy.layers.container import Concatenate, Sequential
from spconv_cy.layers.convolution import Convolution, SubmanifoldConvolution
from spconv_cy.layers.normalization import BatchNormalization
from spconv_cy.layers.pooling import MaxPooling
from spconv_cy.layers.restoring import Deconvolution
from spconv_cy.models.blocks import checked_list, checked_whole
from spconv_cy.sites.lattice import is_whole


def vgg(layers, channels_in=1, *, d=2, rng=None):
    """Build the trunk of a VGG network; `Sequential(*vgg(...), ...)` puts a head on it.

    Args:
        layers: in order, each of them
            n: a submanifold convolution of size 3 to n channels;
            (n, a), (n, a, b) or (n, a, b, c): the same beside branches of a, b and c channels that go one, two and
                three strides down and back up to the very sites; all are joined, n + a + b + c channels;
            "MP" or ("MP", size, stride): max-pooling, by default of size 3 and stride 2;
            "C3/2" or ("C3/2", n): a convolution of size 3 and stride 2, to as many channels or to n.
            Batch normalisation and ReLU follow each but the pooling. No convolution has a bias.
        channels_in: of the input.
        d: dimension.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor with `ground=None` -> SparseTensor.

    Raises:
        ShapeError: an entry that is none of these.

    Source: Graham and van der Maaten 2017, arXiv:1706.01307; the builder of SparseConvNet.

    >>> net = vgg([8, 8, "MP", 16, 16, "MP", (16, 8), (16, 8), "MP"], 3, rng=0)
    >>> net.input_size(11), net.n_parameters()
    ((95, 95), 15448)
    """
    checked_list("vgg", "layers", layers)
    channels_in, = checked_whole("vgg", channels_in=channels_in)
    rng, made, channels = generator("vgg", rng), [], channels_in
    for entry in layers:
        kind, *numbers = entry if isinstance(entry, (tuple, list)) else (entry,)
        word = kind if isinstance(kind, str) else None
        if word == "MP" and len(numbers) in (0, 2):
            made.append(MaxPooling(d, *(numbers or (3, 2)), background="zero"))
        elif word == "C3/2" and len(numbers) < 2:
            wanted = numbers[0] if numbers else channels
            made += normalised(Convolution(d, channels, wanted, 3, 2, bias=False, rng=rng))
            channels = wanted
        elif is_whole(kind) and len(numbers) < 4:
            made += _plus(d, channels, kind, numbers, rng)
            channels = kind + sum(numbers)
        else:
            raise ShapeError(f"vgg: entry {entry!r} came; such as 16, (16, 8), 'MP', ('MP', 2, 2), 'C3/2', "
                             "('C3/2', 32) fit")
    return Sequential(*made)


def _plus(d, channels, n, branches, rng):
    first = SubmanifoldConvolution(d, channels, n, 3, bias=False, rng=rng)
    if not branches:
        return normalised(first)
    joined = Concatenate(first, *(_branch(d, channels, width, depth + 1, rng) for depth, width in enumerate(branches)))
    return [joined, *activated(n + sum(branches))]


def _branch(d, channels, width, depth, rng):
    layers = []
    for _ in range(depth):
        layers += normalised(Convolution(d, channels, width, 3, 2, bias=False, rng=rng))
        layers += normalised(SubmanifoldConvolution(d, width, width, 3, bias=False, rng=rng))
        channels = width
    for _ in range(depth - 1):
        layers += normalised(Deconvolution(d, width, width, 3, 2, bias=False, rng=rng))
        layers += normalised(SubmanifoldConvolution(d, width, width, 3, bias=False, rng=rng))
    return Sequential(*layers, Deconvolution(d, width, width, 3, 2, bias=False, rng=rng))


def normalised(layer):
    """List a convolution, SparseConvNet's batch normalisation and ReLU."""
    return [layer, *activated(layer.channels_out)]


def activated(channels):
    """List SparseConvNet's batch normalisation and ReLU."""
    return [BatchNormalization(channels, debias=True), ReLU()]
