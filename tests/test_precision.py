"""The precision of convolutions: what is set, what the reference rounds, what the cpu refuses, which gradients come."""

import copy

import numpy as np
import oracles
import pytest
from numpy.testing import assert_array_equal
from strategies import random_rulebook

import spconv_cy as sp
from spconv_cy.backend.precision import rounded
from spconv_cy.backend.switch import ops_named, summable
from spconv_cy.config import precision_name
from spconv_cy.errors import BackendError


@pytest.fixture(autouse=True)
def as_before():
    """No test leaves another precision behind."""
    yield
    sp.precision("float32")


def tf32(x):
    """Round to 11 bits by arithmetic, a half away from zero."""
    fraction, exponent = np.frexp(x)
    return np.ldexp(np.sign(x) * np.floor(np.abs(fraction) * 2**11 + 0.5), exponent - 11)


def half(x):
    return x.astype(np.float16).astype(float)


ROUND = {"float32": lambda x: x, "float16": half, "tf32": tf32}


def test_a_call_switches_and_a_with_statement_goes_back():
    assert precision_name() == "float32"
    switch = sp.precision("tf32")
    with sp.precision("float16") as inner:
        assert precision_name() == "float16" and repr(inner) == "precision('float16')"
    assert precision_name() == "tf32" and repr(switch) == "precision('tf32')"


@pytest.mark.parametrize("name", ["half", "float64", None, 16])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="one of 'float32', 'tf32', 'float16', got"):
        sp.precision(name)
    assert precision_name() == "float32"


@pytest.mark.parametrize("name", ["float16", "tf32"])
def test_the_cpu_computes_in_float32_alone_and_names_the_remedy(name):
    layer, x = sp.NetworkInNetwork(3, 2, rng=0), np.ones((4, 3))
    expected = layer(x).numpy()
    remedy = rf"expected precision float32, .* got '{name}'; call precision\(\"float32\"\), or use\("
    with sp.precision(name), pytest.raises(BackendError, match=remedy):
        layer(x)
    assert_array_equal(layer(x).numpy(), expected)
    book = random_rulebook(np.random.default_rng(0), 4, 4, 2)
    with pytest.raises(BackendError, match=name):
        ops_named("cpu").conv_dw(np.ones((4, 3), np.float32), np.ones((4, 2), np.float32), book, precision=name)


@pytest.mark.parametrize("name", list(ROUND))
def test_the_reference_rounds_what_is_read_and_sums_exactly(name, rng):
    ops, book, near = ops_named("reference"), random_rulebook(rng, 30, 25, 5), ROUND[name]
    x, w, dy = (rng.normal(size=shape) for shape in ((30, 6), (5, 6, 4), (25, 4)))
    offsets = np.repeat(np.arange(5), np.diff(book.offset_ptr))
    pairs = list(zip(offsets, book.in_rows, book.out_rows, strict=True))
    y = oracles.conv(near(x), near(w), pairs, 25, None, 0.25)
    y = half(y) if name == "float16" else y
    assert np.abs(ops.conv(x, w, book, slope=0.25, precision=name) - y).max() <= (2e-3 if name == "float16" else 1e-12)
    dw = oracles.conv_dw(near(x), near(dy), pairs, 5, 1)
    assert np.allclose(ops.conv_dw(x, dy, book, precision=name), dw, rtol=0, atol=1e-12)
    if name != "float32":
        assert np.abs(ops.conv_dw(x, dy, book) - dw).max() > 1e-5


def test_rounding_to_tf32_goes_away_from_zero_at_a_half_and_keeps_what_is_no_number(rng):
    x = np.array([1 + 2**-11, -1 - 2**-11, 1 + 2**-12, 3 * 2.0**-136, np.inf, -np.inf, np.nan, 0])
    expected = [1 + 2**-10, -1 - 2**-10, 1, 3 * 2.0**-136, np.inf, -np.inf, np.nan, 0]
    assert_array_equal(rounded(x, "tf32"), expected)
    x = rng.normal(size=1000).astype(np.float32).astype(float) * 10.0 ** rng.integers(-9, 9, 1000)
    x = x.astype(np.float32).astype(float)
    assert_array_equal(rounded(x, "tf32"), tf32(x))


def test_float16_beyond_its_range_is_infinite_without_a_warning():
    assert_array_equal(rounded(np.array([65504.0, 65519, 65520, -1e9]), "float16"), [65504, 65504, np.inf, -np.inf])
    assert summable(np.ones(3, np.float16)).dtype == np.float32
    wide = np.ones(3)
    assert summable(wide) is wide


def gradients(layer, x, inside):
    """Return the gradients of a layer in float16, gone back inside or outside the `with` statement."""
    layer, x = copy.deepcopy(layer), sp.Tensor(x, requires_grad=True)
    with sp.precision("float16"):
        y = layer(x)
        loss = (y * y).sum()
        if inside:
            loss.backward()
    if not inside:
        loss.backward()
    return [x.grad, *(p.grad for p in layer.parameters())]


@pytest.mark.parametrize("make", [sp.Sequential, sp.layers.Checkpointed])
def test_a_backward_pass_has_the_precision_of_its_forward_pass(make, rng):
    with sp.use("reference"):
        layer = make(sp.NetworkInNetwork(5, 4, rng=0), sp.NetworkInNetwork(4, 3, rng=1))
        x = rng.normal(size=(6, 5))
        inside, outside = gradients(layer, x, True), gradients(layer, x, False)
        x = sp.Tensor(x, requires_grad=True)
        (layer(x) * layer(x)).sum().backward()
    assert precision_name() == "float32"
    for a, b in zip(inside, outside, strict=True):
        assert_array_equal(a, b)
    assert not np.array_equal(inside[0], x.grad) and np.allclose(inside[0], x.grad, rtol=0, atol=0.05)


def test_a_gradient_has_the_dtype_of_what_it_belongs_to():
    @sp.differentiable
    def double(x):
        return 2 * x, lambda dy: (2 * dy.astype(np.float64),)

    x = sp.Tensor([1.0, 2.0], requires_grad=True)
    double(x).sum().backward()
    assert x.grad.dtype == x.dtype == np.float32 and x.grad.tolist() == [2, 2]


def test_a_sum_of_float16_is_float32():
    x = sp.Tensor.leaf(np.full(3000, 100, np.float16), requires_grad=True)
    y = x.sum()
    y.backward()
    assert y.dtype == np.float32 and y.numpy() == 300_000 and x.grad.dtype == np.float16


def test_losses_of_float16_are_float32():
    rows = np.array([[200, -300], [-60_000, 60_000]], np.float16)
    for loss, labels in ((sp.softmax_cross_entropy, [1, 0]), (sp.functional.squared_hinge, [1, 0]), (sp.mse, rows * 0)):
        found, truth = (loss(sp.Tensor.leaf(a, False), np.array(labels)) for a in (rows, rows.astype(np.float32)))
        assert found.dtype == np.float32 and np.isfinite(found.numpy()) and found.numpy() == truth.numpy()
