"""Make minkowski.npz: single layers and a MinkUNet14A run by MinkowskiEngine on a CPU, on one thread.

Needs MinkowskiEngine 0.5.4 and torch: `python make_minkowski.py`. The file is like that of make_spconv.py. Coordinates
begin at 12, a multiple of all strides, and are divided by the stride of the tensor that has them. The network's weights
come from `seeded`. Windows of the type HYPER_CROSS are left out: on a CPU their kernel map is empty.
"""

import collections
import collections.abc
import hashlib
import itertools
import json
import os
import warnings
from pathlib import Path

import numpy as np
import torch
from seeded import seeded
from torch import nn

os.environ["OMP_NUM_THREADS"] = "1"
collections.Sequence = collections.abc.Sequence         # where Python had it before 3.10, and 0.5.4 still looks for it
warnings.filterwarnings("ignore")

import MinkowskiEngine as me  # noqa: E402
from MinkowskiEngine.modules.resnet_block import BasicBlock  # noqa: E402

HERE = Path(__file__).resolve().parent
ORIGIN, SIZE = 12, (9, 7, 8)
CHANNELS = 3, 2
PLANES = (32, 64, 128, 256, 128, 128, 96, 96)           # of MinkUNet14A, four levels down and four up
WIDTH = 1 / 8


def cases():
    """Yield (kind, options): every kind x size x stride x dilation x bias."""
    for size, stride, dilation, bias in itertools.product((1, 2, 3, 5), (1, 2, 3), (1, 2), (False, True)):
        if not bias or size < 3:
            yield "convolution", {"size": size, "stride": stride, "dilation": dilation, "bias": bias}
    for kind in ("transposed", "generative"):
        for size, stride, bias in itertools.product((1, 2, 3, 5), (2, 3), (False, True)):
            if not bias or size == 2:
                yield kind, {"size": size, "stride": stride, "bias": bias}
    for kind, size, stride in itertools.product(("maximum", "sum", "average"), (1, 2, 3, 5), (1, 2, 3)):
        yield kind, {"size": size, "stride": stride}
    for stride in (2, 3):
        yield "unpooling", {"size": stride, "stride": stride}
    for kind in ("normalisation", "global maximum", "global sum", "global average"):
        yield kind, {}


def layers(kind, size=1, stride=1, dilation=1, bias=False):
    """Return the layers of a case."""
    c, o = CHANNELS
    options = {"dilation": dilation, "dimension": 3}
    pools = {"maximum": me.MinkowskiMaxPooling, "sum": me.MinkowskiSumPooling, "average": me.MinkowskiAvgPooling}
    others = {"normalisation": lambda: me.MinkowskiBatchNorm(c), "global maximum": me.MinkowskiGlobalMaxPooling,
              "global sum": me.MinkowskiGlobalSumPooling, "global average": me.MinkowskiGlobalAvgPooling}
    if kind in others:
        return [others[kind]()]
    if kind in pools:
        return [pools[kind](size, stride, **options)]
    if kind == "unpooling":
        return [me.MinkowskiSumPooling(size, stride, **options), me.MinkowskiPoolingTranspose(size, stride, **options)]
    first = me.MinkowskiConvolution(c, o, size, stride, bias=bias, **options)
    back = {"transposed": me.MinkowskiConvolutionTranspose, "generative": me.MinkowskiGenerativeConvolutionTranspose}
    return [first, back[kind](o, c, size, stride, bias=bias, **options)] if kind in back else [first]


def run(net, sites, rows):
    """Return (sites, rows) of what a network gives, in order."""
    y = net(me.SparseTensor(torch.from_numpy(rows), torch.from_numpy(sites)))
    found = y.C.numpy().copy()
    stride = np.array(y.tensor_stride) if found[:, 1:].any() else np.ones(3, int)
    assert not (found[:, 1:] % stride).any()
    found[:, 1:] //= stride
    order = np.lexsort(found.T[::-1])
    return found[order].astype(np.int16), y.F.numpy()[order]


def scene(n, size, channels):
    """Return sites and rows of two samples."""
    rng = np.random.default_rng(n)
    sites = np.stack([rng.integers(0, m, n) for m in (2, *size)], 1)
    sites[:, 1:] += ORIGIN
    sites = np.unique(sites, axis=0).astype(np.int32)
    return sites, rng.normal(size=(len(sites), channels)).astype(np.float32)


