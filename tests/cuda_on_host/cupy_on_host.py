"""A strict stand-in for cupy over numpy arrays, whose kernels run on the CPU in the shim.

It has cupy's protocols: no conversion to numpy that is not asked for, DLPack's device of a GPU, numpy's functions
handed over. It refuses what real cupy refuses (numpy arrays among its own, but for indices) and what a GPU would
silently misread: a pointer's dtype, a scalar's size, an array that is not contiguous. What `empty` gives is poisoned.
"""

import sys
import types
from inspect import Parameter

import numpy as np
import scipy.special
import streams
from cupy_signatures import ELEMENTWISE, FUNCTIONS, METHOD_SIGNATURES, METHODS, SIGNATURES
from kernels_on_host import RawModule as RawModule

__version__ = "on the host"
inf, nan = np.inf, np.nan
GPU = 2, 0                                                               # kDLCUDA of DLPack, and the device's number
OPERATORS = ("add sub mul truediv floordiv mod pow and or xor lshift rshift lt le gt ge eq ne radd rsub rmul rtruediv "
             "rpow matmul neg abs invert iadd isub imul itruediv ipow iand ior").split()
SCALARS = bool, int, float, complex, np.generic
ONE_MASK = "currently, CuPy only supports slices that consist of one boolean array."
copies = []                                                              # (up or down, shape, stream), in order


class ndarray:
    """An array in the memory of the GPU that is not there."""

    __slots__ = ("_a", "_block", "__weakref__")
    __array_priority__ = 100
    __hash__ = None

    def __init__(self, a):
        self._a, self._block = a, streams.block_of(a, may_be_made=True) if streams.on else None

    def used(self, writes=False):
        """Note a use on the current stream; return the numpy array."""
        if streams.on:
            self._block = self._block or streams.block_of(self._a)
            self._block.use(writes)
        return self._a

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a "
                        "NumPy array explicitly.")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method != "__call__" or ufunc.__name__ not in SIGNATURES:
            return NotImplemented
        if "out" in options:
            options["out"], = options["out"]
        return _Function(ufunc.__name__)(*inputs, **options)

    def __array_function__(self, function, kinds, arguments, options):
        fits = function.__module__ == "numpy" and function.__name__ in FUNCTIONS
        if not fits or not set(kinds) <= {ndarray, np.ndarray}:
            return NotImplemented
        return getattr(sys.modules[__name__], function.__name__)(*arguments, **options)

    def __dlpack_device__(self):
        return GPU

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        if stream is None:                                               # only readers of a GPU's memory give one
            raise BufferError("Unsupported device in DLTensor.")
        return self.used().__dlpack__()

    def get(self, stream=None, order="C", out=None, blocking=True):
        copies.append(("down", self.shape, streams.current()))
        return self.used().copy(order)

    def __reduce__(self):
        return (asarray, (self._a,))

    def __copy__(self):
        return ndarray(self.used().copy())

    def __deepcopy__(self, _):
        return self.__copy__()

    dtype = property(lambda self: self._a.dtype)
    shape = property(lambda self: self._a.shape)
    size = property(lambda self: self._a.size)
    ndim = property(lambda self: self._a.ndim)
    nbytes = property(lambda self: self._a.nbytes)
    T = property(lambda self: ndarray(self._a.T))
    data = property(lambda self: types.SimpleNamespace(ptr=self._a.ctypes.data))

    @property
    def flags(self):
        found = self._a.flags
        return types.SimpleNamespace(c_contiguous=found.c_contiguous, f_contiguous=found.f_contiguous,
                                     owndata=found.owndata)

    def __len__(self):
        return len(self._a)

    def __iter__(self):
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        return ndarray(np.asarray(self.used()[_index(key)]))

    def __setitem__(self, key, value):
        places = _index(key)
        if isinstance(value, ndarray):
            value = value.used()
        elif not isinstance(value, SCALARS):
            value = np.array(value)
            if value.ndim and not _arrays(key):
                raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
            if value.ndim:
                copies.append(("up", value.shape, streams.current()))
        self._check_once(key, places)
        _quiet(self.used(writes=True).__setitem__, places, value)

    def _check_once(self, key, places):
        if any(part.dtype != bool for part in _arrays(key)):
            met = np.zeros(self.shape, np.int8)
            np.add.at(met, places, 1)
            if met.max(initial=0) > 1:
                raise RuntimeError("a place comes twice among the indices: which value stays is left to chance")

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if not copy and self.dtype == dtype and order == "K":
            return self
        return ndarray(_quiet(self.used().astype, dtype, order))

    def fill(self, value):
        self[...] = value

    def tolist(self):
        return self.get().tolist()

    def tobytes(self, order="C"):
        return self.get().tobytes(order)

    def item(self):
        return self.get().item()

    def __getattr__(self, name):
        if name not in METHODS:
            raise AttributeError(f"cupy.ndarray.{name}: not in METHODS of the stand-in")

        def method(*arguments, **options):
            given = _taken(METHOD_SIGNATURES[name], arguments, options)
            _check_kind(name, given)
            return _wrapped(_quiet(getattr(self.used(), name), *given.args, **_stable(name, given.kwargs)))

        return method

    def __int__(self):
        return int(self.get())

    def __float__(self):
        return float(self.get())

    def __bool__(self):
        return bool(self.get())

    def __format__(self, how):
        return format(self.get(), how)

    def __repr__(self):
        return f"cupy.{self._a!r}"


