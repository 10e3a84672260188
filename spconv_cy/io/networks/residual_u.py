"""Residual U-Nets: SpUNet of Pointcept, MinkUNet of MinkowskiEngine, Pointcept and torchsparse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spconv_cy.errors import ShapeError, expected
from spconv_cy.io.networks.family import Family, Modules, Names, inputs, weight_shape, width
from spconv_cy.layers import Concatenate, Layer, Residual
from spconv_cy.models import minkunet, spunet
from spconv_cy.models.minkunets import STEM, VARIANTS

if TYPE_CHECKING:
    from spconv_cy.io.modules import Module

LARGEST = 1000


@dataclass(eq=False, repr=False)
class Naming:
    """How a checkpoint names the modules of a residual U; stage 0 is the finest.

    Attributes:
        stem: (convolution, normalisation) of each convolution of the stem.
        down, up: functions from (stage, stages) to (convolution, normalisation).
        encoder, decoder: functions from (stage, stages, number of the block) to the path of a block.
        block: the two convolutions and normalisations of a block, and those of its shortcut.
        final: the last layer.
    """

    stem: Sequence[tuple[str, str]]
    down: Callable[[int, int], tuple[str, str]]
    up: Callable[[int, int], tuple[str, str]]
    encoder: Callable[[int, int, int], str]
    decoder: Callable[[int, int, int], str]
    block: tuple[str, str, str, str]
    shortcut: tuple[str, str]
    final: str


SPUNET = Naming(
    [("conv_input.0", "conv_input.1")],
    lambda s, n: (f"down.{s}.0", f"down.{s}.1"), lambda s, n: (f"up.{s}.0", f"up.{s}.1"),
    lambda s, n, j: f"enc.{s}.block{j}", lambda s, n, j: f"dec.{s}.block{j}",
    ("conv1", "bn1", "conv2", "bn2"), ("proj.0", "proj.1"), "final")
MINKUNET = Naming(
    [("conv0p1s1", "bn0")],
    lambda s, n: (f"conv{s + 1}p{2**s}s2", f"bn{s + 1}"),
    lambda s, n: (f"convtr{2 * n - 1 - s}p{2**(s + 1)}s2", f"bntr{2 * n - 1 - s}"),
    lambda s, n, j: f"block{s + 1}.{j}", lambda s, n, j: f"block{2 * n - s}.{j}",
    ("conv1", "norm1", "conv2", "norm2"), ("downsample.0", "downsample.1"), "final")
SPVNAS = Naming(
    [("stem.0", "stem.1"), ("stem.3", "stem.4")],
    lambda s, n: (f"stage{s + 1}.0.net.0", f"stage{s + 1}.0.net.1"),
    lambda s, n: (f"up{n - s}.0.net.0", f"up{n - s}.0.net.1"),
    lambda s, n, j: f"stage{s + 1}.{j + 1}", lambda s, n, j: f"up{n - s}.1.{j}",
    ("net.0", "net.1", "net.3", "net.4"), ("downsample.0", "downsample.1"), "classifier.0")


def in_mmdet3d(conv: str, block: tuple[str, str, str, str], shortcut: str) -> Naming:
    """Return how mmdetection3d names the modules; `conv` is the Sequential inside a block of one convolution."""
    def pair(path: str) -> tuple[str, str]:
        return f"{path}{conv}.0", f"{path}{conv}.1"

    return Naming(
        [pair("backbone.conv_input.0"), pair("backbone.conv_input.1")],
        lambda s, n: pair(f"backbone.encoder.{s}.0"), lambda s, n: pair(f"backbone.decoder.{n - 1 - s}.0"),
        lambda s, n, j: f"backbone.encoder.{s}.{j + 1}", lambda s, n, j: f"backbone.decoder.{n - 1 - s}.1.{j}",
        block, (f"{shortcut}.0", f"{shortcut}.1"), "decode_head.conv_seg")


ON_SPCONV = in_mmdet3d("", ("conv1", "bn1", "conv2", "bn2"), "downsample")
MMDET3D = {
    "torchsparse": in_mmdet3d(".net", ("net.0", "net.1", "net.3", "net.4"), "downsample"),
    "minkowski": in_mmdet3d(".net", ("conv1", "norm1", "conv2", "norm2"), "downsample.net"),
    "spconv2": ON_SPCONV,
    "spconv1": ON_SPCONV,
}


def table(net: Layer, naming: Naming) -> Names:
    """Return {module: layer} of a residual U of ours."""
    layers: list[Layer] = net.layers                                     # type: ignore[attr-defined]
    names: Names = {naming.final: f"layers.{len(layers) - 1}"}
    for i, (conv, norm) in enumerate(naming.stem):
        names |= {conv: f"layers.{3 * i}", norm: f"layers.{3 * i + 1}"}
    return names | stage(layers, "layers", 0, depth(layers), naming)


def stage(layers: list[Layer], path: str, s: int, n: int, naming: Naming) -> Names:
    """Return {module: layer} of stage s and of all coarser ones; its branch and its decoder are in `layers`."""
    at = joint(layers)
    inside: list[Layer] = layers[at].branches[0].layers                  # type: ignore[attr-defined]
    below = f"{path}.{at}.branches.0.layers"
    names = dict(zip(naming.down(s, n), (f"{below}.0", f"{below}.1"), strict=True))
    last = len(inside) - 3
    names |= dict(zip(naming.up(s, n), (f"{below}.{last}", f"{below}.{last + 1}"), strict=True))
    end = joint(inside) if s + 1 < n else last
    names |= blocks(inside[:end], below, 0, lambda j: naming.encoder(s, n, j), naming)
    names |= blocks(layers[at + 1:], path, at + 1, lambda j: naming.decoder(s, n, j), naming)
    return names if s + 1 == n else names | stage(inside, below, s + 1, n, naming)


def blocks(layers: list[Layer], path: str, start: int, name: Callable[[int], str], naming: Naming) -> Names:
    """Return {module: layer} of the residual blocks among layers, the first of which is number `start` in `path`."""
    names: Names = {}
    found = [(i, layer) for i, layer in enumerate(layers, start) if isinstance(layer, Residual)]
    for j, (i, layer) in enumerate(found):
        names |= {f"{name(j)}.{part}": f"{path}.{i}.layers.{k}"
                  for part, k in zip(naming.block, (0, 1, 3, 4), strict=True)}
        if layer.shortcut is not None:
            names |= {f"{name(j)}.{part}": f"{path}.{i}.shortcut.layers.{k}" for k, part in enumerate(naming.shortcut)}
    return names


def joint(layers: list[Layer]) -> int:
    """Return the number of the Concatenate among layers; raise IndexError if there is none."""
    found = [i for i, layer in enumerate(layers) if isinstance(layer, Concatenate)]
    return found[0]


def depth(layers: list[Layer]) -> int:
    """Return the number of stages of a U."""
    inside: list[Layer] = layers[joint(layers)].branches[0].layers       # type: ignore[attr-defined]
    return 1 + (depth(inside) if any(isinstance(layer, Concatenate) for layer in inside) else 0)


def sizes(modules: Modules, naming: Naming) -> tuple[list[int], list[int]]:
    """Return (blocks of each stage, channels of each stage), those down and then those up."""
    n = next(s for s in range(LARGEST) if naming.down(s, 0)[0] not in modules)
    ways = [*((naming.encoder, s) for s in range(n)), *((naming.decoder, s) for s in reversed(range(n)))]
    first, *_ = naming.block
    repeats = [next(j for j in range(LARGEST) if f"{name(s, n, j)}.{first}" not in modules) for name, s in ways]
    channels = [width(modules[naming.down(s, n)[1]]) for s in range(n)]
    for s in range(n):                                                   # the blocks may widen what comes down
        norm = f"{naming.encoder(s, n, 0)}.{naming.block[3]}"
        channels[s] = width(modules[norm]) if norm in modules else channels[s]
    return repeats, channels + [width(modules[naming.up(s, n)[1]]) for s in reversed(range(n))]


def build_spunet(modules: Modules, source: str) -> Layer:
    """Return the SpUNet of the modules' sizes."""
    repeats, channels = sizes(modules, SPUNET)
    stem = modules["conv_input.0"]
    return spunet(inputs(stem, source), width(modules["final"]), base=width(modules["conv_input.1"]),
                  channels=channels, repeats=repeats, d=len(weight_shape(stem)) - 2)


