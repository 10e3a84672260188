"""What every backend must pass: check_ops, on every instruction set, in every layout."""

import inspect

import numpy as np
from strategies import layouts

from spconv_cy.backend.ops import Ops
from spconv_cy.backend.switch import ops_named
from spconv_cy.sites.rulebook import Rulebook

try:
    from spconv_cy import _core
except ImportError:
    _core = None

VERBS = sorted(name for name in vars(Ops) if inspect.isfunction(vars(Ops)[name]) and not name.startswith("_"))
REFERENCE = Ops()


def check_signatures(ops):
    """Every verb has the base class's arguments, in their order, with their defaults."""
    for verb in VERBS:
        assert inspect.signature(getattr(type(ops), verb)) == inspect.signature(getattr(Ops, verb)), verb


def truths_of(calls):
    """List what plain numpy gives for each call of `calls_of`, each a tuple of arrays."""
    return [as_tuple(getattr(REFERENCE, verb)(*arguments, **options)) for verb, arguments, options in calls]


def check_ops(ops, calls, tolerance=1e-5, truths=None):
    """Compare each call (verb, arguments, options) with plain numpy in float64: arrays of floats are given in both.

    Args:
        ops: backend.
        calls: from `calls_of`; floats must be float32 values, so that both sides start from the same numbers.
        tolerance: of max|expected|, for floats; whole numbers must be equal.
        truths: of `truths_of(calls)`, for several backends or instruction sets.
    """
    for (verb, arguments, options), expected in zip(calls, truths or truths_of(calls), strict=True):
        found = call(ops, verb, born(ops, arguments), options)
        what = f"{verb}({', '.join(map(shown, [*arguments, *options.values()]))})"
        for mine, truth in zip(as_tuple(found), expected, strict=True):
            check_array(ops, ops.to_numpy(mine), truth, tolerance, what)


def check_every_set(calls):
    """Compare calls with plain numpy on each instruction set that this build and machine can run."""
    truths = truths_of(calls)
    for _ in every_set():
        check_ops(ops_named("cpu"), calls, truths=truths)


def every_set():
    """Yield the name of each instruction set that this build and machine can run, which is then in use."""
    if _core is None:
        return
    before = _core.isa()
    try:
        for name in _core.isas():
            _core.select_isa(name)
            yield name
    finally:
        _core.select_isa(before)


def call(ops, verb, arguments, options):
    """Call a verb; float arrays among the options are given to the backend first."""
    return getattr(ops, verb)(*arguments, **dict(zip(options, born(ops, options.values()), strict=True)))


def check_array(ops, found, expected, tolerance, what):
    """Compare shape, kind of dtype and values; where a truth is NaN or infinite, so is what was found."""
    assert found.shape == expected.shape, what
    if expected.dtype.kind in "iu":
        assert found.dtype == expected.dtype and np.array_equal(found, expected), what
        return
    assert found.dtype in ops.float_dtypes and found.flags.c_contiguous, what
    finite = np.isfinite(expected)
    if not finite.all():
        assert np.array_equal(found[~finite], expected[~finite], equal_nan=True), what
        found, expected = found[finite], expected[finite]
    limit = tolerance * np.abs(expected).max(initial=0)
    worst = np.abs(found - expected).max(initial=0)
    assert worst <= limit, f"{what}: {worst:.2e} apart, {limit:.2e} allowed"


