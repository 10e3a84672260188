"""Pen strokes as (x, y, t) and as (x, y): which class, and were they drawn forward or backward?"""

from functools import partial

import numpy as np
from budget import widest
from experiment import Experiment
from figures import cloud
from world_lines import reversed_strokes

import spconv_cy as sp
from spconv_cy import plot

PLANE, TIMED = ("x", "y"), ("x", "y", "time")


def main():
    parser = Experiment.parser(__doc__, data="folder with omniglot_strokes.npz (B. Lake, Omniglot, MIT), pen "
                                             "strokes with their true times")
    run = Experiment.of("space_time_strokes", parser.parse_args())
    (train, labels), (test, test_labels) = (
        (sp.data.Characters.pack(part[0][:most]), part[1][:most]) for part, most in
        zip(sp.data.digits_split(run.seed), run.pick((None, None), (2000, 1000), (300, 200)), strict=True))

    rows = []
    for axes in (PLANE, TIMED):
        found = classified(run, f"digits {len(axes)}-D", axes, (train, labels, None), (test, test_labels, None),
                           run.pick(10, 6, 1), run.pick(4, 3, 3), run.pick(60_000, 30_000, 8000))
        rows.append(["pen digits", "the pen's way" if axes == TIMED else "", len(axes), *shown(found)])
    rows += omniglot(run)
    print(run.table("Which character? Error on the test's", ["characters", "time is", "d", "sites a character",
                    "parameters", "multiply-adds", "seconds of training", "error, %"], rows))

    rows = []
    for axes in (PLANE, TIMED):
        found = [directed(run, axes, seed, train, test) for seed in range(run.pick(3, 3, 1))]
        rates = [100 * (1 - figures["error"]) for figures in found]
        rows.append([", ".join(axes), *shown(found[0])[:-2], f"{np.mean(rates):.1f}",
                     ", ".join(f"{rate:.1f}" for rate in rates)])
    print(run.table("Forward or backward? The same pen digits with the same ink, drawn from either end",
                    ["axes", "sites a character", "parameters", "multiply-adds", "right, %", "each seed"], rows))
    if run.size != "tiny":
        run.picture("strokes", picture(train, labels), "One digit drawn forward and backward: the ink in the plane is "
                    "the same site by site (left), the world-lines over that ink climb in opposite directions.")


def shown(found):
    return [f"{found['sites']:.0f}", f"{found['parameters']:,}", f"{found['adds']:,.0f}",
            f"{found['seconds']:.0f}", f"{100 * found['error']:.2f}"]


def classified(run, key, axes, train, test, epochs, l, parameters, seed=0):
    """Train and test a DeepCNet(l, .) with this many parameters on parts (characters, labels, times)."""
    encoder = sp.data.LiftedEncoder(axes, size=3 * 2**l - 1, scale=2**l, span=2**l)
    parts = [sp.data.StrokeBatches(characters, labels, encoder, batch=50, augment="mild",
                              times=times if axes == TIMED else None) for characters, labels, times in (train, test)]
    classes = int(train[1].max()) + 1
    build = partial(widest, lambda k: sp.models.deepcnet(l, k, 1, classes, d=len(axes), first=2, rng=seed),
                    parameters)
    return run.classifier(key, build, *parts, epochs, seed=seed)


def omniglot(run):
    """Return rows for Omniglot: the plane, time by the pen's way, true time; [] without its file."""
    path = None if run.data is None or run.size == "tiny" else run.data / "omniglot_strokes.npz"
    if path is None or not path.exists():
        print("no omniglot_strokes.npz (B. Lake, MIT) in a folder of --data: pen digits alone, without true times")
        return []
    parts = sp.readers.read_handwriting(path).split()
    if run.size == "small":
        parts = [part.take(part.labels < 20) for part in parts]
    rows = []
    for name, axes, timed in (("", PLANE, False), ("the pen's way", TIMED, False), ("true time", TIMED, True)):
        found = classified(run, f"omniglot {name or 'plane'}", axes,
                           *((part.characters, part.labels, part.times if timed else None) for part in parts),
                           run.pick(30, 15, 1), run.pick(4, 3, 3), run.pick(80_000, 30_000, 8000))
        rows.append([f"Omniglot, {int(parts[0].labels.max()) + 1} classes", name, len(axes), *shown(found)])
    return rows


def directed(run, axes, seed, train, test):
    """Train and test in which direction characters were drawn; half of them, at random, are reversed."""
    most, parts = run.pick((3000, 1500), (800, 800), (200, 200)), []
    for characters, n in zip((train, test), most, strict=True):
        turned = np.random.default_rng(seed).permutation(np.arange(n) % 2)
        chosen = characters.take(np.arange(n))[0]
        backward = reversed_strokes(chosen)
        parts.append(([(backward if turn else chosen)[i] for i, turn in enumerate(turned)], turned, None))
    return classified(run, f"direction {len(axes)}-D {seed}", axes, *parts, run.pick(6, 5, 1), 3,
                      run.pick(30_000, 30_000, 8000), seed)


def picture(characters, labels):
    figure = plot.figure(9, 4)
    item = int(np.flatnonzero(labels == 8)[0])
    axes = figure.add_subplot(1, 3, 1)
    one = [characters[item]]
    sites = sp.data.LiftedEncoder(PLANE, size=47).sites(one)[0]
    axes.scatter(sites[:, 1], sites[:, 2], c="0.4", marker="s", s=9)
    axes.set(xlabel="x, sites", ylabel="y, sites", aspect="equal")
    axes.set_title("In the plane: both ways alike", fontsize=11)
    axes.invert_yaxis()
    for place, (name, drawn) in enumerate((("forward", one), ("backward", reversed_strokes(one))), 2):
        axes = figure.add_subplot(1, 3, place, projection="3d")
        sites = sp.data.LiftedEncoder(TIMED, size=47, span=24, spacing=0.2).sites(drawn)[0]
        height = sites[:, 3] - sites[:, 3].min()
        axes.scatter(sites[:, 1], sites[:, 2], -3, c="0.8", marker="s", s=4, depthshade=False,
                     label="the same sites without time")
        cloud(axes, np.column_stack([sites[:, 1:3], height]), height, "time, sites", 5,
              ("x, sites", "y, sites", "time, sites"), f"With time: drawn {name}")
        axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.02))
        axes.invert_yaxis()
    return figure


if __name__ == "__main__":
    main()
