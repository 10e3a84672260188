"""Input that is odd but right gives the right result: strides and dtypes, nothing at all, NaN, the ends of int32."""

import itertools

import numpy as np
import oracles
import pytest
from in_turn import each
from numpy.testing import assert_allclose, assert_array_equal
from strategies import layouts, random_sites

import spconv_cy as sp
from spconv_cy.backend.switch import ops_named
from spconv_cy.sites import order
from spconv_cy.sites.grid import as_sites

LAYERS = {
    "convolution": lambda: sp.Convolution(2, 2, 3, 3, rng=0),
    "strided convolution": lambda: sp.Convolution(2, 2, 3, 2, 2, rng=0),
    "submanifold convolution": lambda: sp.SubmanifoldConvolution(2, 2, 3, 3, dilation=2, rng=0),
    "matrix": lambda: sp.NetworkInNetwork(2, 3, rng=0),
    "max-pooling": lambda: sp.MaxPooling(2, 2),
    "average pooling": lambda: sp.AveragePooling(2, 3, 1),
    "activation": lambda: sp.VeryLeakyReLU(),
}
INT32 = np.iinfo(np.int32)


def steps(features, sites, weight=None, **options):
    """Return output and gradients of a small network, to be compared bit by bit."""
    leaf = sp.Tensor(features, requires_grad=True)
    x = sp.SparseTensor.from_sites(sites, leaf, size=(10, 10), samples=2, **options)
    first = sp.Convolution(2, 3, 4, 3, rng=0)
    if weight is not None:
        first.weight.data = weight(first.weight.data)
    y = sp.NetworkInNetwork(4, 2, rng=1)(sp.GlobalPooling("sum")(sp.MaxPooling(2, 2)(first(x))))
    y.backward(np.array([[1.0, -2.0], [3.0, 0.5]]))
    return [y.data, leaf.grad, first.weight.grad, x.sites, x.point_rows]


def drawn(rng):
    # Small whole numbers: every dtype holds them, so that results must have the same bits.
    return rng.integers(0, 8, (40, 3)).astype(np.float64), random_sites(rng, 40, 2, samples=2)


def test_arrays_of_any_layout_give_the_bits_of_plain_ones(rng, ops):
    features, sites = drawn(rng)
    expected = steps(features, sites)
    for name, array in layouts(features):
        for found, right in zip(steps(array, sites), expected, strict=True):
            assert_array_equal(found, right, err_msg=f"features, {name}")
    for name, array in layouts(sites):
        for found, right in zip(steps(features, array), expected, strict=True):
            assert_array_equal(found, right, err_msg=f"sites, {name}")


def test_what_is_not_aligned_is_copied_at_the_door(rng):
    # Compiled loops may not read it where it is: UBSan says so, and some processors.
    for dtype in (np.float32, np.int32, np.int64):
        plain = random_sites(rng, 40, 2, samples=2).astype(dtype)
        crooked = dict(layouts(plain))["unaligned"]
        assert not crooked.flags.aligned
        assert ops_named("cpu").asarray(crooked, dtype).flags.aligned
        if dtype != np.float32:
            assert sp.Grid.from_sites(crooked).sites.flags.aligned and as_sites(crooked).flags.aligned


def test_numbers_of_any_dtype_give_the_bits_of_floats(rng, ops):
    features, sites = drawn(rng)
    expected = steps(features, sites)
    for dtype in ("f2", "f4", "f8", "g", "i1", "u1", "i4", "i8", "u8"):
        for found, right in zip(steps(features.astype(dtype), sites), expected, strict=True):
            assert_array_equal(found, right, err_msg=dtype)
    for dtype in ("i1", "u1", "i2", "u2", "u4", "i8", "u8"):
        for found, right in zip(steps(features, sites.astype(dtype)), expected, strict=True):
            assert_array_equal(found, right, err_msg=f"sites of {dtype}")
    truths = features > 3
    for found, right in zip(steps(truths, sites), steps(truths.astype(float), sites), strict=True):
        assert_array_equal(found, right, err_msg="bool")


def test_weights_of_any_layout_give_the_same_result(rng, ops):
    features, sites = drawn(rng)
    expected = steps(features, sites)
    for layout in (np.asfortranarray, lambda w: np.repeat(w, 2, axis=1)[:, ::2], lambda w: w[::-1].copy()[::-1]):
        for found, right in zip(steps(features, sites, layout), expected, strict=True):
            # The reference multiplies by BLAS, which takes another path for another layout.
            assert_allclose(found, right, rtol=1e-12 if ops == "reference" else 0)


def test_what_was_given_is_neither_changed_nor_frozen_nor_shared(rng, ops):
    features, sites = rng.normal(size=(40, 3)).astype(np.float32), random_sites(rng, 40, 2, samples=2)
    sites = sites[np.lexsort(sites.T[::-1])]                             # in canonical order: nothing must be copied
    kept = features.copy(), sites.copy()
    before = steps(features, sites)
    assert features.flags.writeable and sites.flags.writeable
    x = sp.SparseTensor.from_sites(sites, features, samples=2)
    assert_array_equal(features, kept[0])
    assert_array_equal(sites, kept[1])
    sites += 1
    assert_array_equal(x.sites, kept[1])
    for found, right in zip(steps(*kept), before, strict=True):
        assert_array_equal(found, right)


