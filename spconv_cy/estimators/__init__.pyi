"""Estimators with scikit-learn's interface: a classifier, a regressor and a segmenter."""

from spconv_cy.estimators.classifier import SparseConvClassifier as SparseConvClassifier
from spconv_cy.estimators.encoders import PointEncoder as PointEncoder
from spconv_cy.estimators.encoders import SignalEncoder as SignalEncoder
from spconv_cy.estimators.regressor import SparseConvRegressor as SparseConvRegressor
from spconv_cy.estimators.segmenter import SparseConvSegmenter as SparseConvSegmenter
