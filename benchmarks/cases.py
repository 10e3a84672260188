"""What is timed of spconv_cy: layers on large inputs, rules, a U-Net, a DeepCNet."""

import numpy as np
import workloads

import spconv_cy as sp

SCAN_SIZE = (208, 192, 96)
WIDE_SITES = 20_000
WIDTHS, CLASSES = (16, 32, 48, 64), 20                  # of the U-Net: 4 levels, 16 n


class _Layer:
    """A layer on a tensor whose rules are there: forward, and forward with both gradients."""

    def begin(self, sites, size, layer, channels_in):
        self.layer, volume = layer, layer.window.volume
        self.sites, self.features = sites, sp.Tensor(workloads.features(sites, channels_in), requires_grad=True)
        self.x = sp.SparseTensor.from_sites(sites, self.features, size, ground=None)
        layer.weight.data[...] = workloads.weights(volume, layer.channels_in, layer.channels_out)
        y = self.kept = layer(self.x)                    # a new grid lives, and its rules, as long as somebody holds it
        self.dy = np.random.default_rng(1).standard_normal(y.features.shape, np.float32)
        _, rulebook = self.x.grid.rules(layer.window)
        once = 2e-9 * rulebook.n_pairs * layer.channels_in * layer.channels_out
        self.gflop = {"forward": once, "forward_backward": 3 * once}
        self.results = {"forward": lambda: (self.sites_out(), self.run().features.data)}

    def sites_out(self):
        return self.run().grid.sites

    def run(self):
        return self.layer(self.x)

    def time_forward(self, *_):
        with sp.no_grad():
            self.run()

    def time_forward_backward(self, *_):
        self.features.grad = self.layer.weight.grad = None
        self.run().features.backward(self.dy)


class Scan(_Layer):
    """A submanifold 3^3 convolution of the indoor scan."""

    params = [16, 32, 64, 128]

    def setup(self, channels):
        layer = sp.SubmanifoldConvolution(3, channels, channels, 3, bias=False, rng=0)
        self.begin(workloads.indoor_scan(), SCAN_SIZE, layer, channels)
        pairs = self.x.grid.rules(layer.window)[1].n_pairs
        assert (self.x.grid.n, pairs) == (workloads.SCAN_SITES, workloads.SCAN_PAIRS)


class Wide(_Layer):
    """A submanifold 3^3 convolution of many channels, on 20,000 sites of the scan."""

    without = ("forward",)
    params = [256, 512]

    def setup(self, channels):
        layer = sp.SubmanifoldConvolution(3, channels, channels, 3, bias=False, rng=0)
        self.begin(workloads.part(WIDE_SITES), SCAN_SIZE, layer, channels)


class Part(_Layer):
    """A submanifold 3^3 convolution on 5,000 sites of the scan: with rules kept, and new ones."""

    params = [32]

    def setup(self, channels):
        layer = sp.SubmanifoldConvolution(3, channels, channels, 3, bias=False, rng=0)
        self.begin(workloads.part(), SCAN_SIZE, layer, channels)
        self.gflop["cold"] = self.gflop["forward"]
        self.results["cold"] = self.results["forward"]

    def time_cold(self, *_):
        with sp.no_grad():
            self.layer(sp.SparseTensor.from_sites(self.sites, self.features.data, SCAN_SIZE, ground=None))


class Lidar(_Layer):
    """A submanifold 3^3 convolution of the sweep of a lidar, 64 channels."""

    def setup(self):
        layer = sp.SubmanifoldConvolution(3, 64, 64, 3, bias=False, rng=0)
        self.begin(workloads.lidar(), workloads.LIDAR_SIZE, layer, 64)
        assert self.x.grid.n == workloads.LIDAR_SITES


class SpaceTime(_Layer):
    """A submanifold 3^4 convolution in space and time, 32 channels."""

    def setup(self):
        layer = sp.SubmanifoldConvolution(4, 32, 32, 3, bias=False, rng=0)
        self.begin(workloads.space_time(), workloads.SPACE_TIME_SIZE, layer, 32)
        assert self.x.grid.n == workloads.SPACE_TIME_SITES


class Down(_Layer):
    """A strided 2^3 convolution of the scan, 32 to 64 channels."""

    def setup(self):
        self.begin(workloads.indoor_scan(), SCAN_SIZE, sp.Convolution(3, 32, 64, 2, 2, bias=False, rng=0), 32)


class Up:
    """Its inverse, 64 to 32 channels."""

    def setup(self):
        sites = workloads.indoor_scan()
        x = sp.SparseTensor.from_sites(sites, np.zeros((len(sites), 1)), SCAN_SIZE, ground=None)
        coarse = sp.Convolution(3, 1, 1, 2, 2, rng=0)(x)
        self.x = coarse.with_features(sp.Tensor(workloads.features(coarse.sites, 64)), None)
        self.layer = sp.Deconvolution(3, 64, 32, 2, 2, bias=False, rng=0)
        self.layer.weight.data[...] = workloads.weights(8, 64, 32)
        self.gflop = {"forward": 2e-9 * x.grid.n * 64 * 32}
        self.results = {"forward": lambda: (x.sites, self.layer(self.x).features.data)}

    def time_forward(self):
        with sp.no_grad():
            self.layer(self.x)


