"""Networks beside which there are points: SPVCNN of torchsparse and of mmdetection3d, and parts of transformers."""

from __future__ import annotations

from functools import partial
from itertools import count

from spconv_cy.errors import ShapeError, expected
from spconv_cy.io.networks.family import Family, Modules, Names, inputs, width
from spconv_cy.io.networks.residual_u import MMDET3D, SPVNAS, Naming, blocks, common_factor, sizes
from spconv_cy.layers import Layer
from spconv_cy.models import SPVCNN, PointTransformerParts

N = 4                                                                    # levels of SPVCNN


def build_spvcnn(modules: Modules, source: str, naming: Naming) -> Layer:
    """Return the SPVCNN of the modules' sizes."""
    conv, norm = naming.stem[0]
    repeats, channels = sizes(modules, naming)
    factor = common_factor([width(modules[norm]), *channels], SPVCNN.PLANES)
    if repeats != [2] * 8 or not factor:
        raise ShapeError(expected("convert", "SPVCNN with two blocks in each level and its channels times a factor",
                                  f"blocks {repeats} and channels {channels}",
                                  "give a Layer and names={module: layer}"))
    return SPVCNN(inputs(modules[conv], source), width(modules[naming.final]), width=factor)


def spvcnn(net: Layer, naming: Naming, points: str) -> Names:
    """Return {module: layer} of SPVCNN."""
    parts = vars(net)
    names: Names = {naming.final: "classifier"}
    for i, pair in enumerate(naming.stem):
        names |= dict(zip(pair, (f"stem.layers.{3 * i}", f"stem.layers.{3 * i + 1}"), strict=True))
    for s, layer in enumerate(parts["down"]):
        names |= dict(zip(naming.down(s, N), (f"down.{s}.layers.0", f"down.{s}.layers.1"), strict=True))
        names |= blocks(layer.layers, f"down.{s}.layers", 0, partial(naming.encoder, s, N), naming)
    for i, layer in enumerate(parts["after"]):
        s = N - 1 - i
        names |= dict(zip(naming.up(s, N), (f"up.{i}.layers.0", f"up.{i}.layers.1"), strict=True))
        names |= blocks(layer.layers, f"after.{i}.layers", 0, partial(naming.decoder, s, N), naming)
    return names | {f"{points}.{i}.{j}": f"points.{i}.layers.{j}" for i in range(3) for j in range(2)}


def build_parts(modules: Modules, source: str) -> Layer:
    """Return the sparse parts of a Point Transformer V3 with the modules' sizes."""
    linear = "embedding.stem.linear" in modules
    modules["enc.enc0.block0.cpe.0"]                                     # there is one block at least
    stem = modules[f"embedding.stem.{'linear' if linear else 'conv'}"]
    channels_in = stem.arrays["weight"].shape[-1] if linear else inputs(stem, source)
    widths: dict[str, list[int]] = {"enc": [], "dec": []}
    depths: dict[str, list[int]] = {"enc": [], "dec": []}
    for way, found in widths.items():
        for s in count():
            path = f"{way}.{way}{s}.block"
            if f"{path}0.cpe.0" not in modules:
                break
            found.append(width(modules[f"{path}0.cpe.0"]))
            depths[way].append(next(i for i in count() if f"{path}{i}.cpe.0" not in modules))
    return PointTransformerParts(int(channels_in), widths["enc"], depths["enc"], widths["dec"], depths["dec"],
                                 linear_stem=linear)


def parts(net: Layer, source: str) -> Names:
    """Return {module: layer} of PointTransformerParts."""
    names = {"embedding.stem.norm": "stem.layers.1"}
    for way, name in (("enc", "encoder"), ("dec", "decoder")):
        for s, stage in enumerate(getattr(net, name)):
            for i in range(len(stage)):
                names |= {f"{way}.{way}{s}.block{i}.cpe.{j}": f"{name}.{s}.layers.{i}.layers.{j}" for j in range(3)}
    kind = "conv" if hasattr(net.stem.layers[0], "window") else "linear"  # type: ignore[attr-defined]
    return names | {f"embedding.stem.{kind}": "stem.layers.0"}


SPVCNNS = Family(
    "spvcnn", "sp.models.SPVCNN", {"torchsparse": "stem.0.kernel"},
    lambda modules, source: build_spvcnn(modules, source, SPVNAS),
    lambda net, source: spvcnn(net, SPVNAS, "point_transforms"),
    linear=("classifier.0", *(f"point_transforms.{i}.0" for i in range(3))))
SPVCNNS_MMDET3D = Family(
    "spvcnn_mmdet3d", "sp.models.SPVCNN", {"torchsparse": "backbone.conv_input.0.net.0.kernel"},
    lambda modules, source: build_spvcnn(modules, source, MMDET3D[source]),
    lambda net, source: spvcnn(net, MMDET3D[source], "backbone.point_transforms"),
    linear=("decode_head.conv_seg", *(f"backbone.point_transforms.{i}.0" for i in range(3))))
PTV3 = Family("ptv3", "sp.models.PointTransformerParts", dict.fromkeys(("spconv2", "spconv1"),
              ("embedding.stem.conv.weight", "embedding.stem.linear.weight")), build_parts, parts, part=True)
