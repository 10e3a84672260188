"""Train a DeepCNet on 10,992 pen-written digits; print what it gets wrong and what it cost, and draw demo.png."""

import argparse
import time
from pathlib import Path

import numpy as np

import spconv_cy as sp
from spconv_cy import plot

NAMES = "0123456789"


def main():
    options = arguments()
    (train, train_labels), (test, test_labels) = digits_of(options)
    split = "14 writers never seen" if options.writers else f"a stratified random split, seed {options.seed}"
    print(f"{len(train)} pen digits to train on, {len(test)} to test on: {split}")
    a, b = (np.array(part, np.float32).reshape(len(part), 16) for part in (train, test))
    nearest = train_labels[((a**2).sum(1) - 2 * b @ a.T).argmin(1)]
    print(f"1-nearest neighbour on the 16 raw coordinates: {100 * np.mean(nearest != test_labels):.2f} % test error")

    encoder = sp.StrokeEncoder("octogram", size=48, scale=16).fit(train)
    batches = sp.StrokeBatches(train, train_labels, encoder, batch=100, augment="mild")
    tests = sp.StrokeBatches(test, test_labels, encoder, batch=100)
    net = sp.deepcnet(l=4, k=20, channels_in=encoder.planes, classes=10, rng=options.seed)
    print(f"DeepCNet(4, 20): {net.spec()}, {net.n_parameters():,} parameters")
    optimizer = sp.Adam(net.parameters(), rate=0.005)
    began = time.perf_counter()
    history = sp.fit(net, batches, optimizer, options.epochs, validation=tests, schedule="cosine", rng=options.seed)
    seconds = time.perf_counter() - began
    result = sp.evaluate(net, tests)

    x, labels = next(tests.epoch(0, training=False))
    print(f"\nA batch of {len(labels)} test digits, layer by layer:\n{net.summary(x)}")
    print(f"\nThe worst classes:\n{worst(result.confusion)}")
    print(f"\n{options.epochs * len(train) / sum(history.seconds):,.0f} samples/s in training")
    picture(net, encoder, test, result, history).savefig(options.picture, dpi=110)
    print(f"{options.picture} shows digits, active sites, curve and errors")
    print(f"test error: {100 * result.error:.2f} % (trained in {seconds:.0f} s)")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the split, the weights, the order and the distortions")
    parser.add_argument("--epochs", type=int, help="passes over the training digits (24)")
    parser.add_argument("--small", action="store_true", help="a run of seconds: 1000 digits, 2 epochs")
    parser.add_argument("--data", type=Path, help="folder with pendigits.npz, which knows the writers")
    parser.add_argument("--writers", action="store_true", help="with --data: test on writers never seen")
    parser.add_argument("--picture", type=Path, default=Path("demo.png"), help="where to draw it")
    options = parser.parse_args()
    if options.writers and not options.data:
        parser.error("--writers needs --data FOLDER with pendigits.npz: the package's digits do not tell the writers")
    options.epochs = options.epochs or (2 if options.small else 24)
    return options


def digits_of(options):
    split = sp.digits_split(options.seed)
    if options.writers:
        with np.load(options.data / "pendigits.npz") as file:
            points, labels, fold = file["xy"].reshape(-1, 8, 2), file["label"].astype(int), file["fold"]
        split = [([[stroke] for stroke in points[fold == part]], labels[fold == part]) for part in (0, 1)]
    most = (700, 300) if options.small else (None, None)
    return [(characters[:n], labels[:n]) for (characters, labels), n in zip(split, most, strict=True)]


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
    for axes, item in zip(plot.headed(top, title, 10), shown, strict=True):
        plot.strokes(axes, characters[item])

    net.eval()
    x = sp.SparseTensor.from_sites(*encoder.sites(characters, [shown[5]]), size=(encoder.size,) * 2)
    tensors = plot.layer_by_layer(net, x)
    names = ["input", *(layer.notation() for layer in net if hasattr(layer, "window"))]
    title = "What the network computes: one digit's active sites, layer by layer; on the grey all is the ground state"
    for axes, x, name in zip(plot.headed(sites, title, len(tensors)), tensors, names, strict=True):
        plot.active_sites(axes, x)
        axes.set_title(f"{name}\n{'x'.join(map(str, x.grid.size))}, {x.channels} planes", fontsize=10)
        axes.set_xlabel(f"{x.grid.n} of {x.grid.field:,} sites", fontsize=10)

    curve, cost, confusion = plot.headed(middle, "What it cost, and what it mixes up", 3, width_ratios=[1.4, 1.4, 1])
    plot.training_curve(curve, history, "test error")
    cost.bar(range(len(names)), [x.grid.field for x in tensors], color="0.88", label="sites of the field (dense)")
    cost.bar(range(len(names)), [x.grid.n for x in tensors], color="#31688e", label="active sites of that digit")
    cost.set_yscale("log")
    cost.set_xticks(range(len(names)), names, fontsize=9)
    cost.legend(frameon=False)
    cost.spines[["top", "right"]].set_visible(False)
    plot.confusion(confusion, result.confusion, NAMES)

    wrong = np.flatnonzero(answers != labels)
    title = f"What it misread: {len(wrong)} of {len(labels)} test digits, the surest first"
    wrong = wrong[np.argsort(-result.outputs[wrong].max(1), kind="stable")]
    for i, axes in enumerate(plot.headed(bottom, title, 12)):
        axes.set_axis_off()
        if i < len(wrong):
            plot.strokes(axes, characters[wrong[i]], "magma")
            axes.set_title(f"{NAMES[labels[wrong[i]]]} read as {NAMES[answers[wrong[i]]]}", fontsize=10)
    return figure


if __name__ == "__main__":
    main()
