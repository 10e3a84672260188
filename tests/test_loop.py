"""fit and evaluate: what is trained, told and given back; determinism, early stop, frozen parameters, divergence."""

import copy
import pickle

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose, assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.functional.dense import softmax
from spconv_cy.train.evaluation import predict_probabilities

CHARACTERS = [[[(0, 0), (9, i % 4)]] if i % 2 else [[(0, 0), (i % 3, 9)]] for i in range(24)]
LABELS = np.arange(24) % 2


def batches(characters=CHARACTERS, labels=LABELS, **options):
    return sp.data.StrokeBatches(characters, labels, sp.data.StrokeEncoder(size=12, scale=4), **{"batch": 7, **options})


def network(dropout=0.5, rng=0):
    return sp.models.deepcnet(2, 3, 8, 2, dropout=dropout, rng=rng)


def same(a, b):
    """Whether two networks have the same bits."""
    mine, theirs = a.state(), b.state()
    return list(mine) == list(theirs) and all(np.array_equal(mine[name], theirs[name]) for name in mine)


def trained(epochs=3, rng=5, net=None, **options):
    net = network() if net is None else net
    history = sp.fit(net, batches(augment="affine"), sp.Adam(net.parameters(), 0.01), epochs, rng=rng,
                     progress=False, **options)
    return net, history


def test_fit_is_the_loop_that_one_would_write():
    net, by_hand = network(), network()
    data = batches(augment="affine")
    optimizer = sp.Adam(net.parameters(), 0.01)
    history = sp.fit(net, data, optimizer, 3, schedule=lambda epoch: 0.5**epoch, rng=5, progress=False)
    mine = sp.Adam(by_hand.parameters(), 0.01)
    for epoch in range(3):
        losses, wrong, seen = 0, 0, 0
        for x, labels in data.epoch(epoch, 5, training=True):
            mine.rate = 0.01 * 0.5 ** (epoch + seen / 24)
            outputs = by_hand(x)
            loss = sp.softmax_cross_entropy(outputs, labels)
            loss.backward()
            mine.step()
            mine.zero_grad()
            seen, losses = seen + len(labels), losses + float(loss.data) * len(labels)
            wrong += (outputs.data.argmax(1) != labels).sum()
        assert history.losses[epoch] == pytest.approx(losses / 24)
        assert history.errors[epoch] == pytest.approx(wrong / 24)
        assert history.rates[epoch] == pytest.approx(mine.rate)
    assert same(net, by_hand)
    assert len(history) == 3 and len(history.seconds) == 3 and history.validation_errors == [] and history.best is None
    assert optimizer.rate == 0.01, "the rate is given back"
    assert net.training


def test_a_run_repeats_itself_and_another_seed_is_another_run():
    assert same(trained()[0], trained()[0])
    assert same(trained(rng=np.random.default_rng(3))[0], trained(rng=np.random.default_rng(3))[0])
    assert not same(trained()[0], trained(rng=6)[0])
    assert not same(trained(rng=None)[0], trained(rng=None)[0])


def test_no_run_touches_or_needs_a_global_generator():
    before = np.random.get_state(legacy=False)
    try:
        np.random.seed(0)
        first, left = trained()[0], np.random.random()
        np.random.seed(0)
        assert np.random.random() == left, "nothing was drawn"
        np.random.seed(1)
        assert same(first, trained()[0])
    finally:
        np.random.set_state(before)


def test_bits_do_not_depend_on_the_threads(threads):
    sp.set_threads(None)
    expected = trained(epochs=2)[0]
    sp.set_threads(threads)
    assert same(trained(epochs=2)[0], expected)


def test_it_learns_what_can_be_learnt():
    net, history = trained(epochs=15, net=network(dropout=0), validation=batches())
    assert history.errors[0] > 0.2 and history.validation_errors[-1] == 0
    found = sp.evaluate(net, batches())
    assert found.error == 0 and found.confusion.tolist() == [[12, 0], [0, 12]]
    assert found.loss == pytest.approx(history.validation_losses[-1])


