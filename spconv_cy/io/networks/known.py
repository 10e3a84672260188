"""The families of networks whose checkpoints are known, by name."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from spconv_cy.errors import ShapeError, expected
from spconv_cy.io.networks.compression import PCGC_DECODER, PCGC_ENCODER
from spconv_cy.io.networks.encoders import CENTERPOINT, CENTERPOINT_MMDET3D, MMDET3D, SECOND, VOXELNEXT
from spconv_cy.io.networks.instance_u import POINTGROUP
from spconv_cy.io.networks.open3d_unet import UNET as OPEN3D_UNET
from spconv_cy.io.networks.places import FCGF, MINKFPN
from spconv_cy.io.networks.points import PTV3, SPVCNNS, SPVCNNS_MMDET3D
from spconv_cy.io.networks.residual_u import MINKUNETS, MINKUNETS_MMDET3D, SPUNETS
from spconv_cy.io.networks.scn_unet import UNET

if TYPE_CHECKING:
    from spconv_cy.io.networks.family import Family

FAMILIES = {family.name: family for family in (
    SECOND, MMDET3D, CENTERPOINT, CENTERPOINT_MMDET3D, VOXELNEXT, SPUNETS, MINKUNETS, MINKUNETS_MMDET3D, SPVCNNS,
    SPVCNNS_MMDET3D, PTV3, MINKFPN, FCGF, PCGC_ENCODER, PCGC_DECODER, UNET, OPEN3D_UNET, POINTGROUP)}


def checked_family(who: str, name: str, source: str) -> Family:
    """Return the Family of a name; raise ShapeError if it is unknown or not written with that library."""
    if name not in FAMILIES:
        close = get_close_matches(name, FAMILIES, 1)
        raise ShapeError(expected(who, f"a Layer, or one of {', '.join(map(repr, FAMILIES))}", repr(name),
                                  f"did you mean {close[0]!r}?" if close else ""))
    family = FAMILIES[name]
    if source not in family.first:
        raise ShapeError(expected(who, f"source={' or '.join(map(repr, family.first))} for {name}", repr(source),
                                  "give a Layer and names={module: layer}"))
    return family