def build_minkunet(modules: Modules, source: str, naming: Naming | None = None) -> Layer:
    """Return the MinkUNet of the modules' sizes."""
    naming = naming_of(source) if naming is None else naming
    repeats, channels = sizes(modules, naming)
    conv, norm = naming.stem[0]
    size, d = window_of(modules[conv], source)
    wanted = [width(modules[norm]), *channels]
    for variant, (blocks_, planes) in VARIANTS.items():
        factor = common_factor(wanted, [STEM, *planes])
        if factor and d and list(blocks_) == repeats:
            return minkunet(variant, inputs(modules[conv], source), width(modules[naming.final]), d=d, width=factor,
                            stem=[size] * len(naming.stem))
    raise ShapeError(expected("convert", f"a MinkUNet of the variants {', '.join(VARIANTS)}",
                              f"blocks {repeats} and channels {channels}", "give a Layer and names={module: layer}"))


def window_of(module: Module, source: str) -> tuple[int, int]:
    """Return (size, dimension) of a convolution's window with the same odd size on all axes; zeros if there is none."""
    shape = weight_shape(module)
    if source in ("spconv2", "spconv1"):
        return (int(shape[1]), len(shape) - 2)
    return next(((size, d) for size in (3, 5, 7) for d in range(1, 9) if size**d == shape[0]), (0, 0))