class Rules:
    """The rules of a submanifold 3^3 window on the scan: from sites to all that the forward reads."""

    def setup(self):
        self.sites = workloads.indoor_scan()
        self.shuffled = np.random.default_rng(0).permutation(self.sites)
        self.window = sp.sites.Window(3, 3, kind="submanifold")

    def time_sorted(self):
        self.rulebook = sp.Grid.from_sites(self.sites, SCAN_SIZE).rules(self.window)[1]
        return self.rulebook.tile_ptr

    def time_unsorted(self):
        return sp.Grid.from_sites(self.shuffled, SCAN_SIZE).rules(self.window)[1].tile_ptr

    def track_bytes_a_pair(self):
        self.time_sorted()
        book = self.rulebook
        return sum(a.nbytes for a in (book.in_rows, book.out_rows, book.offset_ptr, book.tile_ptr)) / book.n_pairs


class Cold(Scan):
    """Sites in, features out: a submanifold 3^3 convolution of 32 channels on the scan, rules and all."""

    without = ("forward_backward",)

    def setup(self):
        super().setup(32)
        self.sites, self.rows = workloads.indoor_scan(), self.features.data

    def run(self):
        return self.layer(sp.SparseTensor.from_sites(self.sites, self.rows, SCAN_SIZE, ground=None))


def weighed(net):
    """Give the convolutions of a network the weights that all sides draw, by their number; biases are 0."""
    weights = [array for name, array in net.state().items() if name.endswith("weight")]
    arrays = [array for array in weights if array.ndim == 3 or len(array) > 1]      # not those of batch normalisation
    for i, array in enumerate(arrays):
        volume, c, o = array.shape if array.ndim == 3 else (1, *array.shape)
        array[...] = workloads.weights(volume, c, o, 100 + i).reshape(array.shape)
    return net


class UNet:
    """A U-Net of 4 levels and 16 n channels on the scan, sites in: all rules are made each time."""

    def begin(self):
        """Make all but the tensors, so that no memory is kept from a pass."""
        self.sites = workloads.indoor_scan()
        self.rows = workloads.features(self.sites, 3)
        self.labels = np.random.default_rng(3).integers(0, CLASSES, len(self.sites))
        self.net = weighed(sp.models.unet(len(WIDTHS), WIDTHS[0], 3, CLASSES, rng=0))
        self.optimizer = sp.SGD(self.net.parameters(), 0.01, 0.9)

    def setup(self):
        self.begin()
        x = sp.SparseTensor.from_sites(self.sites, self.rows, SCAN_SIZE, ground=None)
        once = 2e-9 * self.net.summary(x).pair_multiply_adds
        self.gflop = {"forward": once, "training_step": 3 * once}
        self.results = {"forward": self.result}

    def run(self):
        return self.net(sp.SparseTensor.from_sites(self.sites, self.rows, SCAN_SIZE, ground=None)).features

    def result(self):
        self.net.eval()
        return self.sites, self.run().data

    def time_forward(self):
        self.net.eval()
        self.run()

    def time_training_step(self):
        self.net.train()
        sp.softmax_cross_entropy(self.run(), self.labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


class Glyphs:
    """A DeepCNet(5, 30) on 100 glyphs in a field of 96: a training step, its rules made each time."""

    def setup(self):
        self.sites = workloads.glyphs()
        self.rows = workloads.features(self.sites, 3)
        self.labels = np.random.default_rng(3).integers(0, 10, 100)
        self.net = sp.models.deepcnet(5, 30, 3, rng=0)
        self.optimizer = sp.SGD(self.net.parameters(), 0.01, 0.9)
        x = sp.SparseTensor.from_sites(self.sites, self.rows, 96, 100)
        self.gflop = {"training_step": 6e-9 * self.net.summary(x).pair_multiply_adds}

    def time_training_step(self):
        x = sp.SparseTensor.from_sites(self.sites, self.rows, 96, 100)
        sp.softmax_cross_entropy(self.net(x), self.labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


class OneGlyph:
    """A DeepCNet(5, 30) on one glyph, in inference, its rules made each time."""

    def setup(self):
        self.sites = workloads.glyphs(batch=1)
        self.rows = workloads.features(self.sites, 3)
        self.net = sp.models.deepcnet(5, 30, 3, rng=0).eval()
        x = sp.SparseTensor.from_sites(self.sites, self.rows, 96, 1)
        self.gflop = {"forward": 2e-9 * self.net.summary(x).pair_multiply_adds}

    def time_forward(self):
        with sp.no_grad():
            self.net(sp.SparseTensor.from_sites(self.sites, self.rows, 96, 1))
