"""Differences in input size: one network for characters of all sizes, through terminal pooling; cost against size."""

from functools import partial

import numpy as np

import spconv_cy as sp
from spconv_cy import plot
from spconv_cy.functional.dense import softmax

MOVES = sp.Affine(stretch=0.15, turn=0.15, shift=0.5)
SETS = {  # l, k, sizes to train on, sizes to test on, epochs (full, --small, --tiny)
    "digits": (4, 20, (12, 16, 24, 32, 48), (8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96), (12, 4, 1)),
    "omniglot": (5, 30, (24, 32, 48, 64), (16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96), (25, 3, 1))}
ALL, CELL, ACROSS, DOWN = "all sizes", 96, 5, 3         # a window of 48 sites meets one digit of a field, or none


def main():
    parser = sp.Experiment.parser(__doc__, data="folder with omniglot_strokes.npz (B. Lake, MIT), for --sets omniglot")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=["digits"], help="which (digits)")
    options = parser.parse_args()
    run = sp.Experiment.of("input_sizes", options)
    for name in options.sets:
        train, test, classes = characters_of(run, name)
        l, k, mixed, sizes, epochs = SETS[name]
        sizes = run.pick(sizes, sizes, sizes[2::6])
        errors, costs = {}, run.once(f"{name}, cost", partial(costs_of, run, l, k, test, classes, sizes))
        for what, scales in {ALL: mixed, **{f"{s} alone": (s,) for s in mixed[::2]}}.items():
            errors[what] = run.once(f"{name}, {what}", partial(errors_of, run, name, what, scales, sizes, train, test,
                                                               classes))
            print(f"{name}, trained on {what}: from {100 * min(errors[what]):.2f} to {100 * max(errors[what]):.2f} %")
        print(run.table(f"{name}: test error in % by size (* trained on among all sizes), DeepCNet({l}, {k}) with "
                        f"terminal pooling, {len(train[1])} characters, {run.pick(*epochs)} epochs each",
                        ["trained on", *(f"{s}{'*' * (s in mixed)}" for s in sizes)],
                        [[what, *(f"{100 * e:.2f}" for e in found)] for what, found in errors.items()]))
        print(run.table(f"{name}: cost of a character by its size; ms forward on one thread, in a batch",
                        ["size", "sites", "multiply-adds", "ms"],
                        [[s, f"{c['sites']:.0f}", f"{c['adds']:,.0f}", f"{c['ms']:.2f}"]
                         for s, c in zip(sizes, costs, strict=True)]))
        run.picture(name, curves(sizes, mixed, errors, costs), "Test error over size, dotted the sizes among "
                    "all sizes; the cost of a character over its size, with slopes.")
    if "digits" in options.sets:
        field(run)


def characters_of(run, name):
    """Return (characters, labels) to train on and to test on, and the number of classes."""
    ((train, labels), (test, test_labels)), classes = sp.digits_split(run.seed), 10
    if name == "omniglot":
        if run.data is None or not (run.data / "omniglot_strokes.npz").exists():
            print("--sets omniglot wants omniglot_strokes.npz (B. Lake, MIT) in a folder of --data")
            raise SystemExit(2 if run.size == "full" else 0)
        found = sp.read_npz(run.data / "omniglot_strokes.npz")
        ((train, labels), (test, test_labels)), classes = [(list(part.characters), part.labels) for part in
                                                           found.split()], len(found.classes)
    n, m = run.pick((None, None), (3000, 1000), (300, 100))
    return (train[:n], labels[:n]), (test[:m], test_labels[:m]), classes


def network(run, name, what, scales, train, classes):
    """Return a network trained on these sizes, or as its checkpoint has it, and its encoder."""
    l, k, *_, epochs = SETS[name]
    encoder = sp.StrokeEncoder("octogram", size=48, scale=16).fit(train[0])
    net = sp.deepcnet(l, k, encoder.planes, classes, rng=run.seed)
    data = sp.StrokeBatches(*train, encoder, batch=50, augment=MOVES, scales=scales)
    run.fit(f"{name}-{what.replace(' ', '-')}", net, data, sp.Adam(net.parameters(), 0.003), run.pick(*epochs),
            schedule="cosine")
    return net.eval(), encoder


def errors_of(run, name, what, scales, sizes, train, test, classes):
    net, encoder = network(run, name, what, scales, train, classes)
    return [sp.evaluate(net, sp.StrokeBatches(*test, encoder, scales=size)).error for size in sizes]


def costs_of(run, l, k, test, classes, sizes):
    """Return sites, multiply-adds and milliseconds of a character, for each size."""
    encoder = sp.StrokeEncoder("octogram", size=48, scale=16)
    net = sp.deepcnet(l, k, encoder.planes, classes, rng=0)
    batches = [sp.StrokeBatches(*test, encoder, scales=size) for size in sizes]
    return [run.cost(net, next(batch.epoch(0, training=False))[0]) for batch in batches]


def curves(sizes, mixed, errors, costs):
    figure = plot.figure(10, 4)
    left, right = figure.subplots(1, 2)
    for (what, found), style in zip(errors.items(), ("-o", "--^", "--s", "--v", "--d"), strict=False):
        left.loglog(sizes, np.maximum(100 * np.array(found), 0.05), style, label=f"trained on {what}")
    left.vlines(mixed, *left.get_ylim(), color="0.7", linestyle=":", zorder=0)
    left.set_xticks(sizes, sizes)
    left.minorticks_off()
    left.set(xlabel="size in sites", ylabel="test error, %")
    left.legend(frameon=False)
    plot.powers(right, sizes, {"sites": [c["sites"] for c in costs], "multiply-adds": [c["adds"] for c in costs],
                               "microseconds": [1e3 * c["ms"] for c in costs]})
    right.set_xlabel("size in sites")
    return figure


def field(run):
    """Read digits of all sizes in one large field: the head answers at every window."""
    train, (tests, labels), classes = characters_of(run, "digits")
    net, encoder = network(run, "digits", ALL, SETS["digits"][2], train, classes)
    n = ACROSS * DOWN
    x, _ = next(sp.StrokeBatches(tests[:n], None, encoder, scales=SETS["digits"][2]).epoch(0, training=False))
    places = CELL * np.stack([np.arange(n) % ACROSS, np.arange(n) // ACROSS], 1)
    sites = np.column_stack([np.zeros(x.grid.n, int), x.sites[:, 1:] + places[x.sites[:, 0]]])
    y = sp.everywhere(net)(sp.SparseTensor.from_sites(sites, x.features))
    window = net.input_size(1)[0]
    middles = (net.input_size(2)[0] - window) * y.sites[:, 1:] + window / 2
    owner = (np.floor(middles / CELL + 0.5) @ (1, ACROSS)).astype(int)
    scores = np.stack([y.features.data[owner == digit].mean(0) for digit in range(n)])
    apart = abs(softmax(scores).numpy() - softmax(net(x)).numpy()).max()
    print(run.table("digits: a field of many digits, read in one pass", ["digits", "sites", "windows", "read rightly",
                    "largest difference of a probability from reading each alone"],
                    [[n, len(sites), y.grid.n, (scores.argmax(1) == labels[:n]).sum(), f"{apart:.0e}"]]))
    figure = plot.figure(9, 5.6)
    plot.answers(figure.subplots(), sites[:, 1:], middles, softmax(y.features).numpy())
    run.picture("field", figure, f"Digits of five sizes in one field, and the answer of every window of {window} sites "
                "at its middle, the fainter the less probable.")


if __name__ == "__main__":
    main()
