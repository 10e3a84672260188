"""A strict stand-in for cupy over numpy arrays, whose kernels run on the CPU in the shim.

It refuses what real cupy refuses (numpy arrays among its own, but for indices) and what a GPU would silently misread:
a pointer's dtype, a scalar's size, an array that is not contiguous. What `empty` gives is poisoned. Only the names of
cupy that the library uses are there, so that a new one is looked up in cupy before it is added here.
"""

import ctypes
import json
import os
import sys
import threading
import types

import host_build
import numpy as np
import scipy.special
import streams

__version__ = "on the host"
METHODS = set("all any argmax argmin argsort astype copy cumsum max mean min ravel repeat reshape squeeze sum swapaxes "
              "take tobytes tolist transpose view".split())
FUNCTIONS = set("abs add arange argsort argwhere ascontiguousarray broadcast_to clip concatenate cumsum divide einsum "
                "equal exp expand_dims expm1 eye flatnonzero frexp full full_like isfinite isinf isnan ldexp log "
                "log1p logical_and logical_not logical_or matmul maximum mean minimum moveaxis multiply nonzero ones "
                "ones_like power prod repeat searchsorted sign sqrt square stack subtract sum take tanh tile where "
                "zeros zeros_like".split())
OPERATORS = ("add sub mul truediv floordiv mod pow and or xor lshift rshift lt le gt ge eq ne radd rsub rmul rtruediv "
             "rpow matmul neg abs invert iadd isub imul itruediv ipow iand ior").split()


copies = []                                                              # (up or down, shape, stream), in order
_one_at_a_time = threading.Lock()                                        # the shim knows one kernel


class ndarray:
    """An array in the memory of the GPU that is not there."""

    __slots__ = ("_a", "_block", "__weakref__")
    __array_ufunc__ = None
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
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def get(self):
        copies.append(("down", self.shape, streams.current()))
        return self.used().copy()

    def __reduce__(self):
        return (asarray, (self._a,))

    def __deepcopy__(self, _):
        return ndarray(self._a.copy())

    dtype = property(lambda self: self._a.dtype)
    shape = property(lambda self: self._a.shape)
    size = property(lambda self: self._a.size)
    ndim = property(lambda self: self._a.ndim)
    nbytes = property(lambda self: self._a.nbytes)
    flags = property(lambda self: self._a.flags)
    T = property(lambda self: ndarray(self._a.T))
    data = property(lambda self: types.SimpleNamespace(ptr=self._a.ctypes.data))

    def __len__(self):
        return len(self._a)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        return ndarray(np.asarray(self.used()[_index(key)]))

    def __setitem__(self, key, value):
        _quiet(self.used(writes=True).__setitem__, _index(key), _own(value))

    def __getattr__(self, name):
        if name not in METHODS:
            raise AttributeError(f"cupy.ndarray.{name}: not in METHODS of the stand-in")
        if name == "argsort":
            return lambda *a, **k: _wrapped(self._a.argsort(*a, kind="stable", **k))     # as cupy sorts
        method = getattr(self.used(), name)
        if name in ("tolist", "tobytes"):
            copies.append(("down", self.shape, streams.current()))
            return method
        return lambda *a, **k: _wrapped(_quiet(method, *map(_own, a), **{n: _own(v) for n, v in k.items()}))

    def item(self):
        return self.get().item()

    def __int__(self):
        return int(self.get())

    def __float__(self):
        return float(self.get())

    def __bool__(self):
        return bool(self.get())

    def __index__(self):
        return self.get().__index__()

    def __repr__(self):
        return f"cupy.{self._a!r}"


def _operator(name):
    def operate(self, *others):
        mine = self.used(writes=name[2] == "i" and name != "__invert__")
        found = _quiet(getattr(mine, name), *map(_own, others))
        return found if found is NotImplemented else _wrapped(found)

    return operate


for _name in OPERATORS:
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
ndarray.__module__ = "cupy"


def _quiet(function, *arguments, **options):
    with np.errstate(all="ignore"):                                      # a GPU warns of nothing
        return function(*arguments, **options)


def _own(x):
    if isinstance(x, ndarray):
        return x.used()
    if isinstance(x, np.ndarray) and x.ndim:
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")      # in cupy's words
    if isinstance(x, (tuple, list)):
        return type(x)(map(_own, x))
    return x


def _index(key):
    # Indices may be numpy arrays: cupy uploads them.
    if isinstance(key, tuple):
        return tuple(map(_index, key))
    if isinstance(key, ndarray):
        return key.used()
    if isinstance(key, (np.ndarray, list)):
        copies.append(("up", np.shape(key), streams.current()))
    return key


