"""Hostile arguments to the public constructors, drawn at random: an error of ours comes out, or something that works.

`python tests/test_hostile.py 100000 7` makes so many calls from that seed; run it under a build with sanitizers.
"""

import sys
import warnings

import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy.data.strokes import StrokeEncoder
from spconv_cy.errors import BackendError

FITS = (ValueError, TypeError, BackendError)
# No ZeroDivisionError, OverflowError, IndexError, KeyError, AttributeError, MemoryError, AssertionError.
WHOLE = (0, 1, 2, 3, -1, 5, 2**31 - 1, 2**31, -(2**31), 2**63, 2**70, True, np.int8(2), np.uint64(3), np.int64(-7))
ODD = (None, 0.5, 2.0, -1.0, float("nan"), float("inf"), 1e308, 1e-320, 1j, "", "2", "cpu", b"3", (), [], {}, {3}, (2,),
       (1, 2), [3, 1], (2, -1), (1, 2, 3), ("a", 2), [[1], [2, 3]], object(), len, np.float32(1.5), np.zeros(0),
       np.array(2), np.array([1, 2]), np.array([1.5, 2]), range(2), slice(None), Ellipsis, np.ma.masked)
WORDS = ("zero", "error", "sum", "mean", "max", "first", "last", "average", "active", "field", "ground", "valid",
         "submanifold", "exact", "floor", "reference", "cuda", "octogram", "pen")


def arrays(rng):
    """Draw one array: sites, features, points or nonsense."""
    shapes = [(0,), (3,), (0, 3), (4, 3), (4, 1), (4, 2), (0, 1), (2, 0), (1, 12), (1, 1, 4), (2, 3, 4), (1, 2, 3, 3)]
    shape = shapes[rng.integers(len(shapes))]
    kind = rng.integers(12)
    whole = rng.integers(*((-3, 4) if rng.random() < 0.3 else (0, 4)), shape)
    if kind < 5:
        return whole.astype(("i1", "u1", "i4", "i8", ">i4")[kind])
    if kind < 9:
        floats = rng.normal(size=shape).astype(("f2", "f4", "f8", ">f8")[kind - 5])
        return np.where(rng.random(shape) < 0.2, np.nan, floats) if rng.random() < 0.2 else floats
    if kind == 9:
        return whole.astype(("?", "c8", "O", "U3", "M8[s]")[rng.integers(5)])
    if kind == 10:
        return whole * 2**int(rng.integers(20, 62))
    return np.asfortranarray(np.repeat(whole[None], 2, 0))[::-1]


class Pool:
    """Values to draw arguments from; what calls return joins them."""

    def __init__(self, rng):
        self.rng, self.made = rng, []
        sites = [[0, 0, 1], [0, 2, 2], [1, 3, 0], [1, 1, 1]]
        for size, ground in (((4, 4), "zero"), (None, "zero"), ((8, 8), None)):
            self.made.append(sp.SparseTensor.from_sites(sites, np.ones((4, 2)), size, ground=ground, samples=2))
        with sp.use("reference"):
            self.made += [sp.SparseTensor.from_sites(sites, np.ones((4, 2)), (4, 4)), sp.Convolution(2, 2, 2, 3, rng=0)]
        self.made += [sp.Convolution(2, 2, 2, 3, rng=0), sp.MaxPooling(2, 2), sp.Lattice(2), sp.sites.Window(2, 2),
                      sp.Tensor(1), sp.Tensor(np.ones((3, 2))), sp.GlobalPooling(), sp.sites.Rulebook([0], [0], [0, 1],
                                                                                                      1, 1)]

    def draw(self):
        """Draw any value; now and then an array, or what a call returned."""
        source = self.rng.integers(7)
        if source < 2:
            return arrays(self.rng)
        if source == 2:
            return self.made[self.rng.integers(len(self.made))]
        values = (WHOLE, WHOLE, ODD, WORDS)[source - 3]
        return values[self.rng.integers(len(values))]

    def keep(self, value):
        """Let a result be an argument of later calls."""
        if len(self.made) > 60:
            del self.made[int(self.rng.integers(13, 60))]
        self.made.append(value)


def on_tensors(name):
    """Return a function that calls a method of its first argument, where that is a SparseTensor."""
    return lambda x, *rest, **options: getattr(x, name)(*rest, **options) if isinstance(x, sp.SparseTensor) else None


def grown(lattice=2, channels=2, size=None, *rest, ground=None, overwrite=True):
    """Build a batch of whatever comes: sites and features, then a tensor or a dense array with an offset."""
    builder = sp.data.BatchBuilder(lattice, channels, size, ground=ground)
    builder.add_sample()
    if len(rest) > 1:
        builder.set_sites(*rest[:2], overwrite=overwrite)
    if len(rest) > 3:
        (builder.add_tensor if isinstance(rest[2], sp.SparseTensor) else builder.add_dense)(*rest[2:])
    return builder.tensor()


