"""A static account of the CUDA kernels: what their tiles and what ptxas gave them allow. Nothing here was measured.

Registers, shared memory and the scan's figures come from records/cuda_kernels.json, which tests/cuda_on_host/record.py
writes; cards' figures are published ones.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

RECORD = json.loads((Path(__file__).parent / "records" / "cuda_kernels.json").read_text())
PAGE = Path(__file__).resolve().parents[1] / "docs" / "cuda.md"
BEGIN, END = "<!-- account -->", "<!-- /account -->"
CHANNELS = (16, 32, 64, 128)


@dataclass(frozen=True)
class Card:
    """Published figures: operations a clock of a multiprocessor by number, operations and bytes a second, seconds."""

    name: str
    architecture: str
    clock: dict
    peak: dict
    bandwidth: float
    multiprocessors: int
    shared: int
    latency: float = 600e-9                                              # of a load that misses all caches, about


CARDS = (
    Card("A100", "80", {"float32": 128, "tf32": 1024, "float16": 2048},
         {"float32": 19.5e12, "tf32": 156e12, "float16": 312e12}, 1.555e12, 108, 164 << 10),
    Card("H100 SXM", "90", {"float32": 256, "tf32": 2048, "float16": 4096},
         {"float32": 66.9e12, "tf32": 494e12, "float16": 989e12}, 3.35e12, 132, 228 << 10),
)


@dataclass(frozen=True)
class Tile:
    """A convolution whose block multiplies rows x columns x step; counts are those of a block's step.

    shared: clocks of shared memory, a warp's load of 16 bytes a thread counting 4, of 4 bytes 1 or, where two threads
    meet a bank, 2; stores alike. issued: instructions of warps, of which a multiprocessor issues 4 a clock.
    """

    rows: int
    columns: int
    step: int
    threads: int
    shared: int
    issued: int
    number: str = "float32"

    def work(self, c, o, in_use):
        """Return operations a pair and bytes a pair: row of x and table once a tile of columns, weights once a tile."""
        tiles, size = -(-o // self.columns), 2 if self.number == "float16" else 4
        written = size * o / RECORD["scan"]["pairs_an_output"]
        return 2 * c * o, size * (c * tiles + c * o / (self.rows * in_use)) + 4 * tiles + written

    def share(self, c, o, in_use, card):
        """Return the share of the card's multiplications that this can reach: what is not there is multiplied too."""
        asked = -(-c // self.step) * self.step * -(-o // self.columns) * self.columns
        return c * o / asked * in_use * self.pace(card)

    def pace(self, card):
        """Return multiplications beside shared memory and issue, the slowest of which decides."""
        multiplied = 2 * self.rows * self.columns * self.step / card.clock[self.number]
        return multiplied / max(multiplied, self.shared, self.issued / 4)


@dataclass(frozen=True)
class Chunks(Tile):
    """The weight gradient: a block owns rows x columns of an offset's matrix and steps over pairs."""

    def work(self, c, o, in_use):
        down, across, size = -(-c // self.rows), -(-o // self.columns), 2 if self.number == "float16" else 4
        return 2 * c * o, size * (c * across + o * down) + 8 * down * across

    def share(self, c, o, in_use, card):
        """Return the share of the card's multiplications that this can reach."""
        asked = -(-c // self.rows) * self.rows * -(-o // self.columns) * self.columns
        return c * o / asked * self.pace(card)


CONV_64, CONV_128 = Tile(64, 64, 16, 256, 1120, 2784), Tile(128, 32, 16, 256, 1168, 2912)
TILES = {"conv_64x64": CONV_64, "conv_128x32": CONV_128, "conv_turned_64x64": CONV_64, "conv_turned_128x32": CONV_128,
         "conv_dw_part": Chunks(32, 32, 32, 256, 1088, 2816),
         "mma_64x64": Tile(64, 64, 16, 128, 192, 560, "tf32"),
         "mma_64x64, Half": Tile(64, 64, 32, 128, 192, 432, "float16"),
         "mma_128x32": Tile(128, 32, 16, 128, 208, 560, "tf32"),
         "mma_128x32, Half": Tile(128, 32, 32, 128, 208, 432, "float16"),
         "mma_dw_part": Chunks(64, 64, 16, 128, 192, 560, "tf32"),
         "mma_dw_part, Half": Chunks(64, 64, 32, 128, 192, 560, "float16")}
PROTOTYPE = {"conv_fwd_64x64": Tile(64, 64, 16, 256, 1632, 3900), "conv_dw_partial": TILES["conv_dw_part"]}
# What else there is does next to nothing with what it reads. Of each: for what; numbers a channel, bytes besides.
FLOATS = {"max_pool": ("pair", 1, 4), "max_pool_dx": ("pair", 2, 4), "sum_pool": ("pair", 1, 4),
          "segment_sum": ("row", 1, 8), "chunk_sum": ("row", 1, 0), "segment_max": ("row", 1, 0),
          "add_rows": ("row", 3, 4), "leaky_relu": ("row", 2, 0), "leaky_relu_dx": ("row", 3, 0),
          "affine": ("row", 2, 0), "affine_dx": ("row", 3, 0), "affine_sums_part": ("row", 2, 0),
          "moments_part": ("row", 1, 0)}
ROWS = {name + form: (size, *row) for form, size in (("", 4), (", Half", 2)) for name, row in FLOATS.items()}
WRITTEN = {"max_pool": 2, "max_pool_dx": 1, "sum_pool": 1}               # numbers a channel of each result


def occupancy(taken, threads, card):
    """Return the share of 2048 threads that stand on a multiprocessor; registers go to warps in steps of 256."""
    warps = threads // 32
    blocks = min(65536 // (-(-taken["registers"][card.architecture] * 32 // 256) * 256) // warps,
                 card.shared // (taken["shared"] + 1024), 2048 // threads)
    return blocks * threads / 2048


def seconds(tile, c, in_use, card):
    """Return (operations, bytes, roof, time) a pair of c to c channels."""
    operations, moved = tile.work(c, c, in_use)
    roof = min(card.peak[tile.number], card.bandwidth * operations / moved)
    return operations, moved, roof, max(operations / (tile.share(c, c, in_use, card) * card.peak[tile.number]),
                                        moved / card.bandwidth)


def gathered(c, card):
    """Return the time a pair of gathering: rows are read, written and read, products written, read and added in turn.

    A product reaches 90 % of the card's multiplications; what is moved and what is multiplied do not overlap.
    """
    return (4 * (3 * c + 4 * c) + 12) / card.bandwidth + 2 * c * c / (0.9 * card.peak["float32"])


def in_use(tile):
    """Return the share of a tile's rows that have a pair, on the scan."""
    return RECORD["scan"]["rows_in_use"][str(tile.rows)] if type(tile) is Tile else 1.0


def tile_lines():
    """Yield the table of what multiplies."""
    yield ("| kernel | C | operations/byte | bytes/pair | " + " | ".join(
        f"{card.name}: registers, occupancy, share of the roofline, ps/pair" for card in CARDS) + " |")
    yield "|---|---|---|---|" + "---|" * len(CARDS)
    rows = [(name, TILES[name], RECORD["kernels"][name]) for name in TILES]
    rows += [(f"prototype, {name}", tile, RECORD["prototype"][name]) for name, tile in PROTOTYPE.items()]
    for name, tile, taken in rows:
        for c in CHANNELS:
            cells, (operations, moved, *_) = [], seconds(tile, c, in_use(tile), CARDS[0])
            for card in CARDS:
                *_, roof, time = seconds(tile, c, in_use(tile), card)
                cells.append(f"{taken['registers'][card.architecture]}, {occupancy(taken, tile.threads, card):.0%}, "
                             f"{operations / time / roof:.0%}, {1e12 * time:,.0f}")
            yield f"| {name} | {c} | {operations / moved:.1f} | {moved:,.0f} | " + " | ".join(cells) + " |"
    for c in (*CHANNELS, 256, 512):
        yield f"| gathering and cuBLAS | {c} | | {28 * c + 12:,} | " + " | ".join(
            f"{1e12 * gathered(c, card):,.0f}" for card in CARDS) + " |"
    for c in (256, 512):
        yield f"| conv_64x64, for comparison | {c} | | | " + " | ".join(
            f"{1e12 * seconds(CONV_64, c, in_use(CONV_64), card)[3]:,.0f}" for card in CARDS) + " |"


def row_lines():
    """Yield the table of what moves bytes: a thread has the load of one number in flight."""
    yield ("| kernel | bytes at C = " + ", ".join(map(str, CHANNELS)) + " | operations/byte | " + " | ".join(
        f"{card.name}: registers, occupancy, share of the roofline" for card in CARDS) + " |")
    yield "|---|---|---|" + "---|" * len(CARDS)
    pairs = RECORD["scan"]["pooled_pairs_an_output"]
    for name, (size, what, each, besides) in ROWS.items():
        taken = RECORD["kernels"][name]
        moved = [size * (each + WRITTEN.get(name.split(",")[0], 0) / pairs) * c + besides for c in CHANNELS]
        cells = []
        for card in CARDS:
            there = occupancy(taken, 256, card)
            flying = there * 2048 * size * card.multiprocessors / card.latency
            cells.append(f"{taken['registers'][card.architecture]}, {there:.0%}, {min(1, flying / card.bandwidth):.0%}")
        yield (f"| {name} | " + ", ".join(f"{m:,.0f}" for m in moved) + f" a {what} | "
               f"{CHANNELS[-1] / moved[-1]:.2f} | " + " | ".join(cells) + " |")


def written():
    """Return the part of docs/cuda.md between the marks."""
    return "\n".join([BEGIN, *tile_lines(), "", *row_lines(), END])


def with_account(page):
    """Put it into the text of a page."""
    return page[:page.index(BEGIN)] + written() + page[page.index(END) + len(END):]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put it into docs/cuda.md")
    if parser.parse_args().write:
        PAGE.write_text(with_account(PAGE.read_text()))
    else:
        print(written())


if __name__ == "__main__":
    main()
