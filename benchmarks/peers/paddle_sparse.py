"""Paddle's sparse layers on a CPU; the time for its rules grows with the square of the number of sites.

It has no inverse convolution, so the U-Net cannot be written, and no pooling in two dimensions, so the DeepCNet has
three.
"""

import warnings

warnings.filterwarnings("ignore")

import networks  # noqa: E402
import numpy as np  # noqa: E402
import paddle  # noqa: E402
import workloads  # noqa: E402

SCAN_SIZE = (208, 192, 96)
SLOW = "its rules take minutes: 1 s for 5,000 sites, four times as long for twice as many"


def versions():
    """Name the package."""
    return {"paddlepaddle": paddle.__version__}


def set_threads(n_threads):
    paddle.set_device("cpu")
    paddle.base.core.set_num_threads(n_threads)


def tensor(sites, rows):
    """Make a fresh tensor, without rules."""
    size = [int(sites[:, 0].max()) + 1, *SCAN_SIZE, rows.shape[1]]
    return paddle.sparse.sparse_coo_tensor(sites.T.astype(np.int32), rows, size, stop_gradient=False)


def convolution(w):
    """Return a submanifold 3^3 convolution with weights (k, c, o), the last axis of the window fastest."""
    _, c, o = w.shape
    layer = paddle.sparse.nn.SubmConv3D(c, o, 3, padding=1, bias_attr=False, key="a")
    layer.weight.set_value(w.reshape(3, 3, 3, c, o))
    return layer


class Part:
    """A submanifold 3^3 convolution on few sites: with rules kept, and new ones."""

    gflop = {}

    def setup(self, channels):
        self.sites = workloads.part()
        self.rows = workloads.features(self.sites, channels)
        same = np.zeros((27, channels, channels), np.float32)
        same[13] = np.eye(channels)
        self.layer = convolution(workloads.weights(27, channels, channels))
        self.x = convolution(same)(tensor(self.sites, self.rows)).detach()     # the same rows, and rules by their key
        self.x.stop_gradient = False
        self.dy = paddle.to_tensor(np.random.default_rng(1).standard_normal(self.rows.shape, np.float32))
        self.results = {"forward": self.result, "cold": self.result}

    def result(self):
        with paddle.no_grad():
            y = self.layer(self.x)
        return y.indices().numpy().T, y.values().numpy()

    def time_forward(self, *_):
        with paddle.no_grad():
            self.layer(self.x)

    def time_cold(self, *_):
        with paddle.no_grad():
            self.layer(tensor(self.sites, self.rows))

    def time_forward_backward(self, *_):
        self.layer.clear_gradients()
        self.layer(self.x).values().backward(self.dy)


class _TooMany:
    def setup(self, *_):
        return SLOW


class Scan(_TooMany):
    pass


class Wide(_TooMany):
    pass


class Lidar(_TooMany):
    pass


class Cold(_TooMany):
    pass


class Converted:
    """The layers of the same DeepCNet(5, 30) on one glyph, with a third dimension of one site; weights are drawn."""

    gflop = {}

    def setup(self, name):
        if name != "deepcnet":
            return SLOW
        self.sites, self.rows, self.size = networks.scene(name)
        self.layers, channels, sparse = [], self.rows.shape[1], paddle.sparse.nn
        for level in range(6):
            width, size = 30 * (level + 1), 2 if level else 3
            self.layers += [sparse.Conv3D(channels, width, (1, size, size), bias_attr=False), sparse.LeakyReLU(1 / 3)]
            self.layers += [sparse.MaxPool3D((1, 2, 2), (1, 2, 2))] * (level < 5)
            channels = width

    def time_cold(self, *_):
        sites = np.insert(self.sites, 1, 0, axis=1).T.astype(np.int32)
        with paddle.no_grad():
            x = paddle.sparse.sparse_coo_tensor(sites, self.rows, (1, 1, *self.size, self.rows.shape[1]))
            for layer in self.layers:
                x = layer(x)
        return x


class Peak(Converted):
    """Megabytes at the peak of a process that has run some frames."""

    def track_peak_MB(self, _):
        for _ in range(3):
            self.time_cold()
        return networks.peak_MB()


def first_frame(name):
    """Return the features of the first frame, with weights that are drawn."""
    case = Converted()
    case.setup(name)
    return case.time_cold().values().numpy()
