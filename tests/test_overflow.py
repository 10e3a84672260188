"""Numbers beyond float32, and numbers whose squares are: refused at the door, or computed as float64 has them."""

import copy

import clustering
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.functional.contrast import unit_rows

LARGE = {"cpu": (3e19, 1e25, 3e38), "reference": (3e19, 1e160, 1e308)}


@pytest.fixture(params=[(name, size) for name, sizes in LARGE.items() for size in sizes], ids=str)
def large(request):
    """Use a backend; return a size of numbers whose squares it does not hold."""
    with sp.use(request.param[0]):
        yield request.param[1]


# At the door


@pytest.mark.parametrize("value", [1e300, -1e39, np.longdouble(1e300), [[0.0], [1e300]], np.float64(4e38)], ids=str)
def test_numbers_beyond_float32_are_refused_by_value_and_the_reference_takes_them(value):
    words = r'float32 holds, up to 3\.4e\+38, got .*e\+(300|39|38); scale them, or use\("reference"\)'
    for call in (lambda: sp.Tensor(value), lambda: sp.Tensor([1.0]) * value, lambda: value + sp.Tensor([1.0]),
                 lambda: sp.mse(sp.Tensor(np.zeros(np.shape(value))), value), lambda: sp.Tensor([1.0]) < value):
        with pytest.raises(ShapeError, match=words):
            call()
    with sp.use("reference"):
        assert_array_equal(sp.Tensor(value).data, np.float64(value))


def test_features_beyond_float32_are_refused_at_every_door():
    sites, features = [[0, 0], [0, 1]], [[1.0], [1e300]]
    for call in (lambda: sp.SparseTensor.from_sites(sites, features),
                 lambda: sp.SparseTensor.from_sites(sites[::-1], np.array(features)),
                 lambda: sp.SparseTensor.from_points(np.array(sites) + [0, 0.5], features),
                 lambda: sp.SparseTensor.from_dense([[[1.0, 1e300]]]),
                 lambda: sp.Tensor(features).to("cpu")):
        with pytest.raises(ShapeError, match=r"got 1e\+300"):
            call()
    with sp.use("reference"):
        x = sp.SparseTensor.from_sites(sites, features)
    with pytest.raises(ShapeError, match=r"got 1e\+300"):
        x.to("cpu")


def test_whole_numbers_that_no_integer_dtype_holds_are_named():
    with pytest.raises(ShapeError, match="whole number 1180591620717411303424"):
        sp.Tensor([2**70])
    with pytest.raises(ShapeError, match="a float can hold"):
        sp.Tensor([1.0]) * 10**400
    assert (sp.Tensor([1.0]) * 2**70).item() == 2.0**70


def test_infinity_nan_and_the_largest_number_still_come_in():
    largest = float(np.finfo(np.float32).max)
    found = sp.Tensor([np.inf, -np.inf, np.nan, largest, -largest, 1e-300]).data
    assert_array_equal(found, np.array([np.inf, -np.inf, np.nan, largest, -largest, 0], np.float32))


def test_a_state_beyond_float32_is_refused_and_nothing_is_changed():
    layer = sp.BatchNormalization(2)
    state = {name: np.full(array.shape, 5.0) for name, array in layer.state().items()}
    state["running_variance"][0, 1] = 1e300
    before = copy.deepcopy(layer.state())
    with pytest.raises(ShapeError, match=r"got 1e\+300"):
        layer.load_state(state)
    assert all(np.array_equal(array, before[name]) for name, array in layer.state().items())


# Squares


def standard(x, axis):
    x = np.float64(x / np.abs(x).max())
    return (x - x.mean(axis, keepdims=True)) / x.std(axis, keepdims=True)


def drawn(rng, size, n=40, c=6):
    x = rng.normal(size=(n, c))
    return x / np.abs(x).max() * size


