"""The libraries whose checkpoints can be converted, by the word for `source`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spconv_cy.errors import ShapeError, expected
from spconv_cy.io.peers.grids import FVDB, WARPCONVNET
from spconv_cy.io.peers.minkowski import MINKOWSKI
from spconv_cy.io.peers.open3d import OPEN3D
from spconv_cy.io.peers.paddle import PADDLE
from spconv_cy.io.peers.scn import SCN
from spconv_cy.io.peers.spconv import SPCONV1, SPCONV2
from spconv_cy.io.peers.torchsparse import TORCHSPARSE

if TYPE_CHECKING:
    from spconv_cy.io.peers.layout import Peer

PEERS = {peer.name: peer
         for peer in (SPCONV2, SPCONV1, MINKOWSKI, TORCHSPARSE, SCN, PADDLE, OPEN3D, FVDB, WARPCONVNET)}


def checked_peer(who: str, source: object) -> Peer:
    """Return the Peer of a name; raise ShapeError if it is unknown."""
    if not isinstance(source, str) or source not in PEERS:
        raise ShapeError(expected(who, f"source to be one of {', '.join(map(repr, PEERS))}", repr(source)))
    return PEERS[source]
