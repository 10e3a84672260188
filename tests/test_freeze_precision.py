"""Frozen networks in bfloat16 and int8: numpy's numbers, any instruction set, memory, files, and what is refused."""

import pickle
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from in_turn import each
from test_freeze import NETWORKS, rows, tensor

import spconv_cy as sp
from spconv_cy.deploy.steps import Apply, Convolve

small = pytest.importorskip("spconv_cy.compiled.small")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from bench_memory import measured  # noqa: E402

layers = sp.layers
PRECISIONS = ("bfloat16", "int8")
SEED = 19


@pytest.fixture(autouse=True)
def best_afterwards():
    """Give the choice of the set back."""
    yield
    small.select(None)


@pytest.fixture(scope="module")
def block():
    """Return a network of plain convolutions with a sum and columns side by side, and an input."""
    c = layers.SubmanifoldConvolution
    net = layers.Sequential(
        c(2, 3, 8, rng=1), layers.ReLU(),
        layers.Residual(c(2, 8, 8, rng=2), layers.LeakyReLU(0.25), c(2, 8, 8, rng=3)), layers.ReLU(),
        layers.Concatenate(c(2, 8, 4, rng=4), layers.Sequential(c(2, 8, 4, rng=5), layers.ReLU())),
        layers.NetworkInNetwork(8, 5, rng=6)).eval()
    for parameter in net.parameters():
        if parameter.data.shape[0] == 1 and parameter.data.ndim == 2:
            parameter.data[...] = np.random.default_rng(7).normal(size=parameter.data.shape)     # biases
    return net, tensor(200, 2, 3, 16)


def neighbours(sites):
    """Return for each offset of a 3 x 3 window (input rows, output rows), by looking sites up one by one."""
    place = {tuple(site): i for i, site in enumerate(sites.tolist())}
    found = []
    for a in (-1, 0, 1):
        for b in (-1, 0, 1):
            pairs = [(place[n, x + a, y + b], i) for (n, x, y), i in place.items() if (n, x + a, y + b) in place]
            found.append(np.array(pairs, int).reshape(-1, 2).T)
    return found


def summed(x, w, pairs):
    """Return sums of products over pairs, in the type of x and w."""
    y = np.zeros((len(x), w.shape[2]), x.dtype)
    for (ins, outs), weight in zip(pairs, w, strict=True):
        np.add.at(y, outs, x[ins] @ weight)
    return y


def float32(x):
    return np.asarray(x, np.float32)


def leaky(z, slope):
    return np.where(z >= 0, z, float32(slope) * z)


def to_bytes(z, step, zero):
    """Return whole numbers from 0 to 255 for float32 numbers in steps."""
    t = np.clip(z * (float32(1) / float32(step)), -float32(zero), float32(255) - float32(zero))
    return (np.rint(t) + zero).astype(np.int64)


def weights_of(net):
    """Return [(weight (k, c, o), bias (o,))] of the convolutions in the order of the layers."""
    w = [p.data for p in net.parameters()]
    return [(w[i] if w[i].ndim == 3 else w[i][None], w[i + 1].reshape(-1)) for i in range(0, len(w), 2)]


def in_bytes(weights, x, own, pairs):
    """Return sums of a convolution in 8 bits, times what they stand for; check the weights that a network keeps."""
    w, bias = weights
    step, zero = own["x"]
    wide = float32(w) * step[:, None]
    scale = np.abs(wide).max((0, 1)) / float32(96)
    whole = np.rint(wide / scale)
    assert np.array_equal(own["weight"], whole) and np.array_equal(own["scale"], scale)
    sums = summed(x - zero.astype(np.int64), whole.astype(np.int64), pairs)
    return sums.astype(np.float32) * scale + float32(bias)


