"""Frozen networks for inference on a CPU: folded, packed, and in a memory that is told beforehand."""

from spconv_cy.lazy import public

__getattr__, __dir__, __all__ = public(__name__, __file__)
