"""What only a GPU can show: the contract of verbs and layers, and training, with real CuPy. `pytest -m gpu` runs it."""

import numpy as np
import pytest
from array_calls import CALLS, as_they_are, check_call
from contract_ops import calls_of, check_ops, check_signatures
from contract_precision import check_precisions
from layer_cases import CASES, check_case
from strategies import random_rulebook, rulebooks
from training import losses

import spconv_cy as sp
from spconv_cy.backend.switch import ops_named
from spconv_cy.backend.tensor_cores import NEEDS
from spconv_cy.errors import BackendError

pytestmark = pytest.mark.gpu


@pytest.fixture
def cuda():
    """The backend "cuda"; where it cannot start, its own words are the test's failure."""
    return ops_named("cuda")


@pytest.fixture(params=sorted(NEEDS))
def precision(request, cuda):
    """Each precision whose tensor cores this GPU has."""
    if cuda.capability < NEEDS[request.param]:
        pytest.skip(f"this GPU has no tensor cores for {request.param}")
    return request.param


@pytest.mark.parametrize("how", ["tiles", "gathered", ""])
@pytest.mark.parametrize("groups, c, o", [(1, 5, 33), (1, 64, 128), (2, 6, 4)])
def test_verbs_agree_with_the_reference(groups, c, o, how, cuda, rng, monkeypatch):
    monkeypatch.setenv("SPCONV_CY_CUDA_CONVOLUTION", how)
    check_signatures(cuda)
    for _, book in [*rulebooks(rng), ("70 offsets", random_rulebook(rng, 70, 90, 70))]:
        check_ops(cuda, calls_of(rng, book, c, o, groups))


# Tensor cores may cut off where a sum is rounded: 1e-4 of the largest number in place of 1e-5.
@pytest.mark.parametrize("groups, c, o", [(1, 5, 33), (1, 64, 128), (2, 6, 4)])
def test_verbs_agree_in_every_precision(groups, c, o, cuda, precision, rng):
    for _, book in [*rulebooks(rng), ("70 offsets", random_rulebook(rng, 70, 90, 70))]:
        check_precisions(cuda, rng, book, c, o, groups, [precision], tolerance=1e-4)


@pytest.mark.parametrize("how", ["tiles", "gathered"])
def test_runs_have_the_same_bits(how, cuda, rng, monkeypatch):
    monkeypatch.setenv("SPCONV_CY_CUDA_CONVOLUTION", how)
    book = random_rulebook(rng, 5000, 4000, 27)
    calls = calls_of(rng, book, 40, 24)
    calls += [(*call[:2], {**call[2], "precision": name}) for call in calls if call[0] in ("conv", "conv_dw")
              for name, least in NEEDS.items() if cuda.capability >= least]
    for verb, arguments, options in calls:
        given = [cuda.asarray(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in arguments]
        options = {n: cuda.asarray(v) if isinstance(v, np.ndarray) else v for n, v in options.items()}
        first, second = (getattr(cuda, verb)(*given, **options) for _ in range(2))
        for a, b in zip(*(r if isinstance(r, tuple) else (r,) for r in (first, second)), strict=True):
            assert cuda.to_numpy(a).tobytes() == cuda.to_numpy(b).tobytes(), verb


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_layer_keeps_the_contract(name, cuda, tmp_path):
    check_case(name, tmp_path / "layer.safetensors")


@pytest.mark.parametrize("name", CALLS)
def test_a_call_with_arrays_gives_what_the_cpu_gives(name, cuda):
    check_call(name, as_they_are)
    check_call(name, cuda.xp.asarray)


def test_a_network_trains_as_on_the_cpu(cuda):
    here = losses("cpu")
    assert np.abs(losses("cuda") - here).max() < 1e-4 * here[0]


def test_a_network_trains_in_every_precision(cuda, precision):
    here = losses("cpu")
    assert np.abs(losses("cuda", precision=precision) - here).max() < 1e-3 * here[0]


def test_batches_prepared_beside_the_computation_train_as_on_the_cpu(cuda):
    characters, labels = (part[:1000] for part in sp.data.digits())
    found = {}
    for name in ("cpu", "cuda"):
        with sp.use(name):
            encoder = sp.data.StrokeEncoder("octogram", size=24, scale=16).fit(characters)
            batches = sp.data.StrokeBatches(characters, labels, encoder, batch=50)
            net = sp.models.deepcnet(3, 8, channels_in=encoder.planes, rng=0)
            history = sp.fit(net, batches, sp.SGD(net.parameters(), rate=0.01), 3, rng=0, progress=False)
            found[name] = np.array(history.losses)
    assert np.abs(found["cuda"] - found["cpu"]).max() < 1e-3 * found["cpu"][0]


def test_memory_that_has_run_out_is_said_with_what_was_asked_for(cuda):
    with pytest.raises(BackendError, match=r"everything: expected 4,398,046,511,104 bytes of free GPU memory for"):
        cuda.zeros("everything", (1 << 40,), np.float32)
    assert float(cuda.zeros("a number", (1,), np.float32).sum()) == 0    # and it goes on
