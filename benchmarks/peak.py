"""numpy's product of two square matrices: the peak that all is measured by."""

import numpy as np

SIZE = 2048


def versions():
    """Name numpy and the BLAS that it was built with."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {"numpy": np.__version__, blas["name"]: blas["version"]}


def set_threads(n_threads):
    """BLAS has read them from the environment."""


class Sgemm:
    gflop = {"product": 2e-9 * SIZE**3}

    def setup(self):
        self.a, self.b = np.random.default_rng(0).standard_normal((2, SIZE, SIZE), np.float32)
        self.y = np.empty_like(self.a)

    def time_product(self):
        np.matmul(self.a, self.b, out=self.y)
