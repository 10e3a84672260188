"""Wrong arguments of any kind: every public call refuses them by an error of our own words; foreign files are named."""

import ast
import gzip
import inspect
import os
import pickle
import traceback
import zipfile
from functools import cache, partial

import budget
import numpy as np
import pytest
import solids
import terrain
import world_lines
from in_turn import each
from public import NAMES as PUBLIC
from safetensors.numpy import save_file

import spconv_cy as sp
from spconv_cy.errors import BackendError, FileError, GridError, NotFittedError, ShapeError
from spconv_cy.train import metrics

PACKAGE = os.path.dirname(sp.__file__)
OWN = (PACKAGE, os.path.dirname(budget.__file__))     # the package and the experiments
NAMES = PUBLIC | {name: getattr(module, name) for module, names in (
    (budget, "widest"), (terrain, "terrain"), (solids, "solid"),
    (world_lines, "circling_points dart_events helices leader_pairs lissajous surface_sites"))
    for name in names.split()}
OURS = (ShapeError, GridError, BackendError, FileError, NotFittedError)
SITES = np.array([[0, 0, 1], [0, 2, 2], [1, 3, 0], [1, 1, 1]])
POINTS = np.array([[0, 1.5, 1.5], [1, 2.2, 0.3]])
INK = [[np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]])], [np.array([[0.0, 0.0], [1.0, 3.0]])]]
ENCODER = sp.data.StrokeEncoder(size=16, scale=4)
WRONG = {
    "None": None, "text": "x", "bytes": b"ab", "float": 1.5, "True": True, "negative": -1, "huge": 2**70,
    "nan": float("nan"), "array": np.ones(2), "ints": np.array([1, 2]), "matrix": np.ones((2, 3)), "0-d": np.array(2),
    "empty": np.zeros(0), "words": np.array(["a", "b"]), "objects": np.array([None, {}], object),
    "bools": np.array([True, False]), "ragged": [[1, 2], [3]], "tensor": sp.Tensor(np.ones(2)),
    "sparse": sp.SparseTensor.from_sites(SITES, np.ones((4, 2)), 4, samples=2), "dict": {"a": 1}, "set": {1, 2},
    "date": np.datetime64("2020"), "span": np.timedelta64(1, "s"), "object": object(), "complex": 1j, "class": sp.ReLU,
    "layer": sp.ReLU(), "uint8": np.uint8(200), "function": lambda *_: None, "generator": np.random.default_rng(0),
}


def sparse(ground=None):
    return sp.SparseTensor.from_sites(SITES, np.arange(8.0).reshape(4, 2), 4, ground=ground, samples=2)


def rows():
    return sp.Tensor(np.ones((2, 2)), requires_grad=True)


def data():
    return [(np.ones((2, 2)), np.array([0, 1]))]


def trained(**changes):
    net = sp.Sequential(sp.NetworkInNetwork(2, 2, rng=0))
    options = {"net": net, "data": data(), "optimizer": sp.SGD(net.parameters(), 0.1), "epochs": 1, "progress": False}
    return sp.fit(**options | changes)


def batches(kind, *arguments, **options):
    return list(NAMES[kind](*arguments, **options).epoch(0, training=True))


def weights():
    return [sp.Tensor([1.0], requires_grad=True)]


