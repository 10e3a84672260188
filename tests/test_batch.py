"""Batches prepared ahead: what an epoch holds, what it depends on, and how its thread ends."""

import threading
import time

import numpy as np
import pytest
from in_turn import each
from scipy.special import softmax

import spconv_cy as sp
from spconv_cy.data.batch import StrokeBatches, TensorBatches, ahead
from spconv_cy.data.pen_digits import digits
from spconv_cy.data.strokes import StrokeEncoder
from spconv_cy.errors import GridError, ShapeError

ENCODER = StrokeEncoder("octogram", size=24, scale=8)


@pytest.fixture(scope="module")
def some():
    characters, labels = digits()
    return characters[:50], labels[:50]


def at_work():
    return [thread for thread in threading.enumerate() if thread.name.startswith("spconv_cy-batches")]


def one_by_one(data, epoch, seed, *, training, order):
    """{item: (sites without the batch index, features, label)} of an epoch that met the items in this order."""
    found, items = {}, iter(order)
    for x, labels in data.epoch(epoch, seed, training=training):
        for sample, label in enumerate(labels):
            rows = slice(*x.grid.batch_starts[sample:sample + 2])
            found[next(items)] = x.sites[rows, 1:], x.features.data[rows], label
    return found


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for item, parts in a.items():
        for left, right in zip(parts, b[item], strict=True):
            np.testing.assert_array_equal(left, right)


def order_of(some, seed, epoch):
    """The items in the order of a training epoch, told by labels that number them."""
    numbered = StrokeBatches(some[0], np.arange(50), ENCODER, batch=8)
    return np.concatenate([labels for _, labels in numbered.epoch(epoch, seed, training=True)])


def test_training_meets_every_sample_once_in_an_order_of_its_epoch(some):
    orders = [order_of(some, 5, epoch) for epoch in (0, 1)]
    for order in orders:
        assert sorted(order) == list(range(50))
    assert (orders[0] != orders[1]).any() and (orders[0] != order_of(some, 6, 0)).any()
    np.testing.assert_array_equal(orders[0], order_of(some, 5, 0))


def test_a_drawn_sample_depends_on_seed_epoch_and_item_alone(some):
    order = order_of(some, 5, 1)
    by_8, by_50 = (one_by_one(StrokeBatches(*some, ENCODER, batch=batch, augment="affine"), 1, 5, training=True,
                              order=order) for batch in (8, 50))
    assert_equal(by_8, by_50)
    other = one_by_one(StrokeBatches(*some, ENCODER, batch=8, augment="affine"), 2, 5, training=True,
                       order=order_of(some, 5, 2))
    assert sum(a[0].shape != b[0].shape or (a[0] != b[0]).any() for a, b in
               ((by_8[i], other[i]) for i in range(50))) >= 45          # another epoch, other distortions


def test_preparing_ahead_changes_nothing(some):
    data = StrokeBatches(*some, ENCODER, batch=8, augment="affine")
    make = data.prepare(3, 7, True)
    order = order_of(some, 7, 3)
    for first, (x, labels) in zip(range(0, 50, 8), data.epoch(3, 7, training=True), strict=True):
        expected = make(order[first:first + 8])
        np.testing.assert_array_equal(x.sites, expected.sites)
        np.testing.assert_array_equal(x.features.data, expected.features.data)
        np.testing.assert_array_equal(labels, some[1][order[first:first + 8]])


def test_threads_change_nothing(some, threads):
    def bits():
        data = StrokeBatches(*some, ENCODER, batch=20, augment="affine")
        return [array.tobytes() for x, _ in data.epoch(0, 0, training=True) for array in (x.sites, x.features.data)]

    found = bits()
    sp.set_threads(1)
    assert found == bits()


def test_testing_goes_in_order_and_draws_nothing(some):
    data = StrokeBatches(*some, ENCODER, batch=8, augment="affine")
    sites, features = ENCODER.sites(some[0])
    found = one_by_one(data, 4, 9, training=False, order=range(50))
    for item, (found_sites, found_features, label) in found.items():
        np.testing.assert_array_equal(found_sites, sites[sites[:, 0] == item, 1:])
        np.testing.assert_array_equal(found_features, features[sites[:, 0] == item])
        assert label == some[1][item]


