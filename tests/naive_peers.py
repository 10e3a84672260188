"""Layers of other libraries by their definitions: loops over {site: row} in numpy alone.

A site is (batch, *place), its place in units of the stride of its tensor. Weights are those of the library's state.
"""

import itertools

import numpy as np


def first_fastest(k, d):
    """List the taps of MinkowskiEngine, and of torchsparse for an odd number: the first axis is fastest."""
    return [tap[::-1] for tap in itertools.product(range(k), repeat=d)]


def last_fastest(k, d):
    """List the taps of torchsparse for an even number of them: the last axis is fastest."""
    return list(itertools.product(range(k), repeat=d))


ORDER = {"minkowski": lambda k, d: first_fastest(k, d),
         "torchsparse": lambda k, d: first_fastest(k, d) if k % 2 else last_fastest(k, d)}


def offset(k):
    """Return the tap at the site itself: odd windows are centred, even ones begin at the site."""
    return (k - 1) // 2 if k % 2 else 0


class State:
    """A checkpoint of one library and the layers that read it, by the names of their modules.

    Args:
        library: "minkowski", "torchsparse", "spconv2", "spconv1" or "open3d".
        arrays: {name: array}.
        d: dimension.
    """

    def __init__(self, library, arrays, d=3):
        self.library, self.arrays, self.d = library, arrays, d
        self.used = set()

    def get(self, name):
        self.used.add(name)
        return np.asarray(self.arrays[name], np.float64)

    def kernel(self, name, k):
        """Return [(tap, matrix (c, o))] of a convolution."""
        if self.library in ORDER:
            w = self.get(f"{name}.kernel")
            w = w[None] if w.ndim == 2 else w
            return list(zip(ORDER[self.library](k, self.d), w, strict=True))
        if self.library == "open3d":              # its U-Net reads SparseConvNet's weights with the axes reversed
            w = self.get(f"{name}.kernel")
            return [(tap, w[tap[::-1]]) for tap in last_fastest(k, self.d)]
        w = self.get(f"{name}.weight")
        if k == 1:                                # spconv multiplies by the memory as it lies
            c = w.shape[-1] if self.library == "spconv2" else w.shape[-2]
            return [((0,) * self.d, w.reshape(c, -1))]
        at = (lambda tap: w[(slice(None), *tap)].T) if self.library == "spconv2" else (lambda tap: w[tap])
        return [(tap, at(tap)) for tap in last_fastest(k, self.d)]

    def bias(self, name):
        return self.get(f"{name}.bias").reshape(-1) if f"{name}.bias" in self.arrays else 0.0

    def same(self, x, name, k=3):
        """Convolve at the sites of x."""
        return self.at(x, name, k, 1, list(x))

    def down(self, x, name, k=2, s=2):
        """Convolve at the cells of s sites an axis that hold a site."""
        return self.at(x, name, k, s, sorted({(b, *(p // s for p in place)) for b, *place in x}))

    def at(self, x, name, k, s, outs):
        """Sum x[s * o + tap - offset] @ w[tap] over the taps, at the sites `outs`."""
        w, bias = self.kernel(name, k), self.bias(name)
        y = {}
        for b, *place in outs:
            row = bias + np.zeros(w[0][1].shape[1])
            for tap, matrix in w:
                i = (b, *(s * p + t - offset(k) for p, t in zip(place, tap, strict=True)))
                row = row + x[i] @ matrix if i in x else row
            y[(b, *place)] = row
        return y

    def strided(self, x, name, k, s, padding, size):
        """Return spconv's SparseConv: the outputs of a field that any site reaches."""
        w, bias, y = self.kernel(name, k), self.bias(name), {}
        field = [(n + 2 * p - k) // s + 1 for n, p in zip(size, padding, strict=True)]
        for (b, *place), row in x.items():
            for tap, matrix in w:
                steps = [i + p - t for i, p, t in zip(place, padding, tap, strict=True)]
                o = tuple(step // s for step in steps)
                if not any(step % s for step in steps) and all(0 <= v < n for v, n in zip(o, field, strict=True)):
                    y[(b, *o)] = y.get((b, *o), bias) + row @ matrix
        return y, field

    def up(self, x, name, fine, k=2, s=2):
        """Spread x to the sites `fine`, the transpose of `down`."""
        w, bias = self.kernel(name, k), self.bias(name)
        y = {}
        for b, *place in fine:
            row = bias + np.zeros(w[0][1].shape[1])
            for tap, matrix in w:
                steps = [p - t + offset(k) for p, t in zip(place, tap, strict=True)]
                j = (b, *(step // s for step in steps))
                row = row + x[j] @ matrix if not any(step % s for step in steps) and j in x else row
            y[(b, *place)] = row
        return y

    def created(self, x, name, k=2, s=2):
        """Spread x to all sites that it reaches."""
        fine = {(b, *(s * p + t - offset(k) for p, t in zip(place, tap, strict=True)))
                for b, *place in x for tap in first_fastest(k, self.d)}
        return self.up(x, name, sorted(fine), k, s)

    def linear(self, x, name):
        """Apply a torch.nn.Linear."""
        w, bias = self.get(f"{name}.weight").T, self.bias(name)
        return {site: row @ w + bias for site, row in x.items()}

    def norm(self, x, name, eps=1e-5):
        """Apply a batch normalisation in evaluation."""
        w, b, mean, var = (self.get(f"{name}.{leaf}") for leaf in ("weight", "bias", "running_mean", "running_var"))
        return {site: (row - mean) / np.sqrt(var + eps) * w + b for site, row in x.items()}


def relu(x):
    return {site: np.maximum(row, 0) for site, row in x.items()}


def add(x, y):
    assert x.keys() == y.keys()
    return {site: row + y[site] for site, row in x.items()}


def cat(x, y):
    assert x.keys() == y.keys()
    return {site: np.concatenate([row, y[site]]) for site, row in x.items()}


def table(sites, rows):
    """Return {site: row} of arrays."""
    return {tuple(site): row.astype(np.float64) for site, row in zip(sites.tolist(), rows, strict=True)}


def same_values(y, want, tolerance=2e-6):
    """Assert that a SparseTensor has the sites and the rows of {site: row}."""
    assert sorted(want) == [tuple(site) for site in y.sites.tolist()]
    rows = np.array([want[site] for site in sorted(want)])
    assert np.abs(y.features.numpy() - rows).max() <= tolerance * np.abs(rows).max()
