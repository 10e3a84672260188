"""Make sparseconvnet.npz: layers and networks of SparseConvNet on a CPU, on one thread, with their gradients.

    python make_sparseconvnet.py [--package FOLDER]

SparseConvNet is in no package registry, so it needs a build of your own: github.com/facebookresearch/SparseConvNet, BSD
licence; FOLDER is the one that holds `sparseconvnet`. This file was made by the newest version of each of its files
that a public index of repositories has, up to d27491d (C++ up to 2ad7baf): the CPU part of the layers below, compiled
with torch 2.13 and sparsehash 2.0.3 and bound in one file. Since torch 1.5 its layers need `//` for `/` where they
compute `output.spatial_size`. Weights and gradients of the outputs come from `seeded`. The file has the sites and rows
that go in and come out, in order of the sites, the batch index first, and the gradients.
"""

import argparse
import hashlib
import itertools
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from seeded import array, seeded

os.environ["OMP_NUM_THREADS"] = "1"

HERE = Path(__file__).resolve().parent
CHANNELS = 4, 2
FIELDS = 24, 9, 6, 4                                    # fields of at least so many sites an axis, by dimension
SIZES, STRIDES = (1, 2, 3, 5), (1, 2, 3)
STRIDED = ("convolution", "full", "deconvolution", "maximum", "average", "unpooling")
PLAIN = ("network in network", "normalisation", "normalised relu", "normalised leaky relu", "relu", "leaky relu", "elu",
         "selu", "tanh", "sigmoid", "dropout")
NETWORKS = {"unet": (16, 12, 8), "residual unet": (16, 12, 8), "resnet": (31, 31), "vgg": (63, 63),
            "fully convolutional": (32, 24)}             # and their fields


def cases():
    """Yield (kind, options): every kind x dimension x size x stride x bias, as far as it has them."""
    for d, size, bias in itertools.product((1, 2, 3, 4), SIZES, (False, True)):
        yield "submanifold", {"d": d, "size": size, "bias": bias}
    for kind, d, size, stride in itertools.product(STRIDED, (1, 2, 3, 4), SIZES, STRIDES):
        biases = (False, True) if kind in STRIDED[:3] and size < 5 and stride < 3 else (False,)
        if d < 4 or size < 5 or stride == 2 and kind != "full":
            yield from ((kind, {"d": d, "size": size, "stride": stride, "bias": bias}) for bias in biases)
    for kind, size in itertools.product(("submanifold", *STRIDED[:3]), (2, 3)):
        yield kind, {"d": 2, "size": size, "stride": 2, "bias": True, "groups": 2}
    for d in (1, 2, 3, 4):
        yield "dense", {"d": d}
    for kind, training in itertools.product(PLAIN, (False, True)):
        if kind.startswith("normalis") or training != (kind == "dropout"):
            yield kind, {"d": 2, "training": training and kind != "dropout"}
    for mode in range(5):
        yield "input and output", {"d": 2, "mode": mode}
    for kind, training in itertools.product(NETWORKS, (False, True)):
        yield kind, {"d": len(NETWORKS[kind]), "training": training}


