"""Numbers beyond a float on the GPU: refused at the door, and no silent zero where a square overflows."""

import cupy_on_host
import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy.errors import BackendError, ShapeError
from spconv_cy.functional.contrast import unit_rows


def test_features_beyond_float32_are_refused_from_either_memory(cuda):
    with sp.use("cuda"):
        for features in ([[1e300]], np.array([[1e300]]), cupy_on_host.asarray(np.array([[1e300]]))):
            with pytest.raises(ShapeError, match=r"float32 holds, up to 3.4e\+38, got 1e\+300"):
                sp.SparseTensor.from_sites([[0, 0]], features)
        with pytest.raises(ShapeError, match="without a mask"):
            sp.Tensor(np.ma.masked_array([1.0, 2.0], [0, 1]))
        largest = cupy_on_host.asarray(np.array([[np.inf, 3e38, 1.0]]))
        assert sp.Tensor(largest).data.tolist()[0] == [np.inf, float(np.float32(3e38)), 1.0]


def test_a_tensor_owns_its_memory_and_is_no_numpy_array_by_itself(cuda):
    with sp.use("cuda"):
        mine = cupy_on_host.asarray(np.ones((2, 1), np.float32))
        x, t = sp.SparseTensor.from_sites([[0, 0], [0, 1]], mine), sp.Tensor(mine)
        mine[...] = 5
        assert x.features.data.tolist() == t.data.tolist() == [[1.0], [1.0]]
        with pytest.raises(BackendError, match=r"on a GPU; copy it by \.numpy\(\)"):
            np.asarray(t)
        assert float(t.sum()) == 2 and f"{t.sum():.1f}" == "2.0" and (np.float64(3) * t).data.tolist() == [[3.0]] * 2
        assert (t < 2).tolist() == [[True], [True]] and (2 * x - x / 2).features.data.tolist() == [[1.5]] * 2


def test_what_is_normalised_beyond_its_squares_is_nan_and_not_zero(cuda, rng):
    with sp.use("cuda"):
        rows = np.float32(rng.normal(size=(10, 4)))
        sites = np.column_stack([np.repeat([0, 1], 5), np.tile(np.arange(5), 2)])
        for layer in (sp.BatchNormalization(4), sp.layers.InstanceNormalization(4), sp.layers.LayerNormalization(4),
                      sp.layers.GroupNormalization(2, 4, over="sample")):
            plain = layer(sp.SparseTensor.from_sites(sites, rows, ground=None, samples=2)).features.numpy()
            assert np.isfinite(plain).all()
            x = sp.SparseTensor.from_sites(sites, rows * np.float32(1e25), ground=None, samples=2)
            y = layer(x).features.numpy()
            assert np.isnan(y).all()
        assert np.allclose(unit_rows(sp.Tensor([[3e19, 4e19], [3e-30, 4e-30]])).numpy(), [[0.6, 0.8]] * 2)
