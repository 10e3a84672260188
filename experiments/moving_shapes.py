"""Points and hollow shapes that move along helices: which hand, and which direction in time? 3 + 1 dimensions."""

from functools import partial

import numpy as np
from budget import widest
from experiment import Experiment
from figures import cloud
from world_lines import WorldLineBatches, helices, surface_sites

import spconv_cy as sp
from spconv_cy import plot

SHAPES = ("cube", "ball")


def main():
    run = Experiment.of("moving_shapes", Experiment.parser(__doc__).parse_args())
    n, rows = run.pick((800, 1000), (400, 400), (80, 40)), []
    for name, classes, times, seeds in (("point", 4, ("axis", "none", "permuted"), run.pick(3, 3, 1)),
                                        ("cube or ball", 8, ("axis", "none"), run.pick(3, 1, 1))):
        for time in times:
            found = [told(run, name, time, seed, n) for seed in range(seeds)]
            rates = [100 * (1 - figures["error"]) for figures in found]
            rows.append([name, {"axis": "3 + 1", "none": "3", "permuted": "3 + 1, moments permuted"}[time], classes,
                         f"{found[0]['sites']:,.0f}", f"{found[0]['parameters']:,}", f"{found[0]['adds']:,.0f}",
                         f"{found[0]['seconds']:.0f}", f"{np.mean(rates):.1f}", ", ".join(f"{r:.1f}" for r in rates),
                         "" if time == "axis" else "50.0"])           # without time only the direction is hidden
    print(run.table("Hand and direction in time of a point, and with them its shape, of "
                    f"{n[0]} helices to train on and {n[1]} to test on",
                    ["what moves", "axes", "classes", "sites an item", "parameters", "multiply-adds",
                     "seconds of training", "right, %", "each seed", "expected at most, %"], rows))
    if run.size != "tiny":
        run.picture("shapes", picture(), "Left: the places of one right-handed helix, the same forward and backward. "
                    "Middle, right: a cube's and a ball's shell on their way, coloured by time.")


def told(run, name, time, seed, n):
    """Train and test a network on moving points, or on hollow shapes, where the shape is part of the class."""
    parts, steps = [], run.pick(32, 32, 16) if name == "point" else run.pick(16, 16, 8)
    field = 23 if steps == 8 else 47
    size = 16 if field == 23 else 32
    for i, count in enumerate(n):
        drawn = np.random.default_rng((seed, i)).integers(2**31)
        lines, options = helices(count, size, steps, drawn), {}
        if name != "point":
            kinds = np.random.default_rng(drawn).permutation(np.arange(count) % 2)
            options = {"shapes": [surface_sites(kind) for kind in SHAPES], "kinds": kinds,
                       "labels": lines.labels + 4 * kinds}
        parts.append(WorldLineBatches(lines, field, time=time, batch=20, **options))
    l, d, classes = (3 if field == 23 else 4), 4 - (time == "none"), 4 if name == "point" else 8
    build = partial(widest, lambda k: sp.models.deepcnet(l, k, 1, classes, d=d, first=2, rng=seed),
                    run.pick(30_000, 30_000, 4000))
    epochs = run.pick(10, 6, 1) if name == "point" else run.pick(6, 6, 1)
    return run.classifier(f"{name} {time} {seed}", build, *parts, epochs, seed=seed)


def picture():
    figure, lines = plot.figure(9, 4), helices(40, seed=1)
    item = int(np.flatnonzero(lines.labels == 0)[0])
    places = np.floor(lines.places[item]).astype(int)
    moving = {"A point, 32 moments": np.zeros((1, 3), int), "A cube's shell, every 4th moment": surface_sites("cube"),
              "A ball's shell, every 4th moment": surface_sites("ball")}
    for place, (name, sites) in enumerate(moving.items(), 1):
        axes = figure.add_subplot(1, 3, place, projection="3d")
        moments = np.arange(0, 32, 1 if place == 1 else 4)
        drawn = (places[moments][:, None] + sites).reshape(-1, 3)
        cloud(axes, drawn, np.repeat(moments, len(sites)), "moment", 12 if place == 1 else 3, title=name)
    return figure


if __name__ == "__main__":
    main()
