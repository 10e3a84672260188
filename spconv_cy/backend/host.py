"""Numbers that the CPU reads: labels, masks and scores may come from the GPU, and are copied where they do."""

from spconv_cy.backend.switch import ops_of
from spconv_cy.dlpack import is_cupy


def hosted(array):
    """Return an array of the cuda backend as a numpy array, anything else as it is."""
    return ops_of(array).to_numpy(array) if is_cupy(array) else array
