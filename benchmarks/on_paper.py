"""What more cores would do, by arithmetic from counts; nothing is measured here: python benchmarks/on_paper.py.

A core is taken as 100 GFLOP/s of float32 and 20 GB/s for rows.
"""

from workloads import SCAN_PAIRS, SCAN_SITES

CORES, CORE = 64, 100e9
ROWS = 20e9                                             # bytes a second that one core gets for row-wise work
MEMORY = 300e9                                          # and that all get from 12 channels of DDR5


def main():
    """Print the intensity of a convolution by channels, what is lost at the end of a pass, and what memory feeds."""
    n, pairs = SCAN_SITES, SCAN_PAIRS
    print(f"the indoor scan: {n:,} sites, {pairs:,} pairs of 3 x 3 x 3; {CORES} cores of {CORE / 1e9:.0f} GFLOP/s")
    print("channels    GFLOP    MB moved    operations a byte    GB/s that the cores ask for")
    for channels in (8, 16, 32, 64, 128):
        work, moved = 2 * pairs * channels**2, 8 * n * channels + 8 * pairs
        asked = CORES * CORE * moved / work
        print(f"{channels:8d} {work / 1e9:8.2f} {moved / 1e6:11.1f} {work / moved:20.0f} {asked / 1e9:30.0f}")
    tiles = -(-n // 128)
    most = -(-tiles // CORES)
    print(f"tiles of 128 rows: {tiles}, at most {most} for a core: {most * CORES / tiles - 1:.1%} lost at the end")
    print(f"row-wise work: {MEMORY / ROWS:.0f} cores take all of {MEMORY / 1e9:.0f} GB/s")


if __name__ == "__main__":
    main()
