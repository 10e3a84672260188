"""sp.io.read_onnx: graphs of both kinds against networks of ours with the same weights."""

import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy.errors import FileError, ShapeError

onnx = pytest.importorskip("onnx")
helper, F16, F32 = pytest.importorskip("onnx.helper"), 10, 1
SIZE = (9, 8, 7)


class Graph:
    """A small ONNX graph; every method adds a node and returns the name of its output."""

    def __init__(self, kind=F16, seed=0):
        self.kind, self.rng, self.nodes, self.constants, self.weights = kind, np.random.default_rng(seed), [], [], {}

    def constant(self, *shape, low=-1.0):
        dtype = np.float16 if self.kind == F16 else np.float32
        return self.array(self.rng.uniform(low, 1, shape).astype(dtype))

    def array(self, array):
        name = f"w{len(self.constants)}"
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        self.constants.append(helper.make_tensor(name, kind, array.shape, array.tobytes(), raw=True))
        self.weights[name] = array.astype(np.float32)
        return name

    def node(self, op, inputs, outputs=1, domain="", **attributes):
        names = [f"t{len(self.nodes)}{'abcde'[i] if outputs > 1 else ''}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, f"{op.lower()}{len(self.nodes)}", domain=domain,
                                           **attributes))
        return names[0] if outputs == 1 else names

    def conv(self, x, channels_in, channels_out, size=(3, 3, 3), bias=True, activation="None", **options):
        inputs = [x, self.constant(channels_out, *size, channels_in)] + ([self.constant(channels_out)] if bias else [])
        given = {"stride": [1] * 3, "padding": [1] * 3, "dilation": [1] * 3, "subm": 0, "transposed": 0, "inverse": 0,
                 "rulebook": "", "groups": 1, "ndim": 3, "output_padding": [0] * 3, "output_bound": 200000}
        return self.node("SparseConvolution", inputs, kernel_size=list(size), activation=activation,
                         **{**given, **options})

    def pairs(self, sites, size=(3, 3, 3), subm=1, **options):
        given = {"stride": [1] * 3, "padding": [1] * 3, "dilation": [1] * 3, "out_padding": [0] * 3, "transpose": 0,
                 "batch_size": 1, "spatial_shape": list(SIZE), "algo": 1, "is_train": 0}
        return self.node("GetIndicePairsImplicitGemm", [sites], 5, "autoware", ksize=list(size), subm=subm,
                         **{**given, **options})

    def gemm(self, x, pairs, channels_in, channels_out, size=(3, 3, 3), subm=1, bias=False, **options):
        inputs = [x, self.constant(channels_out, *size, channels_in), *pairs[1:4]]
        return self.node("ImplicitGemm", inputs + ([self.constant(channels_out)] if bias else []), domain="autoware",
                         is_subm=subm, **{"is_train": 0, "output_scale": 1.0, "act_alpha": 0.0, **options})

    def model(self, output, inputs=("x",)):
        values = [helper.make_tensor_value_info(name, self.kind, None) for name in inputs]
        out = helper.make_tensor_value_info(output, self.kind, None)
        return helper.make_model(helper.make_graph(self.nodes, "net", values, [out], self.constants))

    def save(self, tmp_path, output, inputs=("x",)):
        path = tmp_path / "net.onnx"
        path.write_bytes(self.model(output, inputs).SerializeToString())
        return path

    def set(self, layer, i, bias=None):
        """Return a layer of ours with the weight of the i-th constant and the bias of another one."""
        weight = np.moveaxis(self.weights[f"w{i}"], 0, -1)
        state = {"weight": weight.reshape(-1, *weight.shape[-2:])}
        layer.load_state(state if bias is None else {**state, "bias": self.weights[f"w{bias}"][None]})
        return layer


def scene(channels=2, seed=1):
    rng = np.random.default_rng(seed)
    sites = np.argwhere(rng.random((2, *SIZE)) < 0.15)
    return sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), channels)), SIZE, ground=None)


def same(net, mine, channels=2):
    x = scene(channels)
    found, wanted = net(x), mine(x)
    if isinstance(wanted, sp.SparseTensor):
        assert np.array_equal(found.sites, wanted.sites) and found.grid.size == wanted.grid.size
        found, wanted = found.features, wanted.features
    assert found.shape == wanted.shape and np.array_equal(found.numpy(), wanted.numpy())


