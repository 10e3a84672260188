"""A network is loaded and run where numpy is the only package; scipy, safetensors and tqdm are for more than that."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

import spconv_cy as sp
from spconv_cy.errors import FileError

# Every package of a plain installation but numpy, as if it were not there.
PROGRAM = """
import sys
sys.modules.update(dict.fromkeys(["scipy", "safetensors", "tqdm", "matplotlib", "sklearn"]))
import numpy as np, spconv_cy as sp
net = sp.load(sys.argv[1]).eval()
given = np.load(sys.argv[2])
x = sp.SparseTensor.from_sites(given["sites"], given["features"], size=(16, 16, 16), ground=None)
np.save(sys.argv[3], net(x).features.data)
sp.save(sys.argv[4], net)
assert not [name for name in sys.modules if name.partition(".")[0] == "scipy" and sys.modules[name]]
"""


@pytest.fixture
def without_packages(monkeypatch):
    for name in ("scipy", "scipy.special", "safetensors", "tqdm"):
        monkeypatch.setitem(sys.modules, name, None)


def network():
    return sp.Sequential(sp.SubmanifoldConvolution(3, 2, 4, 3, rng=0), sp.BatchNormalization(4), sp.layers.GELU(),
                         sp.Convolution(3, 4, 8, 2, stride=2, rng=1), sp.ReLU(), sp.NetworkInNetwork(8, 3, rng=2))


def test_a_saved_network_runs_with_numpy_alone(tmp_path, rng):
    net = network().eval()
    sites = np.unique(rng.integers(0, 16, (300, 3)), axis=0)
    sites, features = np.c_[np.zeros(len(sites), int), sites], rng.normal(size=(len(sites), 2)).astype(np.float32)
    sp.save(tmp_path / "net.safetensors", net)
    np.savez(tmp_path / "x.npz", sites=sites, features=features)
    names = [tmp_path / name for name in ("net.safetensors", "x.npz", "y.npy", "again.safetensors")]
    subprocess.run([sys.executable, "-c", PROGRAM, *names], check=True)
    x = sp.SparseTensor.from_sites(sites, features, size=(16, 16, 16), ground=None)
    np.testing.assert_allclose(np.load(names[2]), net(x).features.data, rtol=1e-6, atol=1e-7)
    assert names[3].read_bytes() == names[0].read_bytes()


def test_erf_of_the_standard_library_is_that_of_scipy(rng, monkeypatch):
    values = rng.normal(0, 3, (40, 5)).astype(np.float32)
    expected = sp.layers.GELU()(sp.Tensor(values)).data
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    got = sp.layers.GELU()(sp.Tensor(values)).data
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=2e-7, atol=1e-7)
    assert sp.layers.GELU()(sp.Tensor(values[:0])).data.shape == (0, 5)


def test_without_safetensors_files_are_read_to_the_same_network(tmp_path, without_packages):
    net = network()
    sp.save(tmp_path / "net.safetensors", net)
    assert {name: value.tobytes() for name, value in sp.load(tmp_path / "net.safetensors").state().items()} == \
        {name: value.tobytes() for name, value in net.state().items()}


def test_without_safetensors_damaged_files_are_refused(tmp_path, rng, without_packages):
    path = tmp_path / "net.safetensors"
    sp.save(path, network())
    whole = path.read_bytes()
    for length in (0, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(FileError, match="net.safetensors: expected"):
            sp.load(path)
    for place in rng.integers(0, len(whole), 60):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with pytest.raises(FileError):
            sp.load(path)


def test_without_safetensors_foreign_files_say_what_they_are(tmp_path, without_packages):
    path = tmp_path / "other.safetensors"
    save_file({"weight": np.ones((2, 2), np.float32)}, path, metadata={"format": "pt"})
    with pytest.raises(FileError, match="format 'spconv_cy'.*'pt'"):
        sp.load(path)
    header = json.dumps({"__metadata__": {"format": ["pt"]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(FileError, match="a complete .safetensors file"):
        sp.load(path)
