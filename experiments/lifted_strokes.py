"""Pen digits in up to five dimensions (x, y, direction, curvature, time), compared with the plane."""

from functools import partial

import numpy as np
from budget import widest
from experiment import Experiment
from figures import cloud

import spconv_cy as sp
from spconv_cy import plot
from spconv_cy.data.lifting import AXES

OCTOGRAM = ("x", "y", "8 planes of direction")           # StrokeEncoder: directions as features, not as an axis
LIFTS = (("x", "y"), OCTOGRAM, ("x", "y", "direction"), ("x", "y", "time"), ("x", "y", "direction", "curvature"), AXES)
SIZE, SCALE, LEVELS = 23, 10, 3


def main():
    parser = Experiment.parser(__doc__, data="folder with pendigits.npz (E. Alpaydin, F. Alimoglu, UCI, CC BY 4.0), "
                                             "the pen digits split by writers")
    run = Experiment.of("lifted_strokes", parser.parse_args())
    (train, labels), (test, test_labels), split = digits_of(run)
    rows = []
    for axes in LIFTS:
        found = [classified(run, axes, seed, (train, labels), (test, test_labels)) for seed in range(run.pick(2, 1, 1))]
        errors = [100 * figures["error"] for figures in found]
        rows.append([2 if axes == OCTOGRAM else len(axes), ", ".join(axes), f"{found[0]['sites']:.0f}",
                     f"{found[0]['parameters']:,}", f"{found[0]['adds']:,.0f}",
                     f"{np.mean([figures['seconds'] for figures in found]):.0f}", f"{np.mean(errors):.2f}",
                     ", ".join(f"{error:.2f}" for error in errors)])
    print(run.table(f"Pen digits, {split}: {len(train)} to train on, {len(test)} to test on",
                    ["d", "axes", "sites a digit", "parameters", "multiply-adds", "seconds of training", "error, %",
                     "each seed"], rows))
    if run.size != "tiny":
        run.picture("lift", picture(train, labels), "A digit that crosses itself: in the plane two passes share the "
                    "sites in the middle, over (x, y, direction) and over (x, y, time) they are apart.")


def digits_of(run):
    """Return (characters, labels) for training and for testing, and the name of the split."""
    path = None if run.data is None or run.size == "tiny" else run.data / "pendigits.npz"
    if path is not None and path.exists():
        parts = [(part.characters, part.labels) for part in sp.readers.read_handwriting(path).split()]
        split = "test writers unseen"
    else:
        print("no pendigits.npz in a folder of --data: the digits that ship, split at random, the same writers on both "
              "sides")
        parts, split = sp.data.digits_split(run.seed), "random split"
    most = run.pick((None, None), (1000, 1000), (200, 200))
    if run.size != "full":                              # at random, since the first ones are of few writers
        chosen = [np.random.default_rng(0).permutation(len(y))[:n] for (_, y), n in zip(parts, most, strict=True)]
        parts = [(sp.data.Characters.pack(c).take(items)[0], y[items]) for (c, y), items in zip(parts, chosen,
                                                                                                strict=True)]
    return *((sp.data.Characters.pack(characters), labels) for characters, labels in parts), split


def classified(run, axes, seed, train, test):
    """Train and test a network on digits over these axes; all networks have about as many parameters."""
    if axes == OCTOGRAM:
        encoder = sp.data.StrokeEncoder("octogram", size=SIZE, scale=SCALE).fit(train[0])
    else:
        encoder = sp.data.LiftedEncoder(axes, size=SIZE, scale=SCALE, span=SCALE, window=1, directions=8, overlap=1)
    parts = [sp.data.StrokeBatches(*part, encoder, batch=50, augment="mild") for part in (train, test)]
    d = encoder.dimension
    build = partial(widest, lambda k: sp.models.deepcnet(LEVELS, k, encoder.planes, 10, d=d, first=2, rng=seed),
                    run.pick(33_500, 33_500, 6000))
    key = "octogram" if axes == OCTOGRAM else f"{d}-D {axes[-1]}"
    return run.classifier(f"{key} {seed}", build, *parts, run.pick(8, 6, 1), seed=seed)


def picture(characters, labels):
    figure, item = plot.figure(9, 4), int(np.flatnonzero(labels == 8)[0])
    options = {"size": 47, "scale": 24, "spacing": 0.2}
    names = {"direction": "direction, steps of 45°", "time": "time, sites"}
    for place, axes_ in enumerate((LIFTS[0], LIFTS[2], LIFTS[3]), 1):
        sites = sp.data.LiftedEncoder(axes_, span=24, **options).sites([characters[item]])[0][:, 1:]
        if len(axes_) == 2:
            axes = figure.add_subplot(1, 3, place)
            axes.scatter(*sites.T, c="0.4", marker="s", s=9)
            axes.set(aspect="equal", xlabel="x, sites", ylabel="y, sites")
        else:
            axes = figure.add_subplot(1, 3, place, projection="3d")
            height, turns = sites[:, 2] - sites[:, 2].min(), axes_[2] == "direction"
            first = (47 - 9) // 2                       # the site of the direction to the right; 8 steps are a turn
            height = sites[:, 2] - first if turns else height
            again = turns & (height == 8)
            if again.any():
                axes.scatter(*sites[again, :2].T, height[again], c="0.7", marker="s", s=7, depthshade=False,
                             label="direction 0 once more")
                axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.02))
            cloud(axes, np.column_stack([sites[:, :2], height])[~again], height[~again], names[axes_[2]], 7,
                  ("x, sites", "y, sites", names[axes_[2]]))
        axes.set_title(f"({', '.join(axes_)})", fontsize=11)
        axes.invert_yaxis()
    return figure


if __name__ == "__main__":
    main()
