"""Errors inside a network: the layer's place, the input that would fit, the class and the cause as they were."""

import pickle

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose
from public import NAMES

import spconv_cy as sp
from spconv_cy.errors import ShapeError


def tensor(size, d=2, channels=1, ground=None):
    sites = np.array([[0] + [1] * d, [0] + [2] * d])
    return sp.SparseTensor.from_sites(sites, np.ones((2, channels)), size, ground=ground)


def flat():
    return sp.Sequential(sp.Convolution(2, 1, 2, 3, rng=0), sp.MaxPooling(2, 2), sp.SparseToDense(2, flat=True),
                         sp.NetworkInNetwork(2 * 7 * 7, 3, rng=0))


CASES = {
    "deepcnet": (lambda: sp.models.deepcnet(3, 4, rng=0), 2, 30, "zero", r"layers\[5\], MaxPooling\(2, 2, 2\)"),
    "unet": (lambda: sp.models.unet(3, 4, rng=0), 3, 30, None,
             r"layers\[4\]\.branches\[1\]\.layers\[6\]\.branches\[1\]"),
    "unet for points": (lambda: sp.layers.ToPoints(sp.models.unet(2, 4, d=2, rng=0)), 2, 31, None,
                        r"layers\[0\]\.layers\[4\]"),
    "vgg": (lambda: sp.models.vgg([8, "MP", 8, "MP"], rng=0), 2, 30, None, r"layers\[3\], MaxPooling"),
    "resnet": (lambda: sp.models.resnet([(8, 2, 2)], 1, rng=0), 2, 28, None, r"layers\[2\]\.layers\[0\], Convolution"),
    "lenet5": (lambda: sp.models.lenet5(rng=0), 2, 28, "zero", r"layers\[6\], Convolution\(2, 16, 120, 5\)"),
    "a dense head": (flat, 2, 22, "zero", r"layers\[3\]"),
    "a shortcut": (lambda: sp.Residual(sp.MaxPooling(2, 2), shortcut=sp.MaxPooling(2, 2)), 2, 7, None, r"layers\[0\]"),
    "a branch": (lambda: sp.Concatenate(sp.ReLU(), sp.MaxPooling(2, 2)), 2, 7, None, r"branches\[1\]"),
    "a level": (lambda: sp.layers.Pyramid(sp.MaxPooling(2, 2), sp.MaxPooling(2, 2)), 2, 10, None, r"levels\[1\]"),
    "checkpointed": (lambda: sp.layers.Checkpointed(sp.ReLU(), sp.MaxPooling(2, 4)), 2, 10, None, r"layers\[1\]"),
    "fractional": (lambda: sp.Sequential(sp.FractionalMaxPooling(2, 1.5, rng=0)), 2, 13, None, r"layers\[0\]"),
}


def fitting(message):
    """Return the sizes that a message says would fit the network."""
    words = message.split("; ")[1].split(" sites per axis would fit")[0]
    return [int(word) for word in words.split(" or ")]


@each("make, d, size, ground, place", CASES.values(), ids=CASES)
def test_a_field_that_does_not_fit_names_the_layer_and_inputs_that_the_whole_network_takes(make, d, size, ground,
                                                                                           place):
    net = make()
    with pytest.raises(ShapeError, match=place) as caught:
        net(tensor(size, d, ground=ground))
    message = str(caught.value)
    assert message.startswith(type(net).__name__) and f"got an input of size {(size,) * d}" in message
    sizes = fitting(message)
    assert sizes and size not in sizes
    for fits in sizes:
        if not isinstance(net, (sp.Residual, sp.Concatenate)):           # of these two the sites differ then
            net(tensor(fits, d, ground=ground))
    for other in range(max(1, min(sizes)), max(sizes)):
        if other not in sizes and min(sizes) < other < max(sizes):       # nothing nearer would do
            with pytest.raises(ShapeError):
                net(tensor(other, d, ground=ground))


def test_axes_of_different_lengths_have_sizes_of_their_own():
    with pytest.raises(ShapeError, match=r"\(28 or 32; 32; 4 or 8\) sites along the axes would fit"):
        sp.models.unet(3, 4, rng=0)(tensor((30, 32, 7), 3))


