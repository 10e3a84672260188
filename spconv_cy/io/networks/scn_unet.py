"""SparseConvNet's U-Net, as in its ScanNet example: sparseModel with a stem, the U and a normalisation; linear."""

from __future__ import annotations

from spconv_cy.errors import ShapeError, expected
from spconv_cy.io.networks.family import Family, Modules, Names, inputs, weight_shape, width
from spconv_cy.layers import Concatenate, Layer, Residual
from spconv_cy.models import unet

STEM, U, NORM, LINEAR = "sparseModel.1", "sparseModel.2", "sparseModel.3", "linear"
MOST_LEVELS = 30


def build(modules: Modules, source: str) -> Layer:
    """Return the U-Net of the modules' sizes."""
    residual = f"{U}.0.1.0" in modules
    step, first = (2, "1.0") if residual else (1, "0")                   # places in a Sequential that one block takes
    reps, path = 0, U
    widths: list[int] = []
    size: set[int] = set()
    while f"{U}.{step * reps}.{first}" in modules and f"{U}.{step * reps}.1.4" not in modules:
        reps += 1
    while len(widths) < MOST_LEVELS:
        widths.append(width(modules[f"{path}.0.{first}"]))
        joint = f"{path}.{step * reps}.1"
        if f"{joint}.4" not in modules:                                  # the deconvolution at the end of a branch
            break
        size.add(weight_shape(modules[f"{joint}.1"])[0])
        path = f"{joint}.2"
    stem, n = modules[STEM], weight_shape(modules[STEM])[0]
    d = next((d for d in range(1, 9) if 3**d == n), 0)
    if not d or not reps or not size <= {2**d}:
        raise ShapeError(expected("convert", "a U-Net of windows of size 3, halved by size 2 and stride 2",
                                  f"{n} taps in the stem and {sorted(size)} in the strided convolutions",
                                  "give a Layer and names={module: layer}"))
    return unet(len(widths), widths, inputs(stem, source), width(modules[LINEAR]), d=d, reps=reps, residual=residual,
                momentum=0.9)


def table(net: Layer, source: str) -> Names:
    """Return {module: layer} of unet."""
    layers: list[Layer] = net.layers                                     # type: ignore[attr-defined]
    n = len(layers)
    return {STEM: "layers.0", NORM: f"layers.{n - 3}", LINEAR: f"layers.{n - 1}",
            **level(layers[1:n - 3], U, "layers", 1)}


def level(layers: list[Layer], theirs: str, ours: str, start: int) -> Names:
    """Return {module: layer} of a level and all below; its first layer is number `start` in `ours`."""
    names: Names = {}
    place, i = 0, 0
    while i < len(layers):
        layer, here, there = layers[i], f"{ours}.{start + i}", f"{theirs}.{place}"
        if isinstance(layer, Residual):
            names |= {f"{there}.1.{k}": f"{here}.layers.{j}" for k, j in enumerate((0, 2, 3, 5))}
            names |= {} if layer.shortcut is None else {f"{there}.0": f"{here}.shortcut"}
            place, i = place + 2, i + 1
        elif isinstance(layer, Concatenate):
            names |= branch(layer.branches[1].layers, f"{there}.1", f"{here}.branches.1.layers")  # type: ignore
            place, i = place + 2, i + 1
        else:                                                            # BN, ReLU and a convolution
            names |= {f"{there}.0": here, f"{there}.1": f"{ours}.{start + i + 2}"}
            place, i = place + 1, i + 3
    return names


def branch(layers: list[Layer], theirs: str, ours: str) -> Names:
    """Return {module: layer} of a branch: BN, ReLU, strided convolution, the next level, BN, ReLU, deconvolution."""
    n = len(layers)
    names = {f"{theirs}.0": f"{ours}.0", f"{theirs}.1": f"{ours}.2", f"{theirs}.3": f"{ours}.{n - 3}",
             f"{theirs}.4": f"{ours}.{n - 1}"}
    return names | level(layers[3:n - 3], f"{theirs}.2", ours, 3)


UNET = Family("unet", "sp.models.unet", {"sparseconvnet": "sparseModel.1.weight"}, build, table, one_by_one="matrix",
              linear=(LINEAR,))