@pytest.mark.parametrize("make, axis", [
    (lambda: sp.layers.LayerNormalization(6), 1),
    (lambda: sp.layers.GroupNormalization(1, 6), 1),
    (lambda: sp.layers.InstanceNormalization(6), 0),
    (lambda: sp.layers.LayerNormalization(6, over="sample"), None),
], ids=["layer", "group", "instance", "layer, sample"])
def test_large_rows_are_normalised_as_small_ones(make, axis, large, rng):
    rows, layer, weights = drawn(rng, large), make(), rng.normal(size=(40, 6))
    x = sp.SparseTensor.from_sites(np.column_stack([np.zeros(40, int), np.arange(40)]), rows, ground=None)
    x.features.requires_grad = True
    y = layer(x).features
    expected = standard(rows, axis) if axis is not None else standard(rows.reshape(1, -1), 1).reshape(rows.shape)
    assert_allclose(y.data, expected, atol=1e-5)
    (y * weights).sum().backward()
    assert np.isfinite(x.features.grad).all()
    if large in (3e19, 1e160):                                           # beyond, it is at the end of the float's range
        # The gradient is that of the rows at size 1, divided by the size.
        layer.eps, small = 1e-30, sp.Tensor(rows / large, requires_grad=True)
        (layer(x.with_features(small)).features * weights).sum().backward()
        assert_allclose(np.float64(x.features.grad) * large, small.grad, atol=1e-4 * np.abs(small.grad).max())


def test_a_sample_of_large_numbers_leaves_the_other_its_bits(rng):
    for make in (lambda: sp.layers.InstanceNormalization(4), lambda: sp.layers.GroupNormalization(2, 4, over="sample"),
                 lambda: sp.layers.LayerNormalization(4)):
        rows = np.float32(rng.normal(size=(20, 4)))
        sites = np.column_stack([np.repeat([0, 1], 10), np.tile(np.arange(10), 2)])
        plain = make()(sp.SparseTensor.from_sites(sites, rows, ground=None, samples=2)).features.data
        rows[10:] *= np.float32(1e25)
        found = make()(sp.SparseTensor.from_sites(sites, rows, ground=None, samples=2)).features.data
        assert_array_equal(found[:10], plain[:10])
        assert_allclose(found[10:], plain[10:], atol=1e-3)


def test_a_batch_of_large_columns_is_normalised_and_its_variance_followed(ops, rng):
    rows = drawn(rng, 3e19) if ops == "cpu" else drawn(rng, 3e154)
    rows[:, 0] = rng.normal(size=40)                                     # one column of plain numbers
    x = sp.Tensor(rows, requires_grad=True)
    layer, usual = sp.BatchNormalization(6, debias=False), sp.BatchNormalization(6, debias=False)
    y = layer(x)
    for column in range(1, 6):
        assert_allclose(y.data[:, column], standard(rows[:, column], 0), atol=1e-5)
    # The plain column has the bits that it has among plain ones.
    small = np.where(np.arange(6) == 0, rows, rows / np.abs(rows).max())
    assert_array_equal(y.data[:, 0], usual(sp.Tensor(small)).data[:, 0])
    expected = 0.99 + 0.01 * np.var(rows.astype(np.longdouble), axis=0, ddof=1)
    assert_allclose((layer.running_variance[0] / expected).astype(float), 1, rtol=1e-5)
    assert layer.running_variance[0, 0] == usual.running_variance[0, 0]
    weights = rng.normal(size=(40, 6))
    (y * weights).sum().backward()
    assert np.isfinite(x.grad).all() and (x.grad != 0).all()


def test_the_ground_state_of_a_large_batch_goes_through_the_same_map(rng):
    rows = drawn(rng, 3e19, c=2)
    x = sp.SparseTensor.from_sites(np.column_stack([np.zeros(40, int), np.arange(40)]), rows)
    y = sp.BatchNormalization(2)(x)
    assert_allclose(y.ground.data, -(rows.mean(0) / rows.std(0))[None], rtol=1e-4)


