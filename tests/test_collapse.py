"""An axis summed away, and scales summed at the finest sites: dense sums, sets of sites, errors."""

from collections import defaultdict

import numpy as np
import pytest
from in_turn import each
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import GridError, ShapeError


@each("axis", [0, 1, 2])
@each("ground", ["zero", "drawn", None])
def test_a_collapse_is_the_dense_sum_along_the_axis(axis, ground, rng, ops):
    sites = random_sites(rng, 40, 3, 0, 4, samples=2)
    x = sp.SparseTensor.from_sites(sites, rng.normal(size=(40, 3)), (4, 5, 6), 3, ground=None if not ground else "zero")
    if ground == "drawn":
        x = x.with_features(x.features, sp.Tensor(rng.normal(size=(1, 3))))
    y = sp.layers.Collapse(3, axis)(x)
    np.testing.assert_allclose(y.to_dense(), x.to_dense().sum(2 + axis), atol=1e-5)
    assert {tuple(site) for site in y.sites} == {tuple(site) for site in np.delete(x.sites, 1 + axis, axis=1)}
    assert y.grid.size == tuple(np.delete((4, 5, 6), axis)) and y.grid.samples == 3


def test_collapses_of_one_grid_meet_on_one_grid(rng):
    x = sp.SparseTensor.from_sites(random_sites(rng, 20, 2, -5, 5), np.ones((20, 1)), ground=None)
    both = sp.Concatenate(sp.layers.Collapse(2, 1), sp.layers.Collapse(2, 1))(x)
    assert both.channels == 2 and both.features.data.sum() == 40


def test_a_pyramid_sums_each_scale_at_its_sites_times_the_factor(rng, ops):
    sites = random_sites(rng, 50, 2, -20, 20, samples=2)
    values = rng.integers(-9, 9, 50).astype(float)
    x = sp.SparseTensor.from_sites(sites, values[:, None], samples=3, ground=None)
    expected = defaultdict(float)
    for site, value in zip(sites.tolist(), values, strict=True):
        for factor in (1, 3, 9):
            expected[(site[0], *(factor * (v // factor) for v in site[1:]))] += value
    y = sp.layers.Pyramid(sp.layers.SumPooling(2, 3), sp.layers.SumPooling(2, 3), factor=3)(x)
    assert dict(zip(map(tuple, y.sites.tolist()), y.features.data[:, 0].tolist(), strict=True)) == dict(expected)
    assert y.grid.samples == 3


def test_a_pyramid_without_levels_gives_the_input(rng):
    x = sp.SparseTensor.from_sites(random_sites(rng, 9, 2), np.ones((9, 1)), ground=None)
    assert sp.layers.Pyramid()(x) is x


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError,
                       match=r"expected a cubic lattice of dimension 2 to 8, got Lattice\(d=1, kind='cubic'\)"):
        sp.layers.Collapse(1)
    with pytest.raises(ShapeError, match=r"Collapse: expected axis to be 0 to 1, got 2"):
        sp.layers.Collapse(2, 2)
    with pytest.raises(ShapeError, match=r"Pyramid: expected factor to be a whole number from 2"):
        sp.layers.Pyramid(factor=1)
    with pytest.raises(TypeError, match="expected layers, got an int"):
        sp.layers.Pyramid(3)
    x = sp.SparseTensor.from_sites([[0, 1, 2]], [[1.0]])
    with pytest.raises(ShapeError, match=r"Collapse.*unbounded and with a ground state.*ground=None"):
        sp.layers.Collapse(2)(x)
    with pytest.raises(ShapeError, match=r"Collapse.*expected sites on"):
        sp.layers.Collapse(3)(x)
    with pytest.raises(ShapeError, match=r"Pyramid: .*ground=None"):
        sp.layers.Pyramid(sp.MaxPooling(2, 2))(x)
    x = sp.SparseTensor.from_sites([[0, 5, 5]], [[1.0]], 6, ground=None)
    with pytest.raises(GridError, match="inside size .*, got 1 of 1 outside"):
        sp.layers.Pyramid(sp.SubmanifoldConvolution(2, 1, 1, rng=0))(x)