def submanifold(channels_in, channels_out, bias=True):
    return sp.SubmanifoldConvolution(3, channels_in, channels_out, 3, bias=bias)


def strided(channels_in, channels_out, bias=True, padding=1):
    return sp.Convolution(3, channels_in, channels_out, 3, 2, padding=padding, size_rule="floor", bias=bias)


def nvidia():
    """Return (graph, last sparse tensor, our layers): a residual block between two strided convolutions."""
    g = Graph()
    a = g.conv("x", 2, 4, activation="ReLU", subm=1, rulebook="subm1")
    b = g.conv(a, 4, 4, activation="ReLU", subm=1, rulebook="subm1")
    c = g.conv(b, 4, 4, subm=1, rulebook="subm1")
    d = g.node("Relu", [g.node("Add", [c, a])])
    e = g.conv(d, 4, 6, activation="ReLU", stride=[2] * 3, padding=[0, 1, 1], rulebook="down")
    layers = [g.set(submanifold(2, 4), 0, 1), sp.ReLU(),
              sp.layers.Residual(g.set(submanifold(4, 4), 2, 3), sp.ReLU(), g.set(submanifold(4, 4), 4, 5)), sp.ReLU(),
              g.set(strided(4, 6, padding=(0, 1, 1)), 6, 7), sp.ReLU()]
    return g, e, layers


def test_nvidia_to_the_sparse_tensor(tmp_path):
    g, end, layers = nvidia()
    net = sp.io.read_onnx(g.save(tmp_path, end))
    assert not net.training
    same(net, sp.Sequential(*layers).eval())


@pytest.mark.parametrize("order, axis", [((0, 1, 4, 2, 3), 2), (None, 0)])
def test_nvidia_to_the_birds_eye_view(tmp_path, order, axis):
    g, end, layers = nvidia()
    size = sp.Sequential(*layers)(scene()).grid.size
    y = g.node("ScatterDense", [end], format="xyz", input_spatial_shape=list(size), output_shape=[2, 6, *size])
    y = g.node("Transpose", [y], dims=order) if order else y
    rest = [n for i, n in enumerate(size) if i != axis]
    y = g.node("Reshape", [y], dims=[2, 6 * size[axis], *rest])
    net = sp.io.read_onnx(g.save(tmp_path, y))
    found = net(scene()).numpy()
    wanted = np.asarray(sp.Sequential(*layers)(scene()).to_dense())
    wanted = wanted.transpose(order) if order else wanted
    assert np.array_equal(found, wanted.reshape(found.shape)) and found.shape == (2, 6 * size[axis], *rest)
    sp.save(tmp_path / "net.safetensors", net)
    assert np.array_equal(sp.load(tmp_path / "net.safetensors").eval()(scene()).numpy(), found)


def test_nvidia_axes_in_another_order_are_refused_and_left_out_on_demand(tmp_path):
    g, end, layers = nvidia()
    y = g.node("ScatterDense", [end])
    y = g.node("Reshape", [g.node("Transpose", [y], dims=[0, 1, 2, 4, 3])], dims=[2, 30, 3, 4])
    path = g.save(tmp_path, y)
    with pytest.raises(FileError, match=r"Reshape 'reshape8': expected an array \(b, c, \*size\).*sparse_only=True"):
        sp.io.read_onnx(path)
    same(sp.io.read_onnx(path, sparse_only=True), sp.Sequential(*layers))


def test_nvidia_inverse_and_transposed(tmp_path):
    g = Graph(F32)
    a = g.conv("x", 2, 4, stride=[2] * 3, rulebook="down")
    b = g.conv(a, 4, 3, inverse=1, rulebook="down", bias=False)
    c = g.conv(b, 3, 2, (2, 2, 2), transposed=1, stride=[2] * 3, padding=[0] * 3)
    mine = sp.Sequential(g.set(strided(2, 4), 0, 1),
                         g.set(sp.Deconvolution(3, 4, 3, 3, 2, padding=1, bias=False), 2),
                         g.set(sp.layers.TransposedConvolution(3, 3, 2, 2, 2), 3, 4))
    same(sp.io.read_onnx(g.save(tmp_path, c)), mine)


