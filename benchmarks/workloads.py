"""Sites for benchmarks, made from a fixed seed."""

import itertools

import numpy as np

X, Y, Z = np.eye(3)
SCAN_SITES, SCAN_PAIRS = 100_427, 1_163_241


def indoor_scan(seed=0, size=(152, 124, 64), noise=0.06):
    """Return the sites (100427, 1+3) int32, batch first and sorted, of an indoor scan.

    Floor, four walls and 14 boxes of furniture, with holes, turned by 17 degrees about the vertical, with gaussian
    noise.
    """
    rng = np.random.default_rng(seed)
    a, b, h = size
    planes = [_plane(rng, (0, 0, 0), X, Y, a, b),
              _plane(rng, (0, 0, 0), X, Z, a, h), _plane(rng, (0, b, 0), X, Z, a, h),
              _plane(rng, (0, 0, 0), Y, Z, b, h), _plane(rng, (a, 0, 0), Y, Z, b, h)]
    for _ in range(14):
        extent = rng.uniform((12, 12, 10), (38, 38, 34))
        corner = (rng.uniform(2, a - extent[0] - 2), rng.uniform(2, b - extent[1] - 2), 0.0)
        planes += _box(rng, corner, extent)
    points = np.concatenate(planes)
    for _ in range(25):
        centre = points[rng.integers(len(points))]
        points = points[((points - centre) ** 2).sum(1) > rng.uniform(3, 9) ** 2]
    turn = np.deg2rad(17.0)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    points = points @ rotation.T + rng.normal(0, noise, points.shape)
    sites = np.unique(np.floor(points - points.min(0)).astype(np.int32) + 8, axis=0)
    return np.column_stack([np.zeros(len(sites), np.int32), sites])


def submanifold_pairs(sites, size=3):
    """Return in_rows, out_rows (int32) and offset_ptr (int64) of a centred window at the sites themselves."""
    low, high = sites.min(0).astype(np.int64) - size, sites.max(0) + size + 1
    keys = np.ravel_multi_index((sites - low).T, high - low)
    in_rows, out_rows = [], []
    for offset in itertools.product(range(size), repeat=sites.shape[1] - 1):
        wanted = np.ravel_multi_index((sites - low + (0, *offset) - (0, *[size // 2] * len(offset))).T, high - low)
        rows = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        hit = np.flatnonzero(keys[rows] == wanted)
        in_rows.append(rows[hit])
        out_rows.append(hit)
    offset_ptr = np.cumsum([0, *map(len, in_rows)])
    return np.concatenate(in_rows).astype(np.int32), np.concatenate(out_rows).astype(np.int32), offset_ptr


def _plane(rng, origin, u, v, length_u, length_v, density=5.0):
    n = int(length_u * length_v * density)
    a, b = rng.uniform(0, length_u, n), rng.uniform(0, length_v, n)
    return np.asarray(origin, float) + a[:, None] * u + b[:, None] * v


def _box(rng, corner, extent):
    (x, y, z), (a, b, c) = corner, extent
    return [_plane(rng, (x, y, z + c), X, Y, a, b), _plane(rng, (x, y, z), X, Z, a, c),
            _plane(rng, (x, y + b, z), X, Z, a, c), _plane(rng, (x, y, z), Y, Z, b, c),
            _plane(rng, (x + a, y, z), Y, Z, b, c)]
