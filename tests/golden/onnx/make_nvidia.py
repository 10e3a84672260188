"""Make nvidia.npz and its .onnx files by the exporters of NVIDIA's Lidar_AI_Solution, unchanged, on a CPU.

Needs spconv 2.3.8, torch, onnx and files of the repository NVIDIA-AI-IOT/Lidar_AI_Solution: `python make_nvidia.py
FOLDER`, where FOLDER holds CUDA-CenterPoint/qat/onnx_export/exptool.py (22441d1) and CUDA-BEVFusion/qat/lean/exptool.py
(f5c954d). The modules that these import stand below: the networks of det3d and mmdet3d, narrow,
with batch normalisations folded, and quantisers that do nothing, as in the export of a network trained for INT8.
Weights are those of `seeded`, rounded to half floats. The results are spconv's, of convolutions on one thread.
"""

import importlib
import sys
from pathlib import Path

import numpy as np
from standin import ACTIVATION, HERE, compute, fill, fused, halved, module, scene, spconv, torch, write
from torch import nn

FOLDER = Path(sys.argv[1])
CASES, ARRAYS = {}, {}
SubM, Conv, Inverse, Up = (spconv.SubMConv3d, spconv.SparseConv3d, spconv.SparseInverseConv3d,
                           spconv.SparseConvTranspose3d)


class Quantizer(nn.Module):
    """A disabled quantiser that has its range."""

    def __init__(self, amax):
        super().__init__()
        self.amax = torch.as_tensor(amax)


class QuantAdd(nn.Module):
    """A sum of two tensors."""

    def __init__(self):
        super().__init__()
        self.input_quantizer = self._input_quantizer = Quantizer(3.5)
        self.precision = self.output_precision = "int8"

    def forward(self, a, b):
        """Add."""
        return torch.add(a, b)


def quantized(model, cls, axis):
    """Return a model whose convolutions are of a quantised class."""
    for conv in [m for m in model.modules() if isinstance(m, spconv.conv.SparseConvolution | Old)]:
        conv.__class__ = cls
        others = [n for n in range(5) if n != axis]
        conv.input_quantizer = conv._input_quantizer = Quantizer(2.5)
        conv.weight_quantizer = conv._weight_quantizer = Quantizer(conv.weight.detach().abs().amax(others))
        conv.precision = conv.output_precision = "int8"
    return model


# CUDA-CenterPoint: det3d's SpMiddleResNetFHD on spconv 2

class Quantized(spconv.conv.SparseConvolution):
    """A convolution of spconv 2 with quantisers."""

    def forward(self, x):
        """Convolve."""
        return super().forward(x)


def activated(conv, relu):
    """Return a convolution with ReLU: as its activation, or as a module."""
    if relu:
        conv.act_type = ACTIVATION.ReLU
        return conv
    return spconv.SparseSequential(conv, nn.ReLU())


class Block(spconv.SparseModule):
    """det3d's SparseBasicBlock after the folding."""

    def __init__(self, c, key, relu, add=None):
        super().__init__()
        self.conv1, self.conv2, self.relu = (activated(SubM(c, c, 3, padding=1, indice_key=key), relu),
                                             SubM(c, c, 3, padding=1, indice_key=key), nn.ReLU())
        self.quant_add = add

    def forward(self, x):
        """Add the convolved rows to the rows."""
        y = self.conv2(self.conv1(x))
        rows = self.quant_add(y.features, x.features) if self.quant_add else y.features + x.features
        return y.replace_feature(self.relu(y.replace_feature(rows).features))


class CenterPoint(nn.Module):
    """SpMiddleResNetFHD with half its stages."""

    def __init__(self, relu, add=None):
        super().__init__()
        norm, a, b = nn.BatchNorm1d, activated, (4, 6)
        norms = {"a": norm(b[0]), "b": norm(b[1]), "c": norm(b[1])}
        convs = (SubM(5, b[0], 3, bias=False, indice_key="res0"), Conv(b[0], b[1], 3, 2, padding=[0, 1, 1], bias=False),
                 Conv(b[1], b[1], (3, 1, 1), (2, 1, 1), bias=False))
        self.convs, self.norms = nn.ModuleList(convs), nn.ModuleDict(norms)
        self.blocks = nn.ModuleList([Block(b[0], "res0", relu, add), Block(b[1], "res1", relu, add)])
        self.activated = lambda: [a(fused(c, n), relu) for c, n in zip(convs, norms.values(), strict=True)]

    def forward(self, rows, sites, batch, size):
        """Convolve to the bird's-eye view."""
        x = spconv.SparseConvTensor(rows, sites, np.array(size[::-1]) + [1, 0, 0], batch)
        first, down, out = self.layers
        y = out(self.blocks[1](down(self.blocks[0](first(x))))).dense()
        n, c, d, h, w = y.shape
        return [y.view(n, c * d, h, w)]


