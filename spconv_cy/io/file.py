"""Networks to files and back: one .safetensors, the layers as JSON in its metadata, nothing in it ever executed."""

from spconv_cy.archive import read, write
from spconv_cy.errors import FileError, ShapeError
from spconv_cy.functional.initial import undrawn
from spconv_cy.layers.activation import LeakyReLU, ReLU, VeryLeakyReLU
from spconv_cy.layers.container import Concatenate, Residual, Sequential
from spconv_cy.layers.convolution import Convolution, NetworkInNetwork, SubmanifoldConvolution
from spconv_cy.layers.dropout import Dropout
from spconv_cy.layers.edge import DenseToSparse, SparseToDense
from spconv_cy.layers.layer import Layer
from spconv_cy.layers.normalization import BatchNormalization
from spconv_cy.layers.pooling import AveragePooling, GlobalPooling, MaxPooling
from spconv_cy.layers.restoring import Deconvolution, UnPooling
from spconv_cy.sites.lattice import Lattice

KIND = "spconv_cy"
# What a description that nobody wrote can raise when layers are made of it.
BROKEN = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, MemoryError, RecursionError)
LAYERS = (AveragePooling, BatchNormalization, Concatenate, Convolution, Deconvolution, DenseToSparse, Dropout,
          GlobalPooling, LeakyReLU, MaxPooling, NetworkInNetwork, ReLU, Residual, Sequential, SparseToDense,
          SubmanifoldConvolution, UnPooling, VeryLeakyReLU)


def save(path, net, extra=None):
    """Write a network to one .safetensors file: its layers, parameters and running statistics.

    Args:
        path: of the file; one that is there is replaced at once, or not at all.
        net: Layer whose constructor arguments are numbers, text, None, lists, lattices and layers.
        extra: JSON values to keep beside it; `load_with_extra` gives them back.

    Raises:
        TypeError: net is no Layer, or holds an argument that cannot be saved.
    """
    if not isinstance(net, Layer):
        raise TypeError(f"save: a {type(net).__name__} came; a Layer fits")
    write(path, KIND, net.state(), {"network": net.describe(), "extra": extra})


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
        with undrawn(sum(array.size for array in arrays.values())):
            net = _made(text["network"], known, path)
        if not isinstance(net, Layer):
            raise TypeError(f"a {type(net).__name__} is described")
        _check_dtypes(net, arrays)
        net.load_state(arrays)
    except FileError:
        raise
    except BROKEN as error:
        raise FileError(f"{path}: the network in it cannot be made ({error}); the file is damaged, or its layers have "
                        "changed since: fetch or make it again") from error
    return net, text["extra"]


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