# name: (function, positional arguments, names of options whose values are tried too)
CALLS = {name: (NAMES[name], arguments, options) for name, arguments, options in [
    ("Convolution", (2, 2, 3, 2), "stride dilation padding bias groups size_rule shape taps sites min_active rng"),
    ("SubmanifoldConvolution", (2, 2, 3), "size dilation bias groups shape taps rng"),
    ("TransposedConvolution", (2, 2, 3), "stride padding bias groups shape taps output_padding size_rule sites rng"),
    ("Deconvolution", (2, 2, 3, 2), "stride padding bias groups shape rng"), ("UnPooling", (2, 2), "stride shape"),
    ("MaxPooling", (2, 2), "stride dilation padding background size_rule shape taps sites min_active"),
    ("AveragePooling", (2, 2), "over dilation padding sites"), ("SumPooling", (2, 2), "stride"),
    ("GlobalPooling", (), "kind over"),
    ("FractionalMaxPooling", (2, 1.5), "sequence overlap background size_rule rng"),
    ("NetworkInNetwork", (2, 3), "bias rng"), ("Dropout", (), "p kind inverted rng"), ("LeakyReLU", (), "slope"),
    ("BatchNormalization", (2,), "eps momentum variance slope affine mean_only debias"), ("ELU", (), "alpha"),
    ("GroupNormalization", (1, 2), "eps over"), ("InstanceNormalization", (2,), "eps"), ("PReLU", (2,), "slope"),
    ("WindowAttention", (2, 2, 1, 2), "shift positions bias rng"), ("Collapse", (2, 0), ""), ("KeepTop", (2, 1), "rng"),
    ("SqueezeExcitation", (2,), "reduction rng"), ("EfficientChannelAttention", (2,), "size rng"),
    ("GeneralizedMeanPooling", (), "p eps"), ("SampleScale", (sp.GlobalPooling(),), ""),
    ("ScorePruning", (sp.ReLU(),), "threshold gate"),
    ("HeightCompression", (2,), "axis"), ("Densify", (2,), ""),
    ("SparseToDense", (2,), "flat"), ("DenseToSparse", (2,), "threshold"), ("Sparsify", (2,), "activation gate rng"),
    ("AddCoordinates", (2,), "size"), ("RandomizedStrideConvolution", (2, 2, 3, 2, 2), "bias rng"),
    ("Sequential", (sp.ReLU(), sp.ReLU()), ""), ("Residual", (sp.ReLU(),), "shortcut how"),
    ("Concatenate", (sp.ReLU(),), "how"), ("Pyramid", (sp.MaxPooling(2, 2),), "factor"),
    ("Window", (2, 2), "stride dilation origin kind size_rule shape taps min_active output_padding"),
    ("Lattice", (2,), "kind"),
    ("Rulebook", ([0], [0], [0, 1], 1, 1), "volume"), ("Tensor", (np.ones(2),), ""),
    ("unet", (1, 2), "reps slope d rng"),
    ("deepcnet", (1, 2), "dropout first rng d"), ("deepc3c3", (1, 2), "dropout centred rng"), ("mlp", ((2, 3),), "rng"),
    ("voxel_backbone_8x", (2,), "residual dense rng"), ("vgg", ([4],), "d rng"), ("resnet", ([(4, 1, 1)], 1), "d rng"),
    ("from_spec", ("4C2-MP2",), "channels_in d rng"), ("widest", (lambda k: sp.models.mlp((2, k)), 10), ""),
    ("Autoencoder", (1, 2, 2), "channels_in d size rng"), ("collate", ([sparse()],), ""),
    ("squared_hinge", (rows(), [0, 1]), "reduction ignore_label"), ("mse", (rows(), np.ones((2, 2))), "reduction"),
    ("softmax_cross_entropy", (rows(), [0, 1]), "weights reduction ignore_label"), ("load", ("none.safetensors",), ""),
    ("index_loss", (rows(), rows()), ""), ("contrastive_loss", (rows(), 0.2), ""), ("LossScale", ("dynamic",), ""),
    ("SGD", (weights(), 0.1), "momentum nesterov weight_decay max_norm"), ("Adam", (weights(),), "betas eps"),
    ("clip_gradients", (weights(), 1.0), ""), ("Cosine", (5,), "lowest"), ("Steps", (1,), "factor"),
    ("interpolate", (sparse(), POINTS), "cell kind centre missing"), ("terrain", (10, 20.0, 0), ""),
    ("splat", (POINTS, np.ones((2, 2))), "cell kind centre reduce size samples ground"),
    ("surface_sites", ("cube", 2), ""),
    ("apply_to_points", (sp.ReLU(), POINTS, np.ones((2, 2))), "cell size kind"), ("solid", ("box", 0), ""),
    ("to_padded", (sparse(), [[0, 1], [2, 3]]), "kept"), ("from_padded", ([[[1], [2]]], np.ones((1, 2, 1))), "lengths"),
    ("Affine", (0.1, 0.1, 0.1, 0.1), "warp"), ("Colour", (0.1, 0.1, 0.1), ""), ("PointAffine", (0.1, 0.1), "jitter"),
    ("Motion", ("any", False), "linear views"), ("neighbourhood_features", (np.ones((3, 3)), 2), ""), ("set_threads",
                                                                                                       (1,), ""),
    ("StrokeEncoder", ("octogram", 16, 4, 0.1), "factors window pace"), ("signature", (np.ones((1, 3, 2)), 2), ""),
    ("LiftedEncoder", (("x", "y"), 16, 4), "spacing window directions overlap bends span"), ("use", ("cpu",), ""),
    ("circling_points", (2, 16, 8, 0), ""), ("helices", (2, 16, 8, 0), ""), ("leader_pairs", (2, 16, 8, 0, 2), ""),
    ("dart_events", (20, (32, 24), 0), ""), ("lissajous", (np.ones((2, 2)), np.ones((2, 2)), 16, 16), ""),
    ("check_gradient", (lambda x: x * x, np.ones(2)), "step tolerance directions"), ("precision", ("float32",), ""),
    ("convert", ({"a.weight": np.ones((3, 2))}, sp.NetworkInNetwork(2, 3, bias=False)),
     "source names one_by_one layout prefix strict"),
    ("to_peer", (sp.NetworkInNetwork(2, 2),), "source names one_by_one path"),
]} | {
    "from_sites": (sp.SparseTensor.from_sites, (SITES, np.ones((4, 2))), "size samples ground reduce lattice"),
    "from_points": (sp.SparseTensor.from_points, (SITES, np.ones((4, 2))), "cell size ground reduce lattice"),
    "from_dense": (sp.SparseTensor.from_dense, (np.ones((1, 1, 2, 2)),), "threshold ground lattice"),
    "fit": (trained, (), "net data optimizer epochs validation loss schedule rng progress checkpoint patience "
                         "on_epoch loss_scale ignore_label"),
    "evaluate": (sp.evaluate, (sp.Sequential(sp.ReLU()), data()), "repeats loss progress rng ignore_label"),
    "fit: labels": (lambda labels: trained(data=[(np.ones((2, 2)), labels)]), ([0, 1],), ""),
    "StrokeBatches": (partial(batches, "StrokeBatches"), (INK, [0, 1], ENCODER), "batch augment views scales times"),
    "PictureBatches": (partial(batches, "PictureBatches"), (np.ones((2, 4, 4)), [0, 1], 8),
                       "batch threshold background shift augment flip colour"),
    "PointBatches": (partial(batches, "PointBatches"), (POINTS, np.ones((2, 1)), [0, 1], 1.0), "tile batch augment"),
    "ShapeBatches": (partial(batches, "ShapeBatches", cell=1.0), ([np.ones((2, 3))], [0], 8), "augment volume outside"),
    "TensorBatches": (partial(batches, "TensorBatches"), ([sparse().crop(0, 2)], [0]), "batch"),
    "sites": (ENCODER.sites, (INK,), "items matrices shifts stroke_shifts time_shifts n_threads"),
    "save": (lambda extra: sp.save("z.safetensors", sp.ReLU(), extra), (None,), ""),
    "metrics": (metrics.error_rate, (np.ones((2, 2)), [0, 1]), "ignore_label"),
    "confusion": (metrics.confusion_matrix, ([0, 1], [0, 1]), "classes ignore_label"),
    "top_k": (metrics.top_k_error, (np.ones((2, 2)), [0, 1], 1), ""),
} | {f"SparseTensor.{name}": (getattr(sparse(), name), arguments, options) for name, arguments, options in [
    ("to_dense", (0, 4), ""), ("to_points", ([0, 1],), "kept"), ("align", (sparse(),), ""), ("add", (sparse(),), "how"),
    ("concatenate", (sparse(),), "how"), ("prune", (np.ones(4, bool),), ""), ("keep_top", (np.ones(4), 1), ""),
    ("crop", (0, 2), "moved")]
} | {f"Grid.{name}": (getattr(sparse().grid, name), arguments, "") for name, arguments in [
    ("rows_of", (SITES,)), ("partition", (2, 0)), ("collapse", (0,)), ("union", (sparse().grid,)),
    ("mask", (np.ones(4, bool),))]
} | {f"Tensor.{name}": (getattr(rows(), name), (argument,), "") for name, argument in [
    ("__add__", 1.0), ("__mul__", 1.0), ("__pow__", 2), ("__matmul__", rows()), ("sum", 0), ("mean", 0),
    ("backward", np.ones((2, 2)))]}
