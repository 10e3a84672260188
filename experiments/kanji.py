"""5,087 Chinese characters, learnt from one drawing each (KanjiVG), tested on another set (hanzi-writer-data)."""

import time
import timeit
from pathlib import Path

import numpy as np
from experiment import Experiment

import spconv_cy as sp
from spconv_cy import plot
from spconv_cy.train.metrics import error_rate, top_k_error

# Both sets are drawings in a printed style, not recordings of a pen.
WANTED = {"kanjivg-*.whl": "KanjiVG (U. Apel, CC BY-SA 3.0; PyPI kanjivg)",
          "hanzi-writer-data-*.tgz": "Make Me a Hanzi (Arphic Public License; npm hanzi-writer-data)"}
RUNS = {                     # encoding, levels l of DeepCNet(l, 32), sites along a character in a field of 3 * 2^l
    "undirected": ("undirected", 5, 48), "octogram": ("octogram", 5, 48), "fine": ("undirected", 6, 96)}
SEES = {"undirected": "neither order nor direction of strokes", "octogram": "the direction of strokes"}
BENDS = sp.data.Affine(stretch=0.2, turn=0.15, shift=0.05, warp=0.13, ends=0.05)
VIEWS = sp.data.Affine(stretch=0.1, turn=0.1, shift=0.05)
CHOSEN_ON = 1087            # characters of the test set that were used to choose distortions and network


def main():
    parser = Experiment.parser(__doc__, data=f"folder with {' and '.join(WANTED)}, as `make kanji` fetches them "
                                             f"into build/kanji: {'; '.join(WANTED.values())}")
    parser.add_argument("--fine", action="store_true", help="twice the scale too, which takes as long as both others")
    parser.add_argument("--seeds", type=int, help="of the network that sees no directions, in full size (3)")
    options = parser.parse_args()
    run = Experiment.of("kanji", options)
    train, test = hands(run)
    chosen = np.isin(np.arange(len(test)), np.random.default_rng(0).permutation(len(test))[:CHOSEN_ON])
    strokes = [np.diff(part.characters.character_starts) for part in (train, test)]
    groups = {"all": np.ones(len(test), bool), "not chosen on": ~chosen,
              "equally many strokes": strokes[0] == strokes[1], "strokes differ in number": strokes[0] != strokes[1]}
    if run.size != "full":
        del groups["not chosen on"]                     # smaller runs draw from all characters
    rows, names = [], list(RUNS)[:2 + options.fine]
    for name in names:
        many = (options.seeds or run.pick(3, 1, 1)) if name == "undirected" else 1
        seeds = range(run.seed, run.seed + many)
        found = [run.once(f"{name} {seed}", lambda name=name, seed=seed: trained(run, name, seed, train, test, groups))
                 for seed in seeds]
        encoding, _, scale = RUNS[name]
        rows += [[f"{encoding}: {SEES[encoding]}", scale, group, n, len(found),
                  *(f"{100 * e:.2f}" for e in np.mean([one["errors"][group] for one in found], 0))]
                 for group, n in found[0]["counts"].items()]
        print(f"{name}: top-1 error {rows[-len(groups)][-4]} %, {rows[-len(groups)][-2]} % by views", flush=True)
    print(run.table(f"Errors in % on {len(test):,} drawings of the hand never seen, one drawing a class learnt",
                    ["what it sees", "scale", "characters", "number", "seeds", "top-1", "top-5", "top-1, views",
                     "top-5, views"], rows))
    first = {name: run.figures[f"{name} {run.seed}"] for name in names}
    costs = [[*RUNS[name][::2], *first[name]["cost"].values()] for name in names]
    print(run.table("Cost", ["encoding", "scale", *first["octogram"]["cost"]],
                    [[encoding, *(f"{value:,.0f}" for value in cost)] for encoding, *cost in costs]))
    best = min(names, key=lambda name: first[name]["errors"]["all"][0])
    run.picture("confusions", confusions(first[best]["worst"][:8], train, test),
                f"The surest misreadings of {RUNS[best][0]} at scale {RUNS[best][2]}, a column each: what was to be "
                "read, the only drawing of that character that was learnt, and the one that it was taken for. Colour "
                "runs with time.")
    print(f"spconv-cy page --model {model_path(run, best)}")


