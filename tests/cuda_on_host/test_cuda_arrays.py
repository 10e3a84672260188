"""Arrays of the device where a user gives them, and what the device must not be asked for: CuPy's protocols at work."""

import copy
import pickle

import cupy_on_host
import numpy as np
import pytest
from array_calls import CALLS, DENSE, POINTS, ROWS, SITES, as_they_are, check_call, network, tensor
from in_turn import each

import spconv_cy as sp
from spconv_cy.errors import BackendError, ShapeError
from spconv_cy.train.loss_scale import LossScale

KINDS = {"numpy": as_they_are, "device": cupy_on_host.asarray}


@pytest.mark.parametrize("name", CALLS)
@each("kind", KINDS)
def test_a_call_with_arrays_gives_what_the_cpu_gives(name, kind, cuda):
    check_call(name, KINDS[kind])


def test_a_dense_array_of_the_cpu_becomes_sites_before_it_is_uploaded(cuda):
    with sp.use("cuda"):
        cupy_on_host.copies.clear()
        x = sp.SparseTensor.from_dense(np.eye(4)[None, None])
        assert [copied[:2] for copied in cupy_on_host.copies] == [("up", (4, 1))]
    assert type(x.features.data) is cupy_on_host.ndarray and x.sites[:, 1:].tolist() == [[i, i] for i in range(4)]


def test_sites_and_points_of_the_device_are_refused_with_a_remedy(cuda):
    began = sp.data.BatchBuilder(2, 3, 6)
    began.add_sample()
    with sp.use("cuda"):
        for call in (lambda: sp.SparseTensor.from_sites(cuda.asarray(SITES), ROWS),
                     lambda: sp.SparseTensor.from_points(cuda.asarray(POINTS), ROWS[:3]),
                     lambda: sp.layers.interpolate(tensor(), cuda.asarray(POINTS)),
                     lambda: began.set_sites(cuda.asarray(SITES[:, 1:]), ROWS)):
            with pytest.raises(BackendError, match=r"on device 2; copy it first: .* cupy \.get\(\)"):
                call()


def test_rows_of_the_device_of_unequal_length_are_refused(cuda):
    with pytest.raises(ShapeError, match="rows of unequal length"):
        cuda.asarray([cuda.asarray([1.0]), cuda.asarray([1.0, 2.0])])


class Foreign:
    """An array of another library in the GPU's memory."""

    def __init__(self, array):
        self._array = array

    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, stream=None, **_):
        assert stream is not None
        return self._array.__dlpack__()


def test_an_array_of_another_library_on_the_gpu_is_read_where_it_lies(cuda):
    with sp.use("cuda"):
        assert cuda.asarray(Foreign(ROWS)).data.ptr == ROWS.ctypes.data
        assert np.array_equal(cuda.on_host(Foreign(ROWS)), ROWS)
        assert sp.SparseTensor.from_dense(Foreign(DENSE), 0.5).grid.n == (DENSE[:, 0] > 0.5).sum()
        x = sp.Tensor(ROWS)
        assert x.__dlpack_device__() == (2, 0) and cuda.asarray(x).data.ptr == x.data.data.ptr
        with pytest.raises(ShapeError, match="one that DLPack can pass, got .*Tensor .*needs no gradient"):
            sp.SparseTensor.from_dense(sp.Tensor(DENSE, requires_grad=True))
    with pytest.raises(BackendError, match="DLPack device 1\\), got .* on device 2"):
        sp.Tensor(Foreign(ROWS))


class Temperature(sp.Layer):
    """One number that is learnt."""

    def __init__(self):
        self.t = sp.Tensor(2.0, requires_grad=True)

    def __call__(self, x):
        return x * self.t


@pytest.mark.parametrize("backend", ["cpu", "cuda"])
def test_a_parameter_of_no_axes_keeps_its_shape(backend, cuda, tmp_path):
    with sp.use(backend):
        layer = Temperature()
        scale, optimizer = LossScale(8), sp.Adam(layer.parameters(), 0.1)
        scale.backward(layer(sp.Tensor(ROWS)).sum())
        assert layer.t.grad.shape == () and scale.step(optimizer) and layer.t.shape == ()
        optimizer.load_state(optimizer.state())
        sp.save(tmp_path / "t.safetensors", layer)
        came = sp.load(tmp_path / "t.safetensors", [Temperature])
        assert came.t.shape == () and float(came.t.data) == float(layer.t.data)
        for made in (layer.to("reference"), layer.to(backend), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert made.t.shape == () and np.isclose(float(made.t.data), float(came.t.data))
        x = sp.Tensor(3.0, requires_grad=True)
        x.sum().backward()
        assert x.grad.shape == ()


@pytest.mark.parametrize("optimizer", [sp.Adam, sp.Nesterov, lambda p, r: sp.SGD(p, r, 0.9)])
def test_an_optimiser_goes_on_where_its_network_moves_between_backends(optimizer, cuda):
    def run(backends):
        net = network().to(backends[0])
        steps = optimizer(net.parameters(), 0.01)
        for backend in backends:
            net.to(backend)
            with sp.use(backend):
                sp.softmax_cross_entropy(net(tensor()), np.array([0, 2])).backward()
                steps.step()
                steps.zero_grad()
        return [array for _, array in sorted(net.state().items())]

    for mine, truth in zip(run(["cpu", "cuda", "cuda", "cpu", "reference"]), run(["cpu"] * 5), strict=True):
        assert np.allclose(mine, truth, atol=1e-4)
