"""The names of CuPy that the stand-in has, each with CuPy's own signature; test_cupy_itself.py compares them with CuPy.

Only what the library uses is there, and what numpy hands over to CuPy by its protocols; a new name is looked up in
CuPy before it is added here.
"""

import inspect

UNARY = "x, /, out=None, *, casting='same_kind', dtype=None"
BINARY = "x1, x2, /, out=None, *, casting='same_kind', dtype=None"
SUMS = "axis=None, dtype=None, out=None, keepdims=False"
EXTREMES = "axis=None, out=None, keepdims=False"
LIKE = "dtype=None, order='K', subok=None, shape=None"

ELEMENTWISE = {name: UNARY for name in "absolute exp expm1 frexp invert isfinite isinf isnan log log1p logical_not "
               "negative sign sqrt square tanh".split()}
ELEMENTWISE |= {name: BINARY for name in "add bitwise_and bitwise_or bitwise_xor divide equal floor_divide greater "
                "greater_equal ldexp left_shift less less_equal logical_and logical_or maximum minimum multiply "
                "not_equal remainder right_shift subtract".split()} | {"power": BINARY}
FUNCTIONS = ELEMENTWISE | {
    "abs": UNARY,
    "amax": f"a, {EXTREMES}",
    "arange": "start, stop=None, step=1, dtype=None",
    "argsort": "a, axis=-1, kind=None",
    "argwhere": "a",
    "array": "obj, dtype=None, copy=True, order='K', subok=False, ndmin=0, *, blocking=False",
    "asarray": "a, dtype=None, order=None, *, copy=None, blocking=False",
    "ascontiguousarray": "a, dtype=None",
    "broadcast_to": "array, shape",
    "clip": "a, a_min, a_max, out=None",
    "concatenate": "tup, axis=0, out=None, *, dtype=None, casting='same_kind'",
    "cumsum": "a, axis=None, dtype=None, out=None",
    "einsum": "*operands, **kwargs",
    "empty": "shape, dtype=float, order='C'",
    "empty_like": f"prototype, {LIKE}",
    "expand_dims": "a, axis",
    "eye": "N, M=None, k=0, dtype=float, order='C'",
    "fill_diagonal": "a, val, wrap=False",
    "flatnonzero": "a",
    "from_dlpack": "array, *, device=None, copy=None",
    "full": "shape, fill_value, dtype=None, order='C'",
    "full_like": f"a, fill_value, {LIKE}",
    "max": f"a, {EXTREMES}",
    "matmul": "x1, x2, /, out=None",                                     # CuPy's has more
    "mean": f"a, {SUMS}",
    "moveaxis": "a, source, destination",
    "ndim": "a",
    "nonzero": "a",
    "ones": "shape, dtype=float, order='C'",
    "ones_like": f"a, {LIKE}",
    "prod": f"a, {SUMS}",
    "repeat": "a, repeats, axis=None",
    "searchsorted": "a, v, side='left', sorter=None",
    "shape": "a",
    "size": "a, axis=None",
    "stack": "tup, axis=0, out=None, *, dtype=None, casting='same_kind'",
    "sum": f"a, {SUMS}",
    "take": "a, indices, axis=None, out=None",
    "tile": "A, reps",
    "where": "condition, x=None, y=None",
    "zeros": "shape, dtype=float, order='C'",
    "zeros_like": f"a, {LIKE}",
}
METHODS = {
    "all": EXTREMES,
    "any": EXTREMES,
    "argmax": "axis=None, out=None, dtype=None, keepdims=False",
    "argmin": "axis=None, out=None, dtype=None, keepdims=False",
    "argsort": "axis=-1, kind=None",
    "astype": "dtype, order='K', casting=None, subok=None, copy=True",
    "copy": "order='C'",
    "cumsum": "axis=None, dtype=None, out=None",
    "fill": "value",
    "get": "stream=None, order='C', out=None, blocking=True",
    "item": "",
    "max": EXTREMES,
    "mean": SUMS,
    "min": EXTREMES,
    "nonzero": "",
    "ravel": "order='C'",
    "repeat": "repeats, axis=None",
    "reshape": "*shape, order='C', copy=None",
    "squeeze": "axis=None",
    "sum": SUMS,
    "swapaxes": "axis1, axis2",
    "take": "indices, axis=None, out=None",
    "tobytes": "order='C'",
    "tolist": "",
    "transpose": "*axes",
    "view": "dtype=None, type=None",
}


def signature_of(text):
    """Return the inspect.Signature of a function with these parameters."""
    return inspect.signature(eval(f"lambda {text}: None"))              # of this file's own text, and of CuPy's


SIGNATURES = {name: signature_of(text) for name, text in FUNCTIONS.items()}
METHOD_SIGNATURES = {name: signature_of(text) for name, text in METHODS.items()}
