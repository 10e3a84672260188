"""Files of networks, of ours and of ONNX, that pth_mutants.py changes at random, reads, and lets compute.

Besides their bytes, what a file says is changed: steps, arguments and arrays of a network, whose checksum then fits,
and the nodes and tensors of a graph.
"""

import copy
import importlib.util
import json
import pickle
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import spconv_cy as sp
from spconv_cy.errors import BackendError
from spconv_cy.io import archive
from spconv_cy.io.file import KIND

REFUSED = (ValueError, TypeError, BackendError, MemoryError)             # of a call of what was read
GOLDEN = Path(__file__).parent / "golden"
VALUES = (0, 1, -1, 2, 3, 5, 8, 31, 64, 2**15, 2**31 - 1, 2**31, -2**31, 2**63 - 1, 2**63, 10**30, 0.5, -1.5, 1e308,
          float("nan"), float("inf"), None, True, False, "", "x", "ground", "float32", "uint8", "Convolve",
          "Sequential", [], {}, [1, 2], [2, 2, 2], {"x": 1}, {"lattice": "cubic", "d": 3})


@dataclass(eq=False)
class Case:
    """A file to change.

    Attributes:
        kind: name of the format and of what reads it.
        content: bytes of the file.
        inputs: for a call of what is read.
        told: what it says, for `retold`: (arrays, JSON) of a network, or a ModelProto.
    """

    kind: str
    content: bytes
    inputs: Any = None
    told: Any = None