def hands(run):
    """Return (train, test), Handwriting of the same characters from the two sets."""
    for folder in (run.data, Path("build/kanji")):
        paths = [max(folder.glob(name), default=None) for name in WANTED] if folder else [None]
        if None not in paths:
            break
    else:
        print(f"{' and '.join(WANTED)} are wanted, in build/kanji (make kanji-data fetches them) or --data FOLDER: "
              f"{'; '.join(WANTED.values())}")
        raise SystemExit(2 if run.size == "full" else 0)
    train, test = sp.readers.read_kanjivg(paths[0], pieces=4), sp.readers.read_hanzi_writer(paths[1])
    shared = sorted(set(train.classes) & set(test.classes))
    print(f"{'; '.join(WANTED.values())}: {len(shared):,} characters in common of {len(train):,} and {len(test):,}")
    shared = np.random.default_rng(run.seed).permutation(shared)[:run.pick(None, 300, 12)]
    return train.with_classes(sorted(shared.tolist())), test.with_classes(sorted(shared.tolist()))


def prepared(run, name, seed, train):
    """Return the encoder, the network that is not yet trained, and the Batches to train on."""
    encoding, l, scale = RUNS[name]
    encoder = sp.data.StrokeEncoder(encoding, size=3 * 2**l, scale=scale, spacing=0.3).fit(train.characters)
    notation = "-MP2-".join(f"{32 * n}C{3 if n == 1 else 2}-BN-VLReLU" for n in range(1, l + 2))
    net = sp.models.from_spec(f"{notation}-output", encoder.planes, classes=len(train.classes), rng=seed)
    data = sp.data.StrokeBatches(train.characters, train.labels, encoder, augment=BENDS, batch=run.pick(50, 25, 6))
    return encoder, net, data


def trained(run, name, seed, train, test, groups):
    """Train on one set, test on the other, and return the figures; the model of the run's first seed is kept."""
    encoder, net, data = prepared(run, name, seed, train)
    history = run.fit(f"{name}-{seed}", net, data, sp.Adam(net.parameters(), 0.003), run.pick(48, 60, 2),
                      schedule="cosine", rng=seed)
    if seed == run.seed:
        sp.SparseConvClassifier.trained(net, encoder, train.classes).save(model_path(run, name))
    test_data = sp.data.StrokeBatches(test.characters, test.labels, encoder, views=VIEWS)
    one, views = (sp.evaluate(net, test_data, repeats=n).outputs for n in (1, run.pick(8, 8, 2)))
    batch = next(data.epoch(0, training=True))
    seconds = min(timeit.repeat(lambda: sp.softmax_cross_entropy(net.train()(batch[0]), batch[1]).backward(),
                                timer=time.process_time, number=1, repeat=7))
    sure = np.where(one.argmax(1) == test.labels, 0, one.max(1))
    worst = np.argsort(-sure, kind="stable")[:min(8, int((sure > 0).sum()))]
    return {"errors": {group: [rate(outputs[of], test.labels[of]) for outputs in (one, views)
                              for rate in (error_rate, lambda *known: top_k_error(*known, 5))]
                       for group, of in groups.items() if of.any()},
            "counts": {group: int(of.sum()) for group, of in groups.items()},
            "wrong": np.flatnonzero(one.argmax(1) != test.labels).tolist(),
            "worst": [[int(i), int(one[i].argmax()), float(sure[i])] for i in worst],
            "cost": {"parameters": net.n_parameters(), "characters presented": len(train) * len(history),
                     "multiply-adds a character": net.summary(batch[0]).pair_multiply_adds / len(batch[1]),
                     "microseconds of one processor a character trained": 1e6 * seconds / len(batch[1])}}


def model_path(run, name):
    return run.folder / f"kanji-{name}.safetensors"


def confusions(worst, train, test):
    """Draw the most confident errors: the drawing, and the training drawings of its class and of the answer."""
    figure = plot.figure(0.68 * max(4, len(worst)) + 1.1, 2.2)
    parts = (("to be read", test, 0), ("learnt as it", train, 0), ("taken for", train, 1))
    for row, (name, hand, k) in zip(figure.subplots(3, max(1, len(worst)), squeeze=False), parts, strict=True):
        for axes, entry in zip(row, worst or [[0, 0]], strict=True):
            plot.strokes(axes, hand.characters[entry[k]], linewidth=1.2)
        row[0].text(-0.15, 0.5, name, transform=row[0].transAxes, ha="right", va="center")
    return figure


if __name__ == "__main__":
    main()
