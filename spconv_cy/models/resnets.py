"""The pre-activation ResNet of submanifold convolutions."""


from spconv_cy.checks import generator
from spconv_cy.errors import ShapeError
from spconv_cy.layers.container import Residual, Sequential
from spconv_cy.layers.convolution import Convolution, NetworkInNetwork, SubmanifoldConvolution
from spconv_cy.models.blocks import checked_list, checked_whole
from spconv_cy.models.vggs import activated, normalised


def resnet(blocks, channels_in, *, d=2, rng=None):
    """Build the trunk of a ResNet; `Sequential(*stem, *resnet(...), *head)` is a network.

    Args:
        blocks: (n, repeats, stride) each. Batch normalisation and ReLU on the trunk, then two convolutions of size 3
            to n channels, the first strided, around which leads a shortcut: a strided convolution of size 3, or a
            matrix where channels change, or nothing. Then `repeats - 1` times the same, the normalisation inside and
            the shortcut bare.
        channels_in: of the input.
        d: dimension.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor with `ground=None` -> SparseTensor, normalised and through a ReLU.

    Source: He et al. 2016, arXiv:1603.05027; the builder of SparseConvNet.

    >>> net = resnet([(8, 2, 1), (16, 2, 2), (24, 2, 2), (32, 2, 2)], 8, rng=0)
    >>> net.input_size(5), net.n_parameters()
    ((47, 47), 76112)
    """
    checked_list("resnet", "blocks", blocks)
    channels_in, = checked_whole("resnet", channels_in=channels_in)
    rng, layers, channels = generator("resnet", rng), [], channels_in
    for block in blocks:
        if not isinstance(block, (tuple, list)) or len(block) != 3:
            raise ShapeError(f"resnet: block {block!r} came; (channels, repeats, stride) fits")
        n, repeats, stride = block
        checked_whole("resnet", channels=n, repeats=repeats, stride=stride)
        layers += [*activated(channels), _first(d, channels, n, stride, rng)]
        for _ in range(repeats - 1):
            layers.append(Residual(*activated(n), *_two(_same(d, n, n, rng), d, n, rng)))
        channels = n
    return Sequential(*layers, *activated(channels))


def _first(d, channels, n, stride, rng):
    shortcut = None
    if stride > 1:
        first, shortcut = (Convolution(d, channels, n, 3, stride, bias=False, rng=rng) for _ in range(2))
    else:
        first = _same(d, channels, n, rng)
        if channels != n:
            shortcut = NetworkInNetwork(channels, n, bias=False, rng=rng)
    return Residual(*_two(first, d, n, rng), shortcut=shortcut)


def _two(first, d, n, rng):
    return [*normalised(first), _same(d, n, n, rng)]


def _same(d, channels, n, rng):
    return SubmanifoldConvolution(d, channels, n, 3, bias=False, rng=rng)