def test_int8_is_numpys_bit_for_bit_on_every_instruction_set(block):
    net, x = block
    pairs, alone = neighbours(x.sites), [np.stack([np.arange(x.grid.n)] * 2)]
    frozen = sp.freeze(net, precision="int8", calibrate=[x], float_ends=False)
    state, own = frozen.state(), {}
    for name, array in state.items():
        step, what = name.split(".")[2:]
        own.setdefault(int(step), {})[what] = array
    convolutions = [own[i] for i in sorted(own) if "weight" in own[i]]
    # The residual is added in one step after the other; the last one has float32 rows as its result.
    weights = weights_of(net)
    c = convolutions
    q0 = to_bytes(x.features.numpy(), *own[0]["after"])
    assert np.isclose(own[0]["after"][0], np.ptp(np.append(x.features.numpy(), 0)) / 255, rtol=1e-6)
    q1 = to_bytes(leaky(in_bytes(weights[0], q0, c[0], pairs), 0), *c[0]["y"])
    q2 = to_bytes(leaky(in_bytes(weights[1], q1, c[1], pairs), 0.25), *c[1]["y"])
    step, zero = c[2]["residual"]
    shift = float32(weights[2][1]) - zero * step
    third = in_bytes((weights[2][0], np.zeros(8)), q2, c[2], pairs) + shift
    q3 = to_bytes(leaky(third + q1.astype(np.float32) * step, 0), *c[2]["y"])
    q4 = to_bytes(in_bytes(weights[3], q3, c[3], pairs), *c[3]["y"])
    q5 = to_bytes(leaky(in_bytes(weights[4], q3, c[4], pairs), 0), *c[4]["y"])
    wanted = in_bytes(weights[5], np.concatenate([q4, q5], 1), c[5], alone)
    for name in small.sets("int8"):
        small.select(name)
        again = sp.freeze(net, precision="int8", calibrate=[x], float_ends=False)
        assert set(again.kernels.replace(" (", ", (").split(", ")) & {name, "avx512vnni"}
        for n_threads in (1, 2, 5):
            sp.set_threads(n_threads)
            np.testing.assert_array_equal(rows(again(x)), wanted, name)
    sp.set_threads(None)


def nearest(x):
    """Return bfloat16 numbers in float64, the nearest to float64 numbers, the even one of two, by distances."""
    low = (np.abs(x).astype(np.float32).view(np.uint32) >> 16).astype(np.uint32)
    low -= ((low << 16).view(np.float32) > np.abs(x)).astype(np.uint32)  # where float32 has rounded up
    a, b = ((v << 16).astype(np.uint32).view(np.float32).astype(np.float64) for v in (low, low + 1))
    da, db = np.abs(x) - a, b - np.abs(x)
    return np.sign(x) * np.where((da < db) | ((da == db) & (low % 2 == 0)), a, b)


def test_bfloat16_is_numpys_within_the_rounding_of_its_float32_sums(block):
    net, x = block
    pairs = neighbours(x.sites)
    plain = layers.Sequential(*net.layers[:2], layers.SubmanifoldConvolution(2, 8, 6, rng=8)).eval()
    frozen = sp.freeze(plain, precision="bfloat16", float_ends=False)
    (w1, b1), (w2, b2) = [(nearest(w.astype(np.float64)), b.astype(np.float64)) for w, b in weights_of(plain)]
    q0, most = nearest(x.features.numpy().astype(np.float64)), 2.0**-24

    def rounding(x, w, bias):
        return (9 * x.shape[1] + 3) * most * (summed(np.abs(x), np.abs(w), pairs) + np.abs(bias)) * 1.01

    y, error = summed(q0, w1, pairs) + b1, rounding(q0, w1, b1)
    q1, *ends = (nearest(np.maximum(y + e, 0)) for e in (0, -error, error))
    differ = np.abs(np.subtract(ends, q1)).max(0)
    assert (differ == 0).mean() > 0.9                                    # the others are near the middle of two
    wanted = summed(q1, w2, pairs) + b2
    bound = summed(differ, np.abs(w2), pairs) + rounding(q1 + differ, w2, b2)
    first = {}
    for name, emulates in small.sets("bfloat16").items():
        small.select(name)
        frozen = sp.freeze(plain, precision="bfloat16", float_ends=False)
        y = rows(frozen(x))
        assert (np.abs(y - wanted) <= bound).all(), name
        if name != "amx":                                                # which adds in another order
            np.testing.assert_array_equal(y, first.setdefault(emulates or name, y), name)


@pytest.fixture(scope="module")
def made():
    """Return a function that gives a network of sp.models, an input, and the network frozen in a precision."""
    kept = {}

    def make(name, precision):
        if (name, precision) not in kept:
            build, d, channels, ground, size = NETWORKS[name]
            if name not in kept:
                net = build()
                with sp.no_grad():
                    for seed in range(2):
                        net(tensor(300, d, channels, size, ground, seed=seed))
                kept[name] = net.eval(), lambda n, **o: tensor(n, d, channels, size, ground, **o)
            net, inputs = kept[name]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kept[name, precision] = sp.freeze(net, precision=precision, calibrate=[inputs(600)])
        return *kept[name], kept[name, precision]

    return make