class Layers(nn.Module):
    """Layers one after another to a dense array."""

    def __init__(self, *layers):
        super().__init__()
        self.each = nn.ModuleList(layers)

    def forward(self, rows, sites, batch, size):
        """Convolve, and merge the first axis of sites into the channels."""
        x = spconv.SparseConvTensor(rows, sites, size, batch)
        for layer in self.each:
            x = x.replace_feature(layer(x.features)) if isinstance(layer, nn.ReLU) else layer(x)
        y = x.dense()
        n, c, d, h, w = y.shape
        return [y.view(n, c * d, h, w)]


def centerpoint(exptool):
    """Write the cases of CUDA-CenterPoint's exporter."""
    def export(name, model, size, shape, options=None):
        first = next(layer for layer in model.modules() if isinstance(layer, spconv.conv.SparseConvolution))
        sites, rows = scene(size, first.in_channels)
        exptool.obj_to_tensor_id.clear()
        y = exptool.export_onnx(model, *map(torch.tensor, (rows, sites)), 2, shape, HERE / f"{name}.onnx", None)
        with torch.no_grad():
            y = model(torch.tensor(rows), torch.tensor(sites), 2, shape)[0]
        keep(name, sites, rows, size, y, options)

    for name, relu, add in (("centerpoint", True, None), ("centerpoint_relu", False, None),
                            ("centerpoint_int8", True, QuantAdd())):
        model = fill(CenterPoint(relu, add))
        model.layers = nn.ModuleList(model.activated())
        model = halved(model.eval())
        export(name, quantized(model, Quantized, 0) if add else model, (17, 10, 12), [12, 10, 16])
    sigmoid = SubM(4, 4, 3)
    sigmoid.act_type = ACTIVATION.Sigmoid
    layers = {
        "inverse": ([SubM(3, 4, 3, indice_key="s"), nn.ReLU(), Conv(4, 6, 3, 2, 1, bias=False, indice_key="d1"),
                     Conv(6, 8, 2, 2, indice_key="d2"), SubM(8, 8, 3, bias=False), Inverse(8, 6, 2, "d2"), nn.ReLU(),
                     Inverse(6, 4, 3, "d1", bias=False), SubM(4, 2, 3, indice_key="s")], None),
        "windows": ([SubM(3, 4, 3, dilation=2), sigmoid, Conv(4, 4, (3, 1, 1), (2, 1, 1)), SubM(4, 4, (1, 3, 5)),
                     Conv(4, 4, 3, 1, 1, dilation=2), Up(4, 4, 3, 2, 1, bias=False),
                     Conv(4, 3, 3, (1, 2, 3), (0, 1, 2))], None),
        "size_1": ([SubM(3, 4, 1, bias=False), SubM(4, 4, 3), Conv(4, 6, 1, 2, indice_key="d"), SubM(6, 6, 1),
                    Inverse(6, 5, 1, "d"), Conv(5, 4, 1, bias=False)], {"one_by_one": "raw"}),
    }
    for name, (each, options) in layers.items():
        export(f"layers_{name}", halved(fill(Layers(*each))), (9, 10, 11), [9, 10, 11], options)


# CUDA-BEVFusion: mmdet3d's SparseEncoder on spconv 1

class OldTensor:
    """The SparseConvTensor of spconv 1, whose features can be set."""

    def __init__(self, features, indices, spatial_shape, batch_size, grid=None):
        self.features, self.indices, self.spatial_shape = features, indices, list(spatial_shape)
        self.batch_size, self.grid = batch_size, grid

    def dense(self):
        """Return the dense array (b, c, *size)."""
        return spconv.SparseConvTensor(self.features, self.indices, self.spatial_shape, self.batch_size).dense()


class Old(nn.Module):
    """A convolution with the weight of spconv 1, (*size, c, o), computed by spconv 2."""

    def __init__(self, c, o, size, stride=1, padding=0, subm=False, key=None):
        super().__init__()
        self.ndim, self.in_channels, self.out_channels, self.subm, self.indice_key = 3, c, o, subm, key
        given = size, stride, padding, 1, 0
        self.kernel_size, self.stride, self.padding, self.dilation, self.output_padding = (
            list(n) if isinstance(n, tuple) else [n] * 3 for n in given)
        self.groups, self.transposed, self.inverse = 1, False, False
        self.weight, self.bias = nn.Parameter(torch.empty(*self.kernel_size, c, o)), None

    def forward(self, x):
        """Convolve."""
        made = (SubM if self.subm else Conv)(self.in_channels, self.out_channels, self.kernel_size, self.stride,
                                             self.padding, bias=False).eval()
        weight = self.weight.data.permute(4, 0, 1, 2, 3).contiguous()
        x = spconv.SparseConvTensor(x.features, x.indices.contiguous(), x.spatial_shape, x.batch_size)
        act = ACTIVATION.ReLU if getattr(self, "act_type", "None") == "ReLU" else ACTIVATION.None_
        y = compute(made, False, x, weight, self.bias, act_type=act)
        return OldTensor(y.features, y.indices, y.spatial_shape, y.batch_size)


