"""The classifier's own defaults on Omniglot's characters of unseen drawers, and with 20 epochs instead."""

from functools import partial

import numpy as np
from experiment import Experiment

import spconv_cy as sp
from spconv_cy.estimators.learning import default_epochs

EPOCHS = ("default", 20)                                # the default depends on the number of items


def main():
    parser = Experiment.parser(__doc__, data="folder with omniglot_strokes.npz (B. Lake, MIT)")
    parser.add_argument("--epochs", nargs="+", default=EPOCHS, help="default 20")
    parser.add_argument("--seeds", type=int, nargs="+", help="in full size (0 1 2)")
    run = Experiment.of("defaults", options := parser.parse_args())
    if not (run.data and (run.data / "omniglot_strokes.npz").exists()):
        print("omniglot_strokes.npz is wanted (B. Lake, MIT): --data FOLDER")
        raise SystemExit(2 if run.size == "full" else 0)
    train, test = (part.take(part.labels < run.pick(200, 200, 5)) for part in
                   sp.readers.read_handwriting(run.data / "omniglot_strokes.npz").split())
    for epochs in options.epochs[:run.pick(None, 1, 1)]:
        for seed in options.seeds or range(run.seed, run.seed + run.pick(3, 1, 1)):
            key = f"{epochs} epochs {seed}"
            n = default_epochs(len(train), sp.SparseConvClassifier().batch) if epochs == "default" else int(epochs)
            found = run.once(key, partial(tested, run, key, train, test, run.pick(n, n // 8, 1), seed))
            print(f"{key}: {100 * len(found['wrong']) / len(test):.2f} %", flush=True)
    rows = {}
    for key, found in run.figures.items():
        rows.setdefault(key.rpartition(" ")[0], []).append(100 * len(found["wrong"]) / len(test))
    print(run.table(f"SparseConvClassifier() on Omniglot: {len(train):,} characters to train on, {len(test):,} of "
                    "drawers never seen", ["epochs", "seeds", "error, %", "each seed"],
                    [[f"{name}: {run.figures[f'{name} {run.seed}']['epochs']}" if "default" in name else name,
                      len(each), f"{np.mean(each):.2f}", ", ".join(f"{one:.2f}" for one in each)]
                     for name, each in rows.items()]))


def tested(run, key, train, test, epochs, seed):
    """Train as `SparseConvClassifier(epochs=...).fit` does, with a checkpoint, and return the wrong items."""
    default = sp.SparseConvClassifier()
    size = 3 * 2**default.l
    encoder = sp.data.StrokeEncoder(default.encoding, size=size, scale=size / 3).fit(train.characters)
    net = sp.models.deepcnet(default.l, default.k, encoder.planes, len(train.classes), rng=seed)
    data = sp.data.StrokeBatches(train.characters, train.labels, encoder, batch=default.batch, augment=default.augment)
    run.fit(key.replace(" ", "-"), net, data, sp.Adam(net.parameters(), default.rate), epochs,
            schedule=default.schedule, rng=seed)
    result = sp.evaluate(net, sp.data.StrokeBatches(test.characters, test.labels, encoder))
    return {"wrong": np.flatnonzero(result.outputs.argmax(1) != result.labels).tolist(), "epochs": epochs}


if __name__ == "__main__":
    main()
