"""What the networks of the peers are laid with: a convolution, batch normalisation and ReLU; blocks of two."""


from spconv_cy.checks import checked_numbers, generator
from spconv_cy.errors import ShapeError
from spconv_cy.layers.activation import ReLU
from spconv_cy.layers.container import Residual, Sequential
from spconv_cy.layers.convolution import Convolution, NetworkInNetwork, SubmanifoldConvolution
from spconv_cy.layers.dropout import Dropout
from spconv_cy.layers.inputs import MOST_CHANNELS
from spconv_cy.layers.normalization import BatchNormalization
from spconv_cy.layers.restoring import Deconvolution
from spconv_cy.sites.lattice import MAX_DIMENSION, is_whole

MOST = {"l": 30, "levels": 30, "repeats": 1000, "reps": 1000, "parameters": 2**40, "d": MAX_DIMENSION}
TORCH = {"eps": 1e-5, "momentum": 0.9}                                   # BatchNorm1d as it comes
DETECTION = {"eps": 1e-3, "momentum": 0.99}                              # of SECOND and all that follow it


class Blocks:
    """Lists of layers for one lattice, generator and kind of batch normalisation; biases only where `bias=True`.

    Args:
        d: Lattice, or the dimension of the cubic one.
        norm: options of BatchNormalization.
        rng: seed or numpy Generator.
    """

    def __init__(self, d, norm, rng):
        self.d, self.norm, self.rng = d, {"debias": True, **norm}, generator("Blocks", rng)

    def submanifold(self, channels_in, channels_out, size=3):
        """List S-BN-ReLU."""
        return self.activated(SubmanifoldConvolution(self.d, channels_in, channels_out, size, bias=False, rng=self.rng))

    def strided(self, channels_in, channels_out, size=3, stride=2, padding=1):
        """List C-BN-ReLU, in a field that the stride need not divide."""
        return self.activated(Convolution(self.d, channels_in, channels_out, size, stride, padding=padding,
                                          size_rule="floor", bias=False, rng=self.rng))

    def halved(self, channels_in, channels_out):
        """List C-BN-ReLU with size and stride 2: an output for every cell that holds a site."""
        return self.activated(Convolution(self.d, channels_in, channels_out, 2, 2, sites="cell", bias=False,
                                          rng=self.rng))

    def restored(self, channels_in, channels_out):
        """List I-BN-ReLU, back to the sites that `halved` had."""
        return self.activated(Deconvolution(self.d, channels_in, channels_out, 2, 2, bias=False, rng=self.rng))

    def basic(self, channels_in, channels_out, *, bias=False):
        """List a basic block: S-BN-ReLU-S-BN around which leads a shortcut, and a ReLU behind.

        Where the channels change the shortcut is a convolution of size 1 and BN.
        """
        shortcut = None
        if channels_in != channels_out:
            shortcut = Sequential(NetworkInNetwork(channels_in, channels_out, bias=False, rng=self.rng),
                                  BatchNormalization(channels_out, **self.norm))
        first, second = (SubmanifoldConvolution(self.d, channels, channels_out, 3, bias=bias, rng=self.rng)
                         for channels in (channels_in, channels_out))
        return [Residual(*self.activated(first), second, BatchNormalization(channels_out, **self.norm),
                         shortcut=shortcut), ReLU()]

    def chain(self, channels_in, channels_out, repeats):
        """List so many basic blocks, the first of which changes the channels."""
        layers = []
        for channels in [channels_in] + [channels_out] * (repeats - 1):
            layers += self.basic(channels, channels_out)
        return layers

    def activated(self, layer):
        """List a convolution, BN and ReLU."""
        return [layer, BatchNormalization(layer.channels_out, **self.norm), ReLU()]


def checked_list(who, name, entries):
    """Raise ShapeError where what should list levels is no list."""
    if not isinstance(entries, (list, tuple)):
        raise ShapeError(f"{who}: {name}={entries!r} came; a list fits")


def checked_whole(who, **numbers):
    """Return numbers that build a network as ints; raise ShapeError where one is not whole, below 1 or too large."""
    if not all(is_whole(n) and n >= 1 for n in numbers.values()):
        given = ", ".join(f"{name}={n!r}" for name, n in numbers.items())
        raise ShapeError(f"{who}: {given} came; whole numbers from 1 up fit")
    for name, n in numbers.items():
        if n > MOST.get(name, MOST_CHANNELS):
            raise ShapeError(f"{who}: expected {name} to be a whole number from 1 to {MOST.get(name, MOST_CHANNELS)}, "
                             f"got {n!r}")
    return tuple(map(int, numbers.values()))


def dropped(share, rng):
    """List a Dropout of that share with a seed of its own; nothing where the share is 0."""
    checked_numbers("Dropout", 0, 1, p=share)
    return [Dropout(share, rng=rng.integers(2**63))] if share else []
