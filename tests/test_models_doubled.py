"""DeepC2C2 and DeepC3C3: published fields, parameters of their lists, both lattices."""

import numpy as np
import pytest
from in_turn import each
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import ShapeError

FIELDS = {sp.models.deepc2c2: [37, 77, 157, 317], sp.models.deepc3c3: [59, 123, 251, 507]}


@each("build", FIELDS)
@each("l", [3, 4, 5, 6])
def test_the_field_is_the_published_one(build, l):
    assert build(l, 1, rng=0).input_size() == (FIELDS[build][l - 3],) * 2


@each("lattice, volumes", [(2, (4, 9)), (3, (8, 27)), (sp.Lattice.simplex(2), (3, 6)),
                           (sp.Lattice.simplex(3), (4, 10))])
@each("build", FIELDS)
def test_the_parameters_are_those_of_the_list(build, lattice, volumes):
    l, k, m, classes, v = 3, 4, 2, 7, volumes[build is sp.models.deepc3c3]
    expected, channels = 0, m
    for width in (k, 2 * k, 3 * k):
        expected += v * channels * width + width + v * width * width + width
        channels = width
    expected += v * channels * 4 * k + 4 * k + 16 * k * k + 4 * k + 4 * k * classes + classes
    assert build(l, k, m, classes, d=lattice, rng=0).n_parameters() == expected


def test_an_empty_sample_gets_what_it_gets_in_any_batch_and_dropout_grows_with_the_level(rng):
    net = sp.models.deepc2c2(3, 2, 1, 4, dropout=0.6, rng=0)
    shares = [layer.p for layer in net if isinstance(layer, sp.Dropout)]
    assert shares == pytest.approx([0.2, 0.2, 0.4, 0.4, 0.6, 0.6])
    net.eval()
    sites = random_sites(rng, 20, 2, 10, 27)
    y = net(sp.SparseTensor.from_sites(sites, np.ones((20, 1)), 37, 2)).data
    empty = net(sp.SparseTensor.from_sites(np.zeros((0, 3), np.int32), np.zeros((0, 1)), 37, 1)).data
    np.testing.assert_allclose(y[1:], empty, rtol=1e-5, atol=1e-6)
    assert not np.allclose(y[0], y[1])


def test_centred_windows_do_not_spread_the_sites():
    site = [[0, 29, 29]]
    x = sp.SparseTensor.from_sites(site, [[1.0]], 59)
    spread, kept = (sp.models.deepc3c3(3, 1, centred=centred, rng=0).summary(x) for centred in (False, True))
    assert [row.rows for row in list(kept)[1:4:2]] == [1, 1] and [row.rows for row in list(spread)[1:4:2]] == [9, 25]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match=r"deepc2c2: expected l to be a whole number from 1 to 30, got 0"):
        sp.models.deepc2c2(0, 1)
