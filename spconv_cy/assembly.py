"""One batch out of parts: tensors put side by side, and a builder that takes sites as they come."""

import numpy as np

from spconv_cy.autograd import Tensor
from spconv_cy.backend.switch import ops_of
from spconv_cy.errors import ShapeError
from spconv_cy.sites.grid import Grid
from spconv_cy.tensor import SparseTensor


def collate(tensors):
    """Make one batch of several SparseTensors, their samples in turn.

    Args:
        tensors: SparseTensors of one lattice, size, number of channels and ground state.

    Raises:
        ShapeError: none came, or they do not fit.

    >>> x = SparseTensor.from_sites([[0, 1]], [[1.0]], size=4)
    >>> collate([x, x]).sites.tolist()
    [[0, 1], [1, 1]]
    """
    tensors = [tensors] if isinstance(tensors, SparseTensor) or not hasattr(tensors, "__iter__") else list(tensors)
    for x in tensors:
        if not isinstance(x, SparseTensor):
            raise TypeError(f"collate: a {type(x).__name__} came; a list of SparseTensors fits")
    if not tensors:
        raise ShapeError("collate: no tensors came; at least one fits")
    if any(t is not None and t.requires_grad for x in tensors for t in (x.features, x.ground)):
        raise ShapeError("collate: tensors on the tape came, whose gradients a batch does not carry; collate what goes "
                         "into the network, or what came out of it inside no_grad()")
    first = tensors[0]
    for x in tensors[1:]:
        same_ground = (x.ground is None) == (first.ground is None) and (
            first.ground is None or np.array_equal(x.ground.numpy(), first.ground.numpy()))
        if (x.grid.lattice, x.grid.size, x.channels) != (first.grid.lattice, first.grid.size, first.channels) \
                or not same_ground:
            raise ShapeError(f"collate: {x} and {first} came; equal lattice, size, channels and ground state fit")
    samples = np.cumsum([0] + [x.grid.samples for x in tensors])
    rows = np.cumsum([0] + [x.grid.n for x in tensors])
    sites = np.concatenate([x.sites for x in tensors])
    sites[:, 0] += np.repeat(samples[:-1], np.diff(rows)).astype(np.int32)
    grid = Grid(sites, first.grid.size, int(samples[-1]), first.grid.lattice)
    ops = ops_of(*(x.features.data for x in tensors))
    point_rows = None
    if all(x.point_rows is not None for x in tensors):
        point_rows = np.concatenate([x.point_rows + start for x, start in zip(tensors, rows[:-1], strict=True)])
    features = Tensor.of(ops.xp.concatenate([x.features.data for x in tensors]))
    return SparseTensor(features, grid, first.ground, point_rows)
