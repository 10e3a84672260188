"""Optimisers against their formulas, written apart in float64; clipping, decay, frozen parameters, states."""

import copy
import pickle

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose, assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.train.flat import PIECE
from spconv_cy.train.gradients import gradient_norm
from spconv_cy.train.optim import Optimizer

SHAPES = [(3, 2), (1, 5), (PIECE + 7,)]  # the last one goes over the edge of a piece


def plain(w, gradients, rate):
    for d in gradients:
        w = w - rate * d
    return w


def momentum(w, gradients, rate, mu=0.9):
    """torch.optim.SGD: b = mu b + d, w -= rate b; the first b is d."""
    buffer = None
    for d in gradients:
        buffer = d if buffer is None else mu * buffer + d
        w = w - rate * buffer
    return w


def nesterov(w, gradients, rate, mu=0.9):
    """torch.optim.SGD(nesterov=True): w -= rate (d + mu b)."""
    buffer = None
    for d in gradients:
        buffer = d if buffer is None else mu * buffer + d
        w = w - rate * (d + mu * buffer)
    return w


def light(w, gradients, rate, mu=0.99):
    """Graham's networks: w <- w - mu m; m <- mu m - rate (1 - mu) d; w <- w + (1 + mu) m."""
    m = np.zeros_like(w)
    for d in gradients:
        w = w - mu * m
        m = mu * m - rate * (1 - mu) * d
        w = w + (1 + mu) * m
    return w