def test_nvidia_size_1_needs_a_reading(tmp_path):
    g = Graph()
    path = g.save(tmp_path, g.conv("x", 2, 3, (1, 1, 1), subm=1, bias=False))
    with pytest.raises(FileError, match="SparseConvolution 'sparseconvolution0'.*one_by_one='raw'"):
        sp.io.read_onnx(path)
    weight = g.weights["w0"].reshape(3, 2)
    for word, wanted in (("krsc", weight.T), ("raw", weight.reshape(2, 3))):
        assert np.array_equal(sp.io.read_onnx(path, one_by_one=word).state()["layers.0.weight"], wanted[None])
    with pytest.raises(ShapeError, match="one_by_one to be"):
        sp.io.read_onnx(path, one_by_one="rskc")


def autoware(kind=F32):
    """Return (graph, last sparse tensor, our layers): stem, residual block, strided convolution."""
    g = Graph(kind)
    rules = g.pairs("coors")
    a = g.gemm("x", rules, 2, 4, bias=True, act_type=1)
    b = g.node("Add", [g.gemm(a, rules, 4, 4), g.constant(4)])                 # a bias of its own
    c = g.node("BatchNormalization", [b, *(g.constant(4, low=0.1) for _ in range(4))], epsilon=1e-3)
    d = g.gemm(g.node("Relu", [c]), rules, 4, 4, bias=True)
    e = g.node("Relu", [g.node("Add", [a, g.node("Identity", [d])])])
    down = g.pairs(rules[0], subm=0, stride=[2] * 3)
    f = g.gemm(e, down, 4, 6, subm=0)
    more = g.pairs(g.node("Cast", [down[0]], to=6))
    h = g.gemm(f, more, 6, 6, act_type=1, bias=True)
    norm = sp.BatchNormalization(4, eps=1e-3)
    names = ("weight", "bias", "running_mean", "running_variance")
    norm.load_state({name: g.weights[f"w{i}"][None] for name, i in zip(names, range(4, 8), strict=True)})
    layers = [g.set(submanifold(2, 4), 0, 1), sp.ReLU(),
              sp.layers.Residual(g.set(submanifold(4, 4), 2, 3), norm, sp.ReLU(), g.set(submanifold(4, 4), 8, 9)),
              sp.ReLU(), g.set(strided(4, 6, bias=False), 10), g.set(submanifold(6, 6), 11, 12), sp.ReLU()]
    return g, h, layers


@pytest.mark.parametrize("kind", [F16, F32])
def test_autoware_to_the_sparse_tensor(tmp_path, kind):
    g, end, layers = autoware(kind)
    same(sp.io.read_onnx(g.save(tmp_path, end, ("x", "coors"))), sp.Sequential(*layers).eval())


def test_autoware_to_the_birds_eye_view(tmp_path):
    g, end, layers = autoware()
    y = g.node("Transpose", [g.node("ScatterND", ["zeros", "where", end])], perm=[0, 4, 1, 2, 3])
    y = g.node("Transpose", [y], perm=[0, 1, 4, 2, 3])
    y = g.node("Reshape", [y, g.array(np.array([2, 24, 5, 4]))])
    path = g.save(tmp_path, y, ("x", "coors", "zeros", "where"))
    dense = sp.layers.HeightCompression(3, axis=2), sp.layers.SparseToDense(2)
    same(sp.io.read_onnx(path), sp.Sequential(*layers, *dense).eval())


def test_autoware_parts_before_and_after_are_refused_by_name_or_left_out(tmp_path):
    g = Graph()
    x = g.node("Div", [g.node("ReduceSum", ["voxels"]), "count"])
    y = g.gemm(x, g.pairs("coors"), 2, 3)
    z = g.node("Conv", [g.node("ScatterND", ["zeros", "where", y]), "w"])
    inputs = ("voxels", "count", "coors", "zeros", "where", "w")
    with pytest.raises(FileError, match="Conv 'conv5': expected an operation of a sparse network, got Conv; give spa"):
        sp.io.read_onnx(g.save(tmp_path, z, inputs))
    path = g.save(tmp_path, y, inputs)
    with pytest.raises(FileError, match="Div 'div1'"):
        sp.io.read_onnx(path)
    same(sp.io.read_onnx(path, sparse_only=True), g.set(submanifold(2, 3, bias=False), 0))


