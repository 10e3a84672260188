"""Readers of files, one module for each format."""

from spconv_cy.readers.assamese import read_assamese as read_assamese
from spconv_cy.readers.casia import read_casia as read_casia
from spconv_cy.readers.columns import read_columns as read_columns
from spconv_cy.readers.events import read_events as read_events
from spconv_cy.readers.gnt import LabelledPictures as LabelledPictures
from spconv_cy.readers.gnt import read_gnt as read_gnt
from spconv_cy.readers.hanzi_writer import read_hanzi_writer as read_hanzi_writer
from spconv_cy.readers.inkml import read_inkml as read_inkml
from spconv_cy.readers.kanjivg import read_kanjivg as read_kanjivg
from spconv_cy.readers.kitti import read_kitti as read_kitti
from spconv_cy.readers.mesh import read_mesh as read_mesh
from spconv_cy.readers.mesh import write_mesh as write_mesh
from spconv_cy.readers.npz import read_handwriting as read_handwriting
from spconv_cy.readers.npz import write_handwriting as write_handwriting
from spconv_cy.readers.points import read_points as read_points
from spconv_cy.readers.points import write_points as write_points
from spconv_cy.readers.quickdraw import read_quickdraw as read_quickdraw
from spconv_cy.readers.scan import Scan as Scan
from spconv_cy.readers.scan import read_scan as read_scan
from spconv_cy.readers.uji import read_uji as read_uji
from spconv_cy.readers.unipen import read_unipen as read_unipen
from spconv_cy.readers.voxels import VoxelShapes as VoxelShapes
from spconv_cy.readers.voxels import read_voxels as read_voxels
