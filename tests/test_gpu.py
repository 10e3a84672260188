"""What only a GPU can show: the contract of verbs and layers, and training, with real CuPy. `pytest -m gpu` runs it."""

import numpy as np
import pytest
import test_layers
from contract import calls_of, check_backends, check_ops, check_signatures
from contract_precision import check_precisions
from strategies import random_rulebook, rulebooks
from training import losses

from spconv_cy.backend.switch import ops_named

pytestmark = pytest.mark.gpu
PRECISIONS = ("float16", "tf32")
LAYERS = [(name, family) for name in test_layers.ON_SITES for family in test_layers.ON_SITES[name][1]]


@pytest.fixture
def cuda():
    """The backend "cuda"; where it cannot start, its own words are the test's failure."""
    return ops_named("cuda")


@pytest.mark.parametrize("groups, c, o", [(1, 5, 33), (1, 64, 128), (2, 6, 4)])
def test_verbs_agree_with_the_reference(groups, c, o, cuda, rng):
    check_signatures(cuda)
    for _, book in [*rulebooks(rng), ("70 offsets", random_rulebook(rng, 70, 90, 70))]:
        check_ops(cuda, calls_of(rng, book, c, o, groups))


def test_runs_have_the_same_bits(cuda, rng):
    book = random_rulebook(rng, 5000, 4000, 27)
    calls = calls_of(rng, book, 40, 24)
    calls += [(*call[:2], {**call[2], "precision": name}) for call in calls if call[0] in ("conv", "conv_dw")
              for name in PRECISIONS]
    for verb, arguments, options in calls:
        given = [cuda.asarray(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in arguments]
        options = {n: cuda.asarray(v) if isinstance(v, np.ndarray) else v for n, v in options.items()}
        first, second = (getattr(cuda, verb)(*given, **options) for _ in range(2))
        for a, b in zip(*(r if isinstance(r, tuple) else (r,) for r in (first, second)), strict=True):
            assert cuda.to_numpy(a).tobytes() == cuda.to_numpy(b).tobytes(), verb


@pytest.mark.parametrize("name, family", LAYERS)
def test_a_layer_keeps_the_contract(name, family, cuda):
    make, inputs = test_layers.ON_SITES[name]
    for counts in ((5, 0, 4), (1,), (0, 0), (200, 0, 300)):
        check_backends(make, inputs[family], counts)


def test_a_network_trains_as_on_the_cpu(cuda):
    here = losses("cpu")
    assert np.abs(losses("cuda") - here).max() < 1e-4 * here[0]


# Tensor cores may cut off where a sum is rounded: 1e-4 of the largest number in place of 1e-5.
@pytest.mark.parametrize("name", PRECISIONS)
@pytest.mark.parametrize("groups, c, o", [(1, 5, 33), (1, 64, 128), (2, 6, 4)])
def test_verbs_agree_in_every_precision(name, groups, c, o, cuda, rng):
    for _, book in [*rulebooks(rng), ("70 offsets", random_rulebook(rng, 70, 90, 70))]:
        check_precisions(cuda, rng, book, c, o, groups, [name], tolerance=1e-4)


@pytest.mark.parametrize("name", PRECISIONS)
def test_a_network_trains_in_every_precision(name, cuda):
    here = losses("cpu")
    assert np.abs(losses("cuda", precision=name) - here).max() < 1e-3 * here[0]
