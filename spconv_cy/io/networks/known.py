"""The families of networks whose checkpoints are known, by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from spconv_cy.errors import ShapeError, expected
from spconv_cy.lazy import near

if TYPE_CHECKING:
    from spconv_cy.io.networks.family import Family

# The module of each family in this folder, and its name there. A module is imported when a family of it is asked for.
PLACES = {
    "second": "encoders.SECOND", "second_mmdet3d": "encoders.MMDET3D", "centerpoint": "encoders.CENTERPOINT",
    "centerpoint_mmdet3d": "encoders.CENTERPOINT_MMDET3D", "voxelnext": "encoders.VOXELNEXT",
    "spunet": "residual_u.SPUNETS", "minkunet": "residual_u.MINKUNETS",
    "minkunet_mmdet3d": "residual_u.MINKUNETS_MMDET3D", "spvcnn": "points.SPVCNNS",
    "spvcnn_mmdet3d": "points.SPVCNNS_MMDET3D", "ptv3": "points.PTV3", "minkfpn": "places.MINKFPN",
    "fcgf": "places.FCGF", "pcgc_encoder": "compression.PCGC_ENCODER", "pcgc_decoder": "compression.PCGC_DECODER",
    "unet": "scn_unet.UNET", "open3d_unet": "open3d_unet.UNET", "pointgroup": "instance_u.POINTGROUP"}


def family_of(name: str) -> Family:
    """Return the Family of a name that PLACES has."""
    module, _, constant = PLACES[name].partition(".")
    found: Family = getattr(import_module(f"spconv_cy.io.networks.{module}"), constant)
    return found


def checked_family(who: str, name: str, source: str) -> Family:
    """Return the Family of a name; raise ShapeError if it is unknown or not written with that library."""
    if name not in PLACES:
        close = near(name, PLACES)
        raise ShapeError(expected(who, f"a Layer, or one of {', '.join(map(repr, PLACES))}", repr(name),
                                  f"did you mean {close[0]!r}?" if close else ""))
    family = family_of(name)
    if source not in family.first:
        raise ShapeError(expected(who, f"source={' or '.join(map(repr, family.first))} for {name}", repr(source),
                                  "give a Layer and names={module: layer}"))
    return family
