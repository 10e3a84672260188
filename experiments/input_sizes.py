"""Inputs of different sizes: one network for characters of all sizes, by global pooling; cost against size."""

from functools import partial

import numpy as np
from experiment import Experiment
from figures import answers, powers

import spconv_cy as sp
from spconv_cy import plot
from spconv_cy.functional.dense import softmax

FILE = "omniglot_strokes.npz"
MOVES = sp.data.Affine(stretch=0.15, turn=0.15, shift=0.5)
SETS = {  # l, k, sizes to train on, sizes to test on, epochs (full, --small, --tiny)
    "digits": (4, 20, (12, 16, 24, 32, 48), (8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96), (8, 4, 1)),
    "omniglot": (5, 30, (24, 32, 48, 64), (16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96), (25, 3, 1))}
ALL, MOST = "all sizes", "all sizes, pooled by maximum"
COSTS = (("active sites", "sites", ".0f"), ("multiply-adds", "adds", ",.0f"), ("ms, forward, one thread", "ms", ".2f"))
CELL, ACROSS, DOWN = 96, 5, 3                           # a window of 48 sites sees one digit or none


def main():
    parser = Experiment.parser(__doc__, data=f"folder with {FILE} (B. Lake, MIT), for --sets omniglot")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=["digits"], help="which (digits)")
    options = parser.parse_args()
    run = Experiment.of("input_sizes", options)
    for name in options.sets:
        train, test, classes = characters_of(run, name)
        l, k, mixed, sizes, epochs = SETS[name]
        sizes = run.pick(sizes, sizes, sizes[2::6])
        errors = {what: run.once(f"{name}, {what}", partial(errors_of, run, name, what, sizes, train, test, classes))
                  for what in (ALL, MOST, *(f"{size} alone" for size in mixed[::2]))}
        costs = run.once(f"{name}, cost", partial(costs_of, run, name, sizes, train, test, classes))
        print(run.table(f"{name}: test error in %, and the cost of a character, by size (starred: among all sizes); "
                        f"DeepCNet({l}, {k}), {len(train[1])} characters, {run.pick(*epochs)} epochs each",
                        ["trained on", *(f"{s}{'*' * (s in mixed)}" for s in sizes)],
                        [[what, *(f"{100 * e:.2f}" for e in found)] for what, found in errors.items()]
                        + [[what, *(format(cost[key], form) for cost in costs)] for what, key, form in COSTS]))
        run.picture(name, curves(sizes, mixed, errors, costs), "Test error over size, of networks trained on "
                    "all sizes or on one; the cost of a character over its size, with slopes.")
    if "digits" in options.sets:
        field(run)


def characters_of(run, name):
    if name == "digits":
        parts, classes = sp.data.digits_split(run.seed), 10
    elif run.data is None or not (run.data / FILE).exists():
        print(f"--sets omniglot wants {FILE} (B. Lake, MIT) in a folder of --data")
        raise SystemExit(2 if run.size == "full" else 0)
    else:
        found = sp.readers.read_handwriting(run.data / FILE)
        parts, classes = [(list(part.characters), part.labels) for part in found.split()], len(found.classes)
    most = run.pick((None, None), (3000, 1000), (300, 100))
    return *((characters[:n], labels[:n]) for (characters, labels), n in zip(parts, most, strict=True)), classes


def network(run, name, what, train, classes):
    l, k, mixed, _, epochs = SETS[name]
    encoder = sp.data.StrokeEncoder("octogram", size=48, scale=16).fit(train[0])
    net = sp.models.deepcnet(l, k, encoder.planes, classes, rng=run.seed)
    if what == MOST:
        net = sp.Sequential(*net.layers[:-2], sp.GlobalPooling("max"), net.layers[-1])
    scales = mixed if what in (ALL, MOST) else int(what.split()[0])
    data = sp.data.StrokeBatches(*train, encoder, batch=25, augment=MOVES, scales=scales)
    run.fit(f"{name}-{what.replace(' ', '-').replace(',', '')}", net, data, sp.Adam(net.parameters(), 0.005),
            run.pick(*epochs), schedule="cosine")
    return net.eval(), encoder


def errors_of(run, name, what, sizes, train, test, classes):
    net, encoder = network(run, name, what, train, classes)
    return [sp.evaluate(net, sp.data.StrokeBatches(*test, encoder, scales=size)).error for size in sizes]


def costs_of(run, name, sizes, train, test, classes):
    net, encoder = network(run, name, ALL, train, classes)
    return [run.cost(net, next(sp.data.StrokeBatches(*test, encoder, scales=size).epoch(0, training=False))[0])
            for size in sizes]


def curves(sizes, mixed, errors, costs):
    figure = plot.figure(9, 3.5)
    left, right = figure.subplots(1, 2)
    powers(left, sizes, {what: np.maximum(100 * np.array(e), 0.05) for what, e in errors.items()}, slopes=False)
    left.set_yticks([1, 2, 5, 10, 20, 50], [1, 2, 5, 10, 20, 50])
    left.vlines(mixed, *left.get_ylim(), color="0.6", linestyle=":", zorder=0)
    left.set(xlabel="size in sites (dotted: among all sizes)", ylabel="test error, %")
    powers(right, sizes, {what.split(",")[0]: [cost[key] for cost in costs] for what, key, _ in COSTS})
    right.set(xlabel="size in sites", ylabel="of a character, in the legend's units")
    for axes in (left, right):
        axes.tick_params(labelsize=7)
        axes.legend(fontsize=7, frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    return figure


def field(run):
    """Classify every window of one large field with digits of all sizes."""
    train, (tests, labels), classes = characters_of(run, "digits")
    net, encoder = network(run, "digits", ALL, train, classes)
    n = ACROSS * DOWN
    x, _ = next(sp.data.StrokeBatches(tests[:n], None, encoder, scales=SETS["digits"][2]).epoch(0, training=False))
    places = CELL * np.stack([np.arange(n) % ACROSS, np.arange(n) // ACROSS], 1)
    sites = np.column_stack([np.zeros(x.grid.n, int), x.sites[:, 1:] + places[x.sites[:, 0]]])
    y = sp.models.sliding_window(net)(sp.SparseTensor.from_sites(sites, x.features))
    window = net.input_size(1)[0]
    middles = (net.input_size(2)[0] - window) * y.sites[:, 1:] + window / 2
    owner = (np.floor(middles / CELL + 0.5) @ (1, ACROSS)).astype(int)
    scores = np.stack([y.features.data[owner == digit].mean(0) for digit in range(n)])
    apart = abs(softmax(scores).numpy() - softmax(net(x)).numpy()).max()
    print(run.table("digits: a field of many digits, read in one pass", ["digits", "sites", "windows", "read rightly",
                    "largest difference of a probability from reading each alone"],
                    [[n, len(sites), y.grid.n, (scores.argmax(1) == labels[:n]).sum(), f"{apart:.0e}"]]))
    figure = plot.figure(8, 5)
    answers(figure.subplots(), sites[:, 1:], middles, softmax(y.features).numpy())
    run.picture("field", figure, f"Digits of five sizes in one field, and the answer of every window of {window} sites "
                "at its middle, the fainter the less probable.")


if __name__ == "__main__":
    main()
