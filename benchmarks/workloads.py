"""Sites for benchmarks, made from a fixed seed."""

import itertools

import numpy as np

X, Y, Z = np.eye(3)
SCAN_SITES, SCAN_PAIRS = 100_427, 1_163_241
LIDAR_SITES, LIDAR_SIZE = 60_000, (1408, 1600, 41)
SPACE_TIME_SITES, SPACE_TIME_SIZE = 50_000, (96, 96, 96, 16)
GLYPH_SITES, GLYPH_PAIRS = 30_039, 458_120            # pairs of all convolutions of a DeepCNet(5, 30)


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


def part(n=5_000):
    """Return the first sites of the indoor scan."""
    return indoor_scan()[:n]


def lidar(seed=1):
    """Return the sites (60000, 1+3) int32 of a turning lidar's sweep, in the order in which its beams met them.

    128 beams over the half before the car: ground, 70 boxes; cells of 0.05 x 0.05 x 0.1 m in a field of LIDAR_SIZE.
    """
    rng = np.random.default_rng(seed)
    sites = lidar_frame(rng)
    sites = sites[((sites >= 0) & (sites < np.array(LIDAR_SIZE))).all(1)]
    sites = sites[np.sort(np.unique(sites, axis=0, return_index=True)[1])]
    few = len(sites) < 1.3 * LIDAR_SITES
    sites = sites[np.sort(rng.permutation(len(sites))[:LIDAR_SITES]) if few else np.arange(LIDAR_SITES)]
    return np.column_stack([np.zeros(len(sites), np.int32), sites.astype(np.int32)])


def lidar_frame(rng, at=0.0, noise=None):
    """Return the cells (n, 3) that the points of a sweep lie in, in the street's frame, with the car at x = `at` m.

    The boxes are drawn from rng, and so is the noise of the distances unless another generator is given.
    """
    elevation, azimuth = np.meshgrid(np.deg2rad(np.linspace(-25.0, 3.0, 128)), np.deg2rad(np.arange(-90, 90, 0.12)),
                                     indexing="ij")
    beam = np.stack([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], -1)
    beam, height, boxes = beam.reshape(-1, 3), 1.73, 70
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.where(beam[:, 2] < -1e-3, -height / beam[:, 2], np.inf)
        corner = np.stack([rng.uniform(4, 68, boxes) - at, rng.uniform(-38, 38, boxes), np.full(boxes, -height)], 1)
        extent = np.stack([rng.uniform(1.5, 5, boxes), rng.uniform(1.5, 5, boxes), rng.uniform(1.0, 2.6, boxes)], 1)
        for low, high in zip(corner, corner + extent, strict=True):
            first, second = low / beam, high / beam
            near, far = np.minimum(first, second).max(1), np.maximum(first, second).min(1)
            reach = np.where((far >= near) & (near > 0.5) & (near < reach), near, reach)
    seen = np.isfinite(reach) & (reach < 85)
    points = beam[seen] * (reach[seen] + (noise or rng).normal(0, 0.02, seen.sum()))[:, None]
    return np.floor((points - np.array([-at, -40.0, -3.0])) / np.array([0.05, 0.05, 0.1])).astype(np.int64)


def space_time(seed=3, frames=8):
    """Return the sites (50000, 1+4) int32, sorted: four moving spheres over a floor, in 8 steps of time."""
    rng = np.random.default_rng(seed)
    balls = [(rng.uniform(20, 76, 3), rng.normal(0, 0.7, 3), rng.uniform(7, 13)) for _ in range(4)]
    parts = []
    for time in range(frames):
        floor = _plane(rng, (8, 8, 8), X, Y, 42, 42)
        floor[:, 2] += rng.normal(0, 0.18, len(floor))
        points = [floor]
        for centre, speed, radius in balls:
            turn = rng.normal(size=(int(4 * np.pi * radius * radius * 5), 3))
            turn /= np.linalg.norm(turn, axis=1, keepdims=True)
            points.append(centre + speed * time + turn * radius)
        points = np.floor(np.concatenate(points)).astype(np.int64)
        parts.append(np.column_stack([points, np.full(len(points), time + 4)]))
    sites = np.concatenate(parts)
    sites = np.unique(sites[((sites >= 0) & (sites < np.array(SPACE_TIME_SIZE))).all(1)], axis=0)[:SPACE_TIME_SITES]
    return np.column_stack([np.zeros(len(sites), np.int32), sites.astype(np.int32)])


def glyphs(seed=2, batch=100, scale=64, field=96):
    """Return the sites (n, 1+2) int32 of glyphs of 2 to 6 smooth strokes, the longer side `scale`, one site wide."""
    rng = np.random.default_rng(seed)
    made = []
    for sample in range(batch):
        strokes = []
        for _ in range(rng.integers(2, 7)):
            corners = rng.uniform(0, 1, (rng.integers(3, 7), 2))
            along = np.linspace(0, 1, max(400, 6 * scale))[:, None, None]
            curve = np.repeat(corners[None], len(along), 0)
            while curve.shape[1] > 1:                   # de Casteljau
                curve = curve[:, :-1] * (1 - along) + curve[:, 1:] * along
            strokes.append(curve[:, 0])
        ink = np.concatenate(strokes)
        ink = (ink - ink.min(0)) / np.ptp(ink, axis=0).max() * (scale - 1)
        ink += (field - 1) / 2 - (ink.max(0) + ink.min(0)) / 2
        sites = np.unique(np.floor(ink + 0.5).astype(np.int64), axis=0)
        made.append(np.column_stack([np.full(len(sites), sample), sites]))
    return np.concatenate(made).astype(np.int32)


def surface(n, d=3, wave=40.0):
    """Return the sites (about n, 1+d) int32, sorted, of a wavy surface: one above each site of a (d-1)-cube.

    The waves are as long in a large cube as in a small one, so a site has as many neighbours in any.
    """
    side = max(2, round(n ** (1 / (d - 1))))
    base = np.indices((side,) * (d - 1), np.int32).reshape(d - 1, -1)
    height = sum(np.sin(axis * np.float32(2 * np.pi / wave) + i) for i, axis in enumerate(base))
    height = np.floor(8 * height).astype(np.int32)
    return np.column_stack([np.zeros(base.shape[1], np.int32), *base, height])


def features(sites, channels, seed=10):
    """Return (n, channels) float32 from a normal distribution."""
    return np.random.default_rng(seed).standard_normal((len(sites), channels), np.float32)


def weights(volume, channels_in, channels_out, seed=11):
    """Return (volume, c, o) float32, the offsets lexicographic, the last axis fastest."""
    drawn = np.random.default_rng(seed).standard_normal((volume, channels_in, channels_out), np.float32)
    return drawn * np.float32((2 / (volume * channels_in)) ** 0.5)


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
