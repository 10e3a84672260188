"""Bad input ends in an error that says what came, what fits and the remedy; odd but right input in the right result."""

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.errors import BackendError, FileError, GridError, ShapeError

T, P, D, G = sp.SparseTensor.from_sites, sp.SparseTensor.from_points, sp.SparseTensor.from_dense, sp.Grid.from_sites
SITES = [[0, 0, 1], [0, 2, 2], [0, 3, 0], [0, 1, 1]]
ROWS = np.arange(8.0).reshape(4, 2)
POINTS = [[0, 0.5, 1.5], [0, 2.0, 3.0]]
NAN, INF = float("nan"), float("inf")


def x(**options):
    return T(SITES, ROWS, **{"size": (4, 4), **options})


def on_reference():
    with sp.use("reference"):
        return sp.Convolution(2, 2, 3, 3, rng=0), x()


def conv(channels_in=2, size=3, d=2, **options):
    return sp.Convolution(d, channels_in, 3, size, rng=0, **options)


# Each line: the call, the error, what must stand in its message in this order.
REFUSED = {
    # sites
    "float sites": (lambda: T(np.array(SITES, float), ROWS), ShapeError,
                    "expected an integer dtype, got float64; floor real points with SparseTensor.from_points"),
    "bool sites": (lambda: T(np.array(SITES, bool), ROWS), ShapeError, "expected an integer dtype, got bool"),
    "text sites": (lambda: T([["0", "1"]], [[1.0]]), ShapeError, "expected an integer dtype, got <U1"),
    "no sites": (lambda: T(None, ROWS), ShapeError,
                    "an integer dtype with values in the range of int32, got Python objects, among them None"),
    "ragged sites": (lambda: T([[0, 1], [0, 1, 2]], ROWS), ShapeError,
                    "shape (n, 1+d), the batch index and d coordinates, got rows of unequal length"),
    "flat sites": (lambda: T([0, 1, 2, 3], ROWS), ShapeError, "the batch index and d coordinates, got shape (4,)"),
    "an empty list of sites": (lambda: T([], np.zeros((0, 1))), ShapeError, "d coordinates, got shape (0,)"),
    "batch column alone": (lambda: T([[0], [1]], ROWS[:2]), ShapeError, "d coordinates, got shape (2, 1)"),
    "nine dimensions": (lambda: T(np.zeros((1, 10), int), [[1.0]]), ShapeError, "a dimension from 1 to 8, got 9"),
    "sites beyond int32": (lambda: T([[0, 2**31, 0]], [[1.0]]), GridError,
                    "-2147483648 to 2147483647, which int32 holds, got 0 to 2147483648"),
    "sites beyond int64": (lambda: T([[0, 2**70, 0]], [[1.0]]), ShapeError,
                    "the range of int32, got Python objects, among them 1180591620717411303424"),
    "unsigned sites beyond": (lambda: T(np.array([[0, 2**63, 0]], np.uint64), [[1.0]]), GridError,
                    "which int32 holds, got",
                    "to 9223372036854775808"),
    "duplicates": (lambda: T(SITES + SITES[:3], np.zeros((7, 1))), GridError,
                   "expected distinct sites, got 3 duplicates among 7; remove them, or merge their"),
    "duplicates of a grid": (lambda: G(SITES + SITES[:1]), GridError,
                    "expected distinct sites, got 1 duplicates of 5; remove them, or merge their features by "),
    "outside the size": (lambda: T(SITES, ROWS, size=(3, 4)), GridError,
                    "sites inside size (3, 4), got 1 of 4 outside, the first at row 2: [3, 0]; move them, give a"),
    "negative in a size": (lambda: T([[0, 0], [0, -1]], ROWS[:2], size=4), GridError,
                           "the first at row 1: [-1]; move them, give a larger size, size=None"),
    "negative batch index": (lambda: T([[0, 1], [-2, 1]], ROWS[:2]), GridError,
                    "batch indices from 0 up in column 0 of sites, got -2"),
    "batch index too large": (lambda: T([[3, 1]], [[1.0]], samples=3), GridError,
                    "batch indices from 0 to 2 with samples=3, got 3"),
    "column 0 no batch": (lambda: T([[2**30, 1]], [[1.0]]), GridError,
                    "the batch index in column 0 of sites, got 1073741824 with 1 sites; if it is one, give"),
    "samples in part": (lambda: T(SITES, ROWS, samples=1.5), GridError, "a whole number from 0 to 16777216, got 1.5"),
    "too many samples": (lambda: T(SITES, ROWS, samples=2**40), GridError,
                    "a whole number from 0 to",
                    "got 1099511627776"),
    "size of zero": (lambda: x(size=0), ShapeError, "size: expected numbers of at least 1, got (0, 0)"),
    "size in part": (lambda: x(size=4.0), ShapeError, "size: expected an int or 2 ints, one for each axis, got 4.0"),
    "size of three": (lambda: x(size=(4, 4, 4)), ShapeError, "an int or 2 ints, one for each axis, got (4, 4, 4)"),
    "size beyond int32": (lambda: x(size=2**31), ShapeError, "numbers of at most 2147483647, as sites are int32, got"),
    "lattice of another d": (lambda: x(lattice=3), ShapeError,
                    "sites (n, 4), the batch index and 3 coordinates, got shape (4, 3)"),
    "reduce": (lambda: x(reduce="median"), ShapeError, "expected reduce to be one of 'error', 'sum', 'mean', 'max'"),
    "ground": (lambda: x(ground=np.zeros(2)), ShapeError, "ground to be 'zero' (an exact ground state) or None"),
    "float queries": (lambda: x().grid.rows_of([[0.0, 1, 1]]), ShapeError, "an integer dtype, got float64"),
    "narrow queries": (lambda: x().grid.rows_of([[0, 1]]), ShapeError, "sites (q, 3), got shape (1, 2)"),
    # features
    "too few rows": (lambda: T(SITES, ROWS[:3]), ShapeError, "shape (4, channels), a row for each site, got (3, 2)"),
    "too many rows": (lambda: T(SITES, np.zeros((5, 2))), ShapeError, "(4, channels), a row for each site, got (5, 2)"),
    "flat features": (lambda: T(SITES, ROWS[:, 0]), ShapeError, "(4, channels), a row for each site, got (4,); use "
                      "features[:, None] for one channel"),
    "complex features": (lambda: T(SITES, ROWS + 1j), ShapeError,
                         "expected floats, integers or booleans, got dtype complex128"),
    "object features": (lambda: T(SITES, ROWS.astype(object)), ShapeError,
                        "expected floats, integers or booleans, got dtype object"),
    "features with None": (lambda: T(SITES, [[1, 2], [3, None], [4, 5], [6, 7]]), ShapeError,
                           "expected floats, integers or booleans, got dtype object with None"),
    "features of a dict": (lambda: sp.Tensor({"a": 1}), ShapeError, "integers or booleans, got a dict"),
    "text features": (lambda: T(SITES, ROWS.astype(str)), ShapeError, "integers or booleans, got dtype <U32"),
    "ragged features": (lambda: T(SITES, [[1], [1, 2], [1], [1]]), ShapeError,
                        "expected an array of numbers, got rows of unequal length"),
    # points
    "NaN points": (lambda: P([[0, NAN, 1], [0, 1, 1], [0, INF, 0]], np.zeros((3, 1))), ShapeError,
                    "expected finite points, got 2 of 3 points that are NaN or infinite; remove them"),
    "flat points": (lambda: P([0, 1], [[1.0]]), ShapeError, "real numbers (n, 1+d), got shape (2,) of int64"),
    "batch index in part": (lambda: P([[0.5, 1, 1]], [[1.0]]), ShapeError,
                    "whole numbers in column 0, the batch index, got"),
    "far points": (lambda: P([[0, 1e30, 1]], [[1.0]]), GridError,
                    "in the range of int32, got larger ones; use a larger cell or"),
    "no cell": (lambda: P(POINTS, ROWS[:2], cell=0), ShapeError,
                    "cell to be a positive number, or 2, one for each axis, got 0"),
    "negative cell": (lambda: P(POINTS, ROWS[:2], cell=(1, -1)), ShapeError, "one for each axis, got (1, -1)"),
    "NaN cell": (lambda: P(POINTS, ROWS[:2], cell=NAN), ShapeError, "cell to be a positive number", "got nan"),
    "cells of three axes": (lambda: P(POINTS, ROWS[:2], cell=(1, 1, 1)), ShapeError,
                    "or 2, one for each axis, got (1, 1, 1)"),
    # dense
    "dense without sites": (lambda: D(np.zeros((2, 3))), ShapeError, "(b, c, *size)", "got shape (2, 3)"),
    "dense text": (lambda: D(np.full((1, 1, 3), "a")), ShapeError, "floats, integers or booleans, got dtype <U1"),
    "NaN threshold": (lambda: D(np.ones((1, 1, 3)), threshold=NAN), ShapeError, "a number from 0 up, got nan"),
    "to_dense unbounded": (lambda: x(size=None).to_dense(), ShapeError, "origin= and size= for an unbounded grid"),
    "to_dense too small": (lambda: x().to_dense(1, 3), GridError,
                           "inside origin (1, 1) and size (3, 3), got 2 of 4 outside; give a larger size"),
    # windows
    "dimension 0": (lambda: sp.Lattice(0), ShapeError, "a dimension from 1 to 8, got 0"),
    "window of zero": (lambda: sp.sites.Window(2, 0), ShapeError,
                    "Window size: expected numbers of at least 1, got (0, 0)"),
    "negative window": (lambda: sp.sites.Window(2, (3, -3)), ShapeError,
                    "Window size: expected numbers of at least 1, got (3, -3)"),
    "window in part": (lambda: sp.sites.Window(2, 1.5), ShapeError,
                    "Window size: expected an int or 2 ints",
                    "got 1.5"),
    "stride of zero": (lambda: sp.sites.Window(2, 3, 0), ShapeError,
                    "Window stride: expected numbers of at least 1, got (0, 0)"),
    "dilation of zero": (lambda: sp.sites.Window(2, 3, 1, 0), ShapeError,
                    "Window dilation: expected numbers of at least 1, got (0, 0)"),
    "huge window": (lambda: sp.sites.Window(8, 100), ShapeError, "at most 16777216 offsets, got 10000000000000000"),
    "far window": (lambda: sp.sites.Window(1, 3, 1, 2**30), ShapeError,
                    "offsets of at most 2147483647, as sites are int32, got 2147483648"),
    "submanifold stride": (lambda: sp.sites.Window(2, 3, 2, kind="submanifold"), ShapeError,
                    "stride 1 for a submanifold window, which keeps its sites, got (2, 2)"),
    "window larger than the field": (lambda: conv(size=5)(x()), ShapeError,
                    "a field of at least (5, 5) for a window of span (5, 5) and padding (0, 0), got size (4, 4); "
                    "use a smaller"),
    "stride that does not divide": (lambda: conv(stride=2)(x()), ShapeError,
                    "a field of 3 or 5 sites on axis 0 for size (3, 3) with stride (2, 2), got size (4, 4); "
                    "change the field, or give size_rule='floor'"),
    "pooling that does not divide": (lambda: sp.MaxPooling(2, (2, 3))(x()), ShapeError,
                    "a field of 3 or 6 sites on axis 1",
                    "change the field, or give size_rule"),
    "outputs beyond int32": (lambda: sp.MaxPooling(1, 3, 1)(T([[0, -2**31]], [[1.0]])), GridError,
                    "output sites in the range of int32, got one outside; move the sites towards the origin"),
    "window of another lattice": (lambda: conv(d=3)(x()), ShapeError, "Convolution(3, ", "sites on", "d=3", "d=2"),
    "pooling on another lattice": (lambda: sp.MaxPooling(3, 2)(x()), ShapeError, "MaxPooling(3, 2): expected sites on"),
    "rules of another lattice": (lambda: x().grid.rules(conv(d=3).window), ShapeError, "a window on", "d=2",
                                 "as the grid, got one on", "d=3"),
    "rules of text": (lambda: x().grid.rules("3"), TypeError, "expected a Window, got a str"),
    # layers
    "channels": (lambda: conv(3)(x()), ShapeError, "Convolution(2, 3, 3, 3): expected features with 3 channels, got 2"),
    "channels of a matrix": (lambda: sp.NetworkInNetwork(3, 4, rng=0)(x()), ShapeError,
                             "expected features with 3 channels, got 2"),
    "channels of a norm": (lambda: sp.BatchNormalization(3)(x()), ShapeError,
                           "expected features with 3 channels, got 2"),
    "no channels": (lambda: sp.Convolution(2, 0, 4, 3), ShapeError,
                    "expected channels_in to be a whole number from 1 to 1048576, got 0"),
    "channels in part": (lambda: sp.NetworkInNetwork(2, 1.5), ShapeError, "expected channels_out to be a whole number"),
    "groups": (lambda: sp.Convolution(2, 4, 4, 3, groups=3), ShapeError, "expected groups to divide both numbers"),
    "array for a tensor": (lambda: conv()(ROWS), TypeError,
                           "expected a SparseTensor, got an ndarray; make one of arrays by SparseTensor.from_"),
    "nothing for a tensor": (lambda: sp.MaxPooling(2, 2)(None), TypeError, "expected a SparseTensor, got None"),
    "slope": (lambda: sp.LeakyReLU(2), ShapeError, "expected slope to be a number from 0 to 1, got 2"),
    "dropout of all": (lambda: sp.Dropout(1), ShapeError, "expected p to be a number from 0 to below 1, got 1"),
    "no layer": (lambda: sp.Sequential(conv(), len), TypeError, "got a builtin_function_or_method; write a class"),
    "field of an unbounded grid": (lambda: sp.GlobalPooling(over="field")(x(size=None)), ShapeError,
                                   "for over='field', got an unbounded grid; use over='active'"),
    "sum of other sites": (lambda: x() + x(), ShapeError, "expected tensors on the same grid, with the same channels"),
    # batches, labels, files
    "collate nothing": (lambda: sp.collate([]), ShapeError, "expected at least one SparseTensor, got none"),
    "collate a number": (lambda: sp.collate([x(), 1]), TypeError, "expected a list of SparseTensors, got an int"),
    "collate sizes": (lambda: sp.collate([x(), x(size=5)]), ShapeError, "the same lattice, size, channels and ground "
                      "state", "size (5, 5)", "and", "size (4, 4)"),
    "collate families": (lambda: sp.collate([x(), x(ground=None)]), ShapeError, "same lattice, size", "no ground"),
    "collate the tape": (lambda: sp.collate([conv()(x())]), ShapeError, "that need gradients", "inside no_grad()"),
    "labels": (lambda: sp.softmax_cross_entropy(x().features, [0, 1, 2, 0]), ShapeError, "from 0 to 1, got 0 to 2"),
    "float labels": (lambda: sp.softmax_cross_entropy(x().features, [0.0] * 4), ShapeError, "of whole numbers, got"),
    "NaN strokes": (lambda: sp.SparseConvClassifier().fit([[[(0, 0), (NAN, 1)]]], [0]), ValueError,
                    "character 0, stroke 0: expected finite numbers, got (nan, 1.0) at point 1; drop or correct"),
    # backends and settings
    "layer on reference": (lambda: on_reference()[0](x()), BackendError, "float32 on cpu and ",
                           "float64 on reference;", 'bring them together with .to("cpu")'),
    "tensor on reference": (lambda: conv()(on_reference()[1]), BackendError, "float64 on reference and ",
                            "float32 on cpu;", 'bring them together with .to("reference")'),
    "collate backends": (lambda: sp.collate([x(), on_reference()[1]]), BackendError, "on cpu", "on reference"),
    "unknown backend": (lambda: sp.use("tpu"), BackendError, "expected one of cpu, reference, cuda, got 'tpu'"),
    "backend of a list": (lambda: sp.use(["cpu"]), BackendError, "expected one of cpu, reference, cuda, got ['cpu']"),
    "move to nowhere": (lambda: x().to("gpu"), BackendError, "expected one of cpu, reference, cuda, got 'gpu'"),
    **{f"threads {n!r}": (lambda n=n: sp.set_threads(n), ValueError,
                           f"a whole number from 1 to 1024, or None for the default, got {n!r}")
       for n in (0, -1, 1.5, "2", True, NAN, 2**40)},
    # rulebooks by hand: what they hold is not checked again before the kernels read it
    "rows in part": (lambda: sp.sites.Rulebook([0.5], [0], [0, 1], 1, 1), ShapeError,
                    "in_rows to be an array of integers, got shape (1,) of float64"),
    "rows out of range": (lambda: sp.sites.Rulebook([3], [0], [0, 1], 3, 1), ShapeError,
                    "in_rows from 0 to 2, got 3 to 3"),
    "negative rows": (lambda: sp.sites.Rulebook([0], [-1], [0, 1], 3, 1), ShapeError,
                    "out_rows from 0 to 0, got -1 to -1"),
    "rows beyond int32": (lambda: sp.sites.Rulebook([2**32], [0], [0, 1], 3, 1), ShapeError,
                    "in_rows in the range of int32, got 4294967296"),
    "pointers": (lambda: sp.sites.Rulebook([0], [0], [0, 2], 1, 1), ShapeError,
                    "offset_ptr that ascends from 0 to the 1 pairs, got [0, 2]"),
    "too many inputs": (lambda: sp.sites.Rulebook([], [], [0], 2**40, 1), ShapeError,
                        "whole number from 0 to 2147483647"),
}


@each("name", REFUSED)
def test_it_is_refused_in_plain_words(name):
    call, error, *words = REFUSED[name]
    with pytest.raises(error) as caught:
        call()
    message, at = str(caught.value), 0
    for word in words:
        assert word in message[at:], message
        at = message.index(word, at) + len(word)


def test_the_errors_are_those_that_python_people_catch():
    assert issubclass(GridError, ValueError) and issubclass(ShapeError, ValueError)
    assert issubclass(BackendError, RuntimeError) and issubclass(FileError, ValueError)
