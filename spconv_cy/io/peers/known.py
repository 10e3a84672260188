"""The libraries whose checkpoints can be converted, by the word for `source`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from spconv_cy.errors import ShapeError, expected

if TYPE_CHECKING:
    from spconv_cy.io.peers.layout import Peer

# The module of each library in this folder, and its name there. A module is imported when its library is asked for.
PLACES = {"spconv2": "spconv.SPCONV2", "spconv1": "spconv.SPCONV1", "minkowski": "minkowski.MINKOWSKI",
          "torchsparse": "torchsparse.TORCHSPARSE", "sparseconvnet": "scn.SCN", "paddle": "paddle.PADDLE",
          "open3d": "open3d.OPEN3D", "fvdb": "grids.FVDB", "warpconvnet": "grids.WARPCONVNET"}


def peer_of(name: str) -> Peer:
    """Return the Peer of a name that PLACES has."""
    module, _, constant = PLACES[name].partition(".")
    found: Peer = getattr(import_module(f"spconv_cy.io.peers.{module}"), constant)
    return found


def checked_peer(who: str, source: object) -> Peer:
    """Return the Peer of a name; raise ShapeError if it is unknown."""
    if not isinstance(source, str) or source not in PLACES:
        raise ShapeError(expected(who, f"source to be one of {', '.join(map(repr, PLACES))}", repr(source)))
    return peer_of(source)
