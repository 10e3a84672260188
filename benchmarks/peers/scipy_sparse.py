"""scipy's sparse matrices: one of pairs for each offset, times features and weights; rules by numpy's sorted search."""

import numpy as np
import scipy
import workloads
from scipy import sparse


def versions():
    """Name the packages."""
    return {"scipy": scipy.__version__, "numpy": np.__version__}


def set_threads(n_threads):
    """scipy's sparse products take one; BLAS has read them from the environment."""


class _Layer:
    gflop = {}

    def begin(self, sites, channels):
        self.sites, self.rows = sites[np.lexsort(sites.T[::-1])], workloads.features(sites, channels)
        self.rows = self.rows[np.lexsort(sites.T[::-1])]
        self.pick = _matrices(self.sites)
        self.w = workloads.weights(len(self.pick), channels, channels)
        self.results = {"forward": lambda: (self.sites, self.run())}

    def run(self):
        y = np.zeros((len(self.sites), self.w.shape[2]), np.float32)
        for pick, w in zip(self.pick, self.w, strict=True):
            y += pick @ (self.rows @ w)
        return y

    def time_forward(self, *_):
        self.run()


class Scan(_Layer):
    def setup(self, channels):
        self.begin(workloads.indoor_scan(), channels)


class Lidar(_Layer):
    def setup(self):
        self.begin(workloads.lidar(), 64)


class SpaceTime(_Layer):
    def setup(self):
        self.begin(workloads.space_time(), 32)


class Rules:
    def setup(self):
        self.sites = workloads.indoor_scan()

    def time_sorted(self):
        _matrices(self.sites)


class Cold(Scan):
    def setup(self):
        super().setup(32)

    def time_forward(self):
        self.pick = _matrices(self.sites)
        self.run()


def _matrices(sites):
    in_rows, out_rows, offset_ptr = workloads.submanifold_pairs(sites)
    shape, made = (len(sites), len(sites)), []
    for low, high in zip(offset_ptr[:-1], offset_ptr[1:], strict=True):
        ones = np.ones(high - low, np.float32)
        made.append(sparse.csr_matrix((ones, (out_rows[low:high], in_rows[low:high])), shape))
    return made
