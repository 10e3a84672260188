"""Make autoware.npz and its .onnx files by the layers that Tier IV exports with, traced by torch.onnx on a CPU.

Needs spconv 2.3.8, torch 2.13, onnx and the repository tier4/AWML (54293042): `python make_autoware.py FOLDER`, where
FOLDER holds projects/SparseConvolution/sparse_functional.py and sparse_conv.py. Their operations compute on CUDA alone:
here they give zeros of the right shapes, for only the graph counts. `act_type`, `do_sort`, the bias as an input and the
pairs as inputs of the graph are those of the later autoware-ml, whose steps after the export `merged` and the metadata
follow. For these, and for IndiceConv, sparse_conv.py lets every layer use pairs again, as autoware-ml's does. The
network is BEVFusion's encoder with two stages and the weights of `seeded`, the results are spconv's on one thread.
"""

import copy
import importlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from spconv.core import ConvAlgo
from spconv.pytorch import ops
from spconv.pytorch.core import ImplicitGemmIndiceData
from standin import HERE, fill, fused, halved, module, scene, spconv, torch, write
from torch import nn

module("spconv.algo", CONV_CPP=None)                                     # of the CUDA wheel; not used here
warnings.filterwarnings("ignore")
sys.path.insert(0, str(Path(sys.argv[1]) / "projects"))
functional = importlib.import_module("SparseConvolution.sparse_functional")
layers = importlib.import_module("SparseConvolution.sparse_conv")
CASES, ARRAYS = {}, {}
SIZE, OUT = (12, 10, 17), (6, 5, 3)
SLOTS = "out_indices", "pair_fwd", "pair_mask", "mask_argsort"


def native(ctx, indices, batch, size, algo, *window):
    """Return output sites, pairs and their numbers, as get_indice_pairs does."""
    out, pairs, counts = ops.get_indice_pairs(indices, batch, list(size), ConvAlgo.Native, *map(list, window[:5]),
                                              *window[5:7])
    out = indices if window[5] else out
    return out, pairs, counts, torch.tensor([len(out)], dtype=torch.int32)


def implicit(ctx, indices, batch, size, algo, *window):
    """Return output sites, and zeros for pairs, masks and order."""
    out, _, _, count = native(ctx, indices, batch, size, algo, *window)
    shapes = (int(np.prod(window[0])), len(out)), (len(out), 1), (len(out),)
    return out, *(torch.zeros(shape, dtype=torch.int32) for shape in shapes), count


functional.GetIndicePairs.forward = staticmethod(native)
functional.GetIndicePairsImplicitGemm.forward = staticmethod(implicit)
functional.ImplicitGemm.forward = staticmethod(
    lambda ctx, x, weight, pairs, *others: torch.zeros(pairs.shape[1], len(weight), dtype=x.dtype))
functional.IndiceConvFunction.forward = staticmethod(
    lambda ctx, x, weight, pairs, counts, n, *others: torch.zeros(int(n[0]), len(weight), dtype=x.dtype))


class Block(spconv.SparseModule):
    """A basic block."""

    def __init__(self, c, key):
        super().__init__()
        self.conv1, self.conv2 = (spconv.SubMConv3d(c, c, 3, padding=1, bias=False, indice_key=key) for _ in range(2))
        self.bn1, self.bn2, self.relu = nn.BatchNorm1d(c, eps=1e-3), nn.BatchNorm1d(c, eps=1e-3), nn.ReLU()

    def forward(self, x):
        """Add the convolved rows to the rows."""
        y = self.conv1(x)
        y = self.conv2(y.replace_feature(self.relu(self.bn1(y.features))))
        return y.replace_feature(self.relu(self.bn2(y.features) + x.features))


def activated(conv):
    """Return convolution, normalisation and ReLU."""
    return spconv.SparseSequential(conv, nn.BatchNorm1d(conv.out_channels, eps=1e-3), nn.ReLU())


class Encoder(nn.Module):
    """BEVFusion's sparse encoder; `dense` says how it writes the array: by dense() or by scatter."""

    def __init__(self, dense):
        super().__init__()
        self.dense = dense
        self.first = activated(spconv.SubMConv3d(5, 4, 3, padding=1, bias=False, indice_key="subm1"))
        self.stage1 = Block(4, "subm1")
        self.down = activated(spconv.SparseConv3d(4, 6, 3, 2, padding=(1, 1, 0), bias=False, indice_key="spconv1"))
        self.stage2 = Block(6, "subm2")
        self.out = activated(spconv.SparseConv3d(6, 6, (1, 1, 3), (1, 1, 2), bias=False, indice_key="spconv_down2"))

    def forward(self, rows, sites, pairs=None):
        """Convolve to the bird's-eye view."""
        x = spconv.SparseConvTensor(rows, sites.int(), list(SIZE), 2)
        x.indice_dict = {**x.indice_dict, **(pairs or {})}
        x = self.out(self.stage2(self.down(self.stage1(self.first(x)))))
        h, w, d = OUT
        if self.dense == "dense":
            y = x.dense(channels_first=False)
        else:
            b, *at = x.indices.long().unbind(1)
            where = ((b * h + at[0]) * w + at[1]) * d + at[2]
            y = torch.zeros([2 * h * w * d, x.features.shape[1]], dtype=x.features.dtype)
            y = y.scatter(0, where.unsqueeze(1).expand(-1, 6), x.features).view(2, h, w, d, 6)
        return y.permute(0, 4, 3, 1, 2).contiguous().view(2, 6 * d, h, w)


