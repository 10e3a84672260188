"""Fields, batches and places at the edge of what is held: cost by sites, or a refusal with the number."""

import tracemalloc

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_array_equal
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import GridError, ShapeError
from spconv_cy.sites import fractional, given
from spconv_cy.sites.even import EvenRegions

LARGEST = 2**31 - 1


def far(size, *places, d=2):
    """Make a tensor of sites on the diagonal of a field."""
    return sp.SparseTensor.from_sites([[0] + [place] * d for place in places], np.ones((len(places), 1)), size=size)


@pytest.mark.parametrize("overlap", fractional.OVERLAPS)
def test_regions_by_formula_are_those_of_the_arrays_of_bounds(overlap, rng, monkeypatch):
    for _ in range(25):
        d, samples = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        size = tuple(int(n) for n in rng.integers(2, 30, d))
        # At times an axis stays as it is.
        out = tuple(n if rng.random() < 0.2 else int(rng.integers(-(-n // 2), n)) for n in size)
        sites = np.column_stack([rng.integers(0, samples, 40), *(rng.integers(0, n, 40) for n in size)])
        of = sp.Grid.from_sites(np.unique(sites, axis=0), size, samples)
        made, states = [], []
        for bound in (2**22, 0):
            monkeypatch.setattr(fractional, "MANY_BOUNDS", bound)
            generator = np.random.default_rng(d)
            regions = fractional.draw(generator, of.lattice, samples, size, out, "pseudorandom", overlap)
            assert isinstance(regions, EvenRegions) == (bound == 0)
            assert (regions.samples, regions.out_size) == (samples, out)
            made.append((regions.span, *regions.rules(of)))
            states.append(generator.bit_generator.state)
        (span, child, rulebook), (other_span, other_child, other_rulebook) = made
        assert span == other_span and rulebook == other_rulebook and states[0] == states[1]
        assert_array_equal(child.sites, other_child.sites)
        assert_array_equal(rulebook.volume, other_rulebook.volume)


@each("size", [10**7, 10**8, LARGEST])
@each("overlap", fractional.OVERLAPS)
def test_pseudorandom_pooling_of_a_huge_field_costs_by_its_sites(size, overlap):
    x = far(size, 0, 5, size // 2, size - 1)
    layer = sp.FractionalMaxPooling(2, 1.5, overlap=overlap, size_rule="nearest", rng=0)
    tracemalloc.start()
    y = layer(x)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**20 and y.grid.size == (int(size / 1.5 + 0.5),) * 2 and (y.features.data == 1).all()
    # Every site has an output of its own region: that of the last site is the last of each axis.
    assert y.sites.max() == y.grid.size[0] - 1 and y.sites.min() == 0
    assert sp.UnPooling(2)(y.with_features(y.features)).grid is x.grid


@pytest.mark.parametrize("make", [
    lambda: sp.FractionalMaxPooling(2, 1.5, sequence="random", size_rule="nearest", rng=0),
    lambda: sp.layers.RandomizedStrideMaxPooling(2, 2, size_rule="floor", rng=0),
    lambda: sp.layers.RandomizedStrideConvolution(2, 1, 1, 2, 2, size_rule="floor", rng=0),
], ids=["random fractional", "pooling of a random stride", "convolution of a random stride"])
def test_what_must_draw_every_step_refuses_a_huge_field_before_it_draws(make):
    layer = make()
    before = {name: dict(g.bit_generator.state) for name, g in layer.generators().items()}
    for size, n in ((10**8, 200_000_000), (LARGEST, 2 * LARGEST)):
        tracemalloc.start()
        with pytest.raises(ShapeError, match=f"at most 16777216 bounds of drawn regions, got {n} of 1 samples"):
            layer(far(size, 5, 9))
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()
    assert before == {name: dict(g.bit_generator.state) for name, g in layer.generators().items()}


def test_a_batch_has_as_many_samples_as_a_grid_takes(monkeypatch):
    monkeypatch.setattr(given, "MOST_SAMPLES", 10)
    x = sp.SparseTensor.from_sites([[0, 1]], [[1.0]], size=4, samples=4)
    assert sp.collate([x, x]).grid.samples == 8
    with pytest.raises(GridError, match="collate: expected at most 10 samples, got 12"):
        sp.collate([x, x, x])
    with pytest.raises(GridError, match="10"):
        sp.SparseTensor.from_sites([[0, 1]], [[1.0]], samples=12)
    builder = sp.data.BatchBuilder(1, 1, 4)
    builder.add_tensor(x)
    builder.add_tensor(x)
    with pytest.raises(GridError, match="10"):
        builder.add_tensor(x)
    assert builder.tensor().grid.samples == 8
    with pytest.raises(GridError, match="10"):
        sp.exchange.from_padded(np.zeros((11, 1, 1), int), np.zeros((11, 1, 1)))
    copies = sp.data.AugmentedCopies(sp.data.TensorBatches([x, x, x], None), 1)
    with pytest.raises(GridError, match="collate"):
        list(copies.epoch(0, training=False))


def test_a_crop_that_becomes_a_field_is_no_larger_than_sites_reach():
    x = sp.SparseTensor.from_sites([[0, LARGEST - 1], [0, -LARGEST]], np.ones((2, 1)))
    with pytest.raises(ShapeError, match="a field of at most 2147483647 .*got .4294967294"):
        x.crop(-LARGEST, LARGEST, moved=True)
    assert x.crop(0, LARGEST, moved=True).sites.tolist() == [[0, LARGEST - 1]]


def test_a_pyramid_spreads_no_site_beyond_int32():
    x = sp.SparseTensor.from_sites([[0, 2**20]], [[1.0]], ground=None)
    level = sp.SubmanifoldConvolution(1, 1, 1, 3, rng=0)
    with pytest.raises(GridError, match="within the int32 range"):
        sp.layers.Pyramid(level, factor=2**12)(x)
    for factor in (2**40, 2**70):
        with pytest.raises(ShapeError, match="from 2 to 2147483647"):
            sp.layers.Pyramid(level, factor=factor)
    assert sp.layers.Pyramid(level, factor=2**10)(x).sites.tolist() == [[0, 2**20], [0, 2**30]]


def test_a_dense_array_beyond_any_memory_is_refused_with_its_number_and_a_part_is_given():
    x = far(LARGEST, 5, 9)
    with pytest.raises(ShapeError, match=f"got {LARGEST**2} numbers.*origin= and size="):
        x.to_dense()
    assert x.to_dense(5, 5).sum() == 2


def test_layers_on_a_huge_field_cost_by_its_sites(rng):
    sites = random_sites(rng, 50, 2, 0, 40)
    x = sp.SparseTensor.from_sites(sites, rng.normal(size=(50, 2)), size=LARGEST, ground=None)
    tracemalloc.start()
    sp.layers.AddCoordinates(2)(x)
    sp.layers.WindowAttention(2, 2, 1, size=7, rng=0)(x)
    sp.layers.Collapse(2, 0)(x)
    sp.GlobalPooling("average", over="field")(x)
    sp.MaxPooling(2, 3, 2)(x)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_distorted_pictures_of_a_huge_field_are_refused_with_the_number():
    data = sp.data.PictureBatches(np.ones((2, 3, 3)), None, 10**6, augment="mild")
    with pytest.raises(ShapeError, match="at most 1073741824 sites in the fields of a batch, got 2000000000000"):
        next(data.epoch(0, training=True))
    assert next(data.epoch(0, training=False))[0].grid.n == 18