def test_evaluate_records_nothing_and_changes_nothing():
    net = network()
    before = copy.deepcopy(net)
    generators = [g.bit_generator.state for g in net.generators().values()]
    found = sp.evaluate(net, batches())
    assert same(net, before) and net.training and all(p.grad is None for p in net.parameters())
    assert [g.bit_generator.state for g in net.generators().values()] == generators
    net.eval()
    (x, labels), = batches(batch=24).epoch(0, training=False)
    outputs = net(x)
    assert_allclose(found.outputs, softmax(outputs).data, rtol=1e-6)
    assert_array_equal(found.labels, LABELS)
    assert found.loss == pytest.approx(float(sp.softmax_cross_entropy(outputs, labels).data))
    assert found.error == (outputs.data.argmax(1) != LABELS).mean()
    sp.evaluate(net, batches())
    assert not net.training, "the mode is given back"


def test_evaluate_averages_the_probabilities_of_its_repeats():
    class Noise(sp.Layer):
        def __init__(self, rng=None):
            self.rng = np.random.default_rng(rng)

        def __call__(self, x):
            return x * self.rng.uniform(0, 9)

    rows, labels = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0])
    factors = [np.random.default_rng((7, repeat, 0)).uniform(0, 9) for repeat in range(4)]
    each = [np.exp(f * rows) / np.exp(f * rows).sum(1, keepdims=True) for f in factors]
    net = Noise(rng=1)
    found = sp.evaluate(net, [(sp.Tensor(rows), labels)], repeats=4, rng=7)
    assert_allclose(found.outputs, np.mean(each, 0), rtol=1e-6)
    assert found.loss == pytest.approx(np.mean([-np.log(p[:, 0]).mean() for p in each]), rel=1e-5)
    assert found.errors == tuple(np.mean(np.mean(each[:n], 0).argmax(1) != labels) for n in (1, 2, 3, 4))
    assert found.errors[-1] == found.error
    assert net.rng.random() == np.random.default_rng(1).random(), "the layer's own state is left as it was"
    for wrong in (0, 1.5):
        with pytest.raises(ValueError, match="whole number from 1"):
            sp.evaluate(net, [(sp.Tensor(rows), labels)], repeats=wrong)


def test_probabilities_need_no_labels():
    net = network()
    assert_array_equal(predict_probabilities(net, batches(labels=None)), sp.evaluate(net, batches()).outputs)
    x = next(batches(batch=24).epoch(0, training=False))[0]
    assert_allclose(predict_probabilities(net, [(x, None)]), sp.evaluate(net, batches()).outputs, rtol=1e-5)


def test_pairs_come_in_an_order_of_the_seed_and_the_epoch(rng):
    pairs, seen = [(sp.Tensor(np.full((1, 1), i)), np.array([0])) for i in range(8)], []

    class Listening(sp.Layer):
        def __init__(self):
            self.weight = sp.Tensor([[1.0, 2.0]], requires_grad=True)

        def __call__(self, x):
            seen.append(int(x.data[0, 0]))
            return x @ self.weight

    def orders(seed):
        seen.clear()
        net = Listening()
        sp.fit(net, pairs, sp.SGD(net.parameters(), 0), 2, rng=seed, progress=False)
        return seen[:8], seen[8:]

    first, second = orders(1)
    assert sorted(first) == sorted(second) == list(range(8)) and first != second
    assert orders(1) == (first, second) and orders(2)[0] != first


def test_other_losses_and_targets_train_too(rng):
    net, x, target = sp.models.mlp((3, 1), rng=0), rng.normal(size=(40, 3)), rng.normal(size=(1, 3))
    data = [(sp.Tensor(x), x @ target.T)]
    history = sp.fit(net, data, sp.SGD(net.parameters(), 0.3), 100, loss=sp.mse, validation=data, progress=False)
    assert_allclose(net.layers[0].weight.data[0].T, target, atol=1e-3)
    assert history.errors == history.validation_errors == [None] * 100
    found = sp.evaluate(net, data, loss=sp.mse)
    assert found.error is None and found.outputs.shape == (40, 1) and found.loss < 1e-5
    x = sp.SparseTensor.from_sites([[0, 1], [0, 3]], [[1.0], [2.0]], size=4)
    net = sp.NetworkInNetwork(1, 1, rng=0)
    at_sites = [(x, np.array([[2.0], [4.0]]))]

    def loss(y, targets):
        return sp.mse(y.features, targets)

    sp.fit(net, at_sites, sp.SGD(net.parameters(), 0.1), 400, loss=loss, progress=False)
    assert_allclose(sp.evaluate(net, at_sites, loss=loss).outputs, [[2], [4]], atol=1e-2)


