"""Which networks are converted and timed, on which inputs; for all sides, so nothing but numpy is needed.

Scenes and checkpoints lie in build/converted: NAME.npz has the sites, the features and the size of the field, NAME.pth
what the library saved.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import workloads

FRAMES = 3                                              # before the peak of memory is read
FOLDER = Path(__file__).resolve().parents[1] / "build" / "converted"
SCAN_SIZE, HALF_SCAN_SIZE, HALF_LIDAR_SIZE, GLYPH_SIZE = (208, 192, 96), (104, 96, 48), (704, 800, 32), (96, 96)
MINK14 = (32, 64, 128, 256, 128, 128, 96, 96)           # channels of MinkUNet14A, four levels down and four up
MINK34 = (32, 64, 128, 256, 256, 128, 96, 96)           # of SpUNet as Pointcept has it
POINTGROUP = tuple(16 * n for n in range(1, 8))
VOXELNEXT = (16, 32, 64, 128, 128)


@dataclass(frozen=True)
class Network:
    """A network, the library that it was written with, and what it is run on.

    Attributes:
        library: "spconv" or "MinkowskiEngine".
        family: for `sp.io.convert`.
        channels: of the input.
        scene: name of a function of this module.
    """

    library: str
    family: str
    channels: int
    scene: str


NETWORKS = {
    "second": Network("spconv", "second", 4, "lidar"),
    "centerpoint": Network("spconv", "centerpoint", 5, "lidar"),
    "voxelnext": Network("spconv", "voxelnext", 5, "lidar"),
    "spunet": Network("spconv", "spunet", 6, "room"),
    "spunet14": Network("spconv", "spunet", 3, "street"),
    "spunet14-room": Network("spconv", "spunet", 3, "room"),
    "pointgroup": Network("spconv", "pointgroup", 6, "scan"),
    "pointgroup-event": Network("spconv", "pointgroup", 1, "event"),
    "minkunet14": Network("MinkowskiEngine", "minkunet", 3, "room"),
    "deepcnet": Network("spconv", "deepcnet", 3, "glyph"),
}


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
    network = NETWORKS[name]
    sites, size = globals()[network.scene]()
    FOLDER.mkdir(parents=True, exist_ok=True)
    np.savez(FOLDER / f"{name}.npz", sites=np.ascontiguousarray(sites, np.int32), size=np.array(size),
             rows=workloads.features(sites, network.channels))


def scene(name):
    """Return (sites, rows, size) of NAME.npz."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return file["sites"], file["rows"], tuple(file["size"].tolist())


def checkpoint(name):
    """Return the path of NAME.pth, which the library wrote."""
    return str(FOLDER / f"{name}.pth")


def saved(name):
    """Return the path of NAME.safetensors, which `sp.save` wrote."""
    return str(FOLDER / f"{name}.safetensors")


def keys(name):
    """Return the path of NAME.json: the keys of spconv's layers."""
    return FOLDER / f"{name}.json"


def peak_MB():
    """Return megabytes of resident memory at the peak of this process; NaN where /proc does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


class Peak:
    """Megabytes at the peak of a process that has run some frames, for a class with `load` and `time_cold`."""

    def setup(self, name):
        """Nothing but the name: the network is made by the figure."""

    def track_peak_MB(self, name):
        self.sites, self.rows, self.size = scene(name)
        self.net = self.load(name)
        for _ in range(FRAMES):
            self.time_cold()
        return peak_MB()