class OldQuantized(Old):
    """A convolution of spconv 1 with quantisers."""

    def forward(self, x):
        """Convolve."""
        return super().forward(x)


class OldBlock(nn.Module):
    """mmdet3d's SparseBasicBlock after the folding."""

    def __init__(self, c, key, add=None):
        super().__init__()
        self.conv1, self.conv2 = (Old(c, c, 3, padding=1, subm=True, key=key) for _ in range(2))
        self.conv1.act_type, self.relu, self.quant_add = "ReLU", nn.ReLU(), add

    def forward(self, x):
        """Add the convolved rows to the rows."""
        y = self.conv2(self.conv1(x))
        rows = self.quant_add(y.features, x.features) if self.quant_add else y.features + x.features
        return OldTensor(self.relu(rows), y.indices, y.spatial_shape, y.batch_size)


class SparseEncoder(nn.Module):
    """mmdet3d's encoder with two stages."""

    def __init__(self, size, add=None):
        super().__init__()
        self.sparse_shape = list(size)
        self.conv_input = Old(5, 4, 3, padding=1, subm=True, key="subm1")
        down = Old(4, 6, 3, 2, (1, 1, 0), key="spconv1")
        self.encoder_layers = nn.ModuleList([
            nn.Sequential(OldBlock(4, "subm1", add), OldBlock(4, "subm1", add), down),
            nn.Sequential(OldBlock(6, "subm2", add), OldBlock(6, "subm2", add))])
        self.conv_out = Old(6, 6, (1, 1, 3), (1, 1, 2), key="spconv_down2")
        self.norms = nn.ModuleList([nn.BatchNorm1d(c) for c in (4, 6, 6)])
        for conv in (self.conv_input, down, self.conv_out):
            conv.act_type = "ReLU"
        self.pairs = [(self.conv_input, self.norms[0]), (down, self.norms[1]), (self.conv_out, self.norms[2])]


def bevfusion(exptool):
    """Write the cases of CUDA-BEVFusion's exporter."""
    size = (12, 10, 17)
    for name, inverse, add in (("bevfusion", False, None), ("bevfusion_zyx", True, None),
                               ("bevfusion_int8", False, QuantAdd())):
        model = fill(SparseEncoder(size, add))
        for conv, norm in model.pairs:
            fused(conv, norm, -1)
        model = halved(model)
        if add:
            quantized(model, OldQuantized, 4)
        sites, rows = scene(size, 5)
        exptool.export_onnx(model, torch.tensor(rows), torch.tensor(sites), 2, inverse, HERE / f"{name}.onnx")
        if inverse:
            sites = np.ascontiguousarray(sites[:, [0, 3, 2, 1]])
        with torch.no_grad():
            y = model(torch.tensor(rows), torch.tensor(sites), 2)
        keep(name, sites, rows, size[::-1] if inverse else size, y)


def keep(name, sites, rows, size, y, options=None):
    """Keep the arrays of a case."""
    CASES[name] = {"size": [int(n) for n in size], "options": options or {}}
    ARRAYS.update({f"{name}|sites": sites.astype(np.int8), f"{name}|rows": rows, f"{name}|dense": y.numpy()})


def exporter(folder, package=None):
    """Return the exporter in a folder, as a module of a package."""
    sys.path.insert(0, str(FOLDER / folder))
    sys.modules.pop("exptool", None)
    return importlib.import_module("exptool" if package is None else f"{package}.exptool")


def main():
    """Write the files."""
    module("funcs")
    module("tools.sparseconv_quantization", QuantAdd=QuantAdd, SparseConvolutionQunat=Quantized)
    centerpoint(exporter("CUDA-CenterPoint/qat/onnx_export"))
    old = module("mmdet3d.ops.spconv", SparseConvTensor=OldTensor, ops=spconv.ops)
    module("mmdet3d.ops.spconv.conv", SparseConvolution=Old)
    module("mmdet3d.ops.spconv.structure", SparseConvTensor=OldTensor)
    module("mmdet3d.ops", spconv=old)
    module("mmdet3d.models.backbones.sparse_encoder", SparseEncoder=SparseEncoder)
    lean = module("lean")
    lean.__path__ = [str(FOLDER / "CUDA-BEVFusion/qat/lean")]
    module("lean.funcs")
    module("lean.tensor")
    module("lean.quantize", QuantAdd=QuantAdd, SparseConvolutionQunat=OldQuantized)
    bevfusion(exporter("CUDA-BEVFusion/qat/lean", "lean"))
    write("nvidia", CASES, ARRAYS)


if __name__ == "__main__":
    main()