# The call, and how many arguments by place and which by name it takes.
CALLS = [
    (sp.Lattice, 2, ()), (sp.Lattice.cubic, 1, ()), (sp.sites.Window, 3, ("dilation", "origin", "kind", "size_rule")),
    (sp.Grid.from_sites, 4, ()), (sp.sites.Rulebook, 6, ()), (sp.Tensor, 1, ()),
    (sp.SparseTensor.from_sites, 4, ("ground", "reduce", "lattice")),
    (sp.SparseTensor.from_points, 2, ("cell", "size", "samples", "ground", "reduce")),
    (sp.SparseTensor.from_dense, 2, ("ground",)), (sp.collate, 1, ()), (sp.use, 1, ()), (sp.set_threads, 1, ()),
    (sp.Convolution, 5, ("dilation", "padding", "bias", "groups", "size_rule")),
    (sp.SubmanifoldConvolution, 4, ("dilation", "groups")), (sp.NetworkInNetwork, 2, ("bias",)),
    (sp.MaxPooling, 3, ("padding", "background", "size_rule")), (sp.AveragePooling, 3, ("padding",)),
    (sp.GlobalPooling, 1, ("over",)), (sp.LeakyReLU, 1, ()), (sp.Sequential, 2, ()),
    (sp.Dropout, 1, ("kind", "inverted")),
    (sp.BatchNormalization, 1, ("eps", "momentum", "variance", "slope", "affine", "mean_only")),
    (sp.layers.Softmax, 0, ()), (sp.layers.AddCoordinates, 1, ("size",)), (sp.layers.Checkpointed, 2, ()),
    (sp.layers.WindowAttention, 4, ("shift", "positions", "bias")),
    (sp.SparseToDense, 1, ()), (sp.DenseToSparse, 1, ("ground",)),
    (sp.softmax_cross_entropy, 2, ("reduction",)), (sp.mse, 2, ()), (sp.functional.squared_hinge, 2, ()),
    (sp.models.from_spec, 3, ("classes",)),
    (StrokeEncoder, 2, ("scale", "spacing", "factors", "window", "pace")),
    (sp.data.signature, 2, ()), (sp.data.log_signature, 2, ()),
    (lambda x: StrokeEncoder(size=16, scale=9).sites(x), 1, ()),
    (lambda x, sites: x.grid.rows_of(sites) if isinstance(x, sp.SparseTensor) else None, 2, ()),
    (lambda x, window: x.grid.rules(window) if isinstance(x, sp.SparseTensor) else None, 2, ()),
    (lambda x, name: x.to(name) if isinstance(x, (sp.SparseTensor, sp.Tensor)) else None, 2, ()),
    (lambda x, y: x + y if isinstance(x, sp.SparseTensor) else None, 2, ()),
    (on_tensors("add"), 2, ("how",)), (on_tensors("multiply"), 2, ("how",)), (on_tensors("concatenate"), 3, ("how",)),
    (on_tensors("prune"), 2, ()), (on_tensors("keep_top"), 3, ()), (on_tensors("crop"), 3, ("moved",)),
    (on_tensors("align"), 2, ()), (on_tensors("to_points"), 2, ("kept",)),
    (sp.layers.Sparsify, 1, ("activation", "gate")), (sp.layers.KeepTop, 2, ("activation",)),
    (sp.exchange.from_padded, 4, ("ground", "reduce")), (sp.exchange.to_padded, 2, ("kept",)),
    (sp.exchange.from_scipy, 1, ("ground",)), (sp.exchange.to_scipy, 1, ()), (sp.exchange.from_coo, 2, ("ground",)),
    (sp.exchange.to_coo, 1, ()), (grown, 7, ("ground", "overwrite")),
    (lambda layer, x: layer(x) if isinstance(layer, sp.Layer) and not too_large(x) else None, 2, ()),
]


def too_large(x):
    """Whether a dense array of x would take memory that nobody asked for."""
    return isinstance(x, sp.SparseTensor) and x.grid.size is not None and max(x.grid.size) > 1000


def attack(calls, seed):
    """Make hostile calls; return how many were answered, and how many refused."""
    rng = np.random.default_rng(seed)
    pool, counts = Pool(rng), [0, 0]
    for i in range(calls):
        function, places, names = CALLS[rng.integers(len(CALLS))]
        arguments = [pool.draw() for _ in range(rng.integers(min(1, places), places + 1))]
        options = {name: pool.draw() for name in names if rng.random() < 0.15}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")                          # numpy's, of overflow in what was asked for
                result = function(*arguments, **options)
                repr(result)
                if isinstance(result, sp.SparseTensor) and result.channels == 2 and not too_large(result):
                    sp.SubmanifoldConvolution(result.grid.d, 2, 1, 1, rng=0).to("cpu")(result.to("cpu"))
        except FITS:
            counts[1] += 1
        except Exception as error:
            raise AssertionError(f"call {i} of seed {seed}: {function}(*{arguments!r}, **{options!r}) ended in "
                                 f"{type(error).__name__}: {error}") from error
        else:
            counts[0] += 1
            if isinstance(result, (sp.SparseTensor, sp.Tensor, sp.Layer, sp.sites.Window, sp.sites.Rulebook)):
                pool.keep(result)
        finally:
            sp.use("cpu")
            sp.set_threads(None)
    return counts


@pytest.mark.parametrize("seed", [1, 2])
def test_hostile_calls_end_in_an_error_of_ours_or_in_something_that_works(seed):
    answered, refused = attack(400, seed)
    assert answered > 30 and refused > 200


if __name__ == "__main__":
    print("answered, refused:", attack(int(sys.argv[1]), int(sys.argv[2])))
