"""The fully-convolutional network: down by strides, the features of all scales side by side at every site."""

from spconv_cy.layers.container import Concatenate, Sequential
from spconv_cy.layers.convolution import NetworkInNetwork
from spconv_cy.layers.restoring import UnPooling
from spconv_cy.models.blocks import checked_whole
from spconv_cy.models.unets import Levels, checked_widths


def fully_convolutional(levels, base, channels_in=1, classes=10, *, d=3, reps=1, residual=False, downsample=(2, 2),
                        rng=None):
    """Build the network that labels every active site by what all scales say of it: the channels of all levels joined.

    A level is `reps` blocks, then beside the identity a strided convolution, the next level, and an un-pooling back;
    nothing is learnt on the way up. Arguments and result are those of unet.

    Source: after Long et al. 2015, arXiv:1411.4038; the builder of SparseConvNet.

    >>> fully_convolutional(2, 8, 1, 5, d=2, rng=0).n_parameters()
    3701
    """
    widths = checked_widths("fully_convolutional", levels, base)
    channels_in, classes, reps = checked_whole("fully_convolutional", channels_in=channels_in, classes=classes,
                                               reps=reps)
    make = Levels(d, reps, residual, 0, downsample, rng)
    return Sequential(
        make.submanifold(channels_in, widths[0]),
        *_level(make, widths),
        *make.activated(sum(widths)),
        NetworkInNetwork(sum(widths), classes, rng=make.rng))


def _level(make, widths):
    layers = make.blocks(widths[0], widths[0])
    if len(widths) == 1:
        return layers
    below = Sequential(*make.down(*widths[:2]), *_level(make, widths[1:]), UnPooling(make.d, *make.downsample))
    return [*layers, Concatenate(Sequential(), below)]