def test_early_stop_brings_the_best_weights_back():
    net = sp.models.mlp((2, 2), rng=0)
    x, labels = sp.Tensor(np.eye(2)), np.array([0, 1])
    kept = []
    history = sp.fit(net, [(x, labels)], sp.SGD(net.parameters(), 1.0), 50, validation=[(x, labels)], patience=3,
                     schedule=lambda epoch: 1 if epoch < 4 else -1, progress=False,
                     on_epoch=lambda history: kept.append(copy.deepcopy(net)))
    assert history.best == 3 and len(history) == 7, "after epoch 3 it climbs, and stops three epochs later"
    assert same(net, kept[3]) and not same(net, kept[-1])
    assert min(history.validation_losses) == history.validation_losses[3]


def test_without_patience_the_last_weights_stay():
    net, kept = sp.models.mlp((2, 2), rng=0), []
    x, labels = sp.Tensor(np.eye(2)), np.array([0, 1])
    history = sp.fit(net, [(x, labels)], sp.SGD(net.parameters(), 1.0), 6, validation=[(x, labels)],
                     schedule=lambda epoch: 1 if epoch < 4 else -1, progress=False,
                     on_epoch=lambda history: kept.append(copy.deepcopy(net)))
    assert history.best == 3 and len(history) == 6 and same(net, kept[-1])


def test_what_is_frozen_stays_and_the_rest_trains():
    net = sp.Sequential(sp.Convolution(2, 8, 4, 3, rng=0), sp.BatchNormalization(4), sp.VeryLeakyReLU(),
                        sp.Convolution(2, 4, 4, 2, rng=1), sp.GlobalPooling(), sp.NetworkInNetwork(4, 2, rng=2))
    net.layers[1].freeze()
    net.layers[0].weight.requires_grad = False
    before = net.state()
    before = {name: array.copy() for name, array in before.items()}
    net.eval()
    net.train()
    trained(net=net, validation=batches())
    still = {name for name, array in net.state().items() if np.array_equal(array, before[name])}
    assert still == {"layers.0.weight", "layers.1.weight", "layers.1.bias", "layers.1.running_mean",
                     "layers.1.running_variance", "layers.1.running_steps"}
    net.layers[1].freeze(False)
    net.layers[0].weight.requires_grad = True
    before = {name: array.copy() for name, array in net.state().items()}
    trained(net=net)
    assert not {name for name, array in net.state().items() if np.array_equal(array, before[name])}


def test_freezing_keeps_what_was_frozen_by_hand():
    net = sp.models.mlp((2, 3, 2), rng=0)
    bias = net.layers[0].bias
    bias.requires_grad = False
    net.freeze()
    assert not any(p.requires_grad for p in net.train().parameters())
    net.freeze(False)
    assert [p.requires_grad for p in net.parameters()] == [p is not bias for p in net.parameters()]
    net.eval()
    bias.requires_grad = True
    assert all(p.requires_grad for p in net.train().parameters())


def test_a_parameter_that_two_layers_share_trains():
    first, second = sp.NetworkInNetwork(3, 3, rng=0), sp.NetworkInNetwork(3, 3, rng=1)
    second.weight = first.weight
    net = sp.Sequential(first, second)
    assert all(p.requires_grad for p in net.eval().train().eval().train().parameters())


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_a_copied_network_trains_on_as_its_original(how):
    net = sp.Sequential(sp.Convolution(2, 8, 4, 3, rng=0), sp.BatchNormalization(4), sp.ReLU(), sp.Dropout(0.5, rng=3),
                        sp.Residual(sp.NetworkInNetwork(4, 4, rng=1)), sp.GlobalPooling(),
                        sp.NetworkInNetwork(4, 2, rng=2))
    optimizer = sp.Adam(net.parameters(), 0.01)
    sp.fit(net, batches(), optimizer, 1, rng=0, progress=False)
    net.layers[0].freeze()
    both = (net, optimizer)
    other, its = copy.deepcopy(both) if how == "deepcopy" else pickle.loads(pickle.dumps(both))
    assert other is not net and repr(other) == repr(net) and same(other, net)
    sp.fit(net, batches(), optimizer, 2, rng=1, progress=False)
    assert not same(other, net), "a copy shares nothing"
    sp.fit(other, batches(), its, 2, rng=1, progress=False)
    assert same(other, net)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_divergence_is_told_where_it_happens():
    with pytest.raises(FloatingPointError, match=r"loss of (nan|inf) in epoch \d, batch \d; lower the .*max_norm="):
        net = network(0)
        sp.fit(net, batches(), sp.SGD(net.parameters(), 1e18), 5, rng=0, progress=False)
    assert net.training


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_divergence_in_the_last_step_of_an_epoch_is_told_and_not_written(tmp_path):
    net = sp.models.mlp((2, 2), rng=0)
    with pytest.raises(FloatingPointError, match=r"got NaN or infinity in layers.0.weight in epoch 2"):
        sp.fit(net, [(sp.Tensor([[1.0, 2.0]]), [0])], sp.SGD(net.parameters(), 1.0), 5, progress=False, rng=0,
               schedule=lambda epoch: 1e300 if epoch else 1, checkpoint=tmp_path / "run")
    fresh = sp.models.mlp((2, 2), rng=0)
    history = sp.fit(fresh, [(sp.Tensor([[1.0, 2.0]]), [0])], sp.SGD(fresh.parameters(), 1.0), 1, progress=False,
                     checkpoint=tmp_path / "run")
    assert len(history) == 1 and np.isfinite(fresh.layers[0].weight.data).all()


