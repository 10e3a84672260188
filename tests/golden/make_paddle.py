"""Make paddle.npz: single sparse layers run by Paddle on a CPU.

Needs paddlepaddle 3.3.1: `python make_paddle.py`. The file is like that of make_spconv.py.
"""

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import paddle

HERE = Path(__file__).resolve().parent
SIZE = (9, 7, 8)
CHANNELS = 3, 2


def cases():
    """Yield (kind, options): every kind x size x stride x padding x dilation x bias."""
    for size, dilation, bias in itertools.product((1, 3, 5), (1, 2), (False, True)):
        yield "submanifold", {"size": size, "dilation": dilation, "bias": bias, "padding": size // 2 * dilation}
    for size, stride, padding, dilation, bias in itertools.product(
            (1, 2, 3, 5), (1, 2, 3), (0, 1), (1, 2), (False, True)):
        if (not bias or size == 3) and stride * dilation < 6:
            yield "convolution", {"size": size, "stride": stride, "padding": padding, "dilation": dilation,
                                  "bias": bias}
    for size, stride, padding in itertools.product((1, 2, 3), (1, 2, 3), (0, 1)):
        if padding < size:
            yield "maximum", {"size": size, "stride": stride, "padding": padding}
    yield "normalisation", {"bias": True}


def layer(kind, size=1, stride=1, padding=0, dilation=1, bias=False):
    """Return the layer of a case."""
    c, o = CHANNELS
    nn, options = paddle.sparse.nn, {"padding": padding, "dilation": dilation, "bias_attr": None if bias else False}
    if kind == "submanifold":
        return nn.SubmConv3D(c, o, size, **options)
    if kind == "convolution":
        return nn.Conv3D(c, o, size, stride=stride, **options)
    return nn.BatchNorm(c) if kind == "normalisation" else nn.MaxPool3D(size, stride, padding)


def run(kind, options, sites, rows):
    """Return (state, sites, rows, field) of a case."""
    net = layer(kind, **options)
    net.eval()
    rng = np.random.default_rng(1)
    state = {}
    for name, array in net.state_dict().items():
        drawn = rng.normal(size=array.shape).astype(np.float32)
        state[name] = 1 + np.abs(drawn) if kind == "normalisation" else drawn
        array.set_value(state[name])
    y = net(paddle.sparse.sparse_coo_tensor(sites.T.astype(np.int64), rows, [2, *SIZE, CHANNELS[0]]))
    found = y.indices().numpy().T
    order = np.lexsort(found.T[::-1])
    return state, found[order].astype(np.int16), y.values().numpy()[order], list(y.shape[1:4])


def keep(arrays, array):
    """Put an array among those of the file, once, and return its name there."""
    name = hashlib.sha256(array.tobytes() + repr((array.shape, array.dtype)).encode()).hexdigest()[:12]
    arrays[name] = array
    return name


def main():
    """Write the file and its checksum."""
    paddle.set_device("cpu")
    paddle.set_grad_enabled(False)
    rng = np.random.default_rng(0)
    sites = np.unique(np.stack([rng.integers(0, n, 32) for n in (2, *SIZE)], 1), axis=0).astype(np.int32)
    rows = rng.normal(size=(len(sites), CHANNELS[0])).astype(np.float32)
    arrays, listed = {"sites": sites, "rows": rows}, []
    for kind, options in cases():
        try:
            state, found, values, size = run(kind, options, sites, rows)
        except Exception as error:                       # Paddle has no such layer
            listed.append({"kind": kind, **options, "refused": type(error).__name__})
            continue
        kept = {name: keep(arrays, array) for name, array in {"sites": found, "rows": values, **state}.items()}
        listed.append({"kind": kind, **options, "field": size, "arrays": kept})
    np.savez_compressed(HERE / "paddle.npz", cases=np.array(json.dumps(listed)), size=np.array(SIZE), **arrays)
    digest = hashlib.sha256((HERE / "paddle.npz").read_bytes()).hexdigest()
    (HERE / "paddle_sha256.txt").write_text(f"{digest}  paddle.npz\n")


if __name__ == "__main__":
    main()