def adam(w, gradients, rate, first=0.9, second=0.999, eps=1e-8):
    """Kingma and Ba 2015, algorithm 1."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, d in enumerate(gradients, 1):
        m, v = first * m + (1 - first) * d, second * v + (1 - second) * d * d
        w = w - rate * (m / (1 - first**t)) / (np.sqrt(v / (1 - second**t)) + eps)
    return w


RULES = {
    "SGD": (sp.SGD, {}, plain),
    "SGD with momentum": (sp.SGD, {"momentum": 0.9}, momentum),
    "SGD, Nesterov's": (sp.SGD, {"momentum": 0.9, "nesterov": True}, nesterov),
    "Nesterov, Graham's form": (sp.Nesterov, {}, light),
    "Nesterov with another momentum": (sp.Nesterov, {"momentum": 0.7}, lambda *a: light(*a, mu=0.7)),
    "Adam": (sp.Adam, {}, adam),
    "Adam with other betas": (sp.Adam, {"betas": (0.5, 0.8), "eps": 1e-3}, lambda *a: adam(*a, 0.5, 0.8, 1e-3)),
}
rules = each("kind, options, rule", RULES.values(), ids=RULES)


def drawn(rng, steps=6):
    """Return weights and a list of gradients for each of them."""
    weights = [rng.normal(size=shape) for shape in SHAPES]
    return weights, [[rng.normal(size=w.shape) for _ in range(steps)] for w in weights]


def run(optimizer, gradients):
    """Take a step with each gradient, as `backward` would leave it."""
    for step in zip(*gradients, strict=True):
        for parameter, gradient in zip(optimizer.parameters, step, strict=True):
            parameter.grad = np.asarray(gradient, parameter.dtype)
        optimizer.step()
        optimizer.zero_grad()


@rules
def test_steps_follow_the_formula(kind, options, rule, rng):
    weights, gradients = drawn(rng)
    with sp.use("reference"):
        parameters = [sp.Tensor(w.copy(), requires_grad=True) for w in weights]
        run(kind(parameters, 0.05, **options), gradients)
    for parameter, w, d in zip(parameters, weights, gradients, strict=True):
        assert_allclose(parameter.data, rule(w, d, 0.05), rtol=1e-12, atol=1e-13)


@rules
def test_steps_in_float32_follow_the_formula(kind, options, rule, rng):
    weights, gradients = drawn(rng)
    with sp.use("cpu"):
        parameters = [sp.Tensor(w, requires_grad=True) for w in weights]
        optimizer = kind(parameters, 0.05, **options)
        run(optimizer, gradients)
    for parameter, w, d in zip(parameters, weights, gradients, strict=True):
        assert parameter.dtype == np.float32
        assert_allclose(parameter.data, rule(w, d, 0.05), rtol=2e-5, atol=2e-6)


@rules
def test_weight_decay_adds_its_share_of_the_weight_to_each_gradient(kind, options, rule, rng):
    # A step from a decayed gradient is a step of the rule with the gradient d + decay * w: feed it one step at a time.
    decay, w = 0.3, rng.normal(size=(4, 3))
    gradients = [rng.normal(size=w.shape) for _ in range(4)]
    with sp.use("reference"):
        decayed = sp.Tensor(w.copy(), requires_grad=True)
        optimizer = kind([decayed], 0.05, weight_decay=decay, **options)
        given = []
        for d in gradients:
            given.append(d + decay * decayed.data)
            run(optimizer, [[d]])
    assert_allclose(decayed.data, rule(w, given, 0.05), rtol=1e-12, atol=1e-13)
    assert np.abs(decayed.data - rule(w, gradients, 0.05)).max() > 1e-4


@rules
def test_clip_shortens_all_gradients_by_one_factor(kind, options, rule, rng):
    weights, gradients = drawn(rng, steps=5)
    lengths = [np.sqrt(sum((d**2).sum() for d in step)) for step in zip(*gradients, strict=True)]
    longest = float(np.median(lengths))                                  # some steps are shortened, some are not
    with sp.use("reference"):
        parameters = [sp.Tensor(w.copy(), requires_grad=True) for w in weights]
        run(kind(parameters, 0.05, max_norm=longest, **options), gradients)
    for parameter, w, own in zip(parameters, weights, gradients, strict=True):
        short = [d * min(1, longest / length) for d, length in zip(own, lengths, strict=True)]
        assert_allclose(parameter.data, rule(w, short, 0.05), rtol=1e-10, atol=1e-12)


@rules
def test_the_rate_may_change_between_steps(kind, options, rule, rng):
    weights, gradients = drawn(rng, steps=1)
    with sp.use("reference"):
        parameters = [sp.Tensor(w.copy(), requires_grad=True) for w in weights]
        optimizer = kind(parameters, 123.0, **options)
        optimizer.rate = 0.05
        run(optimizer, gradients)
    assert_allclose(parameters[0].data, rule(weights[0], gradients[0], 0.05), rtol=1e-12)


def test_under_a_constant_gradient_grahams_steps_tend_to_the_rate_times_the_gradient():
    w = sp.Tensor([0.0], requires_grad=True)
    optimizer = sp.Nesterov([w], 0.1, momentum=0.9)
    run(optimizer, [[np.array([2.0])] * 200])
    before = float(w.data[0])
    run(optimizer, [[np.array([2.0])]])
    assert float(w.data[0]) - before == pytest.approx(-0.2, rel=1e-4)


@rules
def test_frozen_parameters_and_those_without_a_gradient_stay_as_they_are(kind, options, rule, rng):
    frozen, idle, free = (sp.Tensor(rng.normal(size=(2, 2)), requires_grad=True) for _ in range(3))
    before = [t.data.copy() for t in (frozen, idle, free)]
    optimizer = kind([frozen, idle, free], 0.1, weight_decay=0.1, **options)
    frozen.requires_grad = False
    frozen.grad, free.grad = np.ones((2, 2), np.float32), np.ones((2, 2), np.float32)
    optimizer.step()
    assert_array_equal(frozen.data, before[0])
    assert_array_equal(idle.data, before[1])
    assert (free.data != before[2]).all()
    assert {name.split(".")[0] for name in optimizer.state()} <= {"steps", "2"}


def test_a_parameter_that_thaws_begins_its_own_moments(rng):
    late, early = (sp.Tensor(np.ones(3), requires_grad=True) for _ in range(2))
    optimizer = sp.Adam([late, early], 0.1)
    late.requires_grad = False
    ones = [[np.ones(3)] * 2] * 2
    run(optimizer, ones)
    late.requires_grad = True
    run(optimizer, [[np.ones(3)]] * 2)
    assert_allclose(late.data, adam(np.ones(3), [np.ones(3)], 0.1), rtol=1e-6)
    assert_allclose(early.data, adam(np.ones(3), [np.ones(3)] * 3, 0.1), rtol=1e-6)


def test_a_parameter_that_comes_twice_is_stepped_once():
    w = sp.Tensor([1.0], requires_grad=True)
    run(optimizer := sp.SGD([w, w], 0.25), [[np.array([2.0])]])
    assert w.data.tolist() == [0.5]
    assert len(optimizer.parameters) == 1


def test_a_parameter_that_is_not_contiguous_is_stepped_too():
    w = sp.Tensor(np.zeros((3, 2)), requires_grad=True)
    w.data = np.asfortranarray(w.data)
    d = np.arange(6.0).reshape(3, 2)
    run(sp.SGD([w], 1.0), [[d]])
    assert_array_equal(w.data, -d)


def test_clip_gradients_tells_the_length_and_leaves_frozen_ones_out():
    a, b, frozen = (sp.Tensor([0.0, 0.0], requires_grad=True) for _ in range(3))
    a.grad, b.grad, frozen.grad = (np.array(g, np.float32) for g in ([3, 0], [0, 4], [100, 100]))
    frozen.requires_grad = False
    shared = a.grad
    assert sp.train.clip_gradients([a, b, frozen], 10) == 5 and a.grad is shared
    assert sp.train.clip_gradients([a, b, frozen], 1) == 5
    assert_allclose([*a.grad, *b.grad, *frozen.grad], [0.6, 0, 0, 0.8, 100, 100], rtol=1e-6)
    assert shared.tolist() == [3, 0], "another tensor may hold the same gradient"
    assert gradient_norm([sp.Tensor([1.0], requires_grad=True)]) == 0


def test_clip_refuses_gradients_that_are_not_finite():
    w = sp.Tensor([1.0, 2.0], requires_grad=True)
    for bad in (np.inf, np.nan):
        w.grad = np.array([bad, 1], np.float32)
        with pytest.raises(FloatingPointError, match="lower the rate"):
            sp.SGD([w], 0.1, max_norm=1).step()
    assert w.data.tolist() == [1, 2]


@rules
@pytest.mark.parametrize("way", ["state", "pickle", "deepcopy"])
def test_an_optimiser_goes_on_from_its_state_with_the_same_bits(kind, options, rule, way, rng):
    weights, gradients = drawn(rng)
    through = [sp.Tensor(w, requires_grad=True) for w in weights]
    run(kind(through, 0.05, **options), gradients)
    optimizer = kind([sp.Tensor(w, requires_grad=True) for w in weights], 0.05, **options)
    run(optimizer, [g[:3] for g in gradients])
    if way == "state":
        other = kind([sp.Tensor(p.data.copy(), requires_grad=True) for p in optimizer.parameters], 0.05, **options)
        state = optimizer.state()
        before = copy.deepcopy(state)
        other.load_state(state)
        run(optimizer, [g[:1] for g in gradients])                       # the state is a copy, both ways
        run(other, [g[3:] for g in gradients])
        assert list(state) == list(before) and all((state[name] == before[name]).all() for name in before)
    else:
        other = pickle.loads(pickle.dumps(optimizer)) if way == "pickle" else copy.deepcopy(optimizer)
        run(other, [g[3:] for g in gradients])
        assert other.parameters[0] is not optimizer.parameters[0]
    for parameter, expected in zip(other.parameters, through, strict=True):
        assert_array_equal(parameter.data, expected.data)


def test_a_state_of_another_optimiser_is_refused_and_changes_nothing():
    def made(kind, shapes, **options):
        optimizer = kind([sp.Tensor(np.zeros(shape), requires_grad=True) for shape in shapes], 0.1, **options)
        run(optimizer, [[np.ones(shape)] for shape in shapes])
        return optimizer

    mine = made(sp.Adam, [(2,), (3,)])
    before = mine.state()
    two = [(2,), (3,)]
    for kind, shapes in ((sp.Adam, [(2,)]), (sp.Adam, [(2,), (4,)]), (sp.Nesterov, two), (sp.SGD, two)):
        other = made(kind, shapes)
        with pytest.raises(ShapeError, match="load_state"):
            mine.load_state(other.state())
        assert all((mine.state()[name] == array).all() for name, array in before.items())


W = sp.Tensor(np.zeros((2, 3)), requires_grad=True)


@each(
    "make, error, message",
    [
        (lambda: sp.SGD([], 0.1), ValueError, r"SGD: expected at least one parameter, got none; .*\(\)"),
        (lambda: sp.SGD([np.zeros(3)], 0.1), TypeError, "SGD: expected parameters, Tensors .*, got an ndarray"),
        (lambda: sp.SGD([W], -1), ValueError, "SGD: expected rate to be a number from 0 up, got -1"),
        (lambda: sp.SGD([W], float("nan")), ValueError, "rate to be a number from 0 up, got nan"),
        (lambda: sp.SGD([W], "fast"), ValueError, "rate to be a number from 0 up, got 'fast'"),
        (lambda: sp.SGD([W], 0.1, momentum=1), ValueError, "expected momentum to be a number from 0 up .*1, got 1"),
        (lambda: sp.SGD([W], 0.1, nesterov=True), ValueError, "momentum above 0 with nesterov=True, got 0.0"),
        (lambda: sp.Nesterov([W], 0.1, momentum=-0.1), ValueError, "Nesterov: expected momentum to be a number"),
        (lambda: sp.Nesterov([W], 0.1, weight_decay=-1), ValueError, "weight_decay to be .*, got -1"),
        (lambda: sp.Adam([W], max_norm=-1), ValueError, "max_norm to be .*, got -1"),
        (lambda: sp.Adam([W], betas=(0.9, 1.0)), ValueError, "betas to be .*, got 1.0"),
        (lambda: sp.Adam([W], betas=0.9), ValueError, "Adam: expected betas to be two numbers .*, got 0.9"),
        (lambda: sp.Adam([W], eps=0), ValueError, "Adam: expected eps to be a number above 0, got 0"),
    ],
)
def test_arguments_that_do_not_fit_are_told(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_gradient_of_another_shape_is_told():
    w = sp.Tensor(np.zeros((2, 3)), requires_grad=True)
    w.grad = np.zeros((3, 2), np.float32)
    with pytest.raises(ShapeError, match=r"SGD.step: expected a gradient of shape \(2, 3\), got \(3, 2\)"):
        sp.SGD([w], 0.1).step()


def test_parameters_added_to_an_optimiser_are_told_and_change_nothing():
    w, added = (sp.Tensor([1.0], requires_grad=True) for _ in range(2))
    w.grad = added.grad = np.ones(1, np.float32)
    optimizer = sp.SGD([w], 0.5)
    for parameters, n in ([w, added], 2), ([], 0):
        optimizer.parameters[:] = parameters
        with pytest.raises(ValueError, match=f"SGD.step: expected as many parameters as at first, 1, got {n}; to"):
            optimizer.step()
    assert w.data.tolist() == [1]


def test_an_optimiser_of_ones_own_is_a_few_lines(rng):
    class Sign(Optimizer):
        def _change(self, xp, w, d, scratch, t):
            xp.sign(d, out=scratch)
            scratch *= self.rate
            w -= scratch

    w = sp.Tensor([1.0, 1.0], requires_grad=True)
    run(Sign([w], 0.5), [[np.array([3.0, -0.1])]])
    assert w.data.tolist() == [0.5, 1.5]


# The compiled steps


@rules
@pytest.mark.parametrize("decay, most", [(0.0, None), (0.1, None), (0.0, 5.0), (0.1, 5.0)])
def test_compiled_steps_have_the_bits_of_numpy(kind, options, rule, decay, most, rng):
    by_numpy = type("ByNumpy", (kind,), {"_change": lambda self, *arguments: kind._change(self, *arguments)})
    weights, gradients = drawn(rng)
    found = []
    for which, threads in ((kind, 1), (kind, 2), (by_numpy, 1)):
        sp.set_threads(threads)
        parameters = [sp.Tensor(w, requires_grad=True) for w in weights]
        optimizer = which(parameters, 0.05, weight_decay=decay, max_norm=most, **options)
        run(optimizer, gradients)
        found.append([p.data for p in parameters] + list(optimizer.state().values()))
    sp.set_threads(None)
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_a_step_of_all_parameters_is_one_compiled_call(monkeypatch):
    steps, calls = sp.backend.switch.ops_named("cpu").steps, []
    monkeypatch.setattr(steps, "step", lambda *a, call=steps.step, **k: calls.append(a[0]) or call(*a, **k))
    net = sp.Sequential(sp.NetworkInNetwork(3, 4, rng=0), sp.NetworkInNetwork(4, 2, rng=0))
    for kind, options, name in ((sp.SGD, {}, "plain"), (sp.SGD, {"momentum": 0.5}, "momentum"), (sp.Adam, {}, "adam"),
                                (sp.SGD, {"momentum": 0.5, "nesterov": True}, "nesterov"), (sp.Nesterov, {}, "light")):
        calls.clear()
        for p in net.parameters():
            p.grad = np.ones(p.shape, np.float32)
        kind(net.parameters(), 0.1, **options).step()
        assert calls == [name]


def test_pieces_whose_squares_overflow_are_changed_by_numpy():
    d = np.full(2 * PIECE, 1e-3, np.float32)
    d[PIECE + 1] = 1e20                                                  # its square overflows, and its mean fits
    w = sp.Tensor(np.zeros(2 * PIECE), requires_grad=True)
    optimizer = sp.Adam([w], 0.1, betas=(0.9, 0.9999999))
    run(optimizer, [[d]])
    assert_allclose(w.data, -0.1, rtol=1e-4)
    assert np.isfinite(optimizer.state()["0.square"]).all()


def test_a_gradient_of_another_shape_changes_no_parameter():
    a, b = (sp.Tensor(np.ones(3), requires_grad=True) for _ in range(2))
    a.grad, b.grad = np.ones(3, np.float32), np.ones(4, np.float32)
    with pytest.raises(ShapeError, match=r"a gradient of shape \(3,\), got \(4,\)"):
        sp.SGD([a, b], 0.1).step()
    assert (a.data == 1).all()


@pytest.mark.parametrize("n", [0, 1, 15, PIECE + 7, 5 * PIECE])
def test_the_length_of_gradients_is_a_sum_in_double_precision(n, rng):
    w = sp.Tensor(np.zeros(n), requires_grad=True)
    w.grad = rng.normal(size=n).astype(np.float32)
    lengths = set()
    for threads in (1, 2):
        sp.set_threads(threads)
        lengths.add(gradient_norm([w, w]))
    sp.set_threads(None)
    assert len(lengths) == 1
    assert lengths.pop() == pytest.approx(np.sqrt(2 * np.sum(w.grad.astype(np.longdouble) ** 2)), rel=1e-13)