@each("ground", ["zero", None])
@each("name", LAYERS)
def test_a_nan_reaches_the_outputs_whose_windows_hold_it_and_no_other(name, ground, rng, ops):
    sites, features = random_sites(rng, 60, 2, high=12, samples=2), rng.normal(size=(60, 2))
    poisoned = features.copy()
    poisoned[[7, 31]] = np.nan
    layer = LAYERS[name]().eval()
    clean, found = (layer(sp.SparseTensor.from_sites(sites, rows, (12, 12), ground=ground))
                    for rows in (features, poisoned))
    window = getattr(layer, "window", None)
    holding = {tuple(site) for site in sites[[7, 31]].tolist()}
    if window is not None:
        _, pairs = oracles.window_pairs(sites, window.size, window.stride, window.dilation, window.origin,
                                        keeps_sites=window.keeps_sites, size_out=found.grid.size)
        holding = {out for _, place, out in pairs if place in holding}
    reached = np.array([tuple(site) in holding for site in found.sites.tolist()])
    assert 0 < reached.sum() < len(reached)
    assert_array_equal(np.isnan(found.features.data), np.broadcast_to(reached[:, None], found.features.shape))
    assert_array_equal(found.features.data[~reached], clean.features.data[~reached])
    if ground:
        assert_array_equal(found.ground.data, clean.ground.data)


def test_a_nan_stays_in_its_sample_of_a_global_pooling(rng, ops):
    sites, features = random_sites(rng, 30, 2, samples=3), rng.normal(size=(30, 2))
    features[sites[:, 0] == 1] = np.nan
    x = sp.SparseTensor.from_sites(sites, features, (10, 10), 3)
    for kind, over in itertools.product(("average", "sum", "max"), ("active", "field")):
        layer = sp.GlobalPooling(kind, over=over)
        assert_array_equal(np.isnan(layer(x).data), np.array([[False], [True], [False]]) & np.ones((1, 2), bool))


@each("samples", [0, 3])
@each("ground", ["zero", None])
def test_no_sites_at_all_go_forward_and_back(samples, ground, ops):
    x = sp.SparseTensor.from_sites(np.zeros((0, 3), np.int64), np.zeros((0, 2)), (12, 12), samples, ground=ground)
    net = sp.Sequential(sp.Convolution(2, 2, 3, 3, rng=0), sp.BatchNormalization(3), sp.ReLU(), sp.MaxPooling(2, 2),
                        sp.SubmanifoldConvolution(2, 3, 3, rng=1), sp.AveragePooling(2, 5), sp.GlobalPooling())
    y = net(x)
    assert y.shape == (samples, 3) and np.isfinite(y.data).all()
    y.backward(np.ones(y.shape))
    assert all(p.grad is None or (p.grad.shape == p.shape and np.isfinite(p.grad).all()) for p in net.parameters())
    assert x.to_dense().shape == (samples, 2, 12, 12) and not x.to_dense().any()
    assert sp.collate([x, x]).grid.samples == 2 * samples


@pytest.mark.parametrize("d, kind", [(1, "submanifold"), (3, "submanifold"), (3, "strided"), (8, "submanifold")])
def test_extents_beyond_64_bits_and_the_ends_of_int32_are_exact(d, kind, rng):
    # Clusters at corners of the whole int32 range: no packed key holds their box, and nothing may wrap around.
    corners = rng.choice([INT32.min + 4, -3, INT32.max - 8], (6, d))
    sites = np.concatenate([corner + rng.integers(0, 3, (20, d)) for corner in corners])
    sites = np.unique(np.column_stack([rng.integers(0, 2, len(sites)), sites]), axis=0)
    if d == 1:
        sites = np.array([[0, INT32.min], [0, INT32.max], [0, -1], [0, 0]])
    else:
        assert not order.fits(order.box(sites.astype(np.int32))[1])
    grid = sp.Grid.from_sites(rng.permutation(sites))
    assert grid.sites.tolist() == sorted(sites.tolist())
    known = {tuple(site): row for row, site in enumerate(grid.sites.tolist())}
    asked = np.concatenate([sites, np.clip(sites + rng.integers(-1, 2, sites.shape), INT32.min, INT32.max)])
    assert grid.rows_of(asked).tolist() == [known.get(tuple(site), -1) for site in asked.tolist()]

    keeps = kind == "submanifold"
    window = sp.sites.Window(d, 3 if d < 8 else (3, 1, 1, 2, 1, 1, 1, 2), 1 if keeps else 2,
                             kind=kind if keeps else "valid")
    child, book = grid.rules(window)
    outs, pairs = oracles.window_pairs(sites, window.size, window.stride, window.dilation, window.origin,
                                       keeps_sites=keeps)
    assert child.sites.tolist() == [list(site) for site in outs]
    found = {(k, tuple(grid.sites[i].tolist()), tuple(child.sites[j].tolist()))
             for k, i, j in oracles.pairs_of(book.in_rows, book.out_rows, book.offset_ptr)}
    assert found == pairs and len(pairs) == book.n_pairs


def test_a_field_larger_than_64_bits_is_averaged_over():
    x = sp.SparseTensor.from_sites([[0, 1, 2, 3]], [[1.0]], size=INT32.max)
    assert sp.GlobalPooling("average", over="field")(x).data == np.float32(1 / INT32.max**3)
    assert sp.GlobalPooling("sum", over="field")(x).data == 1
    assert sp.Convolution(3, 1, 2, 3, rng=0).summary(x).rows[-1].sites == (INT32.max - 2) ** 3
