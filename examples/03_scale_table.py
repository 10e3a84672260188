"""The talk's table, DeepCNet(l, 30) at scale 2^l by distortions, on 36 pen digits a class and the sets of --data."""

from functools import partial

import numpy as np

import spconv_cy as sp
from spconv_cy import plot

AUGMENTS = ("none", "translation", "affine")
PUBLISHED = {3: (51.4, 38.3, 35.2), 4: (26.8, 9.29, 7.47), 5: (18.2, 5.28, 2.73), 6: (14.1, 4.61, 1.76),
             7: (13.8, 4.07, 1.70)}                     # Graham's talk of 2016: Assamese, 183 classes
ENCODINGS = {"digits": "pen", "omniglot": "undirected", "omniglot_pen": "pen", "assamese": "pen"}
EPOCHS = {"digits": (60, 60, 120), "omniglot": (30, 40, 120), "omniglot_pen": (20, 30, 60), "assamese": (30, 40, 60)}


def main():
    parser = sp.Experiment.parser(
        __doc__, data="folder with omniglot_strokes.npz (B. Lake, MIT), or W1 to W45 of UCI's Online Handwritten "
                      "Assamese Characters (CC BY 4.0), for the talk's own table")
    parser.add_argument("--levels", type=int, nargs="+", choices=PUBLISHED, help="l (all)")
    parser.add_argument("--kept", action="store_true", help="train nothing: the tables of what is kept so far")
    options = parser.parse_args()
    run = sp.Experiment.of("scale_table", options)
    levels, sets = options.levels or run.pick([3, 4, 5, 6, 7], [3, 4], [3, 4]), sets_of(run)
    for name, (train, test, classes) in sets.items():
        print(f"{name}: {len(train[1])} characters to train on, {len(test[1])} to test on, {classes} classes")
        costs = {l: run.once(f"{name} {l} cost", partial(cost, run, name, l, train[0], classes)) for l in PUBLISHED}
        for l in levels:
            for augment in () if options.kept else AUGMENTS:
                run.once(f"{name} {l} {augment}", partial(trained, run, name, l, augment, *sets[name]))
                print(f"l = {l}, {augment}: {error(run, name, l, augment):.2f} %", flush=True)
        show(run, name, levels, len(train[1]) // classes, costs)
        run.picture(name, picture(run, name, levels, costs), "Error, published dashed; cost of a glyph.")


def sets_of(run):
    """Return {name: ((characters, labels) to train on, (characters, labels) to test on, number of classes)}."""
    (characters, labels), test = sp.digits_split(run.seed)
    items = np.concatenate([np.flatnonzero(labels == c)[:36] for c in range(10)])
    sets = {"digits": (([characters[i] for i in items], labels[items]), test, 10)}
    strokes = "omniglot_strokes.npz"
    for name, file in (("omniglot", strokes), ("omniglot_pen", strokes), ("assamese", "")):
        if run.data and (run.data / (file or "W1")).exists():
            found = sp.read_npz(run.data / file) if file else sp.read_assamese(run.data)
            sets[name] = (*((part.characters, part.labels) for part in found.split()), len(found.classes))
    if len(sets) == 1:
        print("no folder of --data with Omniglot's strokes or the Assamese files: the pen digits alone")
    return {name: parts for name, parts in sets.items() if run.size == "full" or name != "omniglot"}


def epochs(run, name, augment):
    return max(1, EPOCHS[name][AUGMENTS.index(augment)] // run.pick(1, 2, 60))


def network(name, l, characters, classes, seed=0):
    encoder = sp.StrokeEncoder(ENCODINGS[name], size=3 * 2**l, scale=2**l).fit(characters)
    return encoder, sp.deepcnet(l, 30, encoder.planes, classes, dropout=0.2, rng=seed)


def trained(run, name, l, augment, train, test, classes):
    """Return the test error of one cell."""
    encoder, net = network(name, l, train[0], classes, run.seed)
    data = sp.StrokeBatches(*train, encoder, batch=50, augment=augment)
    run.fit(f"{name}-{l}-{augment}", net, data, sp.Adam(net.parameters(), 0.003), epochs(run, name, augment),
            schedule="cosine")
    return {"error": sp.evaluate(net, sp.StrokeBatches(*test, encoder)).error}


def cost(run, name, l, characters, classes):
    """Return multiply-adds and seconds of one thread a glyph, forward: by active sites, and with all sites active."""
    (encoder, net), n = network(name, l, characters, classes), min(10, len(characters))
    size = (encoder.size,) * 2
    sparse = run.cost(net, sp.SparseTensor.from_sites(*encoder.sites(characters, np.arange(n)), size, n))
    dense = run.cost(net, sp.SparseTensor.from_dense(np.ones((1, encoder.planes, *size), np.float32)))
    return {"sites": sparse["sites"], "sparse": sparse["adds"], "dense": dense["adds"],
            "sparse seconds": sparse["ms"] / 1e3, "dense seconds": dense["ms"] / 1e3}


def error(run, name, l, augment):
    return 100 * run.figures.get(f"{name} {l} {augment}", {"error": np.nan})["error"]


def show(run, name, levels, a_class, costs):
    """Keep and print the table of errors and that of costs."""
    head = ["l", "scale", *(f"{augment}, {epochs(run, name, augment)} epochs" for augment in AUGMENTS)]
    rows = [[l, 2**l, *(f"{error(run, name, l, augment):.2f}".replace("nan", "not run") for augment in AUGMENTS),
             *PUBLISHED[l]] for l in levels]
    print(run.table(f"{name}, {ENCODINGS[name]}: test error in %, DeepCNet(l, 30), {a_class} of a class to train on; "
                    "published: Assamese, 36 of each of 183 classes (Graham's talk, 2016)",
                    [*head, *(f"{augment}, published" for augment in AUGMENTS)], rows))
    rows = [[l, f"{c['sites']:.0f}", f"{9 * 4**l:,}", f"{c['sparse']:,.0f}", f"{c['dense']:,.0f}",
             f"{1e3 * c['sparse seconds']:.2f}", f"{1e3 * c['dense seconds']:.1f}"] for l, c in costs.items()]
    print(run.table(f"{name}: cost of a glyph, forward, on one thread; dense: with every site of the field active",
                    ["l", "active sites", "of the field's", "multiply-adds", "dense", "ms", "dense ms"], rows))


def picture(run, name, levels, costs):
    figure = plot.figure(12, 3.8)
    axes = figure.subplots(1, 3)
    errors = {augment: [error(run, name, l, augment) for l in levels] for augment in AUGMENTS}
    published = {augment: [PUBLISHED[l][place] for l in levels] for place, augment in enumerate(AUGMENTS)}
    plot.powers(axes[0], [2**l for l in levels], errors, beside=published, slopes=False)
    for place, what in enumerate(("", " seconds"), 1):
        plot.powers(axes[place], [2**l for l in costs], {side: [cell[side + what] for cell in costs.values()]
                                                         for side in ("sparse", "dense")})
    for place, label in enumerate((f"test error in %, {name}", "multiply-adds a glyph", "seconds a glyph")):
        axes[place].set(xlabel="scale", ylabel=label)
    return figure


if __name__ == "__main__":
    main()