# Networks whose numbers are not those of a trained one: the largest relative difference that was seen, twice.
WIDE = {"unet": 0.5, "uresnet": 0.7, "spunet": 0.8, "fcgf": 0.5, "minkunet": 0.4}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_keeps_its_sites_and_nearly_its_values(made, name, precision):
    net, inputs, frozen = made(name, precision)
    for n in (0, 1, 600):
        x = inputs(n)
        with sp.no_grad():
            y = net(x)
        z = frozen(x)
        assert rows(z).shape == rows(y).shape and rows(z).dtype == np.float32
        if isinstance(y, sp.SparseTensor):
            assert np.array_equal(z.sites, y.sites) and (z.ground is None) == (y.ground is None)
    error = np.linalg.norm(rows(z) - rows(y)) / np.linalg.norm(rows(y))
    assert error < (0.04 if precision == "bfloat16" else WIDE.get(name, 0.2)), error
    if name != "spvcnn":                                                 # one layer with a call of its own
        assert frozen.precision == precision and error > 0
        steps = [step for part in frozen.parts if hasattr(part, "steps") for step in part.steps
                 if isinstance(step, Convolve)]
        assert {step.product.precision for step in (steps[0], steps[-1])} == {"float32"}
        assert {step.product.precision for step in steps[1:-1]} == {precision}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_site_with_the_ground_state_changes_nothing_elsewhere(precision):
    net = layers.Sequential(layers.Convolution(2, 2, 8, 3, rng=0), layers.LeakyReLU(1 / 3), layers.MaxPooling(2, 2, 2),
                            layers.Convolution(2, 8, 5, 2, rng=1)).eval()
    for parameter in net.parameters():
        parameter.data[...] += 0.1
    x = tensor(12, 2, 2, 12, "zero", samples=1)
    every = np.stack([np.zeros(144, int), *np.divmod(np.arange(144), 12)], 1)
    features = np.zeros((144, 2), np.float32)
    features[x.sites[:, 1] * 12 + x.sites[:, 2]] = x.features.numpy()
    full = sp.SparseTensor.from_sites(every, features, 12, 1, ground="zero")
    frozen = sp.freeze(net, precision=precision, calibrate=[x], float_ends=False)
    y, z = frozen(x), frozen(full)
    place = {tuple(site): row for site, row in zip(z.sites.tolist(), rows(z), strict=True)}
    wanted = np.array([place[tuple(site)] for site in y.sites.tolist()])
    outside = [row for site, row in place.items() if list(site) not in y.sites.tolist()]
    if precision == "int8":
        np.testing.assert_array_equal(rows(y), wanted)
        assert len(outside) and (np.array(outside) == y.ground.data).all()
    np.testing.assert_allclose(rows(y), wanted, atol=2e-3)
    np.testing.assert_allclose(outside, np.repeat(y.ground.data, len(outside), 0), atol=2e-3)


