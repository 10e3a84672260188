"""Files of NVIDIA's and Tier IV's exporters in tests/golden/onnx: the same sites and rows as spconv's."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy.errors import FileError

pytest.importorskip("onnx")
GOLDEN = Path(__file__).resolve().parent / "golden" / "onnx"
KINDS = ("nvidia", "autoware")
FILES = {kind: np.load(GOLDEN / f"{kind}.npz") for kind in KINDS}
CASES = {name: (kind, case) for kind in KINDS for name, case in json.loads(str(FILES[kind]["cases"])).items()}
TURNED = "bevfusion_zyx"                                                 # its dense axes are in another order


def case(name):
    """Return path, options of the reader, input, and spconv's dense array (b, c, *size)."""
    kind, given = CASES[name]
    sites, rows, wanted = (FILES[kind][f"{name}|{part}"] for part in ("sites", "rows", "dense"))
    x = sp.SparseTensor.from_sites(sites.astype(np.int32), rows, tuple(given["size"]), 2, ground=None)
    return GOLDEN / f"{name}.onnx", given["options"], x, wanted


def compare(found, wanted):
    assert found.shape == wanted.shape and np.array_equal(found != 0, wanted != 0)
    assert np.abs(found - wanted).max() <= 2e-6 * np.abs(wanted).max() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_are_those_of_the_exporters(kind):
    lines = (GOLDEN / f"{kind}_sha256.txt").read_text().splitlines()
    assert len(lines) == 1 + len([name for name, (of, _) in CASES.items() if of == kind])
    for line in lines:
        digest, name = line.split()
        assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("name", [name for name in CASES if name != TURNED])
def test_an_exported_graph_gives_the_array_of_spconv(name):
    path, options, x, wanted = case(name)
    compare(sp.io.read_onnx(path, **options)(x).numpy(), wanted)


def test_axes_in_another_order_are_refused_and_left_out_on_demand():
    path, _, x, wanted = case(TURNED)
    with pytest.raises(FileError, match="the axes of the sites in order.*sparse_only=True"):
        sp.io.read_onnx(path)
    found = np.asarray(sp.io.read_onnx(path, sparse_only=True)(x).to_dense())
    b, _, _, w, h = found.shape
    compare(found.transpose(0, 1, 2, 4, 3).reshape(b, -1, h, w), wanted)
