"""What sp.io.read_onnx refuses, in plain words: other graphs, damaged files, weights elsewhere."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.errors import FileError

onnx = pytest.importorskip("onnx")
from test_onnx import F32, Graph, autoware, nvidia  # noqa: E402

GOLDEN = np.load(Path(__file__).resolve().parent / "golden" / "spconv.npz")
CASES = [case for case in json.loads(str(GOLDEN["cases"])) if "refused" not in case
         and case["kind"] in ("submanifold", "convolution", "transposed") and "weight" in str(case["arrays"])]


def axes(n):
    return [n] * 3 if isinstance(n, int) else list(n)


@pytest.mark.parametrize("dialect", ["nvidia", "autoware"])
def test_nodes_give_the_sites_and_rows_of_spconv(tmp_path, dialect):
    path = tmp_path / "net.onnx"
    compared = 0
    for case in CASES:
        arrays = {name: GOLDEN[key] for name, key in case["arrays"].items()}
        weight = next(array for name, array in arrays.items() if name.endswith("weight"))
        bias = [array for name, array in arrays.items() if name.endswith("bias")]
        one = case["size"] in (1, [1, 1, 1])
        if one and dialect == "autoware":
            continue
        g = Graph(F32)
        constants = [g.array(array.astype(np.float32)) for array in (weight, *bias)]
        window = {name: axes(case.get(name, default)) for name, default in
                  (("stride", 1), ("padding", 0), ("dilation", 1))}
        subm, up = int(case["kind"] == "submanifold"), int(case["kind"] == "transposed")
        if dialect == "nvidia":
            y = g.node("SparseConvolution", ["x", *constants], kernel_size=axes(case["size"]), subm=subm,
                       transposed=up, **window)
        else:
            rules = g.pairs("coors", axes(case["size"]), subm, transpose=up, **window)
            y = g.node("ImplicitGemm", ["x", constants[0], *rules[1:4], *constants[1:]], is_subm=subm)
        net = sp.io.read_onnx(g.save(tmp_path, y, ("x", "coors")), one_by_one="raw")
        found = net(sp.SparseTensor.from_sites(GOLDEN["sites"], GOLDEN["rows"], tuple(GOLDEN["size"]), 2, ground=None))
        rows = arrays["rows"]
        assert np.array_equal(found.sites, arrays["sites"]) and list(found.grid.size) == case["field"], case
        assert np.abs(found.features.numpy() - rows).max(initial=0) <= 2e-6 * np.abs(rows).max(initial=0), case
        compared += 1
    assert compared > 50 and path.exists()


def refused(path, match, **options):
    with pytest.raises(FileError, match=match):
        sp.io.read_onnx(path, **options)


def test_without_the_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"read_onnx: expected onnx to be installed.*pip install 'spconv_cy\[onnx\]'"):
        sp.io.read_onnx(tmp_path / "net.onnx")


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        sp.io.read_onnx(tmp_path / "none.onnx")
    refused(tmp_path, "expected an ONNX model with a graph, got a folder")
    (tmp_path / "a.onnx").write_bytes(b"")
    refused(tmp_path / "a.onnx", "a file without nodes")
    (tmp_path / "a.onnx").write_bytes(b"no model")
    refused(tmp_path / "a.onnx", "got a damaged file")


def test_a_graph_without_sparse_nodes_is_refused_with_its_operations(tmp_path):
    g = Graph()
    refused(g.save(tmp_path, g.node("Relu", [g.node("Conv", ["x", "w"])])), "SparseConvolution or ImplicitGemm, got "
                                                                           "Conv, Relu")


@pytest.mark.parametrize("op", ["Concat", "MaxPool", "QuantizeLinear", "Loop", "If"])
def test_an_unknown_node_is_named(tmp_path, op):
    g, end, _ = nvidia()
    refused(g.save(tmp_path, g.node("Relu", [g.node(op, [end])])), f"{op} '{op.lower()}6': expected an operation of a "
                                                                  f"sparse network, got {op}")
    again = g.conv("t7", 6, 6, subm=1)
    for sparse_only in (False, True):
        refused(g.save(tmp_path, again), f"{op} '{op.lower()}6'", sparse_only=sparse_only)


@each("options, match", [
    ({"groups": 2}, "one group, got 2"), ({"activation": 3}, "activation None, ReLU, Sigmoid, got 3"),
    ({"activation": "LeakyReLU"}, "activation None, ReLU, Sigmoid, got 'Leaky"),
    ({"stride": [1]}, "of one length"), ({"stride": [0, 1, 1]}, "stride"), ({"stride": 2}, "stride of whole numbers"),
    ({"subm": 1, "inverse": 1}, "one kind of convolution, got inverse and submanifold"),
    ({"inverse": 1}, "earlier convolution"), ({"padding": [-1, 0, 0]}, "padding"), ({"dilation": [2**40] * 3}, "dil"),
    ({"size": (2, 2, 2), "subm": 1}, "kernel of odd size"), ({"kernel_size": [3, 3, 5]}, "weight \\(o, 3, 3, 5, c\\)"),
])
def test_attributes_that_do_not_fit(tmp_path, options, match):
    g = Graph()
    size = options.pop("kernel_size", None)
    end = g.conv("x", 2, 3, **options)
    options |= {"kernel_size": size} if size else {}
    for attribute in g.nodes[0].attribute:
        if size and attribute.name == "kernel_size":
            attribute.ints[:] = size
    refused(g.save(tmp_path, end), f"SparseConvolution 'sparseconvolution0'.*{match}")


@pytest.mark.parametrize("pairs, options, match", [
    ("other", {}, "pairs from the sites 't0a' of its features, got those from 'coors'"),
    ("down", {}, "is_subm as subm of its pairs"), ("none", {}, "pairs of one node.*or with these metadata"),
    ("mixed", {}, "pairs of one node, or of one window"), ("next", {"precision": 1}, "for INT8; export"),
    ("next", {"act_type": 4}, "activation"),
    ("next", {"act_type": 3, "act_alpha": 2.0}, "slope"), ("next", {"output_scale": 2.0}, "output_scale 1"),
])
def test_pairs_that_do_not_fit_and_int8(tmp_path, pairs, options, match):
    g = Graph()
    down = g.pairs("coors", subm=0, stride=[2] * 3)
    a = g.gemm("x", down, 2, 2, subm=0)
    other, following = g.pairs("coors"), g.pairs(down[0])
    given = {"other": other, "down": down, "none": ["", "p", "q", "r"], "next": following,
             "mixed": [*following[:2], *other[2:]]}[pairs]
    refused(g.save(tmp_path, g.gemm(a, given, 2, 2, **options)), match)


def test_int8_nodes_are_named(tmp_path):
    g = Graph()
    g.gemm("x", g.pairs("coors"), 2, 2)
    g.nodes[-1].op_type = "ImplicitGemmInt8"
    g.nodes[-1].input.extend(["scale", "bias"])
    refused(g.save(tmp_path, g.nodes[-1].output[0], ("x", "coors")), "ImplicitGemmInt8 'implicitgemm1'.*got 7 inputs")


@each("stages, match", [("[", "rulebook_stages: expected a list of windows in JSON"), ("[[]]", "list of windows"),
                        ("5", "list of windows"), ("[" * 99999, "list of windows"), ("[]", "pairs of one node"),
                        ('[{"onnx_base": "rulebook/a"}]', "ksize of whole numbers"),
                        ('[{"onnx_base": "rulebook/a", "ksize": [3, 3, 3], "stride": ["2"]}]', "stride of whole")])
def test_pairs_that_are_inputs_need_their_windows(tmp_path, stages, match):
    g = Graph()
    names = [f"rulebook/a/{slot}" for slot in ("out_indices", "pair_fwd", "pair_mask", "mask_argsort")]
    path = g.save(tmp_path, g.gemm("x", names, 2, 3, subm=0), ("x", *names))
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"rulebook_stages": stages})
    path.write_bytes(model.SerializeToString())
    refused(path, match)


@each("op, options, remaining", [
    ("Reshape", {}, "Add"), ("Shape", {}, "Add"), ("ScatterElements", {"axis": 1}, None),
    ("ScatterElements", {"reduction": "add"}, None), ("ScatterElements", {}, "Transpose"),
])
def test_rows_in_another_shape_are_refused(tmp_path, op, options, remaining):
    g = Graph(F32)
    x = g.conv("x", 2, 3, subm=1)
    inputs = {"Reshape": [x, "shape"], "Shape": [x]}.get(op, ["zeros", "where", x])
    y = g.node(op, inputs, **options)
    if remaining == "Add":
        y = g.node("Add", [y, x])
    elif remaining:
        y = g.node("Transpose", [y], perm=[1, 0])
    op = remaining or op
    refused(g.save(tmp_path, y, ("x", "zeros", "where", "shape")), f"{op} '{op.lower()}.*expected an operation")


@each("op, inputs, options, match", [
    ("Clip", (), {"min": 0.0, "max": 5.0}, "bounds 0 and 6 of a ReLU6, got 0.0, 5.0"),
    ("Clip", (), {"min": 0.0}, "got 0.0, None"), ("Clip", ("", "high"), {}, "got no"), ("Clip", ("w1", "w2"), {}, ""),
    ("HardSigmoid", (), {}, "x / 6 \\+ 1/2, got 0.2 x \\+ 0.5"),
    ("HardSigmoid", (), {"alpha": float("nan")}, "x / 6 \\+ 1/2, got nan x"),
])
def test_activations_of_other_bounds(tmp_path, op, inputs, options, match):
    g = Graph(F32)
    y = g.node(op, [g.conv("x", 2, 3, subm=1), *inputs], **options)
    refused(g.save(tmp_path, y, ("x", "high")), f"{op} '{op.lower()}1': expected .*{match}")


def test_padding_around_size_1(tmp_path):
    g = Graph(F32)
    end = g.conv("x", 2, 3, (1, 1, 1), input_spatial_shape=[9, 8, 7], output_spatial_shape=[11, 10, 9])
    refused(g.save(tmp_path, end), "no padding around a window of size 1, got \\(1, 1, 1\\)", one_by_one="raw")


def test_a_name_twice_and_circles(tmp_path):
    g = Graph()
    g.conv(g.conv("x", 2, 2, subm=1), 2, 2, subm=1)
    g.nodes[1].output[0] = "x"
    refused(g.save(tmp_path, "x"), "an output of its own")


def test_branches_that_would_double_at_each_step(tmp_path):
    g = Graph()
    a = b = g.conv("x", 2, 2, subm=1)
    for _ in range(60):
        a, b = g.node("Add", [g.node("Relu", [a]), b]), a
    refused(g.save(tmp_path, g.node("Add", [a, "x"])), "branches within branches")


def test_one_weight_in_many_nodes(tmp_path):
    g = Graph()
    y = g.conv("x", 64, 64, subm=1)
    for _ in range(60):
        y = g.conv(y, 64, 64, subm=1)
        g.constants = g.constants[:2]
        g.nodes[-1].input[1:] = ["w0", "w1"]
    refused(g.save(tmp_path, y), "more numbers than the file has")


@pytest.mark.parametrize("place", ["../weights.bin", "/etc/passwd", "none.bin", "link.bin", ""])
def test_weights_outside_of_the_folder(tmp_path, place):
    (tmp_path / "weights.bin").write_bytes(bytes(10000))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "link.bin").symlink_to(tmp_path / "weights.bin")
    g = Graph()
    path = g.save(tmp_path / "model", g.conv("x", 2, 3))
    model = onnx.load(path)
    _move(model.graph.initializer[0], location=place)
    path.write_bytes(model.SerializeToString())
    refused(path, "w0: expected data in a file beside the model")


@pytest.mark.parametrize("entries, match", [
    ({"offset": "-1"}, "whole numbers"), ({"length": "10001"}, "within the 10000 bytes"),
    ({"length": "100"}, "162 numbers"), ({"offset": "9" * 18}, "within"), ({"offset": "9" * 30}, "whole numbers"),
])
def test_weights_beyond_their_file(tmp_path, entries, match):
    (tmp_path / "weights.bin").write_bytes(bytes(10000))
    g = Graph()
    path = g.save(tmp_path, g.conv("x", 2, 3))
    model = onnx.load(path)
    _move(model.graph.initializer[0], location="weights.bin", **entries)
    path.write_bytes(model.SerializeToString())
    refused(path, match)


def _move(tensor, **entries):
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)


@pytest.mark.parametrize("dims, kind, match", [((2**40, 2**40), 1, "numbers for shape"), ((-1, 3), 1, "a shape"),
                                               ((3, 3, 3, 3, 2), 7, "numbers of type float32")])
def test_shapes_that_are_not_there(tmp_path, dims, kind, match):
    g = Graph()
    path = g.save(tmp_path, g.conv("x", 2, 3))
    model = onnx.load(path)
    model.graph.initializer[0].dims[:], model.graph.initializer[0].data_type = dims, kind
    path.write_bytes(model.SerializeToString())
    refused(path, match)


@pytest.mark.parametrize("graph", [nvidia, autoware])
def test_any_damage_is_refused_or_gives_a_network(tmp_path, graph):
    g, end, _ = graph()
    content, path = g.save(tmp_path, end, ("x", "coors")).read_bytes(), tmp_path / "damaged.onnx"
    rng = np.random.default_rng(0)
    weights = [tensor.raw_data for tensor in g.constants]
    outside = np.ones(len(content), bool)                                # bytes that are no weight
    for raw in weights:
        start = content.index(raw)
        outside[start:start + len(raw)] = False
    places = np.flatnonzero(outside)
    for turn in range(600):
        damaged = bytearray(content[:rng.integers(len(content))] if turn % 10 == 0 else content)
        for place in rng.choice(places, rng.integers(1, 4)):
            if place < len(damaged):
                damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            assert isinstance(sp.io.read_onnx(path), sp.layers.Layer)
        except FileError as error:
            assert str(error).startswith(str(path)) and ": expected " in str(error)


