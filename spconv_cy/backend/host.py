"""Arrays that the CPU reads: labels, masks and scores in a GPU's memory are copied from there."""

from typing import Any

from spconv_cy.backend.switch import ops_of
from spconv_cy.dlpack import is_cupy


def hosted(array: Any) -> Any:
    """Return an array of the cuda backend as a numpy array, anything else unchanged."""
    return ops_of(array).to_numpy(array) if is_cupy(array) else array
