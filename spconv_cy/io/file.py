"""Networks to files and back: one .safetensors, the layers as JSON in its metadata, nothing in it ever executed."""

import inspect

from spconv_cy.archive import BROKEN, read, write
from spconv_cy.errors import FileError, ShapeError
from spconv_cy.functional.initial import undrawn
from spconv_cy.layers.activation import (
    ELU,
    GELU,
    SELU,
    LeakyReLU,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
    VeryLeakyReLU,
)
from spconv_cy.layers.attention import WindowAttention
from spconv_cy.layers.checkpointed import Checkpointed
from spconv_cy.layers.collapse import Collapse
from spconv_cy.layers.container import Concatenate, Residual, Sequential
from spconv_cy.layers.convolution import Convolution, NetworkInNetwork, SubmanifoldConvolution
from spconv_cy.layers.coordinates import AddCoordinates
from spconv_cy.layers.dropout import Dropout
from spconv_cy.layers.edge import DenseToSparse, SparseToDense
from spconv_cy.layers.fractional import FractionalMaxPooling
from spconv_cy.layers.layer import Layer
from spconv_cy.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
)
from spconv_cy.layers.points import ToPoints
from spconv_cy.layers.pooling import AveragePooling, GlobalPooling, MaxPooling, SumPooling
from spconv_cy.layers.pruning import KeepTop, Sparsify
from spconv_cy.layers.pyramid import Pyramid
from spconv_cy.layers.randomized import RandomizedStrideConvolution, RandomizedStrideMaxPooling
from spconv_cy.layers.restoring import Deconvolution, UnPooling
from spconv_cy.layers.transposed import TransposedConvolution
from spconv_cy.models.autoencoder import Autoencoder
from spconv_cy.sites.lattice import Lattice

KIND = "spconv_cy"
LAYERS = (AddCoordinates, Autoencoder, AveragePooling, BatchNormalization, Checkpointed, Collapse, Concatenate,
          Convolution, Deconvolution, DenseToSparse, Dropout, ELU, FractionalMaxPooling, GELU, GlobalPooling,
          GroupNormalization, InstanceNormalization, KeepTop, LayerNormalization, LeakyReLU, MaxPooling,
          NetworkInNetwork, PReLU, Pyramid, RandomizedStrideConvolution, RandomizedStrideMaxPooling, ReLU, Residual,
          SELU, Sequential, SiLU, Sigmoid, Softmax, SparseToDense, Sparsify, SubmanifoldConvolution, SumPooling, Tanh,
          ToPoints, TransposedConvolution, UnPooling, VeryLeakyReLU, WindowAttention)


def save(path, net, extra=None):
    """Write a network to one .safetensors file: its layers, parameters and running statistics.

    Args:
        path: of the file; one that is there is replaced at once, or not at all, by one with the mode that the umask
            gives. A symbolic link stays, and its target is replaced; a pipe or a device is written into.
        net: Layer whose constructor arguments are numbers, text, None, lists, lattices and layers.
        extra: JSON values to keep beside it; `load_with_extra` gives them back.

    Raises:
        TypeError: net is no Layer, holds an argument that cannot be saved, or a layer that its arguments do not make
            anew, since an attribute was changed later.
        OSError: the file cannot be written, or nobody reads the pipe within 10 seconds.
    """
    if not isinstance(net, Layer):
        raise TypeError(f"save: a {type(net).__name__} came; a Layer fits")
    state, description = net.state(), net.describe()
    _check_made_anew(net, state, description)
    write(path, KIND, state, {"network": description, "extra": extra})


def load(path, layers=()):
    """Read a network that `save` wrote; its arrays are born on the current backend.

    Args:
        path: of the file.
        layers: your own layer classes that the network holds; the library's are known.

    Returns:
        Layer, in training mode as every new one; call `eval()` to use it.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: it is damaged, foreign, of a newer version, or names a layer that is not known.
    """
    return load_with_extra(path, layers)[0]


def load_with_extra(path, layers=()):
    """Return (network, extra), the JSON values that `save` was given."""
    arrays, text = read(path, KIND)
    for layer in layers:
        if not (isinstance(layer, type) and issubclass(layer, Layer)):
            raise TypeError(f"load: {layer!r} came among the layers; classes with Layer as their base fit")
    known = {layer.__name__: layer for layer in (*LAYERS, *layers)}
    try:
        net, extra = _drawn(text["network"], known, arrays, path), text["extra"]
        if not isinstance(net, Layer):
            raise TypeError(f"a {type(net).__name__} is described")
        _check_dtypes(net, arrays)
        net.load_state(arrays)
    except FileError:
        raise
    except BROKEN as error:
        raise FileError(f"{path}: the network in it cannot be made ({error}); the file is damaged, or its layers have "
                        "changed since: fetch or make it again") from error
    return net, extra


def _check_made_anew(net, state, description):
    layers = _within(net)
    try:
        made = _drawn(description, {type(layer).__name__: type(layer) for layer in layers}, state, "save")
        made_layers, made_state = _within(made), made.state()
    except BROKEN as error:
        raise TypeError(f"save: {net!r} cannot be made anew from its arguments ({error}); its constructor must take "
                        "what it was given, and its attributes keep their shapes") from error
    for layer, other in zip(layers, made_layers, strict=False):
        for name in inspect.signature(type(layer).__init__).parameters:
            mine, theirs = getattr(layer, name, None), getattr(other, name, None)
            if isinstance(mine, (bool, int, float, str)) and mine != theirs:
                raise TypeError(f"save: {layer!r} has {name}={mine!r} since that was changed, and is made anew with "
                                f"{theirs!r}; put a new {type(layer).__name__} in its place")
    shapes, made_shapes = ({name: array.shape for name, array in s.items()} for s in (state, made_state))
    if shapes != made_shapes:
        names = sorted(name for name in shapes.keys() | made_shapes if shapes.get(name) != made_shapes.get(name))
        raise TypeError(f"save: {', '.join(names)} would not come back from the file: parameters, layers or state were "
                        "put in after a layer was made; write a Layer that makes them in its constructor")


def _within(net):
    return [*(layer for child in net.children() for layer in _within(child)), net]


def _drawn(description, known, arrays, path):
    with undrawn(sum(array.size for array in arrays.values())):
        return _made(description, known, path)


def _made(value, known, path):
    if isinstance(value, list):
        return tuple(_made(item, known, path) for item in value)
    if not isinstance(value, dict):
        return value
    if "lattice" in value:
        return Lattice(value["d"], value["lattice"])
    name = value["class"]
    if name not in known:
        raise FileError(f"{path}: a layer {name!r} came that is not known; give its class: load(path, layers=[{name}])")
    options = {key: _made(item, known, path) for key, item in value["options"].items()}
    return known[name](*_made(value["arguments"], known, path), **options)


def _check_dtypes(net, arrays):
    for name, array in net.state().items():
        found = arrays.get(name)
        if found is not None and found.dtype.kind != array.dtype.kind:
            raise ShapeError(f"{name} is of {found.dtype} where {array.dtype} fits")
