"""Networks of MinkowskiEngine that describe places: MinkLoc3D's MinkFPN with its pooling, and FCGF's ResUNetBN2."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from spconv_cy.errors import ShapeError, expected
from spconv_cy.io.networks.family import Family, Modules, Names, inputs, width
from spconv_cy.io.networks.residual_u import MINKUNET, blocks, window_of
from spconv_cy.layers import (
    Concatenate,
    Convolution,
    EfficientChannelAttention,
    GeneralizedMeanPooling,
    Layer,
    NetworkInNetwork,
    Residual,
)
from spconv_cy.models import fcgf, minkfpn

if TYPE_CHECKING:
    from spconv_cy.io.modules import Module

HEAD = "backbone"


def build_minkfpn(modules: Modules, source: str) -> Layer:
    """Return the MinkFPN of the modules' sizes; it has a pooling if there is an exponent of one."""
    stem = modules[f"{HEAD}.conv0"]
    levels = next(i for i in count() if f"{HEAD}.convs.{i}" not in modules)
    repeats = [next(j for j in count() if f"{HEAD}.blocks.{i}.{j}.conv1" not in modules) for i in range(levels)]
    channels = [width(modules[f"{HEAD}.blocks.{i}.0.norm2"]) for i in range(levels)]
    back = next(i for i in count() if f"{HEAD}.tconvs.{i}" not in modules)
    size, d = window_of(stem, source)
    pooled = any("p" in modules[path].arrays for path in ("pooling", "pooling.pooling") if path in modules)
    return minkfpn(inputs(stem, source), channels_out(modules[f"{HEAD}.conv1x1.0"]), channels=channels,
                   repeats=repeats, top_down=back, stem=size, d=d,
                   attention=f"{HEAD}.blocks.0.0.eca.conv" in modules, pooling="generalized" if pooled else None)


def channels_out(module: Module) -> int:
    """Return the output channels of a convolution without a bias."""
    return int(module.arrays["kernel"].shape[-1])


def minkfpn_names(net: Layer, source: str) -> Names:
    """Return {module: layer} of minkfpn."""
    layers: list[Layer] = net.layers                                     # type: ignore[attr-defined]
    end = len(layers) - (1 if isinstance(layers[-1], (Residual, NetworkInNetwork)) else 2)
    names = {f"{HEAD}.conv0": "layers.0", f"{HEAD}.bn0": "layers.1"}
    found, level = levels(layers[3:end], "layers", 3, 0)
    names |= found | pyramid(layers[end], f"layers.{end}", level, steps(layers[end]))
    if isinstance(layers[-1], GeneralizedMeanPooling):                   # version 2 has a module around the pooling
        names["pooling.pooling" if any(".eca." in name for name in names) else "pooling"] = f"layers.{end + 1}"
    return names


def levels(layers: list[Layer], path: str, start: int, level: int) -> tuple[Names, int]:
    """Return ({module: layer} of levels that follow each other, number of the next level)."""
    names: Names = {}
    block = 0
    for i, layer in enumerate(layers, start):
        if isinstance(layer, Convolution):
            names |= {f"{HEAD}.convs.{level}": f"{path}.{i}", f"{HEAD}.bn.{level}": f"{path}.{i + 1}"}
            level, block = level + 1, 0
        elif isinstance(layer, Residual):
            name = f"{HEAD}.blocks.{level - 1}.{block}"
            names |= blocks([layer], path, i, name.format, MINKUNET)
            if isinstance(layer.layers[-1], EfficientChannelAttention):
                names[f"{name}.eca.conv"] = f"{path}.{i}.layers.{len(layer.layers) - 1}"
            block += 1
    return names, level


def pyramid(layer: Layer, path: str, level: int, left: int) -> Names:
    """Return {module: layer} of the levels from number `level` on and of the `left` steps back to their input."""
    if not left:
        return {f"{HEAD}.conv1x1.0": path}
    layers: list[Layer] = layer.layers                                   # type: ignore[attr-defined]
    n = len(layers)
    names, level = levels(layers[:-2], f"{path}.layers", 0, level)
    names |= {f"{HEAD}.conv1x1.{left}": f"{path}.shortcut", f"{HEAD}.tconvs.{left - 1}": f"{path}.layers.{n - 1}"}
    return names | pyramid(layers[-2], f"{path}.layers.{n - 2}", level, left - 1)


def steps(layer: Layer) -> int:
    """Return the number of steps back in a pyramid."""
    return 1 + steps(layer.layers[-2]) if isinstance(layer, Residual) else 0


def build_fcgf(modules: Modules, source: str) -> Layer:
    """Return the ResUNetBN2 of the modules' sizes."""
    n = next(i for i in count(1) if f"conv{i}" not in modules) - 1
    stem = modules["conv1"]
    size, d = window_of(stem, source)
    if "running_mean" not in modules["block1.norm1"].arrays:
        raise ShapeError(expected("convert", "blocks of fcgf with batch normalisation, ResUNetBN2 and its variants",
                                  "others, such as ResUNetIN2's instance normalisation", "it is not converted"))
    return fcgf(inputs(stem, source), channels_out(modules["final"]),
                channels=[width(modules[f"norm{i}"]) for i in range(1, n + 1)],
                up=[channels_out(modules["conv1_tr"]), *(width(modules[f"norm{i}_tr"]) for i in range(2, n + 1))],
                stem=size, d=d)


def fcgf_names(net: Layer, source: str) -> Names:
    """Return {module: layer} of fcgf."""
    layers: list[Layer] = net.layers                                     # type: ignore[attr-defined]
    names = {"conv1_tr": f"layers.{len(layers) - 3}", "final": f"layers.{len(layers) - 1}"}
    path, level = "layers", 1
    while True:
        names |= fcgf_level(layers[:3], path, 0, str(level))
        joint = next((i for i, layer in enumerate(layers) if isinstance(layer, Concatenate)), None)
        if joint is None:
            return names
        inside, path, level = layers[joint].branches[0], f"{path}.{joint}.branches.0.layers", level + 1  # type: ignore
        layers = inside.layers
        end = len(layers) - 4
        names |= fcgf_level(layers[end:], path, end, f"{level}_tr")
        layers = layers[:end]


def fcgf_level(layers: list[Layer], path: str, start: int, number: str) -> Names:
    """Return {module: layer} of a convolution, its normalisation and a block, the first of which is number `start`."""
    names = {f"conv{number}": f"{path}.{start}", f"norm{number}": f"{path}.{start + 1}"}
    return names | blocks(layers, path, start, f"block{number}".format, MINKUNET)


MINKFPN = Family("minkfpn", "sp.models.minkfpn", {"minkowski": f"{HEAD}.conv0.kernel"}, build_minkfpn, minkfpn_names,
                 synonyms={"pooling": "pooling.pooling"})
FCGF = Family("fcgf", "sp.models.fcgf", {"minkowski": "conv1_tr.kernel"}, build_fcgf, fcgf_names)
