"""What CuPy's arrays answer and refuse before a GPU is asked for anything: one table, for CuPy and for the stand-in.

    python protocols.py      prints what the installed CuPy says, as JSON; it needs no GPU

CuPy makes an array over any memory that it is told is a GPU's, so that all it checks on the way there can be asked.
"""

import inspect
import json
import operator
import re
import warnings

import cupy_signatures
import numpy as np

ON_THE_GPU = "a GPU is asked"
TYPED = r"\b(?:_ndarray_base|Py_ssize_t|tuple|str|bool|bint|int) (?=\w)"
NUMPY = np.ones((3, 2), np.float32)
CASES = {
    "asarray": lambda cp, a, z, i: np.asarray(a),
    "array of arrays": lambda cp, a, z, i: np.array([a, a]),
    "array of scalars": lambda cp, a, z, i: np.array([z, z]),
    "ascontiguousarray": lambda cp, a, z, i: np.ascontiguousarray(a),
    "require": lambda cp, a, z, i: np.require(a, np.float32, "CA"),
    "insert": lambda cp, a, z, i: np.insert(i, 0, 0),
    "a maximum with an initial value": lambda cp, a, z, i: np.max(a, initial=0),
    "moveaxis": lambda cp, a, z, i: np.moveaxis(a, 0, 1).shape,
    "shape, ndim, size": lambda cp, a, z, i: (np.shape(a), np.ndim(z), np.size(a)),
    "isscalar": lambda cp, a, z, i: np.isscalar(z),
    "len": lambda cp, a, z, i: (len(a), [row.shape for row in a]),
    "len of a scalar": lambda cp, a, z, i: len(z),
    "iter of a scalar": lambda cp, a, z, i: iter(z),
    "bool of several": lambda cp, a, z, i: bool(a),
    "index": lambda cp, a, z, i: operator.index(i[0]),
    "round": lambda cp, a, z, i: round(z),
    "hash": lambda cp, a, z, i: hash(a),
    "item of a place": lambda cp, a, z, i: a.item(0),
    "basic indices": lambda cp, a, z, i: (a[:2].shape, a[None, 1].shape, a[np.int64(1)].shape, a[..., 0].shape),
    "an index outside": lambda cp, a, z, i: a[5],
    "numpy into all": lambda cp, a, z, i: operator.setitem(a, ..., NUMPY),
    "numpy into a slice": lambda cp, a, z, i: operator.setitem(a, slice(None), NUMPY),
    "a list into a row": lambda cp, a, z, i: operator.setitem(a, 0, [1, 2]),
    "fill": lambda cp, a, z, i: a.fill(NUMPY),
    "matmul": lambda cp, a, z, i: a @ NUMPY.T,
    "matmul from the left": lambda cp, a, z, i: NUMPY.T @ a,
    "in-place matmul": lambda cp, a, z, i: hasattr(a, "__imatmul__"),
    "stack": lambda cp, a, z, i: cp.stack([a, NUMPY]),
    "contiguous numpy": lambda cp, a, z, i: cp.ascontiguousarray(NUMPY),
    "a contiguous scalar": lambda cp, a, z, i: cp.ascontiguousarray(z).shape,
    "broadcast": lambda cp, a, z, i: cp.broadcast_to(a, (2, 3, 2)).shape,
    "broadcast numpy": lambda cp, a, z, i: cp.broadcast_to(NUMPY, (2, 3, 2)),
    "expand numpy": lambda cp, a, z, i: cp.expand_dims(NUMPY, 0),
    "repeats of numpy": lambda cp, a, z, i: cp.repeat(a, np.array([1, 2, 3]), axis=0),
    "take with a mode": lambda cp, a, z, i: a.take([0], axis=0, mode="clip"),
    "searchsorted for numpy": lambda cp, a, z, i: cp.searchsorted(i, np.array([1])),
    "searchsorted for a list": lambda cp, a, z, i: cp.searchsorted(i, [1]),
    "quicksort": lambda cp, a, z, i: i.argsort(kind="quicksort"),
    "sum from a value": lambda cp, a, z, i: a.sum(initial=0),
    "sum of some": lambda cp, a, z, i: a.sum(where=True),
    "max from a value": lambda cp, a, z, i: a.max(initial=0),
    "prod from a value": lambda cp, a, z, i: cp.prod(a, initial=1),
    "astype without a copy": lambda cp, a, z, i: a.astype(np.float32, copy=False) is a,
    "flags": lambda cp, a, z, i: (a.flags.c_contiguous, a.T.flags.c_contiguous, a.T.flags.f_contiguous),
    "alignment": lambda cp, a, z, i: a.flags.aligned,
    "the type": lambda cp, a, z, i: (type(a).__module__, type(a).__name__, a.dtype.type is np.float32),
    "the pointer": lambda cp, a, z, i: type(a.data.ptr) is int,
    "view": lambda cp, a, z, i: a.view(np.int32).dtype.name,
}


def answers(cupy, made):
    """Return {case: what comes of it}; `made` gives an array of CuPy for one of numpy."""
    found = {}
    for name, case in CASES.items():
        arrays = made(NUMPY), made(np.ones((), np.float32)), made(np.zeros(3, np.int64))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found[name] = repr(case(cupy, *arrays))
            except Exception as error:
                found[name] = ON_THE_GPU if type(error).__name__ == "CUDARuntimeError" else type(error).__name__
    return found


def signature(function):
    """Return [[name, kind, default], ...] of the parameters of a function of CuPy, its own or its docstring's."""
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        text = function.__doc__.split("\n")[0].replace("\\*", "*")
        text = text[text.index("(") + 1:text.rindex(")")].removeprefix("self").removeprefix(", ")
        found = cupy_signatures.signature_of(re.sub(TYPED, "", text))
    return shown(found)


def shown(found):
    """Return an inspect.Signature as [[name, kind, default], ...], without `self`."""
    return [[p.name, p.kind.name, repr(p.default)] for p in found.parameters.values() if p.name != "self"]


def over_memory(cupy):
    """Return a function that makes an array of the real CuPy over a numpy array's memory."""
    def made(array):
        memory = cupy.cuda.UnownedMemory(array.ctypes.data, array.nbytes, array, 0)
        return cupy.ndarray(array.shape, array.dtype, cupy.cuda.MemoryPointer(memory, 0))

    return made


def said_by(cupy):
    """Return what the real CuPy says: [answers, signatures of functions, of methods, of the rest, by name]."""
    functions = {name: signature(getattr(cupy, name)) for name in cupy_signatures.FUNCTIONS}
    methods = {name: signature(getattr(cupy.ndarray, name)) for name in cupy_signatures.METHODS}
    rest = {"Stream": cupy.cuda.Stream, "record": cupy.cuda.Stream.record, "wait_event": cupy.cuda.Stream.wait_event,
            "using_allocator": cupy.cuda.using_allocator, "RawModule": cupy.RawModule,
            "get_function": cupy.RawModule.get_function, "__dlpack__": cupy.ndarray.__dlpack__}
    return [answers(cupy, over_memory(cupy)), functions, methods, {name: signature(f) for name, f in rest.items()}]


if __name__ == "__main__":
    import cupy as real

    print(json.dumps(said_by(real)))
