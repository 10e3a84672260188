"""Files of networks and of other libraries."""

from spconv_cy.io.converting import convert as convert
from spconv_cy.io.exporting import to_peer as to_peer
from spconv_cy.io.fleet import Predictions as Predictions
from spconv_cy.io.fleet import predict_files as predict_files
from spconv_cy.io.onnx_reader import read_onnx as read_onnx
from spconv_cy.io.prediction import predict_file as predict_file
from spconv_cy.io.pth import read_checkpoint as read_checkpoint
