"""Types of what a differentiable function's body returns; its callers get a Tensor."""

from spconv_cy.types import Backward as Backward
from spconv_cy.types import Gradient as Gradient
from spconv_cy.types import Recorded as Recorded
