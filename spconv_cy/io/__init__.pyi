"""Files of networks and of other libraries."""

from spconv_cy.io.convert import convert as convert
from spconv_cy.io.pth import read_checkpoint as read_checkpoint