def _operator(name):
    def operate(self, *others):
        mine = self.used(writes=name[2] == "i" and name != "__invert__")
        if name == "__matmul__":
            _check_own("b", others[0])
        return _wrapped(_quiet(getattr(mine, name), *map(_operand, others)))

    return operate


for _name in OPERATORS:
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
ndarray.__module__ = "cupy"


# What functions take


def _operand(x):
    if isinstance(x, ndarray):
        return x.used()
    if isinstance(x, SCALARS):
        return x
    raise TypeError(f"Unsupported type {type(x)}")                       # in cupy's words


def _check_own(name, x):
    if not isinstance(x, ndarray):
        raise TypeError(f"Argument '{name}' has incorrect type (expected cupy.ndarray, got {type(x).__name__})")


def _index(key):
    # Indices may be numpy arrays and lists: cupy uploads them.
    arrays = _arrays(key)
    if any(part.dtype == bool for part in arrays) and len(arrays) > 1:
        raise ValueError(ONE_MASK)
    return tuple(map(_one_index, key)) if isinstance(key, tuple) else _one_index(key)


def _one_index(part):
    if isinstance(part, ndarray):
        return part.used()
    if isinstance(part, (np.ndarray, list)):
        copies.append(("up", np.shape(part), streams.current()))
        part = np.array(part, None if np.size(part) else np.int32)
        if part.dtype.kind not in "iub":
            raise IndexError(f"arrays used as indices must be of integer or boolean type. (actual: {part.dtype.type})")
    return part


def _arrays(key):
    parts = key if isinstance(key, tuple) else (key,)
    return [np.array(part) if isinstance(part, list) else part for part in parts
            if isinstance(part, (ndarray, np.ndarray, list))]


def _argument(name, x):
    """Return what numpy gets for an argument of that name; raise where cupy does not take it."""
    if name in ("a", "A", "array", "condition", "prototype", "out"):
        _check_own(name, x)
        return x.used(writes=name == "out")
    if name in ("x", "x1", "x2", "y", "a_min", "a_max", "fill_value", "val"):
        return _operand(x)
    if name == "tup":
        for part in x:
            _check_own("tup", part)
        return [part.used() for part in x]
    if name in ("indices", "key"):
        return x if isinstance(x, SCALARS) else _one_index(x)
    if name == "repeats" and isinstance(x, np.ndarray):
        raise TypeError("'repeats' does not accept numpy.ndarray; convert with cupy.array() first")
    if name == "v" and not isinstance(x, (ndarray, int, float)):
        raise NotImplementedError("Only python scalars or ndarrays are supported for v")
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    return x.used() if isinstance(x, ndarray) else x


def _taken(signature, arguments, options):
    """Return the arguments by cupy's signature, with numpy arrays in the place of its own."""
    given = signature.bind(*arguments, **options)
    for name, x in list(given.arguments.items()):
        kind = signature.parameters[name].kind
        if kind is Parameter.VAR_POSITIONAL:
            plain = str, tuple, list, *SCALARS
            given.arguments[name] = tuple(part if isinstance(part, plain) else _argument("a", part) for part in x)
        elif x is None or kind is Parameter.VAR_KEYWORD:
            given.arguments.pop(name) if name == "out" else None
        else:
            given.arguments[name] = _argument(name, x)
    return given


def _check_kind(name, given):
    if name == "argsort" and given.arguments.get("kind") not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")


def _stable(name, options):
    return options | {"kind": "stable"} if name == "argsort" else options     # as cupy sorts


def _quiet(function, *arguments, **options):
    with np.errstate(all="ignore"):                                      # a GPU warns of nothing
        return function(*arguments, **options)