@pytest.mark.parametrize("name", ["uresnet", "deepcnet", "minkfpn", "voxelnext"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_file_gives_the_same_bits(made, name, precision, tmp_path):
    _, inputs, frozen = made(name, precision)
    sp.save(tmp_path / "net.safetensors", frozen)
    loaded = sp.load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(rows(loaded(inputs(300))), rows(frozen(inputs(300))))
    assert repr(loaded) == repr(frozen) and loaded.precision == precision
    assert loaded.weight_bytes() == frozen.weight_bytes()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_any_number_of_threads_gives_the_same_bits(made, precision):
    _, inputs, frozen = made("unet", precision)
    x = inputs(3000)
    wanted = rows(frozen(x))
    for n_threads in (1, 2, 5):
        sp.set_threads(n_threads)
        np.testing.assert_array_equal(rows(frozen(x)), wanted)
    sp.set_threads(None)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_several_threads_at_once_and_a_copy_give_the_same_bits(made, precision):
    _, inputs, frozen = made("deepcnet", precision)
    xs = [inputs(200 + 50 * i, seed=i) for i in range(4)]
    wanted = [rows(frozen(x)) for x in xs]
    with ThreadPoolExecutor(4) as team:
        for _ in range(3):
            for y, z in zip(wanted, team.map(frozen, xs), strict=True):
                np.testing.assert_array_equal(rows(z), y)
    again = pickle.loads(pickle.dumps(frozen))
    np.testing.assert_array_equal(rows(again(xs[0])), wanted[0])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_no_run_takes_more_than_was_told(made, precision):
    for i, name in enumerate(("unet", "uresnet", "minkunet", "resnet", "deepcnet", "second")):
        _, inputs, frozen = made(name, precision)
        frozen(inputs(10))
        told, most, _ = measured(frozen, inputs(9000 if i % 2 else 1500, seed=i))
        assert most <= told, (name, told, most)
        assert most < 2**20 or told < 1.2 * most, (name, told, most)


def test_weights_and_features_take_a_half_and_a_quarter():
    net = layers.Sequential(*(layers.SubmanifoldConvolution(3, 64, 64, rng=i) for i in range(6))).eval()
    x = tensor(4000, 3, 64, 24)
    plain = sp.freeze(net)
    books = plain.memory(x) - 2 * 256 * x.grid.n                         # without two rows of 64 float32 numbers
    for precision, share in (("bfloat16", 0.5), ("int8", 0.25)):
        frozen = sp.freeze(net, precision=precision, calibrate=[x], float_ends=False)
        rests = frozen.kernels.startswith("avx2") and precision == "int8"    # of weights whose products pass 16 bits
        assert frozen.weight_bytes() < (share + (0.3 if rests else 0.01)) * plain.weight_bytes()
        # The result has float32 numbers; two values in the precision are alive besides.
        assert frozen.memory(x) < books + (1 + 2 * share) * 256 * x.grid.n + 2**17
        told, most, _ = measured(frozen, x)
        assert most <= told


def test_the_text_says_what_is_computed_in_float32_and_by_which_set(made):
    _, _, frozen = made("minkfpn", "int8")
    said = repr(frozen)
    assert "precision='int8'" in said and "EfficientChannelAttention" in said and "Convolve 0" in said
    assert frozen.kernels in said
    net = layers.Sequential(*(layers.SubmanifoldConvolution(2, 8, 8, rng=i) for i in range(3))).eval()
    for name, emulates in small.sets("bfloat16").items():
        small.select(name)
        kernels = sp.freeze(net, precision="bfloat16").kernels
        assert name == "amx" or kernels == (name if emulates is None else f"{name} (emulates {emulates})")
    assert sp.freeze(net).kernels == "" and sp.freeze(net).precision == "float32"


def test_layers_without_such_a_form_run_in_float32_between_conversions():
    c = layers.SubmanifoldConvolution
    net = layers.Sequential(c(2, 2, 8, rng=0), c(2, 8, 8, rng=1), layers.GELU(), c(2, 8, 8, groups=2, rng=2),
                            c(2, 8, 8, rng=3), layers.Tanh(), c(2, 8, 3, rng=4)).eval()
    x = tensor(200, 2, 2, 16)
    for precision in PRECISIONS:
        frozen = sp.freeze(net, precision=precision, calibrate=[x])
        assert "GELU" in repr(frozen) and "Tanh" in repr(frozen)
        steps = frozen.parts[0].steps
        assert sum(isinstance(step, Apply) for step in steps) == 2
        assert [step.product.precision for step in steps if isinstance(step, Convolve)] == [
            "float32", precision, "float32", precision, "float32"]
        np.testing.assert_allclose(rows(frozen(x)), rows(net(x)), atol=0.05 * np.abs(rows(net(x))).max())
    with pytest.warns(UserWarning, match="all run in float32"):
        frozen = sp.freeze(layers.Sequential(c(2, 2, 8, rng=0), c(2, 8, 2, rng=0)), precision="bfloat16")
    assert frozen.precision == "float32"


def test_rows_without_sites_lists_and_float64():
    net, x = sp.models.mlp((5, 8, 8, 3), rng=0).eval(), np.random.default_rng(0).normal(size=(40, 5))
    for calibrate in (x, [x], [x[:20].tolist(), x[20:]], (part for part in (x,))):
        frozen = sp.freeze(net, precision="int8", calibrate=calibrate)
        y = rows(frozen(x))
        np.testing.assert_allclose(y, rows(net(x)), atol=0.05 * np.abs(y).max())
        np.testing.assert_array_equal(rows(frozen(x.tolist())), y)
        assert rows(frozen(x[:0])).shape == (0, 3)


def test_numbers_beyond_the_samples_are_cut_off():
    net = layers.Sequential(*(layers.SubmanifoldConvolution(2, 4, 4, rng=i) for i in range(3))).eval()
    x = tensor(100, 2, 4, 16)
    frozen = sp.freeze(net, precision="int8", calibrate=[x], float_ends=False)
    huge = rows(frozen(x.with_features(1e6 * x.features)))
    assert np.isfinite(huge).all() and np.abs(huge).max() < 100 * np.abs(rows(frozen(x))).max()


def with_nan(x, value=np.nan):
    """Return a SparseTensor with a number in one row that is not finite."""
    features = x.features.numpy().copy()
    features[0, 0] = value
    return x.with_features(features)


def spoilt(net):
    """Return a network with a weight of NaN in its second convolution, where no site has a neighbour."""
    net.layers[1].weight.data[0, 0, 0] = np.nan
    return net


@each("wrong, error, words", [
    (lambda net, x: sp.freeze(net, precision="float16"), ValueError, "precision 'float32', 'bfloat16' or 'int8'"),
    (lambda net, x: sp.freeze(net, precision=8), ValueError, "precision"),
    (lambda net, x: sp.freeze(net, precision="int8"), ValueError, "calibrate= a few inputs for int8"),
    (lambda net, x: sp.freeze(net, precision="int8", calibrate=[]), ValueError, "at least one input"),
    (lambda net, x: sp.freeze(net, precision="int8", calibrate=3), TypeError, "a list of inputs"),
    (lambda net, x: sp.freeze(net, precision="int8", calibrate="x"), TypeError, "a list of inputs"),
    (lambda net, x: sp.freeze(net, precision="int8", calibrate=[tensor(0, 2, 3, 16)]), ValueError, "with sites"),
    (lambda net, x: sp.freeze(net, precision="int8", calibrate=[with_nan(x)]), ValueError, "finite"),
    (lambda net, x: sp.freeze(net, precision="int8", calibrate=[tensor(9, 2, 2, 16)]), sp.errors.ShapeError, "3"),
    (lambda net, x: sp.freeze(net, precision="int8", calibrate=[x, None]), TypeError, r"calibrate\[1\].*got None"),
    (lambda net, x: sp.freeze(net, precision="int8", calibrate=[x])(with_nan(x)), ValueError, "no NaN or infinity"),
    (lambda net, x: sp.freeze(net, precision="int8", calibrate=[x])(with_nan(x, -np.inf)), ValueError, "infinity"),
    (lambda net, x: sp.freeze(spoilt(net), precision="int8", calibrate=[x]), ValueError, "finite"),
    (lambda net, x: sp.freeze(sp.freeze(net), precision="bfloat16"), ValueError, "freeze the network itself"),
])
def test_wrong_arguments(wrong, error, words):
    net = layers.Sequential(*(layers.SubmanifoldConvolution(2, 3, 3, rng=i) for i in range(3))).eval()
    with pytest.raises(error, match=words):
        wrong(net, tensor(20, 2, 3, 16))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-38, 1e-42, 0, 1e30])
def test_numbers_of_any_size_make_steps_of_int8(block, scale):
    x = block[1].with_features(block[1].features.data * np.float32(scale))
    y, z = rows(sp.freeze(block[0], precision="int8", calibrate=[x])(x)), rows(block[0](x))
    assert np.isfinite(y).all() and abs(y - z).max() <= 0.05 * abs(z).max() + 1e-36


def test_without_the_compiled_core_only_float32_is_there(block, monkeypatch):
    monkeypatch.setattr("spconv_cy.deploy.half.compiled", None)
    with pytest.raises(sp.errors.BackendError, match="compiled core"):
        sp.freeze(block[0], precision="bfloat16")


def test_bfloat16_passes_nan_on_as_float32_does(block):
    net, x = block
    assert (np.isnan(rows(sp.freeze(net, precision="bfloat16")(with_nan(x)))) == np.isnan(rows(net(with_nan(x))))).all()
