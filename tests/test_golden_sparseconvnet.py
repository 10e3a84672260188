"""Layers and networks of SparseConvNet with their gradients, run by it, and ours with the weights from `convert`."""

import hashlib
import json
import math
import sys
from pathlib import Path

import numpy as np
from in_turn import each

import spconv_cy as sp

GOLDEN = Path(__file__).resolve().parent / "golden"
sys.path.insert(0, str(GOLDEN))

from seeded import array, seeded  # noqa: E402

FILE = dict(np.load(GOLDEN / "sparseconvnet.npz"))
CASES = json.loads(str(FILE["cases"]))
RUN = [case for case in CASES if "refused" not in case]
TOLERANCE = 2e-6                                                         # of the largest value
FROM_FLOAT64 = 5e-5                     # theirs, through networks in training: it sums variances in one float32 pass
NETWORKS = "unet", "residual unet", "resnet", "vgg", "fully convolutional"
CHANNELS = 4, 2
REDUCE = "error", "first", "last", "sum", "mean"                        # what it does; its docs have 1 and 2 exchanged


def layer(kind, d, size=1, stride=1, bias=False, groups=1, **_):
    """Return our layer or network of a case."""
    c, o = CHANNELS
    options = {"bias": bias, "groups": groups}
    norm = {"momentum": 0.9, "debias": False}
    made = {
        "submanifold": lambda: sp.SubmanifoldConvolution(d, c, o, size, **options),
        "convolution": lambda: sp.Convolution(d, c, o, size, stride, **options),
        "full": lambda: sp.layers.TransposedConvolution(d, c, o, size, stride, **options),
        "deconvolution": lambda: sp.Sequential(sp.Convolution(d, c, o, size, stride, bias=False, groups=groups),
                                               sp.Deconvolution(d, o, c, size, stride, **options)),
        "maximum": lambda: sp.MaxPooling(d, size, stride, background="zero"),
        "average": lambda: sp.AveragePooling(d, size, stride),
        "unpooling": lambda: sp.Sequential(layer("maximum", d, size, stride), sp.layers.UnPooling(d, size, stride)),
        "dense": lambda: sp.SparseToDense(d),
        "network in network": lambda: sp.NetworkInNetwork(c, o),
        "normalisation": lambda: sp.BatchNormalization(c, **norm),
        "normalised relu": lambda: sp.BatchNormalization(c, slope=0, **norm),
        "normalised leaky relu": lambda: sp.BatchNormalization(c, slope=0.25, **norm),
        "relu": sp.ReLU, "leaky relu": lambda: sp.LeakyReLU(0.25), "elu": sp.layers.ELU, "selu": sp.layers.SELU,
        "tanh": sp.layers.Tanh, "sigmoid": sp.layers.Sigmoid, "dropout": lambda: sp.Dropout(0.25, kind="elements"),
        "unet": lambda: "unet", "residual unet": lambda: "unet",
        "resnet": lambda: sp.Sequential(
            sp.SubmanifoldConvolution(d, c, 3, bias=False), sp.MaxPooling(d, 3, 2, background="zero"),
            *sp.models.resnet([(3, 2, 1), (4, 2, 2), (5, 1, 1)], 3, d=d)),
        "vgg": lambda: sp.models.vgg([3, "MP", (3, 2), ("C3/2", 4), (2, 2, 1)], c, d=d),
        "fully convolutional": lambda: sp.models.fully_convolutional(3, [3, 4, 5], c, 5, d=d)}
    return made[kind]()


def close(found, want):
    """Two arrays of one shape are within the tolerance."""
    assert found.shape == want.shape
    assert np.abs(found - want).max(initial=0) <= TOLERANCE * np.abs(want).max(initial=0)


def check_gradient(mine, theirs, exact=None):
    """A gradient is within the tolerance of theirs; or, as `exact` is given, of the one in float64, or nearer to it."""
    if exact is None or np.abs(mine - theirs).max() <= TOLERANCE * np.abs(theirs).max():
        return close(mine, theirs)
    off, largest = np.abs(theirs - exact).max(), np.abs(exact).max()
    assert np.abs(mine - exact).max() <= max(TOLERANCE * largest, off) and off <= FROM_FLOAT64 * largest


def given(case):
    """Return the arrays of a case and the rows that go in, a leaf."""
    arrays = {name: FILE[kind][place:place + math.prod(shape)].reshape(shape)
              for name, (kind, place, shape) in case["arrays"].items()}
    return arrays, sp.Tensor(array("rows", (len(arrays["in_sites"]), CHANNELS[0])), requires_grad=True)


