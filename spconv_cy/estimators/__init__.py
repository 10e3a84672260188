"""Estimators with scikit-learn's interface: a classifier, a regressor and a segmenter."""

from spconv_cy.lazy import public

__getattr__, __dir__, __all__ = public(__name__, __file__)
