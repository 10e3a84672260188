"""The kernels: CUDA source beside this file, compiled by CuPy's RawModule at first use and kept."""

from pathlib import Path

import numpy as np

from spconv_cy.once import once

# Each source, and the types of features for which it is compiled; conv_mma.cu reads float as TF32.
SOURCES = {name: ("float", "Half") for name in ("conv_mma.cu", "pool.cu", "rows.cu")} | {"conv.cu": ("float",)}
OPTIONS = ("-std=c++17",)
MOST_BLOCKS = 65535                                                      # of kernels that stride over their numbers
THREADS = 256


def forms():
    """List the pairs (source, type of features) that are compiled."""
    return [(name, real) for name, reals in SOURCES.items() for real in reals]


def source(name, real):
    """Return the text of a source for features of type `real`, "float" or "Half"."""
    folder = Path(__file__).parent
    return "".join([f"#define REAL {real}\n", *((folder / part).read_text() for part in ("numbers.cu", name))])


class Kernels:
    """The kernels by name. CuPy keeps what it compiled on disk, so that a later process does not compile.

    Args:
        cupy: the module.
    """

    def __init__(self, cupy):
        self._modules = [(form[1], source(*form), cupy.RawModule(code=source(*form), options=OPTIONS))
                         for form in forms()]
        self._functions = {}

    def _function(self, name, real):
        return once(self._functions, (name, real), self._found, name, real)

    def _found(self, name, real):
        return next(module for of, text, module in self._modules if of == real
                    and (f" {name}(" in text or f"KERNEL({name}," in text)).get_function(name)

    def launch(self, name, grid, threads, *arguments):
        """Start a kernel on `grid` blocks (x, y, z); arguments are device arrays, or numpy scalars of its types.

        The first argument holds features, float32 or float16; of the kernel there is a form for each.
        """
        real = "Half" if arguments[0].dtype == np.float16 else "float"
        self._function(name, real)(grid, (threads,), arguments)

    def stride(self, name, n, *arguments):
        """Start a kernel whose threads stride over n numbers; none where n is 0."""
        if n:
            self.launch(name, (int(np.clip(-(-n // THREADS), 1, MOST_BLOCKS)),), THREADS, *arguments)
