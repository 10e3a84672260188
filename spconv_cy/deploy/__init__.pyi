"""Frozen networks for inference on a CPU: folded, packed, and in a memory that is told beforehand."""

from spconv_cy.deploy.freezing import freeze as freeze
from spconv_cy.deploy.frozen import Frozen as Frozen
