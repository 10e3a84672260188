"""CuPy's RawModule and RawKernel, whose kernels run on the CPU in the shim."""

import ctypes
import json
import os
import threading

import host_build
import numpy as np

_one_at_a_time = threading.Lock()                                        # the shim knows one kernel


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
        if type(array).__module__ != "cupy":
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
