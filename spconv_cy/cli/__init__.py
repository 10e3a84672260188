"""The command line."""

from spconv_cy.lazy import public

__getattr__, __dir__, __all__ = public(__name__, __file__)