def field_of(d, size=1, stride=1, **_):
    """Return a field that the windows fill."""
    return ((max(FIELDS[d - 1] - size, 0) + stride - 1) // stride * stride + size,) * d


def layers(scn, kind, d, size=1, stride=1, bias=False, groups=1, **_):
    """Return the layers of a case."""
    c, o = CHANNELS
    window = (size, stride)
    made = {
        "submanifold": lambda: [scn.SubmanifoldConvolution(d, c, o, size, bias, groups)],
        "convolution": lambda: [scn.Convolution(d, c, o, *window, bias, groups)],
        "full": lambda: [scn.FullConvolution(d, c, o, *window, bias, groups)],
        "deconvolution": lambda: [scn.Convolution(d, c, o, *window, False, groups),
                                  scn.Deconvolution(d, o, c, *window, bias, groups)],
        "maximum": lambda: [scn.MaxPooling(d, *window)],
        "average": lambda: [scn.AveragePooling(d, *window)],
        "unpooling": lambda: [scn.MaxPooling(d, *window), scn.UnPooling(d, *window)],
        "dense": lambda: [scn.SparseToDense(d, c)],
        "network in network": lambda: [scn.NetworkInNetwork(c, o, True)],
        "normalisation": lambda: [scn.BatchNormalization(c)],
        "normalised relu": lambda: [scn.BatchNormReLU(c)],
        "normalised leaky relu": lambda: [scn.BatchNormLeakyReLU(c, leakiness=0.25)],
        "relu": lambda: [scn.ReLU()],
        "leaky relu": lambda: [scn.LeakyReLU(0.25)],
        "elu": lambda: [scn.ELU()],
        "selu": lambda: [scn.SELU()],
        "tanh": lambda: [scn.Tanh()],
        "sigmoid": lambda: [scn.Sigmoid()],
        "dropout": lambda: [scn.Dropout(0.25)],
        "input and output": lambda: [scn.OutputLayer(d)],
        "resnet": lambda: [scn.SubmanifoldConvolution(d, c, 3, 3, False), scn.MaxPooling(d, 3, 2),
                           scn.SparseResNet(d, 3, [["b", 3, 2, 1], ["b", 4, 2, 2], ["b", 5, 1, 1]])],
        "vgg": lambda: [scn.SparseVggNet(d, c, [["C", 3], "MP", ["C", 3, 2], ["C3/2", 4], ["C", 2, 2, 1]])],
        "fully convolutional": lambda: [scn.SubmanifoldConvolution(d, c, 3, 3, False),
                                        scn.FullyConvolutionalNet(d, 1, [3, 4, 5]), scn.BatchNormReLU(12),
                                        scn.NetworkInNetwork(12, 5, True)]}
    return made[kind]()


class UNet(torch.nn.Module):
    """The network of SparseConvNet's ScanNet example, its modules named as there."""

    def __init__(self, scn, field, residual):
        super().__init__()
        d = len(field)
        self.sparseModel = scn.Sequential().add(scn.InputLayer(d, field, mode=4)).add(
            scn.SubmanifoldConvolution(d, CHANNELS[0], 4, 3, False)).add(
            scn.UNet(d, 2 if residual else 1, [4, 5, 6], residual)).add(scn.BatchNormReLU(4)).add(scn.OutputLayer(d))
        self.linear = torch.nn.Linear(4, 5)

    def forward(self, x):
        """Label every row."""
        return self.linear(self.sparseModel(x))


def scene(field, n_sites):
    """Return sites of two samples in order, the batch index first."""
    rng = np.random.default_rng(list(field))
    return np.unique(np.stack([rng.integers(0, n, n_sites) for n in (2, *field)], 1), axis=0).astype(np.int16)


def run(scn, kind, **options):
    """Return the arrays of a case and the shapes of its state."""
    whole = "unet" in kind
    field = NETWORKS[kind] if kind in NETWORKS else field_of(**options)
    sites = scene(field, 400 if kind in NETWORKS else 6 if kind == "full" and options["d"] > 2 else 40)
    mode = options.get("mode", 0)
    if mode:                                            # sites twice, three times and so on, in no order
        sites = sites[np.random.default_rng(0).integers(0, 16, 40)]
    rows = array("rows", (len(sites), CHANNELS[0]))
    given = torch.from_numpy(rows).requires_grad_()
    net = UNet(scn, field, kind != "unet") if whole else torch.nn.Sequential(*layers(scn, kind, **options))
    state = seeded({name: tuple(value.shape) for name, value in net.state_dict().items()})
    net.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    net.train(options.get("training", kind not in NETWORKS and kind not in PLAIN))
    theirs = torch.from_numpy(np.roll(sites, -1, 1).astype(np.int64))
    x = (theirs, given)
    if not whole:
        x = scn.InputLayer(options["d"], field, mode=mode)(x)
        assert kind == "input and output" or (x.get_spatial_locations() == theirs).all()
    inner = x.features.detach() if "mode" in options else None
    y = net(x)
    dense = isinstance(y, torch.Tensor)
    out, order = (y if dense else y.features), slice(None)
    arrays = {"in_sites": sites}
    if inner is not None:
        arrays["inner"] = inner.numpy()
        arrays["inner_sites"] = np.roll(x.get_spatial_locations().numpy(), 1, 1).astype(np.int16)
    if not dense:
        found = np.roll(y.get_spatial_locations().numpy(), 1, 1)
        order = np.lexsort(found.T[::-1])
        arrays["sites"] = found[order].astype(np.int16)
    arrays["rows"] = out.detach().numpy()[order].copy()
    if not len(arrays["rows"]):
        raise RuntimeError("no site is left: a layer whose field is that of its input empties it")
    arrays |= {f"state/{name}": value.numpy() for name, value in net.state_dict().items()
               if "running" in name and net.training}
    if net.training or not any("running" in name for name in state):
        back = np.empty(out.shape, np.float32)
        back[order] = array("gradient", tuple(out.shape))
        out.backward(torch.from_numpy(back))
        arrays["gradient/rows"] = given.grad.numpy()
        arrays |= {f"gradient/{name}": value.grad.numpy() for name, value in net.named_parameters()}
    return field, arrays, {name: value.shape for name, value in state.items()}


class Store:
    """All arrays of the file, each once: one vector of int16 and one of float32."""

    def __init__(self):
        self.vectors, self.known = {"int16": [], "float32": []}, {}

    def keep(self, value):
        """Return where an array is: the vector's name, the first place, the shape."""
        name, shape = str(value.dtype), list(value.shape)
        place = self.known.get((name, value.tobytes()))
        if place is None:
            place = self.known[name, value.tobytes()] = sum(v.size for v in self.vectors[name])
            self.vectors[name].append(value.ravel())
        return [name, place, shape]


def main():
    """Write the file and its checksum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", help="the folder that holds sparseconvnet")
    options = parser.parse_args()
    if options.package:
        sys.path.insert(0, options.package)
    import sparseconvnet as scn

    torch.set_num_threads(1)
    store, listed = Store(), []
    for kind, case in cases():
        try:
            field, found, shapes = run(scn, kind, **case)
        except RuntimeError as error:
            listed.append({"kind": kind, **case, "refused": str(error)})
            continue
        kept = {name: store.keep(value) for name, value in found.items()}
        listed.append({"kind": kind, **case, "field": field, "shapes": shapes, "arrays": kept})
    vectors = {name: np.concatenate(vector) for name, vector in store.vectors.items()}
    np.savez_compressed(HERE / "sparseconvnet.npz", cases=np.array(json.dumps(listed)), **vectors)
    digest = hashlib.sha256((HERE / "sparseconvnet.npz").read_bytes()).hexdigest()
    (HERE / "sparseconvnet_sha256.txt").write_text(f"{digest}  sparseconvnet.npz\n")


if __name__ == "__main__":
    main()