def test_views_distort_every_pass_of_a_test_but_the_first(some):
    plain, data = StrokeBatches(*some, ENCODER, batch=8), StrokeBatches(*some, ENCODER, batch=8, views="affine")
    passes = [one_by_one(data, epoch, 0, training=False, order=range(50)) for epoch in (0, 1, 1, 2)]
    assert_equal(passes[0], one_by_one(plain, 0, 0, training=False, order=range(50)))
    assert_equal(passes[1], passes[2])
    for a, b in ((0, 1), (1, 3)):
        assert sum(passes[a][i][0].shape != passes[b][i][0].shape or (passes[a][i][0] != passes[b][i][0]).any()
                   for i in range(50)) >= 45
    matrices, shifts = sp.data.Affine().draw(50, 0, 2)                       # the third pass, drawn without batches
    sites, features = ENCODER.sites(some[0], matrices=matrices, shifts=shifts)
    for item, (found_sites, found_features, _) in passes[3].items():
        np.testing.assert_array_equal(found_sites, sites[sites[:, 0] == item, 1:])
        np.testing.assert_array_equal(found_features, features[sites[:, 0] == item])


def test_a_test_averages_the_probabilities_of_its_views(some):
    net = sp.models.deepcnet(3, 4, ENCODER.planes, 10, rng=0)
    data = StrokeBatches(*some, ENCODER, batch=50, views="affine")
    net.eval()
    views = [softmax(net(x).numpy(), 1) for p in range(3) for x, _ in data.epoch(p, 0, training=False)]
    np.testing.assert_allclose(sp.evaluate(net, data, repeats=3).outputs, np.mean(views, 0), atol=1e-6)
    assert abs(views[0] - views[1]).max() > 1e-3


def test_the_last_batch_holds_the_rest_and_empty_characters_count(some):
    characters = [*some[0][:8], [], []]
    data = StrokeBatches(characters, None, ENCODER, batch=9)
    batches = list(data.epoch(0, training=False))
    assert (len(data), data.n_batches) == (10, 2)
    assert [x.grid.samples for x, _ in batches] == [9, 1] and batches[1][0].grid.n == 0
    assert all(labels is None for _, labels in batches)
    assert list(StrokeBatches([], [], ENCODER).epoch(0, training=True)) == []


def test_tensor_batches_are_collated(some):
    tensors = [sp.SparseTensor.from_sites(*ENCODER.sites([character]), size=(24, 24)) for character in some[0]]
    found = one_by_one(TensorBatches(tensors, some[1], batch=8), 0, 0, training=False, order=range(50))
    assert_equal(found, one_by_one(StrokeBatches(*some, ENCODER, batch=8), 0, 0, training=False, order=range(50)))
    numbered = TensorBatches(tensors, np.arange(50), batch=8).epoch(1, 5, training=True)
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in numbered]), order_of(some, 5, 1))


def test_at_most_two_batches_wait_besides_the_one_in_hand():
    made = []
    stream = ahead(made.append, range(20))
    next(stream)
    deadline = time.monotonic() + 5
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert made == [0, 1, 2]
    stream.close()


def test_batches_are_prepared_while_the_consumer_works():
    reached = threading.Event()
    stream = ahead(lambda job: reached.set() if job == 1 else None, range(3))
    next(stream)
    assert reached.wait(5)                                  # without a further next()
    assert list(stream) == [None, None] and not at_work()


def test_leaving_early_ends_the_thread(some):
    stream = StrokeBatches(*some, ENCODER, batch=4).epoch(0, training=True)
    next(stream)
    assert at_work()
    stream.close()
    assert not at_work()
    with pytest.raises(KeyboardInterrupt):
        for _ in ahead(lambda job: job, range(100)):
            raise KeyboardInterrupt
    assert not at_work()


def test_an_error_of_the_thread_is_raised_in_turn_and_ends_it():
    def make(job):
        if job == 3:
            raise FloatingPointError("job 3")
        return job

    stream, got = ahead(make, range(10)), []
    with pytest.raises(FloatingPointError, match="job 3"):
        for job in stream:
            got.append(job)
    assert got == [0, 1, 2] and not at_work()
    assert list(stream) == []


def test_a_character_that_does_not_fit_is_named_by_its_own_number_in_any_batch():
    small, large = [[(0, 0), (3, 0)]], [[(0, 0), (99, 0)]]
    data = StrokeBatches([small] * 5 + [large], None, StrokeEncoder("pen", size=24, scale=None), batch=2)
    for training in (False, True):
        with pytest.raises(GridError, match="points of character 5 outside"):
            list(data.epoch(0, 0, training=training))


def test_a_shift_out_of_the_field_names_the_character_and_the_remedy():
    data = StrokeBatches([[[(0, 0), (9, 9)]]] * 3, None, StrokeEncoder(size=18, scale=16), augment="translation")
    with pytest.raises(GridError, match="inside the field of 18 x 18 sites.*a size of [0-9]+ would hold all"):
        list(data.epoch(0, training=True))
    assert not at_work()