def test_other_errors_name_the_place_and_keep_their_text_at_the_end():
    net = sp.models.unet(3, 4, 1, 2, d=2, rng=0)
    with pytest.raises(ShapeError, match=r"^Sequential: in layers\[0\].*: expected features with 1 channel, got 2$"):
        net(tensor(8, channels=2))
    with pytest.raises(ShapeError) as caught:
        sp.Sequential(sp.ReLU(), sp.Residual(sp.NetworkInNetwork(3, 3)))(tensor(8))
    assert "in layers[1].layers[0]: NetworkInNetwork(3, 3): expected features" in str(caught.value)


class Trouble(ValueError):
    """A user's own."""


class Broken(sp.Layer):
    """A user's layer that fails in its own way."""

    def __init__(self, error):
        self.error = [error]

    def __call__(self, x):
        try:
            raise LookupError("why")
        except LookupError as cause:
            raise self.error[0] from cause


@each("error", [Trouble("mine"), ValueError("mine"), KeyError("mine"), OSError(2, "mine"),
                ValueError("mine", 3), ValueError(), FloatingPointError("mine"), StopIteration(3)])
def test_the_class_the_cause_and_the_pickle_of_an_error_are_what_they_were(error):
    kind, arguments = type(error), error.args
    with pytest.raises(kind) as caught:
        sp.Sequential(sp.ReLU(), sp.Sequential(Broken(error)))(tensor(4))
    assert caught.value is error and type(error) is kind
    assert isinstance(error.__cause__, LookupError)
    if len(arguments) == 1 and kind not in (KeyError, StopIteration):
        assert str(error).endswith(": mine") and "layers[1].layers[0], Broken(" in str(error)
    else:
        assert error.args == arguments
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.args) == (kind, error.args)


def test_what_stops_a_program_passes_as_it_is():
    for error in (KeyboardInterrupt("stop"), SystemExit("stop")):
        with pytest.raises(type(error)) as caught:
            sp.Sequential(Broken(error))(tensor(4))
        assert caught.value.args == ("stop",)


@pytest.mark.parametrize("name", ["Sequential", "Checkpointed", "Residual", "Concatenate", "ToPoints", "Pyramid"])
def test_layers_in_a_list_or_as_classes_are_refused_and_the_call_shown(name):
    container = NAMES[name]
    for given, shown in (([sp.ReLU()], "got a list; call"), ((sp.ReLU(),), "got a tuple; call"),
                         ({"a": sp.ReLU()}, r"got a dict; call")):
        with pytest.raises(TypeError, match=rf"{name}: expected layers as separate .*, {shown} {name}\(\*layers"):
            container(given)
    with pytest.raises(TypeError, match=rf"{name}: expected layers, got the class ReLU; .*ReLU\(\.\.\.\)"):
        container(sp.ReLU)
    with pytest.raises(TypeError, match=f"{name}: expected layers, got a function"):
        container(lambda x: x)


def test_a_shortcut_is_a_layer_or_none():
    for wrong in (np.ones(2), "identity", sp.ReLU, lambda x: x):
        with pytest.raises(TypeError, match="expected layers, got"):
            sp.Residual(sp.ReLU(), shortcut=wrong)


def sparse_outputs():
    return sp.models.unet(2, 2, 2, 2, d=2, rng=0)(tensor(4, channels=2))


@pytest.mark.parametrize("call", [
    lambda y: sp.softmax_cross_entropy(y, [0, 1]), lambda y: sp.functional.squared_hinge(y, [0, 1]), 
    lambda y: sp.mse(y, [[0, 1]]), lambda y: sp.mse(y.features, y), lambda y: sp.functional.contrastive_loss(y),
    lambda y: sp.functional.index_loss(y.features, y)])
def test_a_loss_of_a_sparse_tensor_names_features_topoints_and_globalpooling(call):
    with pytest.raises(TypeError, match=r"\.features .*ToPoints\(.*GlobalPooling\(\)"):
        call(sparse_outputs())


@pytest.mark.parametrize("loss", [sp.softmax_cross_entropy, sp.functional.squared_hinge])
def test_fit_and_evaluate_of_a_network_that_gives_sites_say_the_same(loss):
    net, data = sp.models.unet(2, 2, 2, 2, d=2, rng=0), [(tensor(4, channels=2), [0])]
    for call in (lambda: sp.fit(net, data, sp.SGD(net.parameters(), 0.1), 1, progress=False, loss=loss),
                 lambda: sp.evaluate(net, data, loss=loss)):
        with pytest.raises(TypeError,
                           match=r"a Tensor \(b, classes\), got SparseTensor.*GlobalPooling\(\).*ToPoints\("):
            call()