def _wrapped(found):
    if isinstance(found, (np.ndarray, np.generic)):
        return ndarray(np.asarray(found))
    return type(found)(map(_wrapped, found)) if isinstance(found, (tuple, list)) else found


class _Function:
    def __init__(self, name):
        self._name, self._function = name, getattr(np, name)

    def __call__(self, *arguments, **options):
        given = _taken(SIGNATURES[self._name], arguments, options)
        _check_kind(self._name, given)
        found = _quiet(self._function, *given.args, **_stable(self._name, given.kwargs))
        return options["out"] if options.get("out") is not None else _wrapped(found)

    def at(self, array, key, values):
        if self._name not in ELEMENTWISE:
            raise AttributeError(f"cupy.{self._name} has no 'at'")
        self._function.at(array.used(writes=True), _index(key), _operand(values))


def __getattr__(name):
    if name not in FUNCTIONS:
        raise AttributeError(f"cupy.{name}: not in FUNCTIONS of the stand-in")
    return _Function(name)


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    """Upload; what is there already stays."""
    if isinstance(a, ndarray):
        found = np.asarray(a._a, dtype, order=order)
        return a if found is a._a else ndarray(found)
    if isinstance(a, (list, tuple)) and a and all(isinstance(part, ndarray) for part in a):
        return ndarray(np.array([part.used() for part in a], dtype, order=order or "K"))
    found = np.array(a, dtype=dtype, order=order or "K")
    if found.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {found.dtype}")
    copies.append(("up", found.shape, streams.current()))
    return ndarray(found)


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    """Upload, or copy what is there already."""
    if isinstance(obj, ndarray) and copy:
        return ndarray(np.array(obj.used(), dtype, order=order, ndmin=ndmin))
    return asarray(obj, dtype, order)


def ascontiguousarray(a, dtype=None):
    """Return a C-contiguous array of one axis or more, the array itself where it is one."""
    _check_own("a", a)
    found = np.ascontiguousarray(a.used(), dtype)
    return a if found is a._a else ndarray(found)


def empty(shape, dtype=float, order="C"):
    """Memory of a device holds rubbish: NaN, -1."""
    made = np.empty(shape, dtype, order)
    made.reshape(-1).view(np.uint8)[...] = 0xFF
    return ndarray(made)


def empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    _check_own("prototype", prototype)
    return empty(prototype.shape if shape is None else shape, dtype or prototype.dtype)


def from_dlpack(array, *, device=None, copy=None):
    """Read an array of a GPU where it lies."""
    if array.__dlpack_device__() != GPU:
        raise BufferError(f"the device {array.__dlpack_device__()} is not the GPU's")
    if isinstance(array, ndarray):
        return array
    held = type("Held", (), {"__dlpack__": lambda self, **_: array.__dlpack__(stream=1),
                             "__dlpack_device__": lambda self: (1, 0)})      # numpy asks the type
    return ndarray(np.from_dlpack(held()))


def ndim(a):
    return a.ndim if isinstance(a, ndarray) else np.ndim(a)


def shape(a):
    return a.shape if isinstance(a, ndarray) else np.shape(a)


def size(a, axis=None):
    return (a.size if axis is None else a.shape[axis]) if isinstance(a, ndarray) else np.size(a, axis)


class OutOfMemoryError(MemoryError):
    """Memory of the device has run out."""


def _as_strided(x, shape=None, strides=None):
    return ndarray(np.lib.stride_tricks.as_strided(x.used(), shape, strides))


lib = types.SimpleNamespace(stride_tricks=types.SimpleNamespace(as_strided=_as_strided))
cuda = types.SimpleNamespace(
    is_available=lambda: True,
    runtime=types.SimpleNamespace(driverGetVersion=lambda: 13000, getDeviceProperties=lambda _: {"name": b"the host"}),
    nvrtc=types.SimpleNamespace(getVersion=lambda: (13, 0)),
    cublas=types.SimpleNamespace(getVersion=lambda: 130000),
    memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    Stream=streams.Stream, Device=streams.Device, get_current_stream=streams.current,
    get_allocator=streams.allocator, using_allocator=streams.using_allocator)


def modules():
    """Return what is to stand in sys.modules, by name."""
    special = types.SimpleNamespace(erf=lambda x: _wrapped(scipy.special.erf(_operand(x))))
    return {"cupy": sys.modules[__name__], "cupyx": types.SimpleNamespace(), "cupyx.scipy": types.SimpleNamespace(),
            "cupyx.scipy.special": special}
