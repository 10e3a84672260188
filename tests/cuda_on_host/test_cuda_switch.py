"""The switch to the cuda backend: what it says where it cannot run, what moves, what trains."""

import pickle
import sys
import types

import cupy_on_host
import numpy as np
import pytest
from training import losses

import spconv_cy as sp
from spconv_cy.backend import switch
from spconv_cy.backend.placed import placed
from spconv_cy.errors import BackendError
from spconv_cy.sites.rulebook import Rulebook

NO_GPU = types.SimpleNamespace(__version__="14.2.0", cuda=types.SimpleNamespace(
    is_available=lambda: False, runtime=types.SimpleNamespace(driverGetVersion=lambda: 0)))


def missing():
    raise RuntimeError("DynamicLibNotFoundError")


NO_NVRTC = types.SimpleNamespace(__version__="14.2.0", cuda=types.SimpleNamespace(
    is_available=lambda: True, nvrtc=types.SimpleNamespace(getVersion=missing)))


class NoCublas:
    """As CuPy is where the library is not found: loaded when asked for."""

    is_available, nvrtc = lambda _: True, types.SimpleNamespace(getVersion=lambda: (13, 0))

    @property
    def cublas(self):
        raise ImportError('Failure finding "libcublas.so.13"')


NO_CUBLAS = types.SimpleNamespace(__version__="14.2.0", cuda=NoCublas())


@pytest.mark.parametrize("cupy, says", [
    (None, 'cuda backend: expected CuPy, got none; pip install "spconv_cy[cuda]"'),
    (NO_GPU, "cuda backend: expected a usable NVIDIA GPU, got none (CuPy 14.2.0, driver version 0); "
     'use("cpu") works'),
    (NO_NVRTC, "cuda backend: expected NVRTC, which compiles the kernels, got a GPU without it; pip install "
     "nvidia-cuda-nvrtc"),
    (NO_CUBLAS, "cuda backend: expected cuBLAS, which multiplies dense matrices, got a GPU without it; pip install "
     "nvidia-cublas"),
])
def test_what_is_missing_is_named_with_its_remedy(cupy, says, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", cupy)                       # None: an import fails
    monkeypatch.setattr(switch, "_ready", {})
    with pytest.raises(BackendError) as error:
        sp.use("cuda")
    assert str(error.value) == says
    assert "cuda" not in sp.available_backends()


def test_the_environment_chooses_where_arrays_are_born(cuda, monkeypatch):
    monkeypatch.setenv("SPCONV_CY_BACKEND", "cuda")
    assert type(sp.Tensor(np.ones((2, 3))).data) is cupy_on_host.ndarray
    assert "cuda" in sp.available_backends()


def test_arrays_of_two_backends_are_named_on_both_sides(cuda):
    layer = sp.NetworkInNetwork(3, 2, rng=0)
    x = sp.Tensor(np.ones((4, 3))).to("cuda")
    both = r'expected arrays of one backend, got an array \(4, 3\).* on cuda and .* on cpu; .*with .to\("cuda"\)'
    with pytest.raises(BackendError, match=both):
        layer(x)
    assert layer.to("cuda")(x).shape == (4, 2)


def test_a_rulebook_is_uploaded_once_and_does_not_travel_in_a_pickle(cuda):
    _, rulebook = sp.Grid.arrange(np.array([[0, 1, 1], [0, 1, 2]]), 5, 1)[0].rules(sp.sites.Window(2, 3))
    first = placed(rulebook, cuda)
    assert placed(rulebook, cuda) is first and first.table is placed(rulebook, cuda).table
    assert placed(pickle.loads(pickle.dumps(rulebook)), cuda) is not first


def test_memory_that_has_run_out_is_said_with_what_was_asked_for(cuda, monkeypatch):
    def full(*_, **__):
        raise cupy_on_host.OutOfMemoryError("Out of memory allocating 24 bytes")

    x = cuda.asarray(np.ones((2, 3)))
    monkeypatch.setattr(cupy_on_host, "empty", full)
    with pytest.raises(BackendError, match=r"leaky_relu: expected 24 bytes .* an array \(2, 3\) of float32"):
        cuda.leaky_relu(x, 0.5)
    monkeypatch.setenv("SPCONV_CY_CUDA_CONVOLUTION", "gathered")
    monkeypatch.setattr(cupy_on_host.ndarray, "take", full, raising=False)
    with pytest.raises(BackendError, match=r"conv, gathering: expected 24 bytes .* an array \(2, 3\) of float32"):
        cuda.conv(x, cuda.asarray(np.ones((1, 3, 4))), Rulebook([0, 1], [0, 1], [0, 2], 2, 2))
    monkeypatch.setattr(cupy_on_host, "asarray", full)
    with pytest.raises(BackendError, match="an array from the CPU: expected 8,000 bytes .* a smaller batch"):
        sp.Tensor(np.zeros((40, 50))).to("cuda")
    with pytest.raises(BackendError, match=r"the table of a rulebook: expected 8 bytes .* an array \(2, 1\) of "):
        assert placed(Rulebook.identity(2), cuda).table is None


def test_a_network_saved_on_one_backend_loads_on_the_other(cuda, tmp_path):
    net = sp.Sequential(sp.NetworkInNetwork(3, 4, rng=0), sp.BatchNormalization(4))
    with sp.use("cuda"):
        there = sp.Sequential(sp.NetworkInNetwork(3, 4, rng=1), sp.BatchNormalization(4))
        sp.save(tmp_path / "there.safetensors", there)
    sp.save(tmp_path / "here.safetensors", net)
    with sp.use("cuda"):
        came = sp.load(tmp_path / "here.safetensors")
        assert all(type(p.data) is cupy_on_host.ndarray for p in came.parameters())
    went = sp.load(tmp_path / "there.safetensors")
    for a, b in ((net, came), (there, went)):
        for name, array in a.state().items():
            assert np.array_equal(array, b.state()[name])


@pytest.mark.parametrize("order", ["fwd", *(pytest.param(o, marks=pytest.mark.slow) for o in ("rev", "1", "2"))])
def test_twenty_steps_of_training_give_the_losses_of_the_cpu(cuda, order, monkeypatch):
    monkeypatch.setenv("SHIM_ORDER", order)
    here = losses("cpu")
    assert here[-1] < here[0] / 2
    assert np.abs(losses("cuda") - here).max() < 1e-4 * here[0]
