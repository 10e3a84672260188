"""Sites and features that the networks of networks.py are run on."""

import os

import networks
import numpy as np
import workloads

SCAN_SIZE, HALF_SCAN_SIZE, HALF_LIDAR_SIZE, GLYPH_SIZE = (208, 192, 96), (104, 96, 48), (704, 800, 32), (96, 96)


def lidar():
    """Return sites and size of a sweep of a lidar, the axes z, y, x as detectors have them."""
    sites = workloads.lidar()[:, [0, 3, 2, 1]]
    return sites[np.lexsort(sites.T[::-1])], workloads.LIDAR_SIZE[::-1]


def scan():
    """Return sites and size of the indoor scan."""
    return workloads.indoor_scan(), SCAN_SIZE


def room():
    """Return sites and size of 20,000 sites of the indoor scan in cells of twice the length."""
    sites = np.unique(workloads.indoor_scan() // 2, axis=0)
    return sites[:20_000], HALF_SCAN_SIZE


def street():
    """Return sites and size of a lidar's 20,000 nearest sites, in cells of twice the length."""
    sites = np.unique(workloads.lidar() // (1, 2, 2, 2), axis=0)
    distance = (((sites[:, 1:] - (0, 400, 15)) * (1, 1, 2)) ** 2).sum(1)      # a cell is twice as high as wide
    return sites[np.sort(np.argsort(distance, kind="stable")[:20_000])], HALF_LIDAR_SIZE


def event():
    """Return sites and size of a made event of a liquid-argon detector of 768^3: 40 tracks and 25 showers."""
    rng, size = np.random.default_rng(7), 768
    points = []
    for i in range(65):
        start, way = rng.uniform(0, size, 3), rng.normal(size=3)
        way /= np.linalg.norm(way)
        t = np.arange(0, rng.uniform(100, 700) if i < 40 else rng.uniform(40, 150), 0.5)[:, None]
        wander = np.cumsum(rng.normal(0, 0.04, (len(t), 3)), 0)
        spread = 0.8 if i < 40 else 0.12 * t
        cloud = [start + way * t + wander + rng.normal(size=(len(t), 3)) * spread for _ in range(6 if i < 40 else 40)]
        points.append(np.concatenate(cloud))
    sites = np.floor(np.concatenate(points)).astype(np.int64)
    sites = np.unique(sites[((sites >= 0) & (sites < size)).all(1)], axis=0)
    return np.column_stack([np.zeros(len(sites), np.int64), sites]), (size,) * 3


def glyph():
    """Return sites and size of a glyph."""
    return workloads.glyphs(batch=1), GLYPH_SIZE


def save_scene(name):
    """Write NAME.npz."""
    network = networks.NETWORKS[name]
    sites, size = globals()[network.scene]()
    os.makedirs(networks.FOLDER, exist_ok=True)
    path = os.path.join(networks.FOLDER, f"{name}.npz")
    np.savez(path, sites=np.ascontiguousarray(sites, np.int32), size=np.array(size),
             rows=workloads.features(sites, network.channels))
