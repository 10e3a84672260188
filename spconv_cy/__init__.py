"""Spatially-sparse convolutional networks for numpy: sites, rulebooks, layers and their gradients."""

from spconv_cy.lazy import end_together, public

__version__ = "0.1.0.dev0"
__getattr__, __dir__, __all__ = public(__name__, __file__)
end_together()
