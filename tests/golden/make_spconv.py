"""Make spconv.npz: single layers run by spconv's CPU wheel, on one thread because its scatter races on more.

Needs spconv 2.3.8 and torch: `python make_spconv.py`. The file holds one scene, and for each case the arguments, the
weights by the names of the layer's own state, and the sites and rows of the result.
"""

import hashlib
import itertools
import json
import os
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import spconv.pytorch as spconv
import torch

HERE = Path(__file__).resolve().parent
SIZE = (9, 7, 8)
CHANNELS = 3, 2


def scene(rng):
    """Return sites (batch, z, y, x) and rows of two samples."""
    sites = np.stack([rng.integers(0, n, 32) for n in (2, *SIZE)], 1)
    sites = np.unique(sites, axis=0).astype(np.int32)
    return sites, rng.normal(size=(len(sites), CHANNELS[0])).astype(np.float32)


def cases():
    """Yield (kind, options): every kind x size x stride x padding x dilation x bias."""
    for size, dilation, bias in itertools.product((1, 2, 3, 5), (1, 2), (False, True)):
        yield "submanifold", {"size": size, "dilation": dilation, "bias": bias}
    for kind in ("convolution", "inverse", "transposed", "maximum"):
        for size, stride, padding, dilation, bias in itertools.product(
                (1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (1, 2), (False, True)):
            small = padding * dilation < 4 and stride * dilation < 6
            if small and (not bias or size == dilation == 1 and kind != "maximum"):
                yield kind, {"size": size, "stride": stride, "padding": padding, "dilation": dilation, "bias": bias}
    for size in ((3, 1, 1), (1, 2, 3)):
        yield "submanifold", {"size": (3, 1, 5), "dilation": 1, "bias": False}
        yield "convolution", {"size": size, "stride": (2, 1, 1), "padding": (0, 1, 0), "dilation": 1, "bias": False}


def layers(kind, size, dilation, bias, stride=1, padding=0):
    """Return the layers of a case."""
    c, o = CHANNELS
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    if kind == "submanifold":
        return [spconv.SubMConv3d(c, o, size, dilation=dilation, bias=bias, indice_key="a")]
    if kind == "maximum":
        return [spconv.SparseMaxPool3d(size, indice_key="a", **options)]
    if kind == "transposed":
        return [spconv.SparseConvTranspose3d(c, o, size, bias=bias, indice_key="a", **options)]
    found = [spconv.SparseConv3d(c, o, size, bias=bias, indice_key="a", **options)]
    if kind == "inverse":
        found.append(spconv.SparseInverseConv3d(o, c, size, bias=bias, indice_key="a"))
    return found


def run(kind, options, sites, rows):
    """Return (state, sites, rows, field) of a case."""
    torch.manual_seed(0)
    net = spconv.SparseSequential(*layers(kind, **options)).eval()
    for parameter in net.parameters():
        parameter.normal_()
    y = net(spconv.SparseConvTensor(torch.from_numpy(rows), torch.from_numpy(sites), list(SIZE), 2))
    order = np.lexsort(y.indices.numpy().T[::-1])
    state = {name: array.numpy() for name, array in net.state_dict().items()}
    return state, y.indices.numpy()[order].astype(np.int16), y.features.numpy()[order], list(y.spatial_shape)


def keep(arrays, array):
    """Put an array among those of the file, once, and return its name there."""
    name = hashlib.sha256(array.tobytes() + repr((array.shape, array.dtype)).encode()).hexdigest()[:12]
    arrays[name] = array
    return name


def main():
    """Write the file and its checksum."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    sites, rows = scene(np.random.default_rng(0))
    arrays, listed = {"sites": sites, "rows": rows}, []
    for kind, options in cases():
        case = {"kind": kind, **options}
        try:
            state, found, values, size = run(kind, options, sites, rows)
        except Exception as error:                       # spconv has no such layer, or none on a CPU
            words = str(error).strip().split("\n")[0]
            listed.append({**case, "refused": type(error).__name__ if words[:1] == "/" else words})
            continue
        kept = {name: keep(arrays, array) for name, array in {"sites": found, "rows": values, **state}.items()}
        listed.append({**case, "field": size, "arrays": kept})
    np.savez_compressed(HERE / "spconv.npz", cases=np.array(json.dumps(listed)), size=np.array(SIZE), **arrays)
    digest = hashlib.sha256((HERE / "spconv.npz").read_bytes()).hexdigest()
    (HERE / "spconv_sha256.txt").write_text(f"{digest}  spconv.npz\n")


if __name__ == "__main__":
    main()