def cases():
    """Return a list of Case."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net"
        found = [case for net, x in _networks(rng) for case in _saved(path, net, x)]
        found.append(Case("converted", (GOLDEN / "spunet.pth").read_bytes(), _scene(rng, 3, 4)))
        if importlib.util.find_spec("onnx"):
            found += _graphs(path)
    state = {"conv.weight": rng.normal(size=(3, 3, 3, 2, 4)).astype("f4"), "bn._mean": np.zeros(4, "f4"),
             "StructuredToParameterName@@": {"conv.weight": "conv3d_0.w_0"}, "n": np.array([1], "i8")}
    found += [Case("pdparams", pickle.dumps(state, protocol)) for protocol in (2, 3, 4, 5)]
    return found


def _networks(rng):
    """Yield networks and an input of each."""
    plain = sp.models.from_spec("4C3-BN-ReLU-MP2-6C2-output", 3, classes=2, rng=0)
    yield plain.eval(), _scene(rng, 2, 3, "zero")
    conv = sp.SubmanifoldConvolution
    block = sp.Sequential(conv(3, 2, 4, rng=0), sp.ReLU(), sp.Residual(conv(3, 4, 4, groups=2, rng=1), sp.ReLU(),
                          sp.NetworkInNetwork(4, 4, rng=2)), sp.Concatenate(conv(3, 4, 3, rng=3), sp.Sequential()),
                          sp.layers.Dropout(0.5), sp.GlobalPooling())
    yield block.eval(), _scene(rng, 3, 2)
    yield sp.models.unet(2, 3, 2, 4, rng=0).eval(), _scene(rng, 3, 2)
    yield sp.models.voxelnext(widths=(2, 2, 4, 4, 4), channels_out=4, rng=0).eval(), _scene(rng, 3, 5)


def _scene(rng, d, channels, ground=None):
    sites = np.unique(rng.integers(0, 12, (60, d)), axis=0)
    sites = np.column_stack([np.arange(len(sites)) % 2, sites])
    return sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), channels)), 16, 2, ground=ground)


def _saved(path, net, x):
    """Yield the file of a network, and those of it frozen."""
    made = {"network": net, "frozen": sp.freeze(net), "bfloat16": sp.freeze(net, precision="bfloat16"),
            "int8": sp.freeze(net, precision="int8", calibrate=[x])}
    for kind, found in made.items():
        sp.save(path, found)
        arrays, text = archive.read(path, KIND)
        if kind != "network":
            text["network"]["arguments"][0] = json.loads(text["network"]["arguments"][0])
        yield Case(kind, path.read_bytes(), x, (arrays, text))


def _graphs(path):
    import onnx
    from test_onnx import autoware, nvidia, scene
    from test_onnx_exported import CASES, case

    for made in (nvidia, autoware):
        graph, end, _ = made()
        content = graph.model(end, ("x", "coors")).SerializeToString()
        yield Case("onnx", content, scene(), onnx.ModelProto.FromString(content))
    for name in CASES:
        file, _, x, _ = case(name)
        yield Case("onnx", file.read_bytes(), x, onnx.ModelProto.FromString(file.read_bytes()))


def retold(case, path, draw):
    """Write a whole file at path with a few changes in what it says; return its content."""
    told = copy.deepcopy(case.told)
    times = draw.choice((1, 1, 1, 2, 4))
    if case.kind == "onnx":
        for _ in range(times):
            _change_graph(told.graph, draw)
        content = told.SerializeToString()
        path.write_bytes(content)
        return content
    arrays, text = told
    for _ in range(times):
        if arrays and draw.random() < 0.2:
            _change_array(arrays, draw)
        else:
            _change_value(text, draw)
    network = text.get("network")
    arguments = network.get("arguments") if isinstance(network, dict) and network.get("class") == "Frozen" else None
    if arguments and isinstance(arguments, list):
        arguments[0] = json.dumps(arguments[0])
    archive.write(path, KIND, arrays, text)
    return path.read_bytes()


def _change_value(text, draw):
    """Change one of the values of JSON below text."""
    places = []
    work = [text]
    while work:
        holder = work.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            places.append((holder, key))
            if isinstance(holder[key], (dict, list)):
                work.append(holder[key])
    holder, key = draw.choice(places)
    kind = draw.randrange(8)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[draw.randrange(len(holder))]))
    elif kind == 2 and type(holder[key]) is int:
        holder[key] += draw.choice((-1, 1, 2, 16))
    elif kind < 5:
        other, name = draw.choice(places)
        holder[key] = copy.deepcopy(other.get(name) if isinstance(other, dict) else
                                    other[name] if name < len(other) else None)
    else:
        holder[key] = copy.deepcopy(draw.choice(VALUES))


def _change_array(arrays, draw):
    """Change the name, the shape, the type or the numbers of an array."""
    name = draw.choice(list(arrays))
    array, kind = arrays[name], draw.randrange(7)
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[name + draw.choice(("x", ".0", "."))] = arrays.pop(name)
    elif kind == 2:
        arrays[name] = array.reshape(draw.choice(((-1,), (1, -1), (-1, 1), array.shape[::-1])))
    elif kind == 3:
        arrays[name] = np.ascontiguousarray(array[draw.choice((slice(0), slice(1), slice(1, None)))])
    elif kind == 4:
        with np.errstate(all="ignore"):
            arrays[name] = array.astype(draw.choice(("f2", "f4", "f8", "i1", "u1", "i4", "i8", "?")))
    elif kind == 5:
        arrays[name] = arrays[draw.choice(list(arrays))]
    elif array.size:
        made = array.copy()
        with np.errstate(all="ignore"):
            made.flat[draw.randrange(array.size)] = draw.choice((0, 127, np.nan, np.inf, 1e30)
                                                                if made.dtype.kind == "f" else (0, 1, 127))
        arrays[name] = made


def _change_graph(graph, draw):
    """Change a node, an attribute or a constant of a graph."""
    node, tensor, kind = draw.choice(graph.node), draw.choice(graph.initializer), draw.randrange(9)
    names = [name for other in graph.node for name in (*other.input, *other.output)] + ["", "x"]
    if kind == 0 and len(graph.node) > 1:
        del graph.node[draw.randrange(len(graph.node))]
    elif kind == 1:
        graph.node.add().CopyFrom(node)
    elif kind == 2 and node.input:
        node.input[draw.randrange(len(node.input))] = draw.choice(names)
    elif kind == 3 and node.output:
        node.output[draw.randrange(len(node.output))] = draw.choice(names)
    elif kind == 4:
        node.op_type = draw.choice(graph.node).op_type
    elif kind < 7 and node.attribute:
        _change_attribute(node, draw)
    elif kind == 7 and tensor.dims:
        tensor.dims[draw.randrange(len(tensor.dims))] = draw.choice((0, 1, 2, -1, 2**31, 2**62))
    else:
        tensor.data_type = draw.choice((0, 1, 6, 7, 10, 11, 16, 99))


def _change_attribute(node, draw):
    attribute = draw.choice(node.attribute)
    number = draw.choice([value for value in VALUES if type(value) is int and abs(value) < 2**63])
    kind = draw.randrange(6)
    if kind == 0:
        node.attribute.remove(attribute)
    elif kind == 1:
        attribute.type = draw.randrange(1, 9)
    elif kind == 2 and attribute.ints:
        attribute.ints[draw.randrange(len(attribute.ints))] = number
    elif kind == 3:
        attribute.ints.append(number)
    elif kind == 4:
        attribute.f = draw.choice((0.0, -1.0, float("nan"), 1e30))
    else:
        attribute.i = number


def read(case, path, draw):
    """Return what is read of a file at path; raise FileError if it is refused."""
    if case.kind == "onnx":
        return sp.io.read_onnx(path, one_by_one=draw.choice((None, "raw", "krsc")), sparse_only=draw.random() < 0.3)
    if case.kind == "converted":
        return sp.io.convert(path, "spunet", "spconv2", one_by_one="raw", layout="krsc",
                             strict=draw.random() < 0.7)[0].eval()
    return sp.load(path).eval()


def call(net, x):
    """Let what was read compute; return False if it refuses to."""
    try:
        with sp.no_grad(), np.errstate(all="ignore"):
            net(x)
    except REFUSED:
        return False
    return True
