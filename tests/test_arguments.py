"""Names of arguments: an unknown one is refused, and the error gives the right one."""

import copy
import inspect
import pickle

import pytest
from in_turn import each
from public import NAMES

import spconv_cy as sp
from spconv_cy.arguments import OURS, known_arguments

WRONG = [
    (lambda: sp.Convolution(2, 1, 4, kernel_size=3),
     "Convolution: expected the argument 'size', got 'kernel_size'; its arguments are lattice, channels_in, "),
    (lambda: sp.Convolution(2, 1, 4, 3, strides=2), "expected the argument 'stride', got 'strides'"),
    (lambda: sp.Convolution(2, 1, 4, 3, dilations=2), "expected the argument 'dilation', got 'dilations'"),
    (lambda: sp.Convolution(2, 1, 4, 3, use_bias=False), "expected the argument 'bias', got 'use_bias'"),
    (lambda: sp.Convolution(2, 1, 4, 3, seed=1), "expected the argument 'rng', got 'seed'"),
    (lambda: sp.Convolution(2, 1, 4, 3, padding_mode="zeros"), "expected a known argument, got 'padding_mode'"),
    (lambda: sp.Convolution(ndim=2), "expected the argument 'lattice', got 'ndim'"),
    (lambda: sp.NetworkInNetwork(in_channels=3), "expected the argument 'channels_in', got 'in_channels'"),
    (lambda: sp.NetworkInNetwork(3, out_features=3), "expected the argument 'channels_out', got 'out_features'"),
    (lambda: sp.MaxPooling(2, pool_size=3), "MaxPooling: expected the argument 'size', got 'pool_size'"),
    (lambda: sp.BatchNormalization(num_features=2), "expected the argument 'channels', got 'num_features'"),
    (lambda: sp.BatchNormalization(2, epsilon=1e-3), "expected the argument 'eps', got 'epsilon'"),
    (lambda: sp.Dropout(rate=0.5), "Dropout: expected the argument 'p', got 'rate'"),
    (lambda: sp.LeakyReLU(negative_slope=0.1), "expected the argument 'slope', got 'negative_slope'"),
    (lambda: sp.Residual(downsample=None), "expected the argument 'shortcut', got 'downsample'"),
    (lambda: sp.Sequential(name="net"), "Sequential: expected no argument by name, got 'name'"),
    (lambda: sp.Convolution(2, 1, 4, 3, stirde=2), "expected the argument 'stride', got 'stirde'"),
    (lambda: sp.SGD([], lr=0.1), "SGD: expected the argument 'rate', got 'lr'; its arguments are parameters, rate, "),
    (lambda: sp.Adam(params=[]), "Adam: expected the argument 'parameters', got 'params'"),
    (lambda: sp.Nesterov([], 0.1, weightdecay=0), "expected the argument 'weight_decay', got 'weightdecay'"),
    (lambda: sp.fit(None, None, None, n_epochs=3), "fit: expected the argument 'epochs', got 'n_epochs'"),
    (lambda: sp.fit(None, None, None, 3, lr_scheduler=None), "expected the argument 'schedule', got 'lr_scheduler'"),
    (lambda: sp.fit(None, None, None, 3, verbose=True), "expected the argument 'progress', got 'verbose'"),
    (lambda: sp.evaluate(None, None, criterion=None), "evaluate: expected the argument 'loss', got 'criterion'"),
    (lambda: sp.evaluate(None, None, batch_size=3), "evaluate: expected a known argument, got 'batch_size'"),
    (lambda: sp.data.TensorBatches([], [], batch_size=3), "TensorBatches: expected the argument 'batch', got 'batch"),
    (lambda: sp.models.deepcnet(3, 4, num_classes=5), "deepcnet: expected the argument 'classes', got 'num_classes'"),
    (lambda: sp.models.unet(3, 4, seed=5), "unet: expected the argument 'rng', got 'seed'"),
    (lambda: sp.readers.read_handwriting(filename="x"), "read_handwriting: expected the argument 'path', got 'filen"),
    (lambda: sp.readers.read_assamese(path="x"), "read_assamese: expected the argument 'folder', got 'path'"),
    (lambda: sp.SparseTensor.from_sites(coords=[]), "SparseTensor.from_sites: expected the argument 'sites', got 'coo"),
    (lambda: sp.SparseTensor.from_sites([], [], spatial_shape=3), "expected the argument 'size', got 'spatial_shape'"),
    (lambda: sp.SparseTensor.from_points([], [], voxel_size=3), "expected the argument 'cell', got 'voxel_size'"),
    (lambda: sp.SparseConvClassifier(n_epochs=3), "SparseConvClassifier: expected the argument 'epochs', got 'n_epo"),
    (lambda: sp.SparseConvClassifier(seed=3), "expected the argument 'random_state', got 'seed'"),
    (lambda: sp.softmax_cross_entropy([[1.0]], [0], ignore_index=3), "the argument 'ignore_label', got 'ignore_index'"),
    (lambda: sp.softmax_cross_entropy([[1.0]], target=[0]), "expected the argument 'labels', got 'target'"),
    (lambda: sp.set_threads(num_threads=3), "set_threads: expected the argument 'n_threads', got 'num_threads'"),
    (lambda: sp.models.Autoencoder(2, 4, 4, in_channels=1), "expected the argument 'channels_in', got 'in_channels'"),
]


