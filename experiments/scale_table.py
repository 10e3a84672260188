"""The table of Graham's talk: DeepCNet(l, 30) at scale 2^l by distortions, on 36 pen digits a class and other sets."""

from functools import partial
from itertools import combinations, product

import numpy as np
from experiment import Experiment
from figures import powers

import spconv_cy as sp
from spconv_cy import plot

AUGMENTS = ("none", "translation", "affine")
PUBLISHED = {3: (51.4, 38.3, 35.2), 4: (26.8, 9.29, 7.47), 5: (18.2, 5.28, 2.73), 6: (14.1, 4.61, 1.76),
             7: (13.8, 4.07, 1.70)}                     # Graham's talk of 2016: Assamese, 183 classes
EPOCHS, RATE = {"digits": 100, "omniglot": 80, "assamese": 60}, 0.003   # the same in all rows and columns
GROUPS = 4                                              # of Omniglot's writers; each is tested once
TESTED = {"digits": 3498, "omniglot": 680}              # test characters of a group


def main():
    parser = Experiment.parser(
        __doc__, data="folder with omniglot_strokes.npz (B. Lake, MIT), or W1 to W45 of UCI's Online Handwritten "
                      "Assamese Characters (CC BY 4.0), for the talk's own table")
    parser.add_argument("--levels", type=int, nargs="+", choices=PUBLISHED, help="l (3 to 6)")
    parser.add_argument("--groups", type=int, nargs="+", choices=range(GROUPS), help="of Omniglot's writers, tested "
                        "in turn; 0 is the set's own split (all)")
    parser.add_argument("--seeds", type=int, default=1, help="how many (1)")
    run = Experiment.of("scale_table", options := parser.parse_args())
    levels = options.levels or run.pick([3, 4, 5, 6], [3, 4], [3, 4])   # at this rate l = 7 diverges for some seeds
    groups = options.groups or run.pick(range(GROUPS), [0], [0])
    for name, splits in sets_of(run).items():
        train, test, classes = splits[0]
        print(f"{name}: {len(train[1])} characters to train on, {len(test[1])} to test on, {classes} classes")
        costs = {l: run.once(f"{name} {l} cost", partial(cost, run, l, train[0], classes)) for l in PUBLISHED}
        tested = [group for group in groups if group < len(splits)] or [0]
        for seed, group, l, augment in product(range(options.seeds), tested, levels, AUGMENTS):
            key = f"{name}-{l}-{augment}-{group}" + f"-{seed}" * (seed > 0)
            found = run.once(key, partial(trained, run, key, *splits[group], run.seed + seed))
            print(f"seed {seed}, group {group}, l = {l}, {augment}: {100 * found['error']:.2f} %", flush=True)
        show(run, name, levels, len(train[1]) // classes, costs)
        run.picture(name, picture(run, name, levels, costs), "Error; cost of a glyph.")


def sets_of(run):
    """Return {name: [((characters, labels) to train on, those to test on, number of classes) of each group]}."""
    (characters, labels), test = sp.data.digits_split(run.seed)         # the same writers in both parts
    items = np.concatenate([np.flatnonzero(labels == c)[:36] for c in range(10)])        # as many as in the talk
    test = tuple(part[:run.pick(len(part), len(part), 300)] for part in test)
    sets, found = {"digits": [(([characters[i] for i in items], labels[items]), test, 10)]}, {}
    if run.data and (run.data / "omniglot_strokes.npz").exists():
        found["omniglot"] = sp.readers.read_handwriting(run.data / "omniglot_strokes.npz")
    if run.data and (run.data / "W1").exists():
        found["assamese"] = sp.readers.read_assamese(run.data)
    for name, every in found.items():
        rest = np.array_split(np.unique(every.writers[~every.tested]), GROUPS - 1) if name == "omniglot" else []
        splits = [every.split(writers) for writers in (None, *rest)]
        sets[name] = [(*((part.characters, part.labels) for part in split), len(every.classes)) for split in splits]
    if not found:
        print("no folder of --data with Omniglot's strokes or the Assamese files: the pen digits alone")
    return sets


def epochs(run, name):
    return max(1, EPOCHS[name] // run.pick(1, 4, 100))


def network(l, characters, classes, seed=0):
    encoder = sp.data.StrokeEncoder("pen", size=3 * 2**l, scale=2**l).fit(characters)
    return encoder, sp.models.deepcnet(l, 30, encoder.planes, classes, dropout=0.1, rng=seed)


def trained(run, cell, train, test, classes, seed):
    name, l, augment, *_ = cell.split("-")
    encoder, net = network(int(l), train[0], classes, seed)
    data = sp.data.StrokeBatches(*train, encoder, batch=50, augment=augment)
    run.fit(cell, net, data, sp.Adam(net.parameters(), RATE), epochs(run, name), schedule="cosine", rng=seed)
    result = sp.evaluate(net, sp.data.StrokeBatches(*test, encoder))
    return {"error": result.error, "n": len(test[1]),
            "wrong": np.flatnonzero(result.outputs.argmax(1) != result.labels).tolist()}


def cost(run, l, characters, classes):
    """Return multiply-adds and seconds (one thread, forward) per character, sparse and with all sites active."""
    (encoder, net), n = network(l, characters, classes), min(10, len(characters))
    size = (encoder.size,) * 2
    sparse = run.cost(net, sp.SparseTensor.from_sites(*encoder.sites(characters, np.arange(n)), size, n))
    dense = run.cost(net, sp.SparseTensor.from_dense(np.ones((1, encoder.planes, *size), np.float32)))
    return {"sites": sparse["sites"], "sparse": sparse["adds"], "dense": dense["adds"],
            "sparse seconds": sparse["ms"] / 1e3, "dense seconds": dense["ms"] / 1e3}


def errors(run, name, l, augment):
    """Return the errors in % of each seed of each group, a list for each group."""
    every = [[100 * found["error"] for key, found in run.figures.items()
              if key.startswith(f"{name}-{l}-{augment}-{group}")] for group in range(GROUPS)]
    return [found for found in every if found]


def mean_and_variance(run, name, l, augment):
    """Return the mean over groups and seeds in %, and its variance: of the test characters, and of the seeds."""
    found = errors(run, name, l, augment)
    mean, n = np.mean([np.mean(group) for group in found]), TESTED.get(name, 1647) * len(found)
    seeds = np.mean([np.var(group, ddof=1) / len(group) if len(group) > 1 else 0 for group in found]) / len(found)
    return mean, mean * (100 - mean) / n + seeds


def cell(run, name, l, augment):
    """Return the mean error in %, and half of its 95 % interval."""
    mean, variance = mean_and_variance(run, name, l, augment)
    return f"{mean:.2f} ± {1.96 * variance**0.5:.2f}"


def change(run, name, fine, coarse, augment):
    """Return the change of the error from one scale to a finer one, its interval, and "falls" if it is below 0."""
    (mean, variance), (before, variance_before) = (mean_and_variance(run, name, l, augment) for l in (fine, coarse))
    half = 1.96 * (variance + variance_before)**0.5
    return f"{mean - before:+.2f} ± {half:.2f}{', falls' if mean - before < -half else ''}"


def show(run, name, levels, a_class, costs):
    """Keep and print the tables of errors and of costs."""
    rows = [[l, 2**l, len(errors(run, name, l, "none")),
             min(len(group) for augment in AUGMENTS for group in errors(run, name, l, augment)),
             *(cell(run, name, l, augment) for augment in AUGMENTS)] for l in levels]
    print(run.table(f"{name}: test error in % ± half of the 95 % interval of all its test characters; mean of groups, "
                    f"DeepCNet(l, 30), pen map, {a_class} of a class to train on, {epochs(run, name)} epochs",
                    ["l", "scale", "groups", "seeds", *AUGMENTS], rows))
    print(run.table(f"{name}: change of the error in % from one scale to a finer one, with its 95 % interval",
                    ["l", *AUGMENTS], [[f"{coarse} to {fine}", *(change(run, name, fine, coarse, augment)
                                                                 for augment in AUGMENTS)]
                                       for coarse, fine in combinations(levels, 2)]))
    if name == "assamese":
        print(run.table("assamese, published (Graham, 2016): 36 of each of 183 classes to train on",
                        ["l", *AUGMENTS], [[l, *PUBLISHED[l]] for l in levels]))
    rows = [[l, f"{c['sites']:.0f}", f"{9 * 4**l:,}", f"{c['sparse']:,.0f}", f"{c['dense']:,.0f}",
             f"{1e3 * c['sparse seconds']:.2f}", f"{1e3 * c['dense seconds']:.1f}"] for l, c in costs.items()]
    print(run.table(f"{name}: cost of a glyph, forward, on one thread; dense: with every site of the field active",
                    ["l", "active sites", "of the field's", "multiply-adds", "dense", "ms", "dense ms"], rows))


def picture(run, name, levels, costs):
    axes = (figure := plot.figure(12, 3.8)).subplots(1, 3)
    means = {augment: [mean_and_variance(run, name, l, augment)[0] for l in levels] for augment in AUGMENTS}
    published = {augment: [PUBLISHED[l][place] for l in levels] for place, augment in enumerate(AUGMENTS)}
    powers(axes[0], [2**l for l in levels], means, beside=published if name == "assamese" else None, slopes=False)
    for place, what in enumerate(("", " seconds"), 1):
        powers(axes[place], [2**l for l in costs], {side: [cell[side + what] for cell in costs.values()]
                                                    for side in ("sparse", "dense")})
    labels = f"test error in %, {name}", "multiply-adds a glyph", "seconds a glyph"
    for part, label, title in zip(axes, labels, ("Error", "Arithmetic", "Time on one thread"), strict=True):
        part.set(xlabel="scale, sites", ylabel=label, title=title)
    return figure


if __name__ == "__main__":
    main()
