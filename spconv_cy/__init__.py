"""Spatially-sparse convolutional networks for numpy: sites, rulebooks, layers and their gradients."""

from spconv_cy.assembly import BatchBuilder, collate
from spconv_cy.autograd import Tensor, differentiable, no_grad
from spconv_cy.backend.switch import available, use
from spconv_cy.config import precision, set_threads
from spconv_cy.data.augment import Affine, Colour
from spconv_cy.data.batch import Copies, StrokeBatches, TensorBatches
from spconv_cy.data.digits import digits, digits_split
from spconv_cy.data.events import EventBatches, Events
from spconv_cy.data.handwriting import Handwriting
from spconv_cy.data.lifting import LiftedEncoder
from spconv_cy.data.meshes import Mesh
from spconv_cy.data.motion import Motion
from spconv_cy.data.pictures import PictureBatches
from spconv_cy.data.points import PointAffine, PointBatches, surroundings
from spconv_cy.data.readers.assamese import read_assamese
from spconv_cy.data.readers.casia import read_casia
from spconv_cy.data.readers.events import read_events
from spconv_cy.data.readers.hanzi_writer import read_hanzi_writer
from spconv_cy.data.readers.kanjivg import read_kanjivg
from spconv_cy.data.readers.mesh import read_mesh, write_mesh
from spconv_cy.data.readers.npz import read_npz, write_npz
from spconv_cy.data.readers.scan import read_scan
from spconv_cy.data.readers.uji import read_uji
from spconv_cy.data.readers.unipen import read_unipen
from spconv_cy.data.readers.voxels import VoxelShapes, read_voxels
from spconv_cy.data.shapes import ShapeBatches, Shapes, voxel_points
from spconv_cy.data.signature import log_signature, signature
from spconv_cy.data.solids import solid
from spconv_cy.data.strokes import Characters, StrokeEncoder
from spconv_cy.data.synthetic import (
    WorldLineBatches,
    WorldLines,
    drawn_backward,
    flight,
    helices,
    leaders,
    lissajous,
    rotors,
    shell,
)
from spconv_cy.data.terrain import TERRAIN_CLASSES, terrain
from spconv_cy.errors import BackendError, FileError, GridError, NotFittedError, ShapeError
from spconv_cy.estimator import SparseConvClassifier
from spconv_cy.exchange import from_coo, from_padded, from_scipy, to_coo, to_padded, to_scipy
from spconv_cy.experiment import Experiment
from spconv_cy.functional.contrast import contrastive_loss, index_loss
from spconv_cy.functional.loss import hinge, mse, softmax_cross_entropy
from spconv_cy.gradient_check import check_gradient
from spconv_cy.io.file import load, save
from spconv_cy.layers.activation import (
    ELU,
    GELU,
    SELU,
    LeakyReLU,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
    VeryLeakyReLU,
)
from spconv_cy.layers.attention import WindowAttention
from spconv_cy.layers.checkpointed import Checkpointed
from spconv_cy.layers.collapse import Collapse
from spconv_cy.layers.container import Concatenate, Residual, Sequential
from spconv_cy.layers.convolution import Convolution, NetworkInNetwork, SubmanifoldConvolution
from spconv_cy.layers.coordinates import AddCoordinates
from spconv_cy.layers.dropout import Dropout
from spconv_cy.layers.edge import DenseToSparse, SparseToDense
from spconv_cy.layers.fractional import FractionalMaxPooling
from spconv_cy.layers.interpolation import interpolate, on_sites, splat
from spconv_cy.layers.layer import Layer
from spconv_cy.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
)
from spconv_cy.layers.points import ToPoints
from spconv_cy.layers.pooling import AveragePooling, GlobalPooling, MaxPooling, SumPooling
from spconv_cy.layers.pruning import KeepTop, Sparsify
from spconv_cy.layers.pyramid import Pyramid
from spconv_cy.layers.randomized import RandomizedStrideConvolution, RandomizedStrideMaxPooling
from spconv_cy.layers.restoring import Deconvolution, UnPooling
from spconv_cy.layers.transposed import TransposedConvolution
from spconv_cy.memory import release_memory
from spconv_cy.models.autoencoder import Autoencoder, Reconstruction, reconstruction_loss
from spconv_cy.models.budget import widest
from spconv_cy.models.classic import lenet5, mlp
from spconv_cy.models.deepcnet import deepc2, deepcnet, deepcnin
from spconv_cy.models.doubled import deepc2c2, deepc3c3
from spconv_cy.models.everywhere import everywhere
from spconv_cy.models.fractional import fractional_cnn
from spconv_cy.models.fully_convolutional import fully_convolutional
from spconv_cy.models.minkunet import minkunet
from spconv_cy.models.resnet import resnet
from spconv_cy.models.second import second
from spconv_cy.models.spec import from_spec
from spconv_cy.models.spunet import spunet
from spconv_cy.models.unet import unet, uresnet
from spconv_cy.models.vgg import vgg
from spconv_cy.models.voxelnext import voxelnext
from spconv_cy.report import show_config
from spconv_cy.sites.grid import Grid
from spconv_cy.sites.lattice import Lattice
from spconv_cy.sites.rulebook import Rulebook
from spconv_cy.sites.window import Window
from spconv_cy.tensor import SparseTensor
from spconv_cy.train.loop import evaluate, fit, outputs
from spconv_cy.train.loss_scale import LossScale
from spconv_cy.train.optim import SGD, Adam, Nesterov, Together, clip_gradients
from spconv_cy.train.schedule import Constant, Cosine, Exponential, Steps, WarmUp

__version__ = "0.1.0"
