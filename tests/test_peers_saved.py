"""Networks of other libraries are saved, and take scenes of any field and none."""

import numpy as np
import pytest
from test_peers_places import scan

import spconv_cy as sp
from spconv_cy.errors import ShapeError

NEW = {  # network, its channels
    "minkfpn": (lambda: sp.models.minkfpn(1, 8, channels=(4, 4), repeats=(1, 1), attention=True, rng=0), 1),
    "fcgf": (lambda: sp.models.fcgf(1, 8, channels=(4, 6, 4), up=(4, 6, 4), rng=0), 1),
    "spvcnn": (lambda: sp.models.SPVCNN(4, 5, width=1 / 8, rng=0), 4),
    "pcgc_encoder": (lambda: sp.models.pcgc_encoder((1, 4, 4, 4, 2), rng=0), 1),
    "pcgc_decoder": (lambda: sp.models.PCGCDecoder((4, 4, 4), rng=0), 4),
    "minkunet": (lambda: sp.models.minkunet("34C", 4, 5, width=1 / 16, stem=(3, 3), rng=0), 4),
}


@pytest.mark.parametrize("name", NEW)
def test_a_network_is_saved_and_takes_any_field_and_none(name, tmp_path, rng):
    make, channels = NEW[name]
    net = make().eval()
    sp.save(tmp_path / "net.safetensors", net)
    again = sp.load(tmp_path / "net.safetensors").eval()
    x, _ = scan(rng, channels, side=9, low=0)
    sized = sp.SparseTensor.from_sites(x.sites, x.features.numpy(), (9, 10, 13), 2, ground=None)
    rows = [getattr(y, "features", y).numpy() for y in (net(x), again(x), again(sized))]
    assert np.array_equal(rows[0], rows[1]) and np.array_equal(rows[0], rows[2])
    none = np.zeros((0, channels), np.float32)
    y = net(sp.SparseTensor.from_sites(np.zeros((0, 4), int), none, samples=2, ground=None))
    assert y.shape[0] == 2 if name == "minkfpn" else y.grid.n == 0


def test_a_group_of_layers_is_saved(tmp_path):
    net = sp.models.PointTransformerParts(4, (4, 6), (1, 2), (4,), (1,), rng=0)
    sp.save(tmp_path / "net.safetensors", net)
    again = sp.load(tmp_path / "net.safetensors")
    assert repr(again) == repr(net) and again.state().keys() == net.state().keys()
    with pytest.raises(ShapeError, match="PointTransformerParts: expected as many depths as channels of the decoder"):
        sp.models.PointTransformerParts(4, (4, 6), (1, 2), (4,), ())
