"""The account of the CUDA kernels: of all kernels, of these sources, as docs/cuda.md shows it."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from spconv_cy.backend import gathered
from spconv_cy.sites.rulebook import Rulebook

pytest.importorskip("spconv_cy.cuda.loader", reason="a version without the CUDA sources")
sys.path[:0] = [str(Path(__file__).parents[1] / "benchmarks"), str(Path(__file__).parent / "cuda_on_host")]
import compilers  # noqa: E402
import cuda_account  # noqa: E402
import host_build  # noqa: E402
import record  # noqa: E402

loader = compilers.loader

def test_the_record_is_of_these_sources():
    assert record.sources() == cuda_account.RECORD["sources"], "run python tests/cuda_on_host/record.py"


def test_every_kernel_is_in_the_account():
    kernels = {compilers.named(name, form[1]) for form in loader.forms()
               for name in host_build.kernels_of(loader.source(*form))}
    assert kernels == set(cuda_account.RECORD["kernels"]) == {*cuda_account.TILES, *cuda_account.ROWS}


def test_the_page_shows_the_account():
    page = cuda_account.PAGE.read_text()
    assert cuda_account.with_account(page) == page, "run python benchmarks/cuda_account.py --write"


def test_tiles_of_the_account_are_those_of_the_source():
    conv, mma = ((record.CUDA / name).read_text() for name in ("conv.cu", "conv_mma.cu"))
    tiles = dict(re.findall(r"^(?:CONV|MMA)_KERNEL\((\w+), (\d+, \d+)", conv + mma, re.M))
    assert {name: f"{tile.rows}, {tile.columns}" for name, tile in cuda_account.TILES.items() if name in tiles} == tiles
    assert len(tiles) == 6 and "SIDE = 32, STEP = 32" in conv and "SIDE = 64, DEPTH = 16," in mma


def test_the_pace_and_occupancy_of_known_kernels():
    a100, h100 = cuda_account.CARDS
    whole = cuda_account.Tile(64, 64, 16, 256, shared=0, issued=0)
    assert whole.pace(a100) == 1 and whole.share(64, 64, 1.0, a100) == 1 and whole.share(17, 64, 0.5, a100) == 17 / 64
    assert cuda_account.Tile(64, 64, 16, 256, shared=2048, issued=0).pace(a100) == 0.5
    # By NVIDIA's table for 8.0: 64 registers let 4 blocks of 256 threads stand, 20 kB of shared memory 8.
    assert cuda_account.occupancy({"registers": {"80": 64}, "shared": 0}, 256, a100) == 0.5
    assert cuda_account.occupancy({"registers": {"90": 65}, "shared": 0}, 256, h100) == 0.375
    assert cuda_account.occupancy({"registers": {"80": 32}, "shared": 40 << 10}, 256, a100) == 0.5
    assert whole.work(64, 64, 1.0)[1] == pytest.approx(4 * (64 + 64) + 4 + 256 / 11.58)


@pytest.mark.parametrize("card", cuda_account.CARDS, ids=lambda card: card.name)
def test_the_table_gathers_where_the_account_finds_it_faster(card, monkeypatch):
    monkeypatch.delenv("SPCONV_CY_CUDA_CONVOLUTION", raising=False)
    rows = np.arange(4096)
    many = Rulebook(rows, rows[::-1].copy()[np.argsort(rows[::-1])], [0, 4096], 4096, 4096)
    for c in (32, 64, 128, 256, 512, 1024, 2048):
        tile = cuda_account.CONV_64 if c > 32 else cuda_account.CONV_128
        tiles = cuda_account.seconds(tile, c, cuda_account.in_use(tile), card)[3]
        faster = cuda_account.gathered(c, card) < tiles
        assert gathered.is_gathered(np.float32, int(card.architecture), c, c, many) == faster, c
