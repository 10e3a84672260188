"""Grids of active sites, lattices, windows and rulebooks."""

from spconv_cy.sites.grid import Grid as Grid
from spconv_cy.sites.lattice import Lattice as Lattice
from spconv_cy.sites.lattice import LatticeLike as LatticeLike
from spconv_cy.sites.lattice import as_lattice as as_lattice
from spconv_cy.sites.rulebook import Rulebook as Rulebook
from spconv_cy.sites.window import Window as Window
