"""Peak memory of one training step of a U-Net on a whole scene and on 1 to 4 ranks: bench_ranks.py --memory."""

import os
import resource
import tempfile
from pathlib import Path

import numpy as np
import workloads

import spconv_cy as sp
from spconv_cy.compiled import memory


def whole_scene():
    """Return the name and the sites of the aerial scan, if it is there, or else of the indoor scan."""
    folder = os.environ.get("SPCONV_CY_DATA")
    path = Path(folder or ".") / "lidar_topography.npz"
    if folder is None or not path.exists():
        return "indoor scan", workloads.indoor_scan()
    with np.load(path) as file:
        points = file["xyz"].astype(np.float64)
    # Cells of half a metre, four times over side by side.
    cells = np.floor((points - points.min(0)) / (np.ptp(points[:, :2]) / 572)).astype(np.int64)
    width = cells[:, 0].max() + 1
    cells = np.unique(np.concatenate([cells + [i * width, 0, 0] for i in range(4)]), axis=0)
    return "aerial scan, four times", np.column_stack([np.zeros(len(cells), np.int64), cells]).astype(np.int32)


def task(path):
    """Train for a step; return (sites, bytes of arrays, bytes of the process) at most, of each rank."""
    ranks = sp.distributed.world()
    sp.set_threads(1)
    net = sp.models.unet(4, [16, 32, 48, 64], 3, 20, residual=True, rng=0)
    optimizer = sp.SGD(net.parameters(), 0.01)
    before = _resident()
    sites = np.load(path, mmap_mode="r")
    own = np.array_split(np.arange(len(sites)), ranks.size)[ranks.rank]
    sites = np.array(sites[own[0]:own[-1] + 1])
    x = sp.SparseTensor.from_sites(sites, np.ones((len(sites), 3), np.float32), ground=None)
    labels = sites.sum(1) % 20
    if ranks.size > 1:
        x, labels = sp.distributed.scatter(x, labels)
    del sites
    memory.peak()
    for _ in range(2):
        loss = sp.softmax_cross_entropy(net(x).features, labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return ranks.gather((len(labels), memory.peak(), _resident() - before))


def _resident():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def report(run, counts=(1, 2, 3, 4)):
    """Return lines of Markdown; of every run the fullest rank.

    Args:
        run: function of (number of ranks, path of the sites) that returns what `task` returns.
        counts: numbers of ranks.
    """
    name, sites = whole_scene()
    lines = [f"Training steps of a residual U-Net of 4 levels on one scene, {name}, {len(sites):,} sites",
             "", "| ranks | sites of the fullest | arrays at most | | process, less what it was before | |",
             "|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sites.npy"
        np.save(path, sites)
        first = None
        for n in counts:
            most = [max(part) for part in zip(*run(n, path), strict=True)]
            first = first or most
            lines.append(f"| {n} | {most[0]:,} | {most[1] / 1e6:.0f} MB | {100 * most[1] / first[1]:.0f} % | "
                         f"{most[2] / 1e6:.0f} MB | {100 * most[2] / first[2]:.0f} % |")
    return lines
