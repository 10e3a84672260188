"""Sites as multiples of the stride, against a loop that numbers them as MinkowskiEngine does."""

import numpy as np
import pytest
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import ShapeError


@pytest.mark.parametrize("begin", [1, (2, 4)])
def test_sites_are_those_of_a_library_that_does_not_divide(begin, rng):
    sites = random_sites(rng, 40, 2, -20, 20, samples=2)
    x = sp.SparseTensor.from_sites(sites, rng.normal(size=(40, 3)), ground=None, samples=2)
    first = np.ones(2, int) * begin
    theirs, stride = sites[:, 1:] * first, first
    for layer in (sp.Convolution(2, 3, 3, 3, 2, padding=1, sites="cell"), sp.SubmanifoldConvolution(2, 3, 3), sp.ReLU(),
                  sp.MaxPooling(2, (1, 3), sites="cell")):
        x = layer(x)
        if hasattr(layer, "window"):
            stride = stride * np.array(layer.window.stride)
        theirs = theirs // stride * stride                               # their rule of the coarser coordinates
        found = sp.exchange.strided_sites(x, begin)
        assert found.stride == tuple(stride)
        truth = np.unique(np.column_stack([sites[:, 0], theirs]), axis=0)
        assert np.array_equal(found.sites, truth) and found.sites.dtype == np.int64
    up = sp.layers.TransposedConvolution(2, 3, 2, 2, (1, 3))(x)          # generative: site + tap, in the finer stride
    found = sp.exchange.strided_sites(up, begin)
    assert found.stride == (2 * first[0], 2 * first[1])
    taps = [(b, a + i * found.stride[0], c + j * found.stride[1]) for b, a, c in truth for i in (0, 1) for j in (0, 1)]
    assert np.array_equal(found.sites, np.unique(taps, axis=0))


def test_sites_of_no_window_are_unchanged_and_no_site_is_a_case(rng):
    x = sp.SparseTensor.from_sites(random_sites(rng, 5, 3), np.ones((5, 1)), ground=None)
    assert np.array_equal(sp.exchange.strided_sites(x).sites, x.sites)
    none = sp.SparseTensor.from_sites(np.zeros((0, 2), np.int32), np.zeros((0, 1)), 8, samples=1, ground=None)
    found = sp.exchange.strided_sites(sp.MaxPooling(1, 2)(none))
    assert found.sites.shape == (0, 2) and found.stride == (2,)


def test_what_has_no_stride_is_refused():
    x = sp.SparseTensor.from_sites([[0, 3, 3]], [[1.0]], 8, ground=None)
    with pytest.raises(ShapeError, match="expected sites that windows made, got .*Regions"):
        sp.exchange.strided_sites(sp.FractionalMaxPooling(2, 1.5)(x))
    with pytest.raises(ShapeError, match=r"that \(2, 2\), the stride .* divides, got \(1, 1\); give a larger"):
        sp.exchange.strided_sites(sp.layers.TransposedConvolution(2, 1, 1, 2, 2)(x))
    with pytest.raises(ShapeError, match="stride"):
        sp.exchange.strided_sites(x, 0)
    with pytest.raises(TypeError, match="expected a SparseTensor, got a list"):
        sp.exchange.strided_sites([1])
