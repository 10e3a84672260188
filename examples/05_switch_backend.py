"""Switch the backend: one network on every backend that runs here, and how far the answers are apart."""

import time

import numpy as np

import spconv_cy as sp

# "cpu": compiled, float32, the default. "reference": plain numpy, float64. "cuda": one NVIDIA GPU, where CuPy is.
print(f"backends that run here: {', '.join(sp.available_backends())}")

rng = np.random.default_rng(0)
points = np.column_stack([np.repeat([0, 1], 2000), rng.normal(0, 10, (4000, 3))])        # two clouds
features = rng.normal(size=(4000, 2))


def answers_of(backend):
    """Return (scores (2, 5) as a numpy array, seconds of a pass) of the network on a backend."""
    with sp.use(backend):                               # new arrays belong to it until the block ends
        net = sp.Sequential(
            sp.SubmanifoldConvolution(3, 2, 16, 3, rng=1), sp.ReLU(), sp.MaxPooling(3, 2),
            sp.Convolution(3, 16, 32, 2, rng=2), sp.ReLU(),
            sp.GlobalPooling("average"), sp.NetworkInNetwork(32, 5, rng=3)).eval()
        x = sp.SparseTensor.from_points(points, features, ground=None)
        net(x)                                          # the first pass also finds the neighbours, and keeps them
        began = time.perf_counter()
        scores = net(x).numpy()                         # copies the result to the host, so that a GPU has finished
        return scores, time.perf_counter() - began


truth, _ = answers_of("reference")
differences = {}
for backend in sp.available_backends():
    scores, seconds = answers_of(backend)
    differences[backend] = float(np.abs(scores - truth).max())
    print(f"{backend:>9}: {1e3 * seconds:7.1f} ms a pass, {differences[backend]:.1e} from the reference at most")

# A network that exists already moves by `to`; so does a tensor.
net = sp.Sequential(sp.NetworkInNetwork(2, 3, rng=0))
print(net.to(sp.available_backends()[-1]))