class MinkUNet(nn.Module):
    """A MinkUNet, its modules named as in MinkowskiEngine's examples."""

    def __init__(self, channels, classes, repeats=(1,) * 8, planes=PLANES, width=1.0):
        super().__init__()
        planes, self.depth = [int(width * n) for n in planes], len(planes) // 2
        last = int(width * 32)
        skips = [last, *planes[:self.depth - 1]]
        self.conv0p1s1, self.bn0 = self.convolution(channels, last, 5, 1), me.MinkowskiBatchNorm(last)
        for i, plane in enumerate(planes):
            n = i + 1
            if i < self.depth:
                conv, norm = self.convolution(last, last, 2, 2), me.MinkowskiBatchNorm(last)
                setattr(self, f"conv{n}p{2**i}s2", conv)
                setattr(self, f"bn{n}", norm)
            else:
                conv = me.MinkowskiConvolutionTranspose(last, plane, 2, 2, dimension=3)
                setattr(self, f"convtr{i}p{2**(2 * self.depth - i)}s2", conv)
                setattr(self, f"bntr{i}", me.MinkowskiBatchNorm(plane))
                last = plane + skips.pop()
            setattr(self, f"block{n}", self.blocks(last, plane, repeats[i]))
            last = plane
        self.final = me.MinkowskiConvolution(last, classes, 1, bias=True, dimension=3)

    @staticmethod
    def convolution(c, o, size, stride):
        """Return a convolution without a bias."""
        return me.MinkowskiConvolution(c, o, size, stride, dimension=3)

    def blocks(self, c, o, n):
        """Return n basic blocks."""
        change = None
        if c != o:
            change = nn.Sequential(self.convolution(c, o, 1, 1), me.MinkowskiBatchNorm(o))
        return nn.Sequential(BasicBlock(c, o, downsample=change, dimension=3),
                             *(BasicBlock(o, o, dimension=3) for _ in range(n - 1)))

    def forward(self, x):
        """Label every site."""
        relu, n = me.MinkowskiReLU(), self.depth
        x = relu(self.bn0(self.conv0p1s1(x)))
        skips = []
        for i in range(n):
            skips.append(x)
            x = relu(getattr(self, f"bn{i + 1}")(getattr(self, f"conv{i + 1}p{2**i}s2")(x)))
            x = getattr(self, f"block{i + 1}")(x)
        for i in range(n, 2 * n):
            x = relu(getattr(self, f"bntr{i}")(getattr(self, f"convtr{i}p{2**(2 * n - i)}s2")(x)))
            x = getattr(self, f"block{i + 1}")(me.cat(x, skips.pop()))
        return self.final(x)


def network():
    """Return the arrays of the network's case."""
    net = MinkUNet(3, 5, width=WIDTH).eval()
    state = seeded({name: array.shape for name, array in net.state_dict().items()})
    net.load_state_dict({name: torch.from_numpy(np.asarray(array)) for name, array in state.items()})
    sites, rows = scene(300, (32, 32, 24), 3)
    found, values = run(net, sites, rows)
    shapes = json.dumps({name: array.shape for name, array in state.items()})
    return {"network/sites": sites, "network/rows": rows, "network/shapes": np.array(shapes),
            "network/out_sites": found, "network/out_rows": values}


def keep(arrays, array):
    """Put an array among those of the file, once, and return its name there."""
    name = hashlib.sha256(array.tobytes() + repr((array.shape, array.dtype)).encode()).hexdigest()[:12]
    arrays[name] = array
    return name


def main():
    """Write the file and its checksum."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    sites, rows = scene(32, SIZE, CHANNELS[0])
    arrays, listed = {"sites": sites, "rows": rows}, []
    for kind, options in cases():
        torch.manual_seed(0)
        net = nn.Sequential(*layers(kind, **options)).eval()
        for name, array in net.state_dict().items():
            array.normal_() if array.is_floating_point() else None
            if name.endswith("running_var"):
                array.abs_().add_(1)
        try:
            found, values = run(net, sites, rows)
        except Exception as error:                       # MinkowskiEngine has no such layer
            listed.append({"kind": kind, **options, "refused": str(error).strip().split("\n")[0][:80]})
            continue
        state = {name: array.numpy() for name, array in net.state_dict().items()}
        kept = {name: keep(arrays, array) for name, array in {"sites": found, "rows": values, **state}.items()}
        listed.append({"kind": kind, **options, "arrays": kept})
    np.savez_compressed(HERE / "minkowski.npz", cases=np.array(json.dumps(listed)), **arrays, **network())
    digest = hashlib.sha256((HERE / "minkowski.npz").read_bytes()).hexdigest()
    (HERE / "minkowski_sha256.txt").write_text(f"{digest}  minkowski.npz\n")


if __name__ == "__main__":
    main()
