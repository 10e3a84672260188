"""Estimators with scikit-learn's interface: a classifier, a regressor and a segmenter."""

from spconv_cy.estimators.classifier import SparseConvClassifier as SparseConvClassifier
