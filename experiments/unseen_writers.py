"""Pen digits of unseen writers: settings are chosen on held-out styles of the training part, then tested."""

import re
from functools import partial

import numpy as np
from experiment import Experiment
from scipy.cluster.vq import kmeans2

import spconv_cy as sp
from spconv_cy import plot
from spconv_cy.data.pen_digits import with_aspect

MILD = {"stretch": 0.15, "turn": 0.15, "shift": 0.1}
CHOSEN = {"aspect": True, "encoding": "octogram", "k": 30, "dropout": 0.2, "augment": {**MILD, "ends": 0.1}}
TRIED = {"as chosen": {}, "stretched to squares, as the file has them": {"aspect": False},
         "strokes not bent": {"augment": MILD}, "twice the distortions": {"augment": {"ends": 0.1}},
         "k = 20, no dropout": {"k": 20, "dropout": 0.0}, "directions not told apart": {"encoding": "undirected"},
         "log-signatures": {"encoding": "log-signature3"}}
VIEWS = 8


def main():
    run = Experiment.of("unseen_writers", Experiment.parser(__doc__).parse_args())
    train, test = ((characters[:n], labels[:n]) for (characters, labels), n in
                   zip(sp.data.digits_by_writers(), run.pick((None,) * 2, (None,) * 2, (400, 200)), strict=True))
    print(f"{len(train[1])} digits to train on, {len(test[1])} to test on: 14 writers never seen")
    seeds = range(run.seed, run.seed + run.pick(3, 1, 1))
    for seed in seeds:
        found = run.once(f"seed {seed}", partial(tested, run, train, test, seed))
        print(f"seed {seed}: {found['one']:.2f} % with one view, {found['views']:.2f} % with {VIEWS}", flush=True)
    cells = [[run.figures[f"seed {seed}"][key] for key in ("one", "views")] for seed in seeds]
    rows = zip([*(f"seed {seed}" for seed in seeds), "mean"], [*cells, np.mean(cells, 0)], strict=True)
    print(run.table("14 writers never seen: test error in %", ["", "one view", f"mean of {VIEWS} mild views"],
                    [[name, *(f"{number:.2f}" for number in numbers)] for name, numbers in rows]))
    wrong = run.figures[f"seed {run.seed}"]["wrong"]
    run.picture("misread", picture(test[0], wrong), f"What seed {run.seed} misread: the truth, and its answer.")

    tried = list(TRIED.items())[:run.pick(None, 3, 2)]
    for name, change in tried:
        found = run.once(name, partial(held_out, run, name, train, {**CHOSEN, **change}))
        print(f"{name}: {100 * found['error']:.2f} % of {found['n']} held-out digits", flush=True)
    print(run.table("Held-out styles of the training part: error in %, cross-entropy", ["", "error", "cross-entropy"], [
        [name, f"{100 * run.figures[name]['error']:.2f}", f"{run.figures[name]['loss']:.4f}"] for name, _ in tried]))


def trained(run, name, train, setting, epochs, seed):
    """Return a trained network and the function that makes its batches of (characters, labels)."""
    def shaped(characters):
        return [with_aspect(character) for character in characters] if setting["aspect"] else characters

    encoder = sp.data.StrokeEncoder(setting["encoding"], size=48, scale=16).fit(shaped(train[0]))
    net = sp.models.deepcnet(4, setting["k"], encoder.planes, 10, dropout=setting["dropout"], rng=seed)
    data = sp.data.StrokeBatches(shaped(train[0]), train[1], encoder, augment=sp.data.Affine(**setting["augment"]))
    run.fit(re.sub(r"\W+", "-", name), net, data, sp.Adam(net.parameters(), 0.005), epochs,
            schedule="cosine", rng=seed)
    views = lambda part: sp.data.StrokeBatches(shaped(part[0]), part[1], encoder, views="mild")  # noqa: E731
    return net, views


def held_out(run, name, train, setting):
    """Return error and cross-entropy on held-out styles: a fifth of 30 clusters of similar digits in each class."""
    held, rng = np.zeros(len(train[1]), bool), np.random.default_rng(run.seed)
    for c in range(10):
        items = np.flatnonzero(train[1] == c)
        points = np.array([train[0][i][0].ravel() for i in items])
        styles = kmeans2(points, run.pick(30, 30, 5), minit="++", rng=rng)[1]
        held[items] = np.isin(styles, rng.permutation(styles.max() + 1)[:run.pick(6, 6, 1)])
    kept, out = (([train[0][i] for i in np.flatnonzero(mask)], train[1][mask]) for mask in (~held, held))
    net, batches = trained(run, name, kept, setting, run.pick(12, 3, 1), run.seed)
    result = sp.evaluate(net, batches(out))
    return {"error": result.error, "loss": result.loss, "n": len(result.labels)}


def tested(run, train, test, seed):
    """Return test errors in % with one view and with several, and what one view misread: item, truth, answer."""
    net, batches = trained(run, f"seed {seed}", train, CHOSEN, run.pick(30, 6, 1), seed)
    one, views = (sp.evaluate(net, batches(test), repeats) for repeats in (1, VIEWS))
    answers = one.outputs.argmax(1)
    wrong = [[int(i), int(one.labels[i]), int(answers[i])] for i in np.flatnonzero(answers != one.labels)]
    return {"one": 100 * one.error, "views": 100 * views.error, "wrong": wrong}


def picture(characters, wrong):
    figure = plot.figure(8, 3.6)
    shown = wrong[:33]
    said = "" if len(shown) == len(wrong) else f"; {len(shown)} of them"
    figure.suptitle(f"{len(wrong)} of {len(characters):,} digits misread{said}. The pen starts at the dot", fontsize=11)
    axes_of = figure.subplots(3, 11).ravel()
    for axes in axes_of:
        axes.set_axis_off()
    for axes, (item, truth, answer) in zip(axes_of, shown, strict=False):
        plot.strokes(axes, with_aspect(characters[item]), "magma", linewidth=2)
        axes.set_title(f"{truth} as {answer}", fontsize=9)
    return figure


if __name__ == "__main__":
    main()
