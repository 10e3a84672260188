"""The contract of the layers, on the cuda backend over the host: a few in the fast part, all in `make test-cuda`."""

import numpy as np
import pytest
import test_layers
from contract import check_layer, coarse, draws_of, parts, rewind, rows

import spconv_cy as sp

ORDERS = ("fwd", "rev", "1", "2")                                        # of blocks and threads
CASES = {f"{name}, {family}": (make, inputs[family])
         for cases in (test_layers.ON_SITES, test_layers.DRAWN) for name, (make, inputs) in cases.items()
         for family in inputs}
CASES |= {f"{name}, rows": (make, rows(4)) for name, make in test_layers.ON_ROWS.items()}
CASES |= {f"{name}, back": (make, coarse(test_layers.PLANE[None], sp.MaxPooling(2, 2)))
          for name, make in test_layers.GOING_BACK.items()}
FAST = ["convolution, strided, drawn", "submanifold, even, in groups, None", "max-pooling, overlapping, drawn",
        "average pooling, overlapping, zero", "network in network, drawn"]


def check(name, path):
    make, inputs = CASES[name]
    check_layer(make, inputs, alike=not name.startswith(tuple(test_layers.DRAWN)), backends=["cuda"])
    for here, there in (("cuda", "cpu"), ("cpu", "cuda")):
        with sp.use(here):
            layer = make().eval()
            kept = draws_of(layer)
            mine = parts(layer(inputs((5, 0, 4))))
            sp.save(path, layer)
        with sp.use(there):
            came = sp.load(path).eval()
            for one in (came, layer.to(there)):                          # by a file, and as it stands
                rewind(one, kept)
                for a, b in zip(mine, parts(one(inputs((5, 0, 4)))), strict=True):
                    assert np.allclose(a.numpy(), b.numpy(), atol=1e-5)


@pytest.mark.parametrize("name", FAST)
def test_a_layer_keeps_the_contract_on_cuda(name, cuda, tmp_path):
    check(name, tmp_path / "layer.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("turn", [0, 1])
@pytest.mark.parametrize("name", sorted(CASES))
def test_every_layer_keeps_the_contract_on_cuda_in_two_orders(name, turn, cuda, tmp_path, monkeypatch):
    monkeypatch.setenv("SHIM_ORDER", ORDERS[(sorted(CASES).index(name) + turn) % len(ORDERS)])
    check(name, tmp_path / "layer.safetensors")