def folded(model):
    """Return a model whose normalisations are folded into the convolutions."""
    for parent in [m for m in model.modules() if isinstance(m, spconv.SparseSequential | Block)]:
        children = list(parent.named_children())
        named = dict(children)
        pairs = [("conv1", "bn1"), ("conv2", "bn2")] if isinstance(parent, Block) else [("0", "1")]
        for conv, norm in pairs:
            fused(named[conv], named[norm])
            parent.add_module(norm, nn.Identity())
    return model


def exported(name, model, inputs, later):
    """Write the graph of a model; `later`: with the attributes of autoware-ml."""
    names = [f"rulebook/{key}/{slot}" for key in ("spconv1", "spconv_down2") for slot in SLOTS]
    names = ["voxels", "coors", *names][:len(inputs)]
    axes = {given: {1 if given.endswith("pair_fwd") else 0: given.replace("/", "_")} for given in names}
    path = HERE / f"{name}.onnx"
    torch.onnx.export(model.eval(), tuple(inputs), path, dynamo=False, opset_version=17, input_names=names,
                      output_names=["lidar_bev"], dynamic_axes=axes, custom_opsets={"autoware": 1})
    graph = onnx.load(path)
    for node in graph.graph.node:
        if later and node.op_type == "GetIndicePairsImplicitGemm":
            node.attribute.append(onnx.helper.make_attribute("do_sort", 1))
        if later and node.op_type == "ImplicitGemm":
            node.attribute.append(onnx.helper.make_attribute("act_type", 0))
    return path, graph


def merged(graph):
    """Make the bias that follows an ImplicitGemm its sixth input, and a ReLU after it its activation."""
    nodes, gone = graph.graph.node, []
    weights = {tensor.name for tensor in graph.graph.initializer}
    for gemm in [node for node in nodes if node.op_type == "ImplicitGemm"]:
        add = next(node for node in nodes if gemm.output[0] in node.input)
        bias = [given for given in add.input if given in weights]
        if add.op_type != "Add" or not bias:
            continue
        gemm.input.append(bias[0])
        relu = [node for node in nodes if add.output[0] in node.input]
        if len(relu) == 1 and relu[0].op_type == "Relu":
            next(given for given in gemm.attribute if given.name == "act_type").i = 1
            gone.append(relu[0])
        gone.append(add)
        gemm.output[0] = gone[-2].output[0] if len(relu) == 1 and relu[0].op_type == "Relu" else add.output[0]
    for node in gone:
        nodes.remove(node)


class WithPairs(nn.Module):
    """An encoder whose strided convolutions take their pairs from the graph's inputs."""

    def __init__(self, encoder, strided):
        super().__init__()
        self.encoder, self.strided = encoder, strided

    def forward(self, rows, sites, *given):
        """Convolve."""
        pairs = {}
        for i, (conv, size, out) in enumerate(self.strided):
            at, forward, mask, order = given[4 * i:4 * i + 4]
            pairs[conv.indice_key] = ImplicitGemmIndiceData(
                at, None, forward, None, mask, None, order, mask_argsort_bwd_splits=None, masks=[None], is_subm=False,
                spatial_shape=size, out_spatial_shape=out, algo=conv.algo, ksize=conv.kernel_size, stride=conv.stride,
                padding=conv.padding, dilation=conv.dilation, out_voxel_num=at.shape[0])
        return self.encoder(rows, sites, pairs)


def strided(encoder):
    """Return (convolution, size before, size after) of the strided convolutions."""
    first, second = encoder.down[0], encoder.out[0]
    between = ops.get_conv_output_size(list(SIZE), first.kernel_size, first.stride, first.padding, first.dilation)
    return [(first, list(SIZE), between), (second, between, list(OUT))]


def case(name, dense, *, fold, half=False, later=False, algo=ConvAlgo.MaskImplicitGemm, pairs=False):
    """Write one file, and keep spconv's result."""
    model = fill(Encoder(dense))
    model = folded(model) if fold else model
    model = halved(model) if half else model
    sites, rows = scene(SIZE, 5)
    with torch.no_grad():
        y = model(torch.tensor(rows), torch.tensor(sites))
    ready = copy.deepcopy(model).to(torch.half if half else torch.float32).eval()
    for conv in [m for m in ready.modules() if isinstance(m, spconv.conv.SparseConvolution)]:
        conv.__class__, conv.algo = layers.SparseConvolution, algo
    inputs = [torch.tensor(rows).to(torch.half if half else torch.float32), torch.tensor(sites)]
    if pairs:
        found = strided(ready)
        for conv, size, _ in found:
            at = inputs[-4] if len(inputs) > 2 else inputs[1]
            window = conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.output_padding
            inputs += implicit(None, at, 2, size, None, *window, False, False)[:4]
        ready = WithPairs(ready, found)
    path, graph = exported(name, ready, inputs, later)
    if later:
        merged(graph)
    if pairs:
        stages = [{"onnx_base": f"rulebook/{conv.indice_key}", "ksize": list(conv.kernel_size),
                   "stride": list(conv.stride), "padding": list(conv.padding), "dilation": list(conv.dilation),
                   "spatial_shape": size} for conv, size, _ in found]
        onnx.helper.set_model_props(graph, {"rulebook_stages": json.dumps(stages)})
    onnx.save(graph, path)
    CASES[name] = {"size": SIZE, "options": {}}
    ARRAYS.update({f"{name}|sites": sites.astype(np.int8), f"{name}|rows": rows, f"{name}|dense": y.numpy()})


def main():
    """Write the files."""
    case("autoware", "dense", fold=False)
    case("autoware_half", "scatter", fold=True, half=True)
    case("autoware_merged", "scatter", fold=True, half=True, later=True)
    case("autoware_pairs", "scatter", fold=True, later=True, pairs=True)
    case("autoware_native", "dense", fold=True, algo=ConvAlgo.Native)
    write("autoware", CASES, ARRAYS)


if __name__ == "__main__":
    main()
