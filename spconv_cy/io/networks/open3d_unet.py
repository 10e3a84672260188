"""Open3D-ML's SparseConvUnet, the U-Net of SparseConvNet with the layers of all levels in one list."""

from __future__ import annotations

from spconv_cy.io.networks.family import Family, Modules, Names, inputs, weight_shape, width
from spconv_cy.layers import Concatenate, Layer, Residual
from spconv_cy.models import unet

MOST_LEVELS = 30
PARTS = ("batch_norm1", "sub_sparse_conv1", "batch_norm2", "sub_sparse_conv2")
U = "unet.net"


def build(modules: Modules, source: str) -> Layer:
    """Return the U-Net of the modules' sizes."""
    residual = f"{U}.0.sub_sparse_conv1" in modules
    step, last = (1, 0) if residual else (3, 2)                          # places of a block in the list, and its end
    part = ".sub_sparse_conv2" if residual else ""
    at, reps = 0, []
    widths: list[int] = []
    while len(widths) < MOST_LEVELS:
        begin = at
        modules[f"{U}.{at + last}{part}"]                                # there is one block at least
        while size(modules, f"{U}.{at + last}{part}") == 3:
            at += step
        reps.append((at - begin) // step)
        widths.append(int(weight_shape(modules[f"{U}.{at - step + last}{part}"])[-1]))
        if size(modules, f"{U}.{at + 3}") != 2:                          # after ConcatFeat, normalisation and ReLU
            break
        at += 4
    return unet(len(widths), widths, inputs(modules["sub_sparse_conv"], source), width(modules["linear"]),
                reps=reps[0], residual=residual)


def size(modules: Modules, path: str) -> int:
    """Return the size of the window of a convolution; 0 if there is none of that name."""
    return int(weight_shape(modules[path])[0]) if path in modules and "kernel" in modules[path].arrays else 0


def table(net: Layer, source: str) -> Names:
    """Return {module: layer} of unet."""
    layers: list[Layer] = net.layers                                     # type: ignore[attr-defined]
    n = len(layers)
    names, _ = level(layers[1:n - 3], "layers", 1, 0)
    return {"sub_sparse_conv": "layers.0", "batch_norm": f"layers.{n - 3}", "linear": f"layers.{n - 1}", **names}


def level(layers: list[Layer], ours: str, start: int, at: int) -> tuple[Names, int]:
    """Return ({module: layer} of a level and all below, next place in their list).

    Args:
        layers: of the level; the first is number `start` in `ours`.
        at: its place in their list.
    """
    names: Names = {}
    i = 0
    while i < len(layers):
        layer, here = layers[i], f"{ours}.{start + i}"
        if isinstance(layer, Concatenate):
            found, at = below(layer.branches[1].layers, f"{here}.branches.1.layers", at)  # type: ignore[attr-defined]
            names, i = names | found, i + 1
        elif isinstance(layer, Residual):
            names |= {f"{U}.{at}.{part}": f"{here}.layers.{k}" for part, k in zip(PARTS, (0, 2, 3, 5), strict=True)}
            names |= {} if layer.shortcut is None else {f"{U}.{at}.lin": f"{here}.shortcut"}
            at, i = at + 1, i + 1
        else:                                                            # BN, ReLU and a convolution
            names |= {f"{U}.{at}": here, f"{U}.{at + 2}": f"{ours}.{start + i + 2}"}
            at, i = at + 3, i + 3
    return names, at


def below(layers: list[Layer], ours: str, at: int) -> tuple[Names, int]:
    """Return ({module: layer} of a branch, next place): BN, ReLU, convolution, next level, BN, ReLU, deconvolution."""
    n = len(layers)
    names, end = level(layers[3:n - 3], ours, 3, at + 4)
    ends = {f"{U}.{at + 1}": f"{ours}.0", f"{U}.{at + 3}": f"{ours}.2", f"{U}.{end}": f"{ours}.{n - 3}",
            f"{U}.{end + 2}": f"{ours}.{n - 1}"}
    return ends | names, end + 4


UNET = Family("open3d_unet", "sp.models.unet", {"open3d": "sub_sparse_conv.net.kernel"}, build, table,
              one_by_one="linear")