def common_factor(wanted: Sequence[int], planes: Sequence[int]) -> float:
    """Return a factor with int(factor * plane) as wanted for all planes, with few digits if possible; 0 if none."""
    if len(wanted) != len(planes):
        return 0.0
    low = max(w / p for w, p in zip(wanted, planes, strict=True))
    high = min((w + 1) / p for w, p in zip(wanted, planes, strict=True))
    for factor in (low, *(round((low + high) / 2, digits) for digits in range(1, 12))):
        if all(int(factor * p) == w for w, p in zip(wanted, planes, strict=True)):
            return factor
    return 0.0


def naming_of(source: str) -> Naming:
    """Return the names of MinkUNet's modules in the examples of a library."""
    return SPVNAS if source == "torchsparse" else MINKUNET


SPUNETS = Family("spunet", "sp.models.spunet", {"spconv2": "conv_input.0.weight", "spconv1": "conv_input.0.weight"},
                 build_spunet, lambda net, source: table(net, SPUNET), one_by_one="raw")
MINKUNETS = Family("minkunet", "sp.models.minkunet",
                   {"minkowski": "conv0p1s1.kernel", "torchsparse": "stem.0.kernel"}, build_minkunet,
                   lambda net, source: table(net, naming_of(source)), linear=("classifier.0",),
                   unused=("point_transforms.",))
MINKUNETS_MMDET3D = Family(
    "minkunet_mmdet3d", "sp.models.minkunet",
    dict.fromkeys(MMDET3D, "backbone.conv_input.0.0.weight") | dict.fromkeys(
        ("torchsparse", "minkowski"), "backbone.conv_input.0.net.0.kernel"),
    lambda modules, source: build_minkunet(modules, source, MMDET3D[source]),
    lambda net, source: table(net, MMDET3D[source]), one_by_one="raw", linear=("decode_head.conv_seg",))