def born(ops, arguments):
    """Give the float arrays among arguments to a backend."""
    return [ops.asarray(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in arguments]


def shown(argument):
    """Name an argument in a message: an array by its shape."""
    return str(argument.shape) if isinstance(argument, np.ndarray) else repr(argument)


def as_tuple(found):
    """Give one array as a tuple of one."""
    return found if isinstance(found, tuple) else (found,)


def numbers(rng, *shape):
    """Draw float64 numbers that float32 holds exactly."""
    return rng.normal(size=shape).astype(np.float32).astype(np.float64)


def calls_of(rng, rulebook, c, o, groups=1):
    """List a call or more of every verb on a rulebook, with c channels in and o channels out."""
    n, m, k = rulebook.n_in, rulebook.n_out, rulebook.n_offsets
    x, dy, dc = numbers(rng, n, c), numbers(rng, m, o), numbers(rng, m, c)
    shape = (c // groups, o // groups)
    w = numbers(rng, k, *shape) if groups == 1 else numbers(rng, k, groups, *shape)
    starts = np.concatenate([[0], np.sort(rng.integers(0, n + 1, 5)), [n]]).astype(np.int64)
    bias, ground = numbers(rng, 1, o), numbers(rng, 1, c)
    winner = rng.integers(-1, n, (m, c)).astype(np.int32)
    targets = rng.integers(0, max(m, 1), n).astype(np.int32)
    others = np.random.default_rng(n)
    weights = numbers(others, 3, n + m) * (others.random((3, n + m)) < 0.7)
    won = (dc, REFERENCE.max_pool(x, rulebook, ground)[1], n)
    if len(np.unique(rulebook.in_rows.astype(np.int64) * (m + 1) + rulebook.out_rows)) == rulebook.n_pairs:
        won += (rulebook,)
    return [
        ("asarray", (x,), {}),
        ("on_host", (x,), {}),
        ("to_numpy", (x,), {}),
        ("conv", (x, w, rulebook), {"bias": bias}),
        ("conv", (x, w, rulebook), {"bias": bias, "slope": 0.25}),
        ("conv", (dy, w.swapaxes(-1, -2), rulebook.T), {}),
        ("conv_after", (x, w, rulebook), {"bias": bias, "measure": True}),
        ("conv_after", (x, w, rulebook), {"bias": bias, "slope": 0.25, "rows": numbers(rng, 4, o),
                                          "residual": numbers(rng, m, o), "measure": True}),
        ("conv_after", (x, w, rulebook), {"slope": 0.25, "residual": numbers(rng, m, o)}),
        ("conv_dw", (x, dy, rulebook), {"groups": groups}),
        ("max_pool", (x, rulebook), {}),
        ("max_pool", (x, rulebook), {"ground": ground}),
        ("max_pool", (x, without_volume(rulebook)), {"ground": ground}),
        ("max_pool_dx", (dc, winner, n), {}),
        ("max_pool_dx", won, {}),
        ("sum_pool", (x, rulebook), {}),
        ("sum_pool", (dc, rulebook.T), {}),
        ("take", (x, rng.integers(-1, n, m).astype(np.int32)), {"ground": ground}),
        ("take", (x, rng.integers(-1, n, 2 * m)), {}),
        ("take", (x, others.integers(-1, n, (3, m))), {"weights": weights[:, :m]}),
        ("scatter_add", (x, targets, max(m, 1)), {}),
        ("scatter_add", (x, np.stack([targets, np.full(n, -1), targets[::-1]]), max(m, 1)),
         {"weights": weights[:, :n]}),
        ("scatter_add", (x, targets, max(m, 1)), {"mean": True}),
        ("scatter_max", (x, targets, max(m, 1)), {}),
        ("segment_sum", (x, starts), {}),
        ("segment_max", (x, starts), {}),
        ("leaky_relu", (x, 0.25), {}),
        ("leaky_relu_dx", (x, numbers(rng, n, c), 0.25), {}),
        ("moments", (x,), {}),
        ("affine", (x, numbers(rng, 4, c)), {"slope": 0.25}),
        ("affine", (x, numbers(rng, 4, c)), {"slope": 0.25, "residual": numbers(rng, n, c)}),
        ("affine_sums", (x, numbers(rng, n, c), numbers(rng, 4, c)), {"slope": 0.25}),
        ("affine_dx", (x, numbers(rng, n, c), numbers(rng, 4, c), numbers(rng, 2, c)), {"slope": 0.25}),
        ("add", (x, numbers(rng, n, c)), {}),
        ("concatenate", (x, numbers(rng, n, 3), x), {}),
        ("split", (dy, 1, o - 1), {}),
        *entropies(rng, x),
    ]


def entropies(rng, x):
    """List calls for the cross-entropy; the second result is that of the reference, but for rows that do not count."""
    (n, c), calls = x.shape, []
    for lowest, counts in ((0, None), (-1, np.abs(numbers(rng, n)))):
        labels = rng.integers(lowest, c, n)
        calls += [("cross_entropy", (x, labels), {"counts": counts} if counts is not None else {}),
                  ("cross_entropy_dx", (x, REFERENCE.cross_entropy(x, labels)[1].astype(np.float32).astype(np.float64),
                                        labels, 0.25), {"counts": counts} if counts is not None else {})]
    return calls


def without_volume(rulebook):
    """Make a rulebook's twin whose windows have no sites at all: only where no row is active the ground is left."""
    return Rulebook(rulebook.in_rows, rulebook.out_rows, rulebook.offset_ptr, rulebook.n_in, rulebook.n_out, volume=0)


def check_layouts(ops, rng, rulebook, c, o, groups=1):
    """Every way in which numpy lays an array out gives the bits of the plain one (numpy itself: to rounding)."""
    rounding = 1e-12 if type(ops) is Ops else 0
    for verb, arguments, options in calls_of(rng, rulebook, c, o, groups):
        if verb in ("asarray", "on_host", "to_numpy"):
            continue
        plain = born(ops, arguments)
        expected = as_tuple(call(ops, verb, plain, options))
        for place, argument in enumerate(plain):
            if not isinstance(argument, np.ndarray):
                continue
            for name, laid_out in layouts(argument)[:-1]:  # nested lists are for the door, not for a verb
                given = [laid_out if i == place else a for i, a in enumerate(plain)]
                for pair in zip(as_tuple(call(ops, verb, given, options)), expected, strict=True):
                    mine, truth = map(ops.to_numpy, pair)
                    same = mine.shape == truth.shape and np.abs(mine - truth).max(initial=0) <= rounding
                    assert same, f"{verb}, argument {place} {name}"
