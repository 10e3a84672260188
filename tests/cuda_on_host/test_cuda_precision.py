"""float16 and TF32 on the cuda backend, by the unchanged sources on the CPU: verbs, layers, training, refusals."""

import numpy as np
import pytest
from contract import begun, outcome
from contract_ops import calls_of
from contract_precision import CONVOLUTIONS, check_precisions, compare
from layer_cases import CASES
from strategies import random_rulebook
from training import losses

import spconv_cy as sp
from spconv_cy.errors import BackendError

BOOKS = ((40, 50, 9), (7, 200, 3), (1, 1, 1), (0, 0, 3), (5, 0, 3), (0, 5, 2), (6, 0, 3), (70, 90, 70))


def check(cuda, rng, groups, c, o, names=("float16", "tf32")):
    for n, m, k in BOOKS:
        check_precisions(cuda, rng, random_rulebook(rng, n, m, k), c, o, groups, names)


def test_convolutions_agree_in_float16(cuda, rng):
    for book in (random_rulebook(rng, n, m, k) for n, m, k in BOOKS[:5]):
        for verb, arguments, options in calls_of(rng, book, 10, 36, 2):
            if verb in CONVOLUTIONS:
                compare(cuda, verb, arguments, {**options, "precision": "float16"}, np.float32, "float16")


@pytest.mark.slow
@pytest.mark.parametrize("groups, c, o", [(1, 5, 33), (1, 20, 70), (2, 6, 4), (1, 16, 16), (1, 70, 64)])
def test_verbs_agree_in_every_precision_and_order(groups, c, o, cuda, order, rng):
    check(cuda, rng, groups, c, o)


@pytest.mark.slow
def test_verbs_agree_in_float16_on_compute_capability_75(cuda, rng, monkeypatch):
    monkeypatch.setenv("SHIM_ARCH", "75")
    check(cuda, rng, 1, 20, 70, ["float16"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["float16", "tf32"])
def test_runs_have_the_same_bits_in_any_order(name, cuda, rng, monkeypatch):
    book = random_rulebook(rng, 300, 280, 9)
    x, w, dy = (cuda.asarray(rng.normal(size=shape)) for shape in ((300, 20), (9, 20, 70), (280, 70)))
    found = []
    for order in ("fwd", "rev", "1"):
        monkeypatch.setenv("SHIM_ORDER", order)
        y = cuda.conv(x, w, book, precision=name), cuda.conv_dw(x, dy, book, precision=name)
        found.append([cuda.to_numpy(a).tobytes() for a in y])
    assert found[0] == found[1] == found[2]


# Rounded to 2^-11 at each convolution and once more when stored, and in norms divided by the spread of a few rows.
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CASES))
def test_every_layer_in_float16_is_near_the_reference(name, cuda):
    make, inputs = CASES[name]
    for counts in ((5, 0, 4), (0, 0)):
        with sp.use("reference"):
            layer = begun(make())
            expected = outcome(layer, inputs(counts))
        with sp.use("cuda"), sp.precision("float16"):
            mine = make()
            mine.load_state(layer.state())
            x = inputs(counts)
            found = outcome(mine, x)
        for (what, a), (_, truth) in zip(found, expected, strict=True):
            assert a.shape == truth.shape, what
            assert np.abs(a - truth).max(initial=0) <= 0.03 * max(1, np.abs(truth).max(initial=0)), what


@pytest.mark.slow
def test_twenty_steps_in_float16_follow_the_losses_of_float32(cuda):
    here = losses("cpu")
    assert here[-1] < here[0] / 2
    assert np.abs(losses("cuda", precision="float16") - here).max() < 1e-3 * here[0]


@pytest.mark.slow
def test_twenty_steps_in_tf32_follow_the_losses_of_float32(cuda):
    here = losses("cpu")
    assert np.abs(losses("cuda", precision="tf32") - here).max() < 1e-3 * here[0]


@pytest.mark.slow
def test_features_are_float16_between_layers_and_sums_are_not(cuda):
    x = sp.SparseTensor.from_sites([[0, 1, 1], [0, 2, 2], [1, 1, 2]], np.ones((3, 3)), 6)
    net = sp.Sequential(sp.Convolution(2, 3, 8, 3), sp.BatchNormalization(8, slope=0.0), sp.MaxPooling(2, 2))
    with sp.use("cuda"), sp.precision("float16"):
        y = net.to("cuda")(x.to("cuda"))
        assert y.features.dtype == y.ground.dtype == np.float16
        loss = sp.softmax_cross_entropy(sp.GlobalPooling()(y), np.array([0, 1]))
        loss.backward()
    assert loss.dtype == np.float32
    assert {p.grad.dtype for p in net.parameters()} == {np.dtype(np.float32)}
    assert net.layers[1].running_mean.dtype == np.float32


@pytest.mark.parametrize("name, has, fits", [("float16", "70", "'float32'"), ("tf32", "75", "'float16' or 'float32'")])
def test_a_gpu_without_such_tensor_cores_is_refused_with_the_remedy(name, has, fits, cuda, monkeypatch):
    monkeypatch.setenv("SHIM_ARCH", has)
    says = rf"expected an NVIDIA GPU .*, got 7.\d; call precision\(.*{fits}\)"
    with sp.use("cuda"), sp.precision(name), pytest.raises(BackendError, match=says):
        sp.NetworkInNetwork(3, 2)(np.ones((4, 3)))


def test_rows_that_begin_where_no_vector_can_are_copied(cuda, rng):
    rows, w = rng.normal(size=(41, 8)), rng.normal(size=(1, 8, 8))
    book = random_rulebook(rng, 40, 40, 1)
    far = cuda.asarray(np.concatenate([np.zeros(3), rows[1:].reshape(-1)]), np.float16)[3:].reshape(40, 8)
    near = cuda.conv(cuda.asarray(rows[1:], np.float16), cuda.asarray(w), book, precision="float16")
    assert far.data.ptr % 16 and cuda.to_numpy(cuda.conv(far, cuda.asarray(w), book, precision="float16")).tobytes() \
        == cuda.to_numpy(near).tobytes()
