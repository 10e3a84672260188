"""A static account of the CUDA convolutions, from their tile sizes alone: nothing here was measured."""

import argparse

# Published figures, dense: float32 operations and bytes a second, registers and shared bytes of a multiprocessor.
CARDS = {"sm_80 (A100)": (19.5e12, 1.555e12, 65536, 164 << 10),
         "sm_90 (H100 SXM)": (66.9e12, 3.35e12, 65536, 228 << 10)}
# rows and columns of a tile, registers by nvcc 13.0 on sm_80 and sm_90, static shared bytes; 256 threads
KERNELS = {"conv_64x64": (64, 64, (48, 48), 17672), "conv_128x32": (128, 32, (55, 60), 22024),
           "prototype, 64x64": (64, 64, (48, 48), 9200)}
THREADS, STEP = 256, 16


def occupancy(registers, shared, card):
    """Return the share of 2048 threads that can stand on a multiprocessor."""
    _, _, all_registers, all_shared = CARDS[card]
    each = -(-registers // 8) * 8 * THREADS
    return min(all_registers // each, all_shared // (shared + 1024), 2048 // THREADS) * THREADS / 2048


def account(rows, columns, c, double):
    """Return operations a pair, bytes a pair from memory beyond a block, and the share of issued slots that multiply.

    A pair reads its row of x once for each tile of columns, and its part of the tile's weights. A thread's step of one
    channel is 16 multiply-adds and 2 vector loads (8 loads of a float in the prototype); a barrier that nothing
    overlaps counts as 32 slots.
    """
    o = c
    tiles = -(-o // columns)
    moved = 4 * (c * tiles + c * o / rows)
    useful = o / (tiles * columns)                                       # columns of a tile that are there
    slots = STEP * (16 + (2 if double else 8)) + (32 if double else 96)
    return 2 * c * o, moved, useful * STEP * 16 / slots


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("| kernel | C | operations/byte | bytes/pair | " + " | ".join(
        f"{card}: occupancy, bound of the roofline" for card in CARDS) + " |")
    print("|---|---|---|---|" + "---|" * len(CARDS))
    for name, (rows, columns, registers, shared) in KERNELS.items():
        for c in (16, 32, 64, 128):
            operations, moved, share = account(rows, columns, c, not name.startswith("prototype"))
            cells = []
            for card, taken in zip(CARDS, registers, strict=True):
                peak, bandwidth, *_ = CARDS[card]
                roof = min(peak, bandwidth * operations / moved)
                bound = min(share * peak, roof) / roof
                cells.append(f"{occupancy(taken, shared, card):.0%}, {bound:.0%} of {roof / 1e12:.1f} T/s")
            print(f"| {name} | {c} | {operations / moved:.1f} | {moved:,.0f} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
