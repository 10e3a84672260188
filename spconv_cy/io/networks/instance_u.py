"""The U-Net of PointGroup, HAIS, SoftGroup and others: input_conv, unet, output_layer and a head for classes."""

from __future__ import annotations

from spconv_cy.io.networks.family import Family, Modules, Names, inputs, weight_shape, width
from spconv_cy.layers import BatchNormalization, Concatenate, Layer, NetworkInNetwork, ReLU, Residual, Sequential
from spconv_cy.models import unet

MOST_LEVELS = 30
RESIDUAL, PLAIN = "conv_branch", "conv_layers"
# Heads that find instances from the features of the points.
UNUSED = ("offset", "score_", "cls_linear", "mask_linear", "iou_score", "tiny_unet", "intra_ins_")


def build(modules: Modules, source: str) -> Layer:
    """Return the U-Net of the modules' sizes, which labels every active site."""
    branch = RESIDUAL if f"unet.blocks.block0.{RESIDUAL}.0" in modules else PLAIN
    reps, path = 0, "unet"
    while f"unet.blocks.block{reps}.{branch}.0" in modules:
        reps += 1
    widths: list[int] = []
    while f"{path}.blocks.block0.{branch}.0" in modules and len(widths) < MOST_LEVELS:
        widths.append(width(modules[f"{path}.blocks.block0.{branch}.0"]))
        path += ".u"
    stem = modules["input_conv.0"]
    plain = "linear" in modules
    last = modules["linear" if plain else "semantic_linear.3"]
    net = unet(len(widths), widths, inputs(stem, source), width(last), d=len(weight_shape(stem)) - 2, reps=reps,
               residual=branch == RESIDUAL, size_rule="floor", momentum=0.9)
    if plain:
        return net
    return Sequential(*net.layers[:-1], *head(widths[0], width(last), "bias" in modules["semantic_linear.0"].arrays))


def head(channels: int, classes: int, bias: bool = False) -> list[Layer]:
    """Return SoftGroup's head for the classes of the sites; since its second version, and in HAIS, it has a bias."""
    return [NetworkInNetwork(channels, channels, bias=bias), BatchNormalization(channels, momentum=0.9), ReLU(),
            NetworkInNetwork(channels, classes)]


def table(net: Layer, source: str) -> Names:
    """Return {module: layer} of a network that `build` made."""
    layers: list[Layer] = net.layers                                     # type: ignore[attr-defined]
    n = len(layers)
    names = {"linear": f"layers.{n - 1}"}
    if isinstance(layers[-4], NetworkInNetwork):
        names = {f"semantic_linear.{i}": f"layers.{n - 4 + i}" for i in (0, 1, 3)}
    end = n - (3 if "linear" in names else 6)
    return {"input_conv.0": "layers.0", "output_layer.0": f"layers.{end}",
            **level(layers[1:end], "unet", "layers", 1), **names}


def level(layers: list[Layer], theirs: str, ours: str, start: int) -> Names:
    """Return {module: layer} of a level and all below; its first layer is number `start` in `ours`."""
    names: Names = {}
    i, place, blocks = 0, 0, "blocks"
    while i < len(layers):
        layer, here, there = layers[i], f"{ours}.{start + i}", f"{theirs}.{blocks}.block{place}"
        if isinstance(layer, Concatenate):
            names |= below(layer.branches[1], theirs, f"{here}.branches.1.layers")
            i, place, blocks = i + 1, 0, "blocks_tail"
        elif isinstance(layer, Residual):
            names |= {f"{there}.{RESIDUAL}.{k}": f"{here}.layers.{k}" for k in (0, 2, 3, 5)}
            names |= {} if layer.shortcut is None else {f"{there}.i_branch.0": f"{here}.shortcut"}
            i, place = i + 1, place + 1
        else:                                                            # BN, ReLU and a convolution
            names |= {f"{there}.{PLAIN}.{k}": f"{ours}.{start + i + k}" for k in (0, 2)}
            i, place = i + 3, place + 1
    return names


def below(branch: Layer, theirs: str, ours: str) -> Names:
    """Return {module: layer} of a branch: BN, ReLU, strided convolution, the next level, BN, ReLU, deconvolution."""
    layers: list[Layer] = branch.layers                                  # type: ignore[attr-defined]
    n = len(layers)
    names = {f"{theirs}.conv.0": f"{ours}.0", f"{theirs}.conv.2": f"{ours}.2",
             f"{theirs}.deconv.0": f"{ours}.{n - 3}", f"{theirs}.deconv.2": f"{ours}.{n - 1}"}
    return names | level(layers[3:n - 3], f"{theirs}.u", ours, 3)


POINTGROUP = Family("pointgroup", "sp.models.unet", dict.fromkeys(("spconv1", "spconv2"), "input_conv.0.weight"), build,
                    table, linear=("linear", "semantic_linear.0", "semantic_linear.3"), unused=UNUSED)