def run(case, arrays, rows):
    """Return a network with the weights of the case, and what it gives; the gradient goes back."""
    state, net = seeded(case["shapes"]), layer(**case)
    if state:
        net, _ = sp.io.convert(state, net, "sparseconvnet", one_by_one="matrix")
    net.train(case.get("training", True) and case["kind"] != "dropout")
    y = net(sp.SparseTensor.from_sites(arrays["in_sites"], rows, case["field"], 2, ground=None))
    features = y.features if isinstance(y, sp.SparseTensor) else y
    if "gradient/rows" in arrays:
        features.backward(array("gradient", features.shape))
    return net, y, features


def gradients(case, arrays):
    """Return the gradients of the case's parameters, in order of ours: they are read as the weights are."""
    state = seeded(case["shapes"])
    state = {name: arrays.get(f"gradient/{name}", value) for name, value in state.items()}
    net, _ = sp.io.convert(state, layer(**case), "sparseconvnet", one_by_one="matrix")
    return [parameter.numpy() for parameter in net.parameters()]


def all_gradients(net, rows):
    """Return the gradients of the rows and of the parameters."""
    return [rows.grad, *(parameter.grad for parameter in net.parameters())]


def gradients_in_float64(case):
    """Return all gradients of a case on the backend that is plain numpy."""
    with sp.use("reference"):
        arrays, rows = given(case)
        net, *_ = run(case, arrays, rows)
        return all_gradients(net, rows)


LAYERS = [case for case in RUN if "mode" not in case]


@each("case", LAYERS, ids=lambda case: "-".join(
    f"{key}={value}" for key, value in case.items() if key not in ("arrays", "shapes", "field")))
def test_a_case_gives_the_sites_the_rows_and_the_gradients_of_sparseconvnet(case):
    arrays, rows = given(case)
    net, y, features = run(case, arrays, rows)
    if "sites" in arrays:
        assert np.array_equal(y.sites, arrays["sites"])
    close(features.numpy(), arrays["rows"])
    if "gradient/rows" in arrays:
        wanted = [arrays["gradient/rows"], *(gradients(case, arrays) if case["shapes"] else ())]
        exact = gradients_in_float64(case) if case["kind"] in NETWORKS else [None] * len(wanted)
        for mine, theirs, third in zip(all_gradients(net, rows), wanted, exact, strict=True):
            check_gradient(mine, theirs, third)
    if case.get("training") and case["kind"].startswith("normalis") or isinstance(layer(**case), str):
        state = seeded(case["shapes"]) | {name[6:]: value for name, value in arrays.items() if name[:6] == "state/"}
        want, _ = sp.io.convert(state, layer(**case), "sparseconvnet", one_by_one="matrix")
        want, mine = want.state(), net.state()
        for name in (name for name in want if name.endswith(("running_mean", "running_variance"))):
            close(mine[name], want[name])


@each("case", [case for case in RUN if "mode" in case])
def test_rows_of_one_site_go_in_and_out_as_in_sparseconvnet(case):
    arrays, rows = given(case)
    reduce = REDUCE[case["mode"]]
    x = sp.SparseTensor.from_sites(arrays["in_sites"], rows, case["field"], 2, ground=None, reduce=reduce)
    order = np.lexsort(arrays["inner_sites"].T[::-1])
    assert np.array_equal(x.sites, arrays["inner_sites"][order])
    close(x.features.numpy(), arrays["inner"][order])
    y = x.to_points(kept=reduce if reduce in ("first", "last") else "all")
    close(y.numpy(), arrays["rows"])
    y.backward(array("gradient", y.shape))
    close(rows.grad, arrays["gradient/rows"])


def test_the_golden_file_is_the_one_that_was_made():
    digest, name = (GOLDEN / "sparseconvnet_sha256.txt").read_text().split()
    assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == digest


def test_the_cases_are_all_kinds_dimensions_sizes_strides_and_biases():
    assert len(RUN) >= 370 and {case["kind"] for case in RUN} >= {
        "submanifold", "convolution", "full", "deconvolution", "maximum", "average", "unpooling", "dense",
        "input and output", "network in network", "normalisation", *NETWORKS}
    for name, values in (("d", {1, 2, 3, 4}), ("size", {1, 2, 3, 5}), ("stride", {1, 2, 3}), ("bias", {False, True}),
                         ("groups", {2}), ("mode", {0, 1, 2, 3, 4}), ("training", {False, True})):
        assert {case[name] for case in RUN if name in case} >= values
    assert {(case["size"], case["stride"]) for case in CASES if "refused" in case} == {(1, 1)}