@pytest.mark.parametrize("options, error, message", [
    ({"batch": 0}, ValueError, "expected batch to be a whole number from 1 up, got 0"),
    ({"batch": 2.0}, ValueError, "expected batch to be a whole.*got 2.0"),
    ({"labels": [1]}, ShapeError, r"expected labels \(2,\), one for each sample, got shape \(1,\)"),
    ({"labels": 3}, ShapeError, r"expected labels \(2,\), one.*got shape \(\)"),
    ({"augment": "wild"}, ValueError, "augment: expected one of none,.*got 'wild'"),
    ({"views": "wild"}, ValueError, "augment: expected one of none,.*got 'wild'"),
    ({"characters": [[[(0, np.nan)]]]}, ValueError, r"stroke 0: expected finite numbers, got \(0.0, nan\) at point 0")])
def test_batches_that_cannot_be_are_refused(options, error, message):
    arguments = {"characters": [[], []], "labels": None, "encoder": ENCODER} | options
    with pytest.raises(error, match=message):
        StrokeBatches(**arguments)


# One batch, many sizes


def extents(x):
    """Largest side of each sample's sites."""
    starts = x.grid.batch_starts
    return [np.ptp(x.sites[a:b, 1:], axis=0).max() + 1 for a, b in zip(starts[:-1], starts[1:], strict=True)]


def test_scales_make_characters_of_their_sizes_around_site_0_of_an_unbounded_grid(some):
    scales = (6, 13, 40, 100.5)
    (x, labels), = StrokeBatches(*some, ENCODER, scales=scales).epoch(0, training=False)
    assert x.grid.size is None
    for item, extent in enumerate(extents(x)):
        assert scales[item % 4] <= extent <= scales[item % 4] + 2
        rows = slice(*x.grid.batch_starts[item:item + 2])
        assert abs(x.sites[rows, 1:].min(0) + x.sites[rows, 1:].max(0) + 1).max() <= 2
    np.testing.assert_array_equal(labels, some[1])


def test_one_scale_draws_what_an_encoder_of_that_scale_draws(some):
    (x, _), = StrokeBatches(*some, ENCODER, scales=20).epoch(0, training=False)
    sites, features = StrokeEncoder("octogram", size=48, scale=20).sites(some[0])
    sites[:, 1:] -= 24
    expected = sp.SparseTensor.from_sites(sites, features, samples=50)
    np.testing.assert_array_equal(x.sites, expected.sites)
    np.testing.assert_allclose(x.features.data, expected.features.data, atol=2e-2)      # points on the edge of a site


def test_training_draws_scales_and_moves_in_them_by_seed_epoch_and_item_alone(some):
    scales, order = (8, 32), order_of(some, 5, 1)
    data = StrokeBatches(*some, ENCODER, batch=8, augment="translation", scales=scales)
    by_8 = one_by_one(data, 1, 5, training=True, order=order)
    data = StrokeBatches(*some, ENCODER, batch=50, augment="translation", scales=scales)
    assert_equal(by_8, one_by_one(data, 1, 5, training=True, order=order))
    sites = [by_8[item][0] for item in range(50)]
    large = np.array([np.ptp(s, axis=0).max() > 20 for s in sites])
    assert 15 < large.sum() < 35
    middles = np.array([abs(s.min(0) + s.max(0) + 1).max() / 2 for s in sites])
    assert 3 < middles[large].max() <= 0.1875 * 32 + 1 and middles[~large].max() <= 0.1875 * 8 + 1
    other = one_by_one(data, 2, 5, training=True, order=order_of(some, 5, 2))
    assert (large != [np.ptp(other[item][0], axis=0).max() > 20 for item in range(50)]).any()


def test_a_network_on_many_sizes_gives_each_character_what_it_gives_it_alone(some):
    net = sp.models.deepcnet(3, 6, 8, 10, rng=0).eval()
    (x, _), = StrokeBatches(*some, ENCODER, scales=(8, 16, 40)).epoch(0, training=False)
    together = net(x).numpy()
    for item in (0, 1, 2, 29):
        scale = (8, 16, 40)[item % 3]
        (alone, _), = StrokeBatches([some[0][item]], None, ENCODER, scales=scale).epoch(0, training=False)
        np.testing.assert_allclose(net(alone).numpy()[0], together[item], rtol=1e-5, atol=1e-6)


@each("scales, encoder, message", [
    ((), ENCODER, "numbers above 0"), ((8, 0), ENCODER, "numbers above 0"), ((8, np.nan), ENCODER, "numbers above 0"),
    ("large", ENCODER, "expected scales as numbers.*got 'large'"), ([[8]], ENCODER, "numbers above 0"),
    (1e6, ENCODER, "up to 8192"),
    (8, StrokeEncoder("octogram", size=24, scale=None), "an encoder that has a scale"),
    (8, StrokeEncoder("space-time", size=24, scale=8), "no time axis")])
def test_scales_that_cannot_be_are_refused(scales, encoder, message):
    with pytest.raises(ValueError, match=message):
        StrokeBatches([[]], None, encoder, scales=scales)
