"""Training and evaluation on several processes with MPI."""

from spconv_cy.distributed.averaged import Averaged as Averaged
from spconv_cy.distributed.nccl import NcclCommunicator as NcclCommunicator
from spconv_cy.distributed.ranks import Ranks as Ranks
from spconv_cy.distributed.ranks import world as world
from spconv_cy.distributed.scene import gather as gather
from spconv_cy.distributed.scene import scatter as scatter
