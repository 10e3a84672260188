"""Error by what a site knows of the pen's path: ink, directions, path signatures of level 0 to 3, their logarithms."""

from functools import partial

import numpy as np
from experiment import Experiment

import spconv_cy as sp
from spconv_cy.data.pen_digits import with_aspect

ENCODINGS = ("pen", "undirected", "octogram", "signature0", "signature1", "signature2", "signature3", "log-signature2",
             "log-signature3")
SETTINGS = {"digits": (4, 20, 8, "mild"), "omniglot": (4, 30, 40, "affine")}            # l, k, epochs, distortions


def main():
    parser = Experiment.parser(__doc__, data="folder with omniglot_strokes.npz (B. Lake, MIT), a second set")
    parser.add_argument("--encodings", nargs="+", choices=ENCODINGS, default=ENCODINGS, help="which (all)")
    parser.add_argument("--sets", nargs="+", choices=SETTINGS, default=list(SETTINGS), help="which (both)")
    run = Experiment.of("signature_levels", options := parser.parse_args())
    for name, (train, test, classes) in sets_of(run).items():
        if name not in options.sets:
            continue
        print(f"{name}: {len(train[1])} characters to train on, {len(test[1])} to test on, {classes} classes")
        for encoding in options.encodings[:run.pick(None, None, 2)]:
            for seed in range(run.seed, run.seed + run.pick(3, 1, 1)):
                key = f"{name} {encoding} {seed}"
                found = run.once(key, partial(tested, run, key, train, test, classes))
                print(f"{key}: {100 * found['error']:.2f} %", flush=True)
        show(run, name, len(test[1]))


def sets_of(run):
    """Return {name: ((characters, labels) to train on, those to test on, number of classes)}."""
    parts = sp.data.digits_by_writers()
    most = run.pick((None, None), (3000, 1500), (300, 100))
    sets = {"digits": (*(([with_aspect(one) for one in characters[:n]], labels[:n]) for (characters, labels), n in
                         zip(parts, most, strict=True)), 10)}
    if run.size != "tiny" and run.data and (run.data / "omniglot_strokes.npz").exists():
        found = sp.readers.read_handwriting(run.data / "omniglot_strokes.npz")
        sets["omniglot"] = (*((part.characters, part.labels) for part in found.split()), len(found.classes))
    return sets


def tested(run, key, train, test, classes):
    """Train a network and return its error, what it misread, and what a character costs."""
    name, encoding, seed = key.split()
    l, k, epochs, augment = SETTINGS[name]
    encoder = sp.data.StrokeEncoder(encoding, size=3 * 2**l, scale=2**l).fit(train[0])
    net = sp.models.deepcnet(l, k, encoder.planes, classes, dropout=0.1, rng=int(seed))
    run.fit(key.replace(" ", "-"), net, sp.data.StrokeBatches(*train, encoder, batch=50, augment=augment),
            sp.Adam(net.parameters(), 0.003), run.pick(epochs, epochs // 4, 1), schedule="cosine", rng=int(seed))
    result = sp.evaluate(net, data := sp.data.StrokeBatches(*test, encoder))
    x, _ = next(data.epoch(0, training=False))
    return {"error": result.error, "planes": encoder.planes, "parameters": net.n_parameters(),
            "wrong": np.flatnonzero(result.outputs.argmax(1) != result.labels).tolist()} | run.cost(net, x)


def show(run, name, n):
    """Keep and print the table: the mean over seeds, their range, and the number of characters more than the least."""
    found = {}
    for key, value in run.figures.items():
        if key.startswith(f"{name} "):
            found.setdefault(key.split()[1], []).append(value)
    rows = [[encoding, each[0]["planes"], f"{each[0]['parameters']:,}", f"{each[0]['adds']:,.0f}", len(each),
             f"{100 * np.mean([one['error'] for one in each]):.2f}",
             ", ".join(f"{100 * one['error']:.2f}" for one in each)] for encoding, each in found.items()]
    l, k, epochs, augment = SETTINGS[name]
    print(run.table(f"{name}: test error in %, {n:,} characters of writers never seen; DeepCNet({l}, {k}), {augment} "
                    f"distortions, {run.pick(epochs, epochs // 4, 1)} epochs",
                    ["encoding", "planes", "parameters", "multiply-adds", "seeds", "error", "each seed"], rows))


if __name__ == "__main__":
    main()