@each("call, message", WRONG)
def test_a_wrong_name_is_answered_with_the_right_one(call, message):
    with pytest.raises(TypeError) as caught:
        call()
    assert message in str(caught.value)


def test_a_layer_of_the_users_is_checked_by_its_own_constructor():
    class Own(sp.Layer):
        def __init__(self, channels, **options):
            self.options = options

    class Strict(sp.Layer):
        def __init__(self, channels):
            self.channels = channels

    assert Own(3, lr=1).options == {"lr": 1}
    with pytest.raises(TypeError, match="^Strict: expected the argument 'channels', got 'num_features'; its "
                                        "arguments are channels$"):
        Strict(num_features=3)
    assert repr(copy.deepcopy(Strict(channels=3))) == "Strict(channels=3)"
    assert repr(pickle.loads(pickle.dumps(sp.LeakyReLU(slope=0.5)))) == "LeakyReLU(slope=0.5)"


@known_arguments
def trained(net, *, rate=0.1):
    """Return the rate."""
    return rate


@known_arguments
class Batches:
    """A class with a constructor."""

    def __init__(self, items, batch=1):
        self.batch = batch


def test_a_checked_function_stays_what_it_was():
    assert trained(None, rate=2) == 2 and trained.__doc__ == "Return the rate." and trained.__name__ == "trained"
    assert list(inspect.signature(trained).parameters) == ["net", "rate"]
    assert pickle.loads(pickle.dumps(trained)) is trained
    with pytest.raises(TypeError, match="^trained: expected the argument 'rate', got 'lr'; its arguments are net, "
                                        "rate$"):
        trained(None, lr=2)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'net'"):
        trained()
    assert Batches([], batch=2).batch == 2 and list(inspect.signature(Batches).parameters) == ["items", "batch"]
    with pytest.raises(TypeError, match="^Batches: expected the argument 'batch', got 'batch_size'; its arguments are "
                                        "items, batch$"):
        Batches([], batch_size=2)


def arguments():
    """Return the names of the arguments of all public functions and classes."""
    found = set()
    for value in NAMES.values():
        if inspect.isfunction(value) or inspect.isclass(value) and inspect.isfunction(value.__init__):
            found.update(inspect.signature(value.__init__ if inspect.isclass(value) else value).parameters)
    return found


def test_every_name_that_an_error_can_give_is_one_of_this_library():
    assert {ours for found in OURS.values() for ours in found} <= arguments()
    assert not [other for other, found in OURS.items() if other in found]


def takes_arguments(value):
    """Return True for a function or class whose arguments have names."""
    if inspect.isclass(value) and ("__init__" not in vars(value) or issubclass(value, (BaseException, tuple))
                                   or getattr(value, "_is_protocol", False)):
        return False
    names = inspect.signature(value).parameters if callable(value) else ()
    return bool(names) and value not in (sp.errors.expected, sp.differentiable)


@each("name", sorted(name for name, value in NAMES.items() if takes_arguments(value)))
def test_every_public_function_and_class_refuses_unknown_names(name):
    with pytest.raises(TypeError, match=r"expected (a known argument|no argument by name), got 'nonsense'"):
        NAMES[name](nonsense=1)