@pytest.mark.parametrize("loss", [sp.softmax_cross_entropy, sp.functional.squared_hinge])
def test_too_few_outputs_name_samples_for_the_last_ones_without_sites(loss):
    x = sp.SparseTensor.from_sites([[0, 1, 1], [1, 0, 0]], np.ones((2, 3)), 4, samples=2)   # sample 2 has no site
    y = sp.GlobalPooling()(x)
    with pytest.raises(ShapeError, match=r"samples=3 to from_sites"):
        loss(y, [0, 1, 2])
    with pytest.raises(ShapeError, match=r"samples=3 to from_sites"):
        sp.mse(y, np.ones((3, 3)))
    x = sp.SparseTensor.from_sites(x.sites, x.features, 4, samples=3)
    assert np.isfinite(loss(sp.GlobalPooling()(x), [0, 1, 2]).data)


def test_rows_of_ones_and_zeros_as_labels_name_their_argmax():
    with pytest.raises(ShapeError, match=r"labels\.argmax\(1\)"):
        sp.softmax_cross_entropy(sp.Tensor(np.ones((2, 2))), np.eye(2))


def test_more_outputs_than_labels_name_the_pooling():
    with pytest.raises(ShapeError, match=r"one label per sample.*GlobalPooling\(\)"):
        sp.softmax_cross_entropy(sp.Tensor(np.ones((5, 2))), [0, 1])


@pytest.mark.parametrize("make", [lambda: sp.models.unet(2, 4, 1, 2, d=2, rng=0), lambda: sp.models.vgg([4, 4], rng=0),
                                  lambda: sp.models.resnet([(4, 1, 1)], 1, rng=0)])
def test_a_network_of_the_library_is_tested_by_what_it_met_after_a_few_steps(make, rng):
    net = sp.Sequential(*make())
    sites = np.column_stack([np.zeros(60, int), rng.permutation(256)[:60] // 16, np.arange(60) % 16])
    sites = np.unique(sites, axis=0)
    x = sp.SparseTensor.from_sites(sites, rng.normal(40, 5, (len(sites), 1)), 16, ground=None)
    for _ in range(30):
        trained = net(x).features.numpy()
    tested = net.eval()(x).features.numpy()
    assert np.linalg.norm(tested - trained) < 0.1 * np.linalg.norm(trained)


def test_debiased_statistics_follow_the_rule_written_out_and_then_the_momentum(ops, rng):
    layer, mean, variance = sp.BatchNormalization(3, momentum=0.5), np.zeros(3), np.ones(3)
    plain = sp.BatchNormalization(3, momentum=0.5, debias=False)
    for step in range(12):
        x = rng.normal(2, 3, (16, 3))
        assert layer(x).data.tobytes() == plain(x).data.tobytes()        # training is the same
        keep = min(0.5, step / (step + 9))
        mean, variance = keep * mean + (1 - keep) * x.mean(0), keep * variance + (1 - keep) * x.var(0, ddof=1)
    assert_allclose(layer.running_mean, mean[None], rtol=1e-5)
    assert_allclose(layer.running_variance, variance[None], rtol=1e-5)


def test_files_and_states_of_before_the_count_are_those_of_long_training(tmp_path, rng):
    net = sp.Sequential(sp.BatchNormalization(2))
    state = {name: array for name, array in net.state().items() if name != "layers.0.running_steps"}
    other = sp.Sequential(sp.BatchNormalization(2))
    other.load_state(state)
    other(rng.normal(5, 1, (8, 2)))
    assert abs(other[0].running_mean).max() < 0.1                        # momentum 0.99
    net(rng.normal(5, 1, (8, 2)))
    sp.save(tmp_path / "net.safetensors", net)
    again = sp.load(tmp_path / "net.safetensors")
    assert {name: array.tolist() for name, array in again.state().items()} == {
        name: array.tolist() for name, array in net.state().items()}
    with pytest.raises(ShapeError, match="unknown"):
        sp.BatchNormalization(2, debias=False).load_state(net[0].state())


def test_a_layer_that_cannot_be_shown_does_not_hide_the_error():
    class Shy(Broken):
        def __repr__(self):
            raise RuntimeError("no")

    with pytest.raises(ValueError, match="^mine$"):
        sp.Sequential(Shy(ValueError("mine")))(tensor(4))
