"""Expect the bits of one instruction set from another in every verb: `python same_bits.py neon portable`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np  # noqa: E402
from contract_ops import as_tuple, born, call, calls_of  # noqa: E402
from strategies import random_rulebook  # noqa: E402

from spconv_cy import _core  # noqa: E402
from spconv_cy.backend.switch import ops_named  # noqa: E402

SHAPES = [(1, 1, 1), (3, 5, 1), (8, 8, 1), (17, 40, 1), (32, 32, 1), (33, 64, 1), (96, 5, 1), (12, 24, 4)]


def main(first, second):
    """Compare both, verb by verb; end with status 1 where bits differ."""
    ops, different = ops_named("cpu"), []
    for c, o, groups in SHAPES:
        rng = np.random.default_rng(c)
        for verb, arguments, options in calls_of(rng, random_rulebook(rng, 401, 333, 9, share=0.4), c, o, groups):
            found = []
            for name in (first, second):
                _core.select_isa(name)
                found.append([np.array(a).tobytes() for a in as_tuple(call(ops, verb, born(ops, arguments), options))])
            if found[0] != found[1]:
                different.append(f"{verb} {c} {o} {groups}")
    print(f"{first} and {second}: the same bits in every verb, {len(SHAPES)} shapes" if not different else
          f"{first} and {second} differ: {', '.join(different)}")
    sys.exit(bool(different))


if __name__ == "__main__":
    main(*sys.argv[1:])
