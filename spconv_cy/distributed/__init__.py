"""Training and evaluation on several processes with MPI."""

from spconv_cy.lazy import public

__getattr__, __dir__, __all__ = public(__name__, __file__)
