"""Seeded random sites, features and rulebooks, and the ways in which numpy can lay one array out."""

import itertools

import numpy as np

from spconv_cy.sites.rulebook import Rulebook

WINDOWS = [  # dimension, size, stride, dilation, origin
    (1, 3, 1, 1, 0),
    (1, 4, 3, 1, 1),
    (2, 2, 1, 1, 0),
    (2, (3, 2), 1, 1, 0),
    (2, 3, 2, 1, 0),
    (2, 2, 3, 1, 0),
    (2, 3, (1, 2), (2, 1), (2, 1)),
    (2, 1, 1, 1, 0),
    (3, 2, 2, 1, 0),
    (3, 3, 1, 1, 1),
    (4, 2, 1, 1, 0),
    (5, 2, 2, 1, 0),
]


def random_sites(rng, n, d, low=0, high=10, samples=1):
    """Draw n distinct sites (n, 1+d) int32, coordinates from low to high - 1, in random order."""
    drawn = np.zeros((0, 1 + d), np.int32)
    while len(drawn) < n:
        batch = rng.integers(0, samples, (2 * n, 1))
        more = np.concatenate([batch, rng.integers(low, high, (2 * n, d))], 1).astype(np.int32)
        drawn = distinct(np.concatenate([drawn, more]))
    return rng.permutation(drawn)[:n]


def distinct(rows):
    """Return np.unique(rows, axis=0) of whole numbers, which sorts by one column after another: four times faster."""
    rows = np.asarray(rows)
    rows = rows[np.lexsort(rows.T[::-1])]
    first = np.ones(len(rows), bool)
    first[1:] = (rows[1:] != rows[:-1]).any(1)
    return rows[first]


def random_rulebook(rng, n_in, n_out, n_offsets, share=0.5):
    """Draw a rulebook: each offset pairs about `share` of the rows it can, some none; some windows are full."""
    in_rows, out_rows, ends = [], [], [0]
    most = min(n_in, n_out)
    for k in range(n_offsets):
        p = 0 if most == 0 or (k == 1 and n_offsets > 2) else int(rng.binomial(most, share))
        out_rows.append(np.sort(rng.permutation(n_out)[:p]))
        in_rows.append(rng.permutation(n_in)[:p])
        ends.append(ends[-1] + p)
    none = np.zeros(0, np.int64)
    rows = np.concatenate([*in_rows, none]), np.concatenate([*out_rows, none])
    fan_in = np.bincount(rows[1], minlength=n_out)
    volume = n_offsets if rng.random() < 0.4 else np.maximum(fan_in + rng.integers(0, 2, n_out), 1)
    return Rulebook(*rows, np.array(ends), n_in, n_out, volume)


def rulebooks(rng):
    """List small and large rulebooks, the empty ones too: (name, rulebook)."""
    shapes = {
        "few rows": (7, 5, 4),
        "one row": (1, 1, 1),
        "more outputs": (30, 200, 9),
        "several tiles": (700, 600, 9),
        "27 offsets": (150, 140, 27),
        "no rows": (0, 0, 3),
        "no input rows": (0, 6, 3),
        "no output rows": (6, 0, 3),
    }
    return [(name, random_rulebook(rng, *shape)) for name, shape in shapes.items()]


def layouts(array):
    """List (name, array of equal values laid out another way): order, strides, alignment, byte order, read-only."""
    spread = np.zeros(tuple(2 * n for n in array.shape), array.dtype)[tuple(slice(None, None, 2) for _ in array.shape)]
    spread[...] = array
    backwards = np.ascontiguousarray(array[::-1])[::-1]
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
    unaligned = raw.view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    frozen = array.copy()
    frozen.flags.writeable = False
    return [
        ("Fortran order", np.asfortranarray(array)),
        ("every second", spread),
        ("backwards", backwards),
        ("unaligned", unaligned),
        ("other byte order", array.astype(array.dtype.newbyteorder())),
        ("read-only", frozen),
        ("nested lists", array.tolist()),
    ]


def every(**options):
    """List all combinations of options as dicts."""
    return [dict(zip(options, values, strict=True)) for values in itertools.product(*options.values())]
