"""The talk's table: DeepCNet(l, 30) at scale 2^l, errors without and with distortions; and what a glyph costs."""

import argparse
import json
import time
import timeit
from pathlib import Path

import numpy as np

import spconv_cy as sp
from spconv_cy import plot
from spconv_cy.data.readers.assamese import read_assamese
from spconv_cy.data.readers.npz import read_npz

AUGMENTS = ("none", "translation", "affine")
PUBLISHED = {3: (51.4, 38.3, 35.2), 4: (26.8, 9.29, 7.47), 5: (18.2, 5.28, 2.73), 6: (14.1, 4.61, 1.76),
             7: (13.8, 4.07, 1.70)}                     # Assamese, 183 classes


def main():
    options = arguments()
    name, train, test, classes = characters_of(options)
    print(f"{name}: {len(train[1])} characters to train on, {len(test[1])} to test on, {classes} classes", flush=True)
    options.log.mkdir(parents=True, exist_ok=True)
    path = options.log / "figures.json"
    figures = json.loads(path.read_text()) if path.exists() else {}
    for l in options.levels:
        if f"cost {l}" not in figures:
            figures[f"cost {l}"] = cost(options, l, train[0], classes)
            path.write_text(json.dumps(figures, indent=1) + "\n")
        for augment in options.augment:
            cell = f"{name} {l} {augment}"
            if cell not in figures:                     # a run that was stopped goes on with the cell it was in
                figures[cell] = trained(options, l, augment, train, test, classes, cell.replace(" ", "-"))
                path.write_text(json.dumps(figures, indent=1) + "\n")
            print(f"{cell}: {100 * figures[cell]['error']:.2f} % ({figures[cell]['seconds']} s)", flush=True)
    print(table(options, name, figures))
    picture(options, figures)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="omniglot_strokes.npz (B. Lake, MIT), or UCI's Assamese characters "
                        "(CC BY 4.0), the folder of W1 to W45; by default the pen digits that come with the package")
    parser.add_argument("--levels", type=int, nargs="+", default=[3, 4, 5, 6, 7])
    parser.add_argument("--augment", nargs="+", choices=AUGMENTS, default=list(AUGMENTS))
    parser.add_argument("--epochs", type=int, default=60, help="of each cell")
    parser.add_argument("--small", action="store_true", help="a run of seconds: few characters, l = 3 and 4, 2 epochs")
    parser.add_argument("--log", type=Path, default=Path("scale-table"), help="folder of figures, checkpoints, picture")
    options = parser.parse_args()
    if options.small:
        options.levels, options.epochs = [3, 4], 2
    return options


def characters_of(options):
    most = 300 if options.small else None
    if options.data is None:
        (train, labels), (test, test_labels) = sp.digits_split(0)
        return "digits", (train[:most], labels[:most]), (test[:most], test_labels[:most]), 10
    read = read_assamese if options.data.is_dir() else read_npz
    found = read(options.data)
    parts = [(part.characters, part.labels) for part in (p.take(np.arange(len(p))[:most]) for p in found.split())]
    return ("assamese" if options.data.is_dir() else options.data.stem), *parts, len(found.classes)


def trained(options, l, augment, train, test, classes, cell):
    began = time.perf_counter()
    encoder = sp.StrokeEncoder("octogram", size=3 * 2**l, scale=2**l).fit(train[0])
    net = sp.deepcnet(l, 30, encoder.planes, classes, rng=0)
    data = sp.StrokeBatches(*train, encoder, batch=50, augment=augment)
    sp.fit(net, data, sp.Adam(net.parameters(), 0.002), options.epochs, schedule="cosine", rng=0,
           checkpoint=options.log / f"{cell}.safetensors")
    error = sp.evaluate(net, sp.StrokeBatches(*test, encoder)).error
    return {"error": error, "seconds": round(time.perf_counter() - began), "epochs": options.epochs}


def cost(options, l, characters, classes):
    """Multiply-adds and seconds a glyph, forward: by active sites, and with every site of the field active."""
    encoder, n = sp.StrokeEncoder("octogram", size=3 * 2**l, scale=2**l).fit(characters), 10
    net = sp.deepcnet(l, 30, encoder.planes, classes, rng=0).eval()
    (sites, features), size = encoder.sites(characters, np.arange(n)), (encoder.size,) * 2
    x = sp.SparseTensor.from_sites(sites, features, size, n)
    field = np.random.default_rng(0).standard_normal((1, encoder.planes, *size), np.float32)
    summary = net.summary(x)
    return {"sites": x.grid.n / n, "sparse": summary.pair_multiply_adds / n, "dense": summary.dense_multiply_adds / n,
            "sparse seconds": seconds(lambda: net(sp.SparseTensor.from_sites(sites, features, size, n))) / n,
            "dense seconds": seconds(lambda: net(sp.SparseTensor.from_dense(field)))}


def seconds(call):
    return min(timeit.repeat(call, number=1, repeat=4))


def table(options, name, figures):
    head = ["l", "scale", *options.augment, "published (Assamese)", "sites", "multiply-adds", "dense", "ms", "dense ms"]
    lines = [head, ["---"] * len(head)]
    for l in options.levels:
        c, errors = figures[f"cost {l}"], [f"{100 * figures[f'{name} {l} {a}']['error']:.2f}" for a in options.augment]
        lines.append([l, 2**l, *errors, PUBLISHED.get(l, ""), f"{c['sites']:.0f}", f"{c['sparse']:,.0f}",
                      f"{c['dense']:,.0f}", f"{1e3 * c['sparse seconds']:.2f}", f"{1e3 * c['dense seconds']:.1f}"])
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def picture(options, figures):
    figure = plot.figure(9, 4)
    scales = [2**l for l in options.levels]
    for axes, (what, unit) in zip(figure.subplots(1, 2), (("", "multiply-adds"), (" seconds", "seconds")), strict=True):
        for side in ("sparse", "dense"):
            values = [figures[f"cost {l}"][side + what] for l in options.levels]
            slope = np.polyfit(np.log(scales), np.log(values), 1)[0] if len(scales) > 1 else 0
            axes.loglog(scales, values, "o-", label=f"{side}, slope {slope:.2f}")
        axes.set(xlabel="scale", ylabel=f"{unit} a glyph")
        axes.legend(frameon=False)
    figure.savefig(options.log / "cost.png", dpi=110)


if __name__ == "__main__":
    main()