# What is no argument of a kind that could be wrong: endless, or as long as it is told to be.
LONG = {("fit", "epochs"), ("evaluate", "repeats"), ("widest", 1)}


@cache
def raising(path):
    """Return the lines of a file on which it raises an error itself."""
    with open(path) as file:
        text = file.read()
    if path.endswith(".py"):
        return {line for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Raise)
                for line in range(node.lineno, node.end_lineno + 1)}
    return {at + more for at, line in enumerate(text.split("\n"), 1) if "raise " in line for more in range(5)}


def is_ours(error):
    """Tell whether an error has the library's own words, or Python's on a file that is not there or a signature."""
    if isinstance(error, (*OURS, FileNotFoundError, NotImplementedError)) or "positional argument" in str(error):
        return True
    frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
    path = os.path.join(os.path.dirname(PACKAGE), frame.f_code.co_filename)
    return (isinstance(error, (ValueError, TypeError, IndexError, RuntimeError, FloatingPointError, AssertionError))
            and path.startswith(OWN) and line in raising(path))


@pytest.mark.filterwarnings("ignore")
@each("name", CALLS)
def test_wrong_arguments_of_any_kind_are_refused_in_the_librarys_own_words(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, arguments, options = CALLS[name]
    raw = []
    for place in (*range(len(arguments)), *options.split()):
        for kind, value in WRONG.items():
            if (name, place) in LONG and kind in ("huge", "uint8"):
                continue
            given = [value if i == place else argument for i, argument in enumerate(arguments)]
            try:
                made = function(*given, **({place: value} if isinstance(place, str) else {}))
                if isinstance(made, sp.Layer) and not isinstance(made, sp.DenseToSparse) and kind != "uint8":
                    made(sparse())
                elif isinstance(made, (sp.use, sp.precision)):
                    made.__exit__()
            except Exception as error:
                if not is_ours(error):
                    raw.append(f"{place}={kind}: {type(error).__name__}: {error}")
            finally:
                sp.set_threads(None)
    assert not raw, "\n".join(raw)


def test_the_calls_that_are_tried_are_the_librarys():
    for name, (function, arguments, options) in CALLS.items():
        if not isinstance(function, partial) and name not in ("fit", "fit: labels", "save"):
            assert inspect.signature(function).bind(*arguments, **dict.fromkeys(options.split()))


def test_every_kind_of_seed_that_numpy_takes_is_taken():
    for seed in (0, np.int64(3), np.uint8(3), [1, 2], np.array([1, 2]), np.array(4), np.random.SeedSequence(1),
                 np.random.PCG64(1), np.random.default_rng(2), None):
        assert sp.Convolution(2, 2, 2, 3, rng=seed).weight.shape == (9, 2, 2)
    one, other = (sp.models.unet(1, 2, rng=seed)[0].weight.data for seed in ([1, 2], np.array([1, 2])))
    assert (one == other).all()


def test_small_numpy_integers_count_as_the_numbers_that_they_are():
    net, plain = sp.models.deepcnet(np.uint8(2), np.uint8(100), rng=0), sp.models.deepcnet(2, 100, rng=0)
    assert [p.shape for p in net.parameters()] == [p.shape for p in plain.parameters()]
    assert sp.layers.WindowAttention(2, np.uint8(100), 1, 2, rng=0).weight.shape == (1, 100, 300)


@pytest.mark.parametrize("low, high, kept", [(-2**31, 5, [0]), (0, 2**31, [1]), (-2**31, 2**31, [0, 1])])
def test_a_box_may_begin_and_end_where_sites_may(low, high, kept):
    x = sp.SparseTensor.from_sites([[0, -2**31], [0, 2**31 - 1]], [[1.0], [2.0]], ground=None)
    assert x.crop(low, high).features.data[:, 0].tolist() == [1.0 + row for row in kept]


def test_a_moved_box_larger_than_int32_is_refused():
    with pytest.raises(ShapeError, match="moved=True, got .4294967296"):
        sparse().crop(-2**31, 2**31, moved=True)


def torch_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"w": 1}))
        archive.writestr("archive/data/0", bytes(8))


