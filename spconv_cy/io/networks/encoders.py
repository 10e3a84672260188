"""OpenPCDet's encoders of detectors: VoxelBackBone8x, VoxelResBackBone8x and VoxelNeXt's."""

from __future__ import annotations

import re
from itertools import count

from spconv_cy.io.networks.family import Family, Modules, Names, in_row, inputs, width
from spconv_cy.layers import Layer, Residual
from spconv_cy.models import voxel_backbone_8x, voxelnext

FIRST = {"spconv2": "conv_input.0.weight", "spconv1": "conv_input.0.weight"}
BLOCK = {"conv1": 0, "bn1": 1, "conv2": 3, "bn2": 4}


def build_second(modules: Modules, source: str) -> Layer:
    """Return SECOND's encoder, or CenterPoint's if the modules are residual."""
    return voxel_backbone_8x(inputs(modules["conv_input.0"], source), residual="conv1.0.conv1" in modules)


def second(net: Layer, source: str) -> Names:
    """Return {module: layer} of voxel_backbone_8x."""
    return levels(net, 4) | in_row("conv_out", "layers.4.layers", 0)


def second_mmdet3d(net: Layer, source: str) -> Names:
    """Return {module: layer} of voxel_backbone_8x, by the names of mmdetection3d's SparseEncoder."""
    return {re.sub(r"^conv(\d)\.", r"encoder_layers.encoder_layer\1.", theirs): ours
            for theirs, ours in second(net, source).items()}


def build_centerpoint_mmdet3d(modules: Modules, source: str) -> Layer:
    """Return CenterPoint's encoder with the convolutions of mmdetection3d, which have no biases."""
    first = modules["conv_input.0"]
    modules["encoder_layers.encoder_layer1.0.conv1"]                     # not among those of the encoder without blocks
    return voxel_backbone_8x(inputs(first, source), residual=True, bias=False)


def centerpoint_mmdet3d(net: Layer, source: str) -> Names:
    """Return {module: layer} of voxel_backbone_8x with residual=True, by the names of mmdetection3d's SparseEncoder.

    There a level has its strided convolution at the end; ours begin with it.
    """
    names: Names = {}
    for theirs, ours in second(net, source).items():
        level, _, place = theirs.partition(".")
        number, (at, _, part) = level.removeprefix("conv"), place.partition(".")
        if not number.isdecimal():
            names[theirs] = ours
        elif number != "1" and at == "0":
            names[f"encoder_layers.encoder_layer{int(number) - 1}.2.{part}"] = ours
        else:
            block = int(at) - (number != "1")
            names[f"encoder_layers.encoder_layer{number}.{block}.{part}"] = ours
    return names


def build_voxelnext(modules: Modules, source: str) -> Layer:
    """Return VoxelNeXt's encoder."""
    widths = [width(modules["conv_input.1"]), *(width(modules[f"conv{i}.0.1"]) for i in range(2, 6))]
    return voxelnext(inputs(modules["conv_input.0"], source), widths=widths, channels_out=width(modules["conv_out.1"]))


def voxelnext_names(net: Layer, source: str) -> Names:
    """Return {module: layer} of voxelnext."""
    names = levels(net, 4)
    for i, level in enumerate(net.layers[4].levels):                     # type: ignore[attr-defined]
        names |= level_names(level, f"conv{i + 5}", f"layers.4.levels.{i}.layers")
    return names | in_row("conv_out", "layers", 0, at=6) | in_row("shared_conv", "layers", 0, at=9)


def levels(net: Layer, n: int) -> Names:
    """Return {module: layer} of conv_input and of the first levels, conv1 and so on."""
    names = in_row("conv_input", "layers.0.layers", 0)
    for i, level in enumerate(net.layers[:n]):                           # type: ignore[attr-defined]
        names |= level_names(level, f"conv{i + 1}", f"layers.{i}.layers", skip_first=i == 0)
    return names


def level_names(level: Layer, theirs: str, ours: str, *, skip_first: bool = False) -> Names:
    """Return {module: layer} of a level: blocks of convolution, BN and ReLU, and residual blocks.

    Args:
        level: Sequential.
        theirs, ours: paths of the level.
        skip_first: leave out the first block, which has another name in the checkpoint.
    """
    names: Names = {}
    places = count()
    for i, layer in enumerate(level.layers):                             # type: ignore[attr-defined]
        if isinstance(layer, Residual):
            place = next(places)
            names |= {f"{theirs}.{place}.{name}": f"{ours}.{i}.layers.{j}" for name, j in BLOCK.items()}
        elif hasattr(layer, "window") and not (skip_first and i == 0):
            names |= in_row(f"{theirs}.{next(places)}", ours, 0, at=i)
    return names


SECOND = Family("second", "sp.models.voxel_backbone_8x", FIRST, build_second, second)
CENTERPOINT = Family("centerpoint", "sp.models.voxel_backbone_8x", FIRST, build_second, second)
MMDET3D = Family("second_mmdet3d", "sp.models.voxel_backbone_8x",
                 dict.fromkeys(FIRST, "encoder_layers.encoder_layer1.0.0.weight"), build_second, second_mmdet3d)
CENTERPOINT_MMDET3D = Family(
    "centerpoint_mmdet3d", "sp.models.voxel_backbone_8x", dict.fromkeys(FIRST, "conv_input.0.weight"),
    build_centerpoint_mmdet3d, centerpoint_mmdet3d)
VOXELNEXT = Family("voxelnext", "sp.models.voxelnext", FIRST, build_voxelnext, voxelnext_names)