def _wrapped(found):
    if isinstance(found, (np.ndarray, np.generic)):
        return ndarray(np.asarray(found))
    return type(found)(map(_wrapped, found)) if isinstance(found, (tuple, list)) else found


class _Function:
    def __init__(self, name):
        self._function, self._stable = getattr(np, name), name == "argsort"

    def __call__(self, *arguments, **options):
        if self._stable:
            options["kind"] = "stable"
        return _wrapped(_quiet(self._function, *map(_own, arguments), **{name: _own(v) for name, v in options.items()}))

    def at(self, array, key, values):
        self._function.at(array.used(writes=True), _index(key), _own(values))


def __getattr__(name):
    if name not in FUNCTIONS:
        raise AttributeError(f"cupy.{name}: not in FUNCTIONS of the stand-in")
    return _Function(name)


def asarray(array, dtype=None):
    """Upload; what is there already stays."""
    if isinstance(array, ndarray):
        return ndarray(np.asarray(array._a, dtype))
    if isinstance(array, (list, tuple)):
        array = _own(array)
    copies.append(("up", np.shape(array), streams.current()))
    return ndarray(np.array(array, dtype=dtype))


def empty(shape, dtype=np.float64):
    """Memory of a device holds rubbish: NaN, -1."""
    made = np.empty(shape, dtype)
    made.reshape(-1).view(np.uint8)[...] = 0xFF
    return ndarray(made)


def empty_like(array, dtype=None):
    return empty(array.shape, dtype or array.dtype)


class RawKernel:
    """A kernel in the shim, with the types of its parameters."""

    def __init__(self, library, name):
        self.name, self._launch = name, getattr(library, f"shim_launch_{name}")
        self._launch.restype = None
        signature = getattr(library, f"shim_sig_{name}")
        signature.restype = ctypes.c_char_p
        self.types = signature().decode().split()

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        if len(args) != len(self.types):
            raise TypeError(f"{self.name}: {len(args)} arguments came, the kernel takes {len(self.types)}")
        kept = [self._pointer(i, a, t) if "*" in t else self._scalar(i, a, t)
                for i, (a, t) in enumerate(zip(args, self.types, strict=True))]
        sizes = (ctypes.c_uint * 6)(*(tuple(grid) + (1, 1))[:3], *(tuple(block) + (1, 1))[:3])
        pointers = (ctypes.c_void_p * len(kept))(*map(ctypes.addressof, kept))
        with _one_at_a_time:
            self._launch(sizes, ctypes.c_size_t(shared_mem), pointers)

    def _pointer(self, i, array, wanted):
        if not isinstance(array, ndarray):
            raise TypeError(f"{self.name}: argument {i} is a {type(array).__name__}, no array of the device")
        array.used(writes="m*" in wanted)
        kind = array.dtype.kind.replace("b", "u") + str(array.dtype.itemsize)
        if kind != wanted.split("*")[1]:
            raise TypeError(f"{self.name}: argument {i} is of {array.dtype}, the kernel reads {wanted}")
        if not (array.flags.c_contiguous or array._a.swapaxes(-1, -2).flags.c_contiguous):
            raise TypeError(f"{self.name}: argument {i} is not contiguous")
        return ctypes.c_void_p(array._a.ctypes.data)

    def _scalar(self, i, value, wanted):
        if not isinstance(value, np.generic) or value.dtype.kind + str(value.dtype.itemsize) != wanted:
            raise TypeError(f"{self.name}: argument {i} is a {type(value).__name__}, the kernel takes {wanted}")
        return (ctypes.c_char * value.dtype.itemsize).from_buffer_copy(value.tobytes())


class RawModule:
    """A CUDA source, built for the CPU at first use in the mode that SHIM_MODE names."""

    def __init__(self, code, options=()):
        # A fault to be found: a line of the source, what stands in it, and what it becomes (mutants.py).
        source, before, after = json.loads(os.environ.get("SHIM_FAULT", '["", "", ""]'))
        self._code, self._library = code.replace(before, after) if before and source in code else code, None

    def get_function(self, name):
        if self._library is None:
            self._library = ctypes.CDLL(str(host_build.build(self._code, os.environ.get("SHIM_MODE", "plain"))))
        return RawKernel(self._library, name)


class OutOfMemoryError(MemoryError):
    """Memory of the device has run out."""


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
    special = types.SimpleNamespace(erf=lambda x: _wrapped(scipy.special.erf(_own(x))))
    return {"cupy": sys.modules[__name__], "cupyx": types.SimpleNamespace(), "cupyx.scipy": types.SimpleNamespace(),
            "cupyx.scipy.special": special}
