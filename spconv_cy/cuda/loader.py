"""The kernels: CUDA source beside this file, compiled by CuPy's RawModule at first use and kept."""

from functools import cache
from pathlib import Path

import numpy as np

SOURCES = ("conv.cu", "pool.cu", "rows.cu")
OPTIONS = ("-std=c++17",)
MOST_BLOCKS = 65535                                                      # of kernels that stride over their numbers
THREADS = 256


class Kernels:
    """The kernels by name. CuPy keeps what it compiled on disk, so that a later process does not compile.

    Args:
        cupy: the module.
    """

    def __init__(self, cupy):
        folder = Path(__file__).parent
        self._modules = [(source, cupy.RawModule(code=source, options=OPTIONS))
                         for source in ((folder / name).read_text() for name in SOURCES)]
        self._function = cache(self._found)

    def _found(self, name):
        return next(module for source, module in self._modules
                    if f" {name}(" in source or f"KERNEL({name}," in source).get_function(name)

    def launch(self, name, grid, threads, *arguments):
        """Start a kernel on `grid` blocks (x, y, z); arguments are device arrays, or numpy scalars of its types."""
        self._function(name)(grid, (threads,), arguments)

    def stride(self, name, n, *arguments):
        """Start a kernel whose threads stride over n numbers; none where n is 0."""
        if n:
            self.launch(name, (int(np.clip(-(-n // THREADS), 1, MOST_BLOCKS)),), THREADS, *arguments)
