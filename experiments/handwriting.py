"""Train a DeepCNet on 10,992 pen-written digits, print its errors and its cost, and draw demo.png."""

from pathlib import Path

import numpy as np
from experiment import Experiment
from figures import headed, site_counts

import spconv_cy as sp
from spconv_cy import plot
from spconv_cy.data.pen_digits import with_aspect
from spconv_cy.layers.intermediate import tensors_by_grid

NAMES = "0123456789"


def main():
    options, run = arguments()
    (train, train_labels), (test, test_labels) = digits_of(options, run)
    print(f"{len(train)} pen digits to train on, {len(test)} to test on: "
          + ("a stratified random split" if options.random else "14 writers never seen"))
    a, b = (np.array(part, np.float32).reshape(len(part), 16) for part in (train, test))
    neighbour = 100 * np.mean(train_labels[((a**2).sum(1) - 2 * b @ a.T).argmin(1)] != test_labels)
    print(f"1-nearest neighbour on the 16 raw coordinates: {neighbour:.2f} % test error")
    train, test = ([with_aspect(character) for character in part] for part in (train, test))
    encoder = sp.data.StrokeEncoder("octogram", size=48, scale=16).fit(train)
    batches = sp.data.StrokeBatches(train, train_labels, encoder, batch=100, augment="mild")
    tests = sp.data.StrokeBatches(test, test_labels, encoder, batch=100)
    net = sp.models.deepcnet(l=4, k=20, channels_in=encoder.planes, classes=10, rng=options.seed)
    print(f"DeepCNet(4, 20): {net.spec()}, {net.n_parameters():,} parameters")
    name = f"{'random' if options.random else 'writers'}-{options.seed}"
    history = run.fit(name, net, batches, sp.Adam(net.parameters(), rate=0.005), options.epochs or run.pick(24, 2, 2),
                      validation=tests, schedule="cosine", rng=options.seed)
    (run.folder / f"{name}.safetensors").unlink()       # a stopped run continues, a finished one starts again
    result, seconds = sp.evaluate(net, tests), sum(history.seconds)

    x, labels = next(tests.epoch(0, training=False))
    print(f"\nA batch of {len(labels)} test digits, layer by layer:\n{net.summary(x)}")
    print(f"\nThe worst classes:\n{worst(result.confusion)}")
    print(f"\n{len(history) * len(train) / seconds:,.0f} samples/s in training")
    picture(net, encoder, test, result, history).savefig(options.picture, dpi=110)
    print(f"{options.picture} shows digits, active sites, curve and errors")
    run.figures[name] = {"error": result.error, "neighbour": float(neighbour), "seconds": seconds,
                         "wrong": np.flatnonzero(result.outputs.argmax(1) != result.labels).tolist()}
    keep(run)
    print(f"test error: {100 * result.error:.2f} % (trained in {seconds:.0f} s)")


def arguments():
    parser = Experiment.parser(__doc__)
    parser.add_argument("--epochs", type=int, help="passes over the training digits (24)")
    parser.add_argument("--random", action="store_true", help="a random split, with the same writers in both parts")
    parser.add_argument("--picture", type=Path, default=Path("demo.png"), help="where to draw it")
    options = parser.parse_args()
    return options, Experiment("demo", options.size, options.log)     # one record for all seeds


def digits_of(options, run):
    split = sp.data.digits_split() if options.random else sp.data.digits_by_writers()      # the same for all seeds
    most = run.pick((None, None), (5000, 1000), (700, 300))
    return [(characters[:n], labels[:n]) for (characters, labels), n in zip(split, most, strict=True)]


def keep(run):
    for split, title in (("writers", "14 writers never seen"), ("random", "the same 44 writers in training and test")):
        found = {name: [100 * found["error"], found["neighbour"], run.record["spent"].get(name, 0)] for name, found in
                 sorted(run.figures.items()) if name.startswith(split)}
        if found:
            found["mean"] = np.mean(list(found.values()), 0)
            run.table(f"{title}: test error in %", ["", "DeepCNet(4, 20)", "1-nearest neighbour", "processor seconds"],
                      [[name, *(f"{number:.2f}" for number in numbers)] for name, numbers in found.items()])


def worst(confusion):
    counts, wrong = confusion.sum(1), confusion.sum(1) - confusion.diagonal()
    lines = []
    for c in np.argsort(-wrong / np.maximum(counts, 1))[:4]:
        taken = ", ".join(f"{n} for a {NAMES[o]}" for o, n in enumerate(confusion[c]) if n and o != c) or "none"
        lines.append(f"  {NAMES[c]}: {wrong[c]} of {counts[c]} misread ({taken})")
    return "\n".join(lines)


def picture(net, encoder, characters, result, history):
    answers, labels = result.outputs.argmax(1), result.labels
    shown = [int(np.flatnonzero(labels == c)[0]) for c in range(10)]
    figure = plot.figure(15, 11.5)
    top, sites, middle, bottom = figure.subfigures(4, 1, height_ratios=[1, 1.2, 2, 1.15])
    title = "What the pen wrote: eight points a digit, dark to light in time"
    for axes, item in zip(headed(top, title, 10), shown, strict=True):
        plot.strokes(axes, characters[item])

    net.eval()
    x = sp.SparseTensor.from_sites(*encoder.sites(characters, [shown[5]]), size=(encoder.size,) * 2)
    tensors = tensors_by_grid(net, x)
    names = ["input", *(layer.notation() for layer in net if hasattr(layer, "window"))]
    title = "What the network computes: one digit's active sites, the brighter the more active; grey: the ground state"
    for axes, x, name in zip(headed(sites, title, len(tensors)), tensors, names, strict=True):
        plot.active_sites(axes, x)
        axes.set_title(f"{name}\n{'x'.join(map(str, x.grid.size))}, {x.channels} planes", fontsize=10)
        axes.set_xlabel(f"{x.grid.n} of {x.grid.field:,} sites", fontsize=10)

    curve, cost, confusion = headed(middle, "What it cost, and what it mixes up", 3, width_ratios=[1.4, 1.4, 1])
    plot.training_curve(curve, history, "test error")
    for axes, title in ((curve, "Training"), (cost, "Sites of that digit"), (confusion, "Misread digits")):
        axes.set_title(title, fontsize=11)
    site_counts(cost, names, tensors)
    plot.confusion(confusion, result.confusion, NAMES)

    wrong = np.flatnonzero(answers != labels)
    title = f"What it misread: {len(wrong)} of {len(labels):,} test digits, the surest first"
    wrong = wrong[np.argsort(-result.outputs[wrong].max(1), kind="stable")]
    axes_of = headed(bottom, title, 12)
    for axes in axes_of:
        axes.set_axis_off()
    for axes, item in zip(axes_of, wrong, strict=False):
        plot.strokes(axes, characters[item], "magma")
        axes.set_title(f"{NAMES[labels[item]]} read as {NAMES[answers[item]]}", fontsize=10)
    return figure


if __name__ == "__main__":
    main()
