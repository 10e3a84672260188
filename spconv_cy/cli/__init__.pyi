"""The command line."""

from spconv_cy.cli.main import main as main
