"""Networks by name."""

from spconv_cy.models.autoencoder import Autoencoder as Autoencoder
from spconv_cy.models.autoencoder import Reconstruction as Reconstruction
from spconv_cy.models.autoencoder import reconstruction_loss as reconstruction_loss
from spconv_cy.models.classic import lenet5 as lenet5
from spconv_cy.models.classic import mlp as mlp
from spconv_cy.models.deepcnets import deepc2 as deepc2
from spconv_cy.models.deepcnets import deepcnet as deepcnet
from spconv_cy.models.deepcnets import deepcnin as deepcnin
from spconv_cy.models.doubled import deepc2c2 as deepc2c2
from spconv_cy.models.doubled import deepc3c3 as deepc3c3
from spconv_cy.models.fcns import fully_convolutional as fully_convolutional
from spconv_cy.models.fractional import fractional_cnn as fractional_cnn
from spconv_cy.models.minkunets import minkunet as minkunet
from spconv_cy.models.places import fcgf as fcgf
from spconv_cy.models.places import minkfpn as minkfpn
from spconv_cy.models.resnets import resnet as resnet
from spconv_cy.models.sliding_windows import sliding_window as sliding_window
from spconv_cy.models.spec import from_spec as from_spec
from spconv_cy.models.spunets import spunet as spunet
from spconv_cy.models.unets import unet as unet
from spconv_cy.models.unets import uresnet as uresnet
from spconv_cy.models.vggs import vgg as vgg
from spconv_cy.models.voxel_backbones import voxel_backbone_8x as voxel_backbone_8x
from spconv_cy.models.voxelnexts import voxelnext as voxelnext