def test_autoware_activations(tmp_path):
    g = Graph(F32)
    rules, x = g.pairs("coors"), "x"
    for i, (kind, alpha) in enumerate([(0, 0.5), (1, 0.5), (2, 0.5), (3, 0.25), (3, 0.0)]):
        x = g.gemm(x, rules, 2 + i, 3 + i, act_type=kind, act_alpha=alpha)
    kinds = [], [sp.ReLU()], [sp.layers.Sigmoid()], [sp.layers.LeakyReLU(0.25)], [sp.layers.LeakyReLU(0.0)]
    layers = [layer for i, then in enumerate(kinds) for layer in (g.set(submanifold(2 + i, 3 + i, False), i), *then)]
    same(sp.io.read_onnx(g.save(tmp_path, x, ("x", "coors"))), sp.Sequential(*layers))


@pytest.mark.parametrize("bounds", [{"min": 0.0, "max": 6.0}, {}])
def test_activations_of_straight_pieces(tmp_path, bounds):
    g = Graph(F32)
    x = g.conv("x", 2, 4, subm=1)
    x = g.node("Clip", [x, *(() if bounds else (g.array(np.array(n, np.float32)) for n in (0, 6)))], **bounds)
    x = g.node("HardSwish", [g.node("HardSigmoid", [x], alpha=1 / 6, beta=0.5)])
    mine = sp.Sequential(g.set(submanifold(2, 4), 0, 1), sp.layers.ReLU6(), sp.layers.HardSigmoid(),
                         sp.layers.HardSwish())
    same(sp.io.read_onnx(g.save(tmp_path, x)), mine)


@pytest.mark.parametrize("old", [False, True])
def test_nvidia_size_1_with_the_sites_kept(tmp_path, old):
    g = Graph(F32)
    field = {"input_spatial_shape": list(SIZE), "output_spatial_shape": list(SIZE)}
    if old:                                                              # spconv 1 ignores the stride
        y = g.conv("x", 2, 3, (1, 1, 1), stride=[2] * 3, **field)
        i = 0
    else:                                                                # spconv 2 ignores its partner
        y = g.conv("x", 2, 2, (1, 1, 1), subm=1, bias=False, rulebook="s")
        g.conv("x", 2, 4, (1, 1, 1), stride=[2] * 3, padding=[0] * 3, rulebook="down")
        y = g.conv(y, 2, 3, (1, 1, 1), inverse=1, rulebook="down", **field)
        i = 3
    net = sp.io.read_onnx(g.save(tmp_path, y), one_by_one="krsc")
    x = scene()
    rows = x.features.numpy() if old else x.features.numpy() @ g.weights["w0"].reshape(2, 2).T
    wanted = rows @ g.weights[f"w{i}"].reshape(3, 2).T + g.weights[f"w{i + 1}"]
    assert np.array_equal(net(x).sites, x.sites) and np.allclose(net(x).features.numpy(), wanted, atol=1e-6)


def test_a_shortcut_with_layers(tmp_path):
    g = Graph()
    a = g.conv("x", 2, 4, subm=1, activation="ReLU")
    b = g.conv(a, 4, 4, subm=1)
    c = g.conv("x", 2, 4, subm=1)
    mine = sp.layers.Residual(g.set(submanifold(2, 4), 0, 1), sp.ReLU(), g.set(submanifold(4, 4), 2, 3),
                              shortcut=g.set(submanifold(2, 4), 4, 5))
    same(sp.io.read_onnx(g.save(tmp_path, g.node("Add", [b, c]))), mine)


def test_sums_of_sums(tmp_path):
    g = Graph(F32)
    a = g.conv("x", 2, 2, subm=1)
    b = g.node("Add", [a, "x"])
    c = g.conv(b, 2, 2, subm=1)
    y = g.node("Tanh", [g.node("Add", [g.node("Add", [c, b]), "x"])])
    first, second = g.set(submanifold(2, 2), 0, 1), g.set(submanifold(2, 2), 2, 3)
    mine = sp.Sequential(sp.layers.Residual(sp.layers.Residual(first), sp.layers.Residual(second)), sp.layers.Tanh())
    same(sp.io.read_onnx(g.save(tmp_path, y)), mine)


def test_weights_beside_the_model(tmp_path):
    g = Graph(F32)
    path = g.save(tmp_path, g.conv("x", 2, 3, subm=1))
    onnx.save_model(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    same(sp.io.read_onnx(path), g.set(submanifold(2, 3), 0, 1))
