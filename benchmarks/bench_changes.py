"""When few sites change: rulebooks of frozen networks made from those before, against all made afresh.

    python benchmarks/bench_changes.py [--rounds 5] [--threads 1]

For each network and each share of changed sites (half of them gone, half new): milliseconds of finding all rulebooks
afresh and of updating them, in turns, and where the two meet. "Scattered" changes are anywhere; "together" they lie in
few places, as where something moves. Rows are compared, too. Last, what changes from frame to frame in two recordings
made up here: a lidar that drives through its street, and windows of an event camera.
"""

import argparse
import time

import numpy as np
import scenes
import workloads

import spconv_cy as sp
from spconv_cy.sites import Grid, changes

SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
WAYS = ("scattered", "together")
NAMES = ("second", "minkunet", "uresnet", "sparse unet")


def inputs(name):
    """Return (network, canonical sites, size)."""
    if name == "second":
        return sp.models.voxel_backbone_8x(rng=0), *scenes.lidar()
    if name == "minkunet":
        return sp.models.minkunet("14A", 3, 20, rng=0), scenes.street()[0], None
    if name == "uresnet":
        return sp.models.uresnet(filters=16, rng=0), *scenes.event()
    return sp.models.unet(3, 16, 3, 20, rng=0), *scenes.scan()


def altered(sites, share, way, size, rng):
    """Return canonical sites of which a share has changed, half of it gone and half of it new."""
    n, count = len(sites), max(1, int(len(sites) * share / 2))
    gone = rng.choice(n, count, replace=False)
    if way == "together":
        gone = np.unique((rng.choice(n, 10)[:, None] + np.arange(-(-count // 10))).clip(0, n - 1))
    d = sites.shape[1] - 1
    new = sites[gone] + np.column_stack([np.zeros(len(gone), int), rng.integers(-2, 3, (len(gone), d))])
    top = np.array(size or (2**20,) * d)
    new[:, 1:] = new[:, 1:].clip(0, top - 1)
    return np.unique(np.concatenate([np.delete(sites, gone, 0), new]), axis=0)


def found(rules, sites, size, share):
    """Return (Found, seconds) of sites, updated from what the rules keep if share is above 0, else afresh."""
    changes.SHARE = changes.SHARE_OF_MAPS = share
    grid = Grid(np.ascontiguousarray(sites, np.int32), size, 1, sp.Lattice.cubic(sites.shape[1] - 1))
    start = time.perf_counter()
    answer = rules.find(grid)
    return answer, time.perf_counter() - start


def compared(name, options):
    """Print the milliseconds of a network for each share of changed sites, and where an update is as long as all."""
    net, sites, size = inputs(name)
    rules = sp.freeze(net.eval()).parts[0].rules
    for way in WAYS:
        rng, ratios = np.random.default_rng(0), []
        for share in SHARES:
            best, last = [np.inf, np.inf], None
            for _ in range(options.rounds):
                other = altered(sites, share, way, size, rng)
                for i, most in enumerate((0.0, 4.0)):
                    before, _ = found(rules, sites, size, 0.0)
                    now, seconds = found(rules, other, size, most)
                    best[i] = min(best[i], seconds)
                    last = now if i == 0 else last
            for a, b in zip(last.books, now.books, strict=True):
                assert a == b and np.array_equal(a.tile_ptr, b.tile_ptr)
            part = changes.compiled.change(before.grids[0].sites, now.grids[0].sites, 4 * len(sites))
            ratios.append(((part.added + part.gone) / len(sites), best[1] / best[0]))
            print(f"{name:12} {len(sites):7,} {way:10} {ratios[-1][0]:7.1%} changed: afresh {1e3 * best[0]:7.2f} ms, "
                  f"updated {1e3 * best[1]:7.2f} ms, {ratios[-1][1]:.2f}", flush=True)
        shares, ratio = np.array(ratios).T
        above = np.flatnonzero(ratio > 1)
        meet = f"at {np.interp(1, ratio, shares):.0%}" if len(above) else f"above {shares[-1]:.0%}"
        print(f"{name:12} {way}: as long as afresh {meet}")


def street(sweeps, speed):
    """Return the share of changed cells from frame to frame of a lidar: all of the last sweeps, at metres a sweep."""
    cells = [workloads.lidar_frame(np.random.default_rng(1), speed * i, np.random.default_rng(100 + i))
             for i in range(sweeps + 1)]
    return share_of(*(np.unique(np.concatenate(some), axis=0) for some in (cells[:-1], cells[1:])))


def camera(window, step, edges=40, seed=5):
    """Return the share of changed pixels from a window of an event camera to the next, both in ms.

    640 x 480 pixels; straight edges of 30 to 150 pixels move at 0.05 to 1 pixel a ms, and fire where they pass.
    """
    rng, pixels = np.random.default_rng(seed), []
    middle, turn = rng.uniform((80, 80), (560, 400), (edges, 2)), rng.uniform(0, np.pi, edges)
    length, speed = rng.uniform(30, 150, edges), rng.uniform(0.05, 1, (edges, 1)) * rng.normal(size=(edges, 2))
    along = np.linspace(-0.5, 0.5, 300)[None, :, None] * (length * np.stack([np.cos(turn), np.sin(turn)])).T[:, None]
    for now in np.arange(0, window + step, 0.5):
        points = (middle + speed * now)[:, None] + along
        pixels.append(np.column_stack([np.full(points.size // 2, now), points.reshape(-1, 2)]))
    times, places = np.split(np.concatenate(pixels), [1], axis=1)
    places = np.floor(places).astype(int)
    inside = ((places >= 0) & (places < (640, 480))).all(1)
    windows = [np.unique(places[inside & (times[:, 0] >= low) & (times[:, 0] < low + window)], axis=0)
               for low in (0, step)]
    return share_of(*windows)


def share_of(a, b):
    """Return the share of sites, of those of b, that are in one of two lists alone."""
    change = changes.compiled.change(*(np.ascontiguousarray(some, np.int32) for some in (a, b)), len(a) + len(b))
    return (change.added + change.gone) / len(b)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    sp.set_threads(options.threads)
    for name in options.only:
        compared(name, options)
    for sweeps, speed in ((1, 0.0), (1, 1.0), (10, 0.0), (10, 1.0)):
        print(f"lidar, cells of the last {sweeps} sweeps, {speed} m a sweep: {street(sweeps, speed):.0%} change")
    for window, step in ((50, 1), (50, 5), (50, 10), (50, 50)):
        print(f"event camera, windows of {window} ms every {step} ms: {camera(window, step):.0%} change")


if __name__ == "__main__":
    main()
