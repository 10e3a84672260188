"""PCGCv2 on MinkowskiEngine: the encoder and the decoder of one checkpoint."""

from __future__ import annotations

from itertools import count

from spconv_cy.io.networks.family import Family, Modules, Names, inputs, width
from spconv_cy.layers import Layer
from spconv_cy.models import PCGCDecoder, pcgc_encoder

BLOCKS = 3
BRANCHES = (("conv0_0", "branches.0.layers.0"), ("conv0_1", "branches.0.layers.2"),
            ("conv1_0", "branches.1.layers.0"), ("conv1_1", "branches.1.layers.2"), ("conv1_2", "branches.1.layers.4"))


def build_encoder(modules: Modules, source: str) -> Layer:
    """Return the encoder of the modules' sizes."""
    n = next(i for i in count() if f"down{i}" not in modules)
    return pcgc_encoder([inputs(modules["conv0"], source), width(modules["conv0"]),
                         *(width(modules[f"down{i}"]) for i in range(n)), width(modules[f"conv{n}"])])


def encoder(net: Layer, source: str) -> Names:
    """Return {module: layer} of pcgc_encoder."""
    n = len(net.layers) - 1                                              # type: ignore[attr-defined]
    names = {f"conv{n}": f"layers.{n}"}
    for i in range(n):
        names |= {f"conv{i}": f"layers.{i}.layers.0", f"down{i}": f"layers.{i}.layers.2"}
        names |= inceptions(f"block{i}", f"layers.{i}.layers", 4)
    return names


def build_decoder(modules: Modules, source: str) -> Layer:
    """Return the decoder of the modules' sizes."""
    n = next(i for i in count() if f"up{i}" not in modules)
    return PCGCDecoder([inputs(modules["up0"], source), *(width(modules[f"up{i}"]) for i in range(n))])


def decoder(net: Layer, source: str) -> Names:
    """Return {module: layer} of PCGCDecoder."""
    names: Names = {}
    for i in range(len(net.levels)):                                     # type: ignore[attr-defined]
        path = f"levels.{i}.layers"
        names |= {f"up{i}": f"{path}.0", f"conv{i}": f"{path}.2",
                  f"conv{i}_cls": f"{path}.{4 + BLOCKS}.scorer.layers.0"} | inceptions(f"block{i}", path, 4)
    return names


def inceptions(theirs: str, ours: str, start: int) -> Names:
    """Return {module: layer} of the blocks of a level, the first of which is number `start` in `ours`."""
    return {f"{theirs}.{j}.{name}": f"{ours}.{start + j}.layers.0.{path}" for j in range(BLOCKS)
            for name, path in BRANCHES}


PCGC_ENCODER = Family("pcgc_encoder", "sp.models.pcgc_encoder", {"minkowski": "down0.kernel"}, build_encoder, encoder)
PCGC_DECODER = Family("pcgc_decoder", "sp.models.PCGCDecoder", {"minkowski": "up0.kernel"}, build_decoder, decoder)
