"""Ratios of one record to another: `python benchmarks/compare.py BASELINE.json NOW.json [--most 1.1]`.

Times are multiplied by the sgemm peak of their own run, so that a slower hour or machine does not count. With --most
the command fails where a row takes more than so many times the baseline's.
"""

import argparse
import json
import sys
from pathlib import Path

from runner import label


def rows_of(path):
    """Return {(side, name): best seconds x peak} of a record."""
    rows = json.loads(Path(path).read_text())["rows"]
    return {(row["side"], label(row["case"], row["params"], row["verb"])): row["best"] * row["peak"] for row in rows}


def ratios(baseline, now):
    """List (side, name, now over baseline) for the rows that both records have."""
    before, after = rows_of(baseline), rows_of(now)
    return [(*place, after[place] / before[place]) for place in before if place in after]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("baseline")
    parser.add_argument("now")
    parser.add_argument("--most", type=float)
    options = parser.parse_args()
    found = ratios(options.baseline, options.now)
    if not found:
        sys.exit("compare: the records have no row in common")
    for side, name, ratio in found:
        print(f"{side:>16s} {name:40s} {ratio:6.2f}")
    slower = [name for _, name, ratio in found if options.most and ratio > options.most]
    if slower:
        sys.exit(f"slower than {options.most:g} times the baseline: {', '.join(slower)}")


if __name__ == "__main__":
    main()