def test_nan_in_the_features_is_told():
    x = sp.SparseTensor.from_sites([[0, 1, 1]], [[np.nan] * 8], size=12)
    net = network(0)
    with pytest.raises(FloatingPointError, match="NaN and very large numbers in the features"):
        sp.fit(net, [(x, [0])], sp.Adam(net.parameters()), 1, progress=False)


def test_the_mode_and_the_rate_come_back_when_a_run_is_left():
    class Left(Exception):
        pass

    def leave(history):
        raise Left

    net = network().eval()
    optimizer = sp.Adam(net.parameters(), 0.01)
    with pytest.raises(Left):
        sp.fit(net, batches(), optimizer, 2, schedule="cosine", on_epoch=leave, progress=False)
    assert not net.training and optimizer.rate == 0.01


NET = network()
ADAM = sp.Adam(NET.parameters())


@each(
    "options, error, message",
    [
        ({"net": lambda x: x}, TypeError, "fit: expected net to be a Layer, got a function"),
        ({"net": network()}, ValueError, "an optimiser of this network's parameters, got one without any"),
        ({"data": []}, ValueError, "fit: expected at least one sample in data, got none"),
        ({"data": None}, TypeError, "fit: expected data to be StrokeBatches.*, got None"),
        ({"data": [(1, 2, 3)]}, TypeError, r"\(x, labels\) pairs, got a list"),
        ({"data": {"x": 1}}, TypeError, "pairs, got a dict"),
        ({"data": batches(labels=None)}, ShapeError, "of whole numbers, got"),
        ({"data": batches(labels=LABELS + 1)}, ShapeError, "labels from 0 to 1, got . to 2"),
        ({"validation": []}, ValueError, "fit: expected at least one sample in validation"),
        ({"epochs": -1}, ValueError, "epochs to be a whole number from 0 up, got -1"),
        ({"epochs": 1.5}, ValueError, "epochs to be a whole number from 0 up, got 1.5"),
        ({"patience": 2}, ValueError, "fit: expected validation data with patience, got none"),
        ({"patience": 0, "validation": batches()}, ValueError, "patience to be a whole number from 1 up, got 0"),
        ({"schedule": "fast"}, ValueError, "expected schedule to be .*, got 'fast'"),
        ({"rng": -1}, ValueError, "expected rng to be .*, got -1"),
        ({"rng": "seed"}, ValueError, "expected rng to be .*, got 'seed'"),
        ({"loss": lambda y, labels: y}, TypeError, r"expected loss to return a Tensor of shape \(\), got Tensor\("),
        ({"net": sp.Sequential(*NET.layers[:3])}, TypeError, "fit: expected a network .*got SparseTensor.*GlobalPool"),
    ],
)
def test_arguments_that_do_not_fit_are_told(options, error, message):
    with pytest.raises(error, match=message):
        sp.fit(**{"net": NET, "data": batches(), "optimizer": ADAM, "epochs": 1, "progress": False, **options})


def test_evaluate_tells_what_does_not_fit():
    with pytest.raises(ValueError, match="repeats to be a whole number from 1 up, got 0"):
        sp.evaluate(NET, batches(), repeats=0)
    with pytest.raises(TypeError, match="evaluate: expected data to be StrokeBatches.*, got None"):
        sp.evaluate(NET, None)
