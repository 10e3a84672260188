"""What the verbs of a GPU must give for float16 rows, and convolutions in float16 and TF32: check_precisions."""

import numpy as np
from contract_ops import REFERENCE, as_tuple, call, calls_of, shown

# Verbs of float16 rows: which arguments are rows, and whether what comes out are rows too, or sums in float32.
ROWS = {
    "conv": (0,), "conv_dw": (0, 1), "max_pool": (0,), "max_pool_dx": (0,), "sum_pool": (0,), "take": (0,),
    "scatter_add": (0,), "scatter_max": (0,), "segment_sum": (0,), "segment_max": (0,), "leaky_relu": (0,),
    "leaky_relu_dx": (0, 1), "moments": (0,),
    "affine": (0,), "affine_sums": (0, 1), "affine_dx": (0, 1),
}
SUMS = {"conv_dw", "segment_sum", "moments", "affine_sums"}
HALF = ("ground", "residual")                                            # options that are rows
CONVOLUTIONS = ("conv", "conv_dw")


def check_precisions(ops, rng, rulebook, c, o, groups=1, names=("float16", "tf32"), tolerance=1e-5):
    """Compare convolutions in each precision, and all verbs of float16 rows, with the reference in float64.

    The reference reads the same rounded numbers. Sums agree as in float32: to the tolerance, of the largest number.
    What is stored in float16 is rounded besides, by 2^-11, near zero 2^-25; conv's truth is too, maybe the other way.
    """
    for verb, arguments, options in calls_of(rng, rulebook, c, o, groups):
        if verb in CONVOLUTIONS:
            for name in names:
                compare(ops, verb, arguments, {**options, "precision": name}, np.float32, name, tolerance)
        if verb in ROWS and "float16" in names:
            given = [rounded(a) if i in ROWS[verb] else a for i, a in enumerate(arguments)]
            options = {name: rounded(a) if name in HALF else a for name, a in options.items()}
            if verb in CONVOLUTIONS:
                options = {**options, "precision": "float16"}
            compare(ops, verb, given, options, np.float16, "float16", tolerance)


def compare(ops, verb, arguments, options, stored, precision, tolerance=1e-5):
    """Call a verb with its rows stored in a dtype, the rest in float32; compare with the reference."""
    given = [born(ops, a, stored if i in ROWS[verb] else np.float32) for i, a in enumerate(arguments)]
    options_given = {name: born(ops, a, stored if name in HALF else np.float32) for name, a in options.items()}
    found = as_tuple(getattr(ops, verb)(*given, **options_given))
    expected = as_tuple(call(REFERENCE, verb, arguments, options))
    what = f"{verb}({', '.join(map(shown, [*arguments, *options.values()]))}), rows of {np.dtype(stored)}"
    half = precision == "float16" and verb not in SUMS
    for place, (mine, truth) in enumerate(zip(found, expected, strict=True)):
        mine = ops.to_numpy(mine)
        if truth.dtype.kind in "iu":
            assert mine.dtype == truth.dtype and np.array_equal(mine, truth), what
            continue
        in_half = half and place == 0
        assert mine.dtype == (np.float16 if in_half else np.float32), f"{what}: {mine.dtype}"
        assert mine.flags.c_contiguous, what
        rounding = in_half * np.maximum(2.0**-11 * np.abs(truth), 2.0**-25) * (2 if verb == "conv" else 1)
        limit = tolerance * np.abs(truth).max(initial=0) + rounding
        assert mine.shape == truth.shape and (np.abs(mine - truth) <= limit).all(), \
            f"{what}: {np.abs(mine - truth).max():.2e} apart"


def rounded(a):
    """Return the float64 numbers that float16 makes of an array."""
    return a.astype(np.float16).astype(np.float64)


def born(ops, a, dtype):
    """Give a float array to a backend in a dtype; other arguments stay."""
    return ops.asarray(a, dtype) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
