"""The contract of the layers, on the cuda backend over the host: a few in the fast part, all in `make test-cuda`."""

import pytest
from layer_cases import CASES, check_case

ORDERS = ("fwd", "rev", "1", "2")                                        # of blocks and threads
FAST = ["convolution, strided, drawn", "submanifold, even, in groups, None", "max-pooling, overlapping, drawn",
        "average pooling, overlapping, zero", "network in network, drawn"]


@pytest.mark.parametrize("name", FAST)
def test_a_layer_keeps_the_contract_on_cuda(name, cuda, tmp_path):
    check_case(name, tmp_path / "layer.safetensors")


# A layer's families of inputs, which follow each other here, take different orders.
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CASES))
def test_every_layer_keeps_the_contract_on_cuda(name, cuda, tmp_path, monkeypatch):
    monkeypatch.setenv("SHIM_ORDER", ORDERS[sorted(CASES).index(name) % len(ORDERS)])
    check_case(name, tmp_path / "layer.safetensors")
