"""What the makers of this folder share: weights from a seed, sites, and spconv's convolutions with bias on a CPU."""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import hashlib
import json
import sys
import types
from pathlib import Path

import cumm.tensorview as tv
import numpy as np
import spconv.pytorch as spconv
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from seeded import seeded  # noqa: E402

torch.set_num_threads(1)
ACTIVATION = tv.gemm.Activation


def compute(self, training, x, weight, bias, add_input=None, act_type=ACTIVATION.None_, **options):
    """Convolve by spconv, whose CPU wheel has neither bias nor activation, and apply both after it."""
    for name in ("act_alpha", "act_beta", "channel_scale", "output_scale"):
        options.pop(name, None)
    y = PLAIN(self, training, x, weight, None, add_input, **options)
    rows = y.features if bias is None else torch.add(y.features, bias)
    then = {ACTIVATION.ReLU: torch.relu, ACTIVATION.Sigmoid: torch.sigmoid}.get(act_type)
    return y.replace_feature(rows if then is None else then(rows))


PLAIN = spconv.conv.SparseConvolution._conv_forward
spconv.conv.SparseConvolution._conv_forward = compute


def fill(model):
    """Give a model the seeded weights of its names; those of convolutions twice as large."""
    state = seeded({name: tensor.shape for name, tensor in model.state_dict().items()})
    model.load_state_dict({name: torch.tensor(array * 2 if array.ndim > 1 else array)
                           for name, array in state.items()})
    return model.eval()


def halved(model):
    """Round the weights to half floats, which the exporter writes, and keep them as float32."""
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.data = tensor.data.half().float()
    return model


def scene(size, channels):
    """Return sites (n, 1 + d) int32 of two samples, and rows (n, channels) float32."""
    rng = np.random.default_rng(7)
    sites = np.argwhere(rng.integers(100, size=(2, *size)) < 12)
    return np.ascontiguousarray(sites, np.int32), (rng.integers(-1000, 1001, (len(sites), channels)) / 1000
                                                   ).astype(np.float32)


def fused(conv, norm, axis=0):
    """Fold a batch normalisation into the convolution before it; `axis` of the weight is that of the outputs."""
    with torch.no_grad():
        factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shape = [-1 if n == axis % conv.weight.ndim else 1 for n in range(conv.weight.ndim)]
        conv.weight = torch.nn.Parameter(conv.weight * factor.reshape(shape))
        bias = 0 if conv.bias is None else conv.bias
        conv.bias = torch.nn.Parameter((bias - norm.running_mean) * factor + norm.bias)
    return conv


def module(name, **members):
    """Put a module of this name into sys.modules, and those that it is in."""
    parts = name.split(".")
    for i in range(1, len(parts) + 1):
        part = ".".join(parts[:i])
        if part not in sys.modules:
            sys.modules[part] = types.ModuleType(part)
            sys.modules[part].__path__ = []
            if i > 1:
                setattr(sys.modules[".".join(parts[:i - 1])], parts[i - 1], sys.modules[part])
    vars(sys.modules[name]).update(members)
    return sys.modules[name]


def write(name, cases, arrays):
    """Write NAME.npz and the checksums of it and of the .onnx files of its cases."""
    np.savez_compressed(HERE / f"{name}.npz", cases=np.array(json.dumps(cases)), **arrays)
    files = [f"{name}.npz", *(f"{case}.onnx" for case in cases)]
    lines = [f"{hashlib.sha256((HERE / file).read_bytes()).hexdigest()}  {file}\n" for file in files]
    (HERE / f"{name}_sha256.txt").write_text("".join(lines))
    for file in files:
        print(file, (HERE / file).stat().st_size, "bytes")