def written(content):
    return lambda path: path.write_bytes(content)


FOREIGN = {
    "a .pth": (torch_zip, "PyTorch checkpoint.*sp.io.read_checkpoint.*net.load_state"),
    "an old .pth": (written(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."), "PyTorch checkpoint"),
    "a pickle": (written(pickle.dumps({"w": 1})), "a pickle, which is not executed"),
    "an .npz": (lambda path: np.savez(path.open("wb"), w=np.ones(2)), r"numpy archive \(.npz\)"),
    "an .npy": (lambda path: np.save(path.open("wb"), np.ones(2)), r"numpy array \(.npy\)"),
    "HDF5": (written(b"\x89HDF\r\n\x1a\n" + bytes(90)), "HDF5 file"),
    "ONNX": (written(b"\x08\x07\x12\x07pytorch\x1a\x052.1.0:"), "an ONNX model.*sp.io.read_onnx"),
    "gzip": (written(gzip.compress(b"net" * 99)), "gzip archive.*unpack it"),
    "a page": (written(b"\n<!DOCTYPE html><html><body>404"), "an HTML page.*fetch the file itself"),
    "JSON": (written(b'{"architectures": ["LlamaForCausalLM"]}'), "a JSON text"),
    "a pointer": (written(b"version https://git-lfs.github.com/spec/v1\noid sha256:12"), "git lfs pull"),
    "nothing": (written(b""), "an empty file"),
    "noise": (written(bytes(range(90))), "a damaged, cut short or foreign file"),
    "of Hugging Face": (lambda path: save_file({"w": np.ones(2)}, path, {"format": "pt"}), "arrays only.*load_state"),
    "of others": (lambda path: save_file({"w": np.ones(2)}, path), "arrays only, no layers.*load_state"),
}


@each("write, message", FOREIGN.values(), ids=FOREIGN)
def test_load_says_what_a_foreign_file_is_and_what_to_do(write, message, tmp_path):
    path = tmp_path / "net"
    write(path)
    for read in (sp.load, sp.SparseConvClassifier.load, lambda path: trained(checkpoint=path)):
        with pytest.raises(FileError, match=message):
            read(path)


def test_a_folder_names_the_networks_in_it(tmp_path):
    with pytest.raises(IsADirectoryError, match="got a folder; there is no .safetensors"):
        sp.load(tmp_path)
    sp.save(tmp_path / "net.safetensors", sp.ReLU())
    with pytest.raises(IsADirectoryError, match="got a folder; give one, such as .*net.safetensors"):
        sp.load(tmp_path)
