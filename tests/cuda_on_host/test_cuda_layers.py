"""The contract of the layers, on the cuda backend over the host: a few in the fast part, all in `make test-cuda`."""

import numpy as np
import pytest
import test_layers
from contract import check_backends, coarse, draws_of, parts, rewind, rows

import spconv_cy as sp

CASES = {f"{name}, {family}": (make, inputs[family])
         for cases in (test_layers.ON_SITES, test_layers.DRAWN) for name, (make, inputs) in cases.items()
         for family in inputs}
CASES |= {f"{name}, rows": (make, rows(4)) for name, make in test_layers.ON_ROWS.items()}
CASES |= {f"{name}, back": (make, coarse(test_layers.PLANE[None], sp.MaxPooling(2, 2)))
          for name, make in test_layers.GOING_BACK.items()}
FAST = ["convolution, strided, drawn", "submanifold, even, in groups, None", "max-pooling, overlapping, drawn",
        "average pooling, overlapping, zero", "network in network, drawn"]


def check(name):
    make, inputs = CASES[name]
    for counts in ((5, 0, 4), (1,), (0, 0)):
        check_backends(make, inputs, counts)
    with sp.use("cuda"):
        layer = make().eval()
        kept = draws_of(layer)
        there = parts(layer(inputs((5, 0, 4))))
        rewind(layer.to("cpu"), kept)
        here = parts(layer(inputs((5, 0, 4)).to("cpu")))
    for mine, truth in zip(there, here, strict=True):
        assert type(truth.data) is np.ndarray and np.allclose(mine.numpy(), truth.data, atol=1e-5)


@pytest.mark.parametrize("name", FAST)
def test_a_layer_keeps_the_contract_on_cuda(name, cuda):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(CASES) - set(FAST)))
def test_every_layer_keeps_the_contract_on_cuda(name, cuda):
    check(name)