def test_a_variance_that_no_float_holds_is_an_error_that_names_the_layer_and_changes_nothing(ops, rng):
    layer, rows = sp.BatchNormalization(3), drawn(rng, 1e25 if ops == "cpu" else 1e200, c=3)
    with pytest.raises(FloatingPointError, match=r"BatchNormalization\(3\): expected a running variance that float"):
        layer(sp.Tensor(rows))
    assert (layer.running_mean == 0).all() and (layer.running_variance == 1).all()
    assert np.isfinite(sp.BatchNormalization(3, mean_only=True)(sp.Tensor(rows)).data).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_column_with_nan_or_infinity_stays_one_of_nan_and_leaves_the_others_their_bits(bad, ops, rng):
    rows = rng.normal(size=(10, 3))
    plain = sp.BatchNormalization(3)(sp.Tensor(rows)).data
    rows[4, 1] = bad
    with np.errstate(invalid="ignore"):
        found = sp.BatchNormalization(3)(sp.Tensor(rows)).data
    assert np.isnan(found[:, 1]).all() or np.isnan(found[4, 1])
    assert_array_equal(found[:, [0, 2]], plain[:, [0, 2]])


def test_unit_rows_have_length_1_at_any_size(ops):
    sizes = [1e-30, 1.0, 3e19, 1e38] if ops == "cpu" else [1e-200, 1.0, 1e160, 1e308]
    x = sp.Tensor([[0.6 * size, -0.8 * size] for size in sizes], requires_grad=True)
    y = unit_rows(x)
    assert_allclose(y.data, [[0.6, -0.8]] * 4, rtol=1e-6)
    (y * [[1.0, 0.0]]).sum().backward()
    assert_allclose(np.float64(x.grad[1]), [0.64, 0.48], rtol=1e-5)
    assert (unit_rows(sp.Tensor([[0.0, 0.0]])).data == 0).all()


def test_adam_steps_by_its_rate_where_squares_are_beyond_float32_and_says_where_their_mean_is():
    for size in (1.0, 3e19, 1e20):
        weight = sp.Tensor([1.0, 2.0], requires_grad=True)
        optimizer = sp.Adam([weight], 0.01)
        for _ in range(3):
            weight.grad = np.array([size, -size], np.float32)
            optimizer.step()
        assert_allclose(weight.data, [0.97, 2.03], rtol=1e-6)
    weight = sp.Tensor([1.0], requires_grad=True)
    weight.grad = np.array([1e30], np.float32)
    with pytest.raises(FloatingPointError, match=r"Adam: expected gradients whose squares fit float32, got 1e\+30"):
        sp.Adam([weight], 0.01).step()
    assert weight.data == 1


def test_measures_of_large_embeddings_are_those_of_small_ones(rng):
    x = np.float32(rng.normal(size=(30, 3)) + 8 * np.eye(3)[np.arange(30) % 3])
    labels, big = np.arange(30) % 3, np.float32(1e19) * x
    for cosine in (False, True):
        assert clustering.neighbour_accuracy(big, labels, big, labels, (3,), cosine=cosine) == \
            clustering.neighbour_accuracy(x, labels, x, labels, (3,), cosine=cosine)
    assert clustering.cluster_accuracy(clustering.k_means(big, 3, rng=0)[0], labels) == 1
    assert (clustering.linear_probe(big, labels)(big) == labels).all()
    with pytest.raises(ShapeError, match=r"1e\+150, whose squares float64 holds"):
        clustering.k_means(np.full((3, 2), 1e200), 1)


def test_what_data_sets_bring_to_float32_is_refused_beyond_it():
    cloud, events = np.zeros((2, 3)), sp.data.Events([0, 1], [0, 1], [0, 1], np.ones(2, bool), (4, 4))
    crops, huge = [[0, 0, 0]], [[1.0], [1e300]]
    for call in (lambda: sp.data.PointBatches([cloud], [huge], [[0, 1]], 1.0),
                 lambda: sp.data.neighbourhood_features([[0, 0, 1e300], [0, 1, 0.0]], 2),
                 lambda: sp.data.EventBatches(events, crops, None, side=2, pixels=1, factors=[1e300]),
                 lambda: sp.data.StrokeEncoder("pen", factors=[1e300])):
        with pytest.raises(ShapeError, match=r"1e\+300"):
            call()
