"""Every point of an aerial scan labelled other, ground or water by a U-Net, beside nearest neighbours on height."""

from functools import partial

import numpy as np

import spconv_cy as sp
from spconv_cy import plot
from spconv_cy.train.metrics import confusion_matrix, intersection_over_union

CLASSES = sp.TERRAIN_CLASSES
CELLS = ((2, 2, 0.4), (1, 1, 0.4), (1, 1, 0.2), (1, 1, 0.1), (0.5, 0.5, 0.2))   # metres: x, y, height
NEIGHBOURS = (1, 15, 101)
TILE, BATCH = 64, 4
MOVES = sp.PointAffine(turn=np.pi, stretch=0.1, shift=8)


def main():
    parser = sp.Experiment.parser(__doc__, data="folder with lidar_topography.npz (R package lidR, "
                                                "inst/extdata/Topography.laz, GPL-3)")
    run = sp.Experiment.of("lidar", parser.parse_args())
    points, attributes, labels = scan_of(run)
    low, extent = points.min(0), np.ptp(points, axis=0)
    west = points[:, 0] < low[0] + 0.7 * extent[0]
    south = west & (points[:, 1] < low[1] + 0.3 * extent[1])
    parts = {name: (points[items], features(points[items], attributes[items]), labels[items]) for name, items in
             {"west": west, "east": ~west, "validation": south, "training": west & ~south}.items()}
    print(f"{west.sum():,} points in the west to train on, {(~west).sum():,} in the east to test on")

    chosen = run.once("cells", partial(choose, run, parts))
    cell = max(chosen, key=lambda row: row["iou"])["cell"]
    print(run.table(f"Side of a site in metres, chosen on the southern 30 % of the west: {run.pick(50, 15, 2)} epochs",
                    ["x, y, height", "sites a point", "mean IoU, %"],
                    [[" x ".join(map(str, row["cell"])), f"{row['sites']:.2f}", f"{100 * row['iou']:.1f}"]
                     for row in chosen]))

    rows = [("nearest neighbours on height", run.once("height", partial(neighbours, parts, lambda p, f: p[:, 2:]))),
            ("nearest neighbours on height above the lowest of 32 around",
             run.once("above", partial(neighbours, parts, lambda p, f: f[:, :1])))]
    seeds, views = range(run.pick(3, 1, 1)), run.pick(12, 4, 2)
    nets = [run.once(f"net {seed}", partial(tested, run, parts, cell, seed, views)) for seed in seeds]
    for view in ("1 view", f"{views} views"):
        matrices = [net["confusion"][view != "1 view"] for net in nets]
        rows += [(f"U-Net, {view}, seed {seed}", matrix) for seed, matrix in zip(seeds, matrices, strict=True)]
        spread = [mean_iou(matrix) for matrix in matrices]
        print(f"U-Net, {view}: mean IoU {100 * np.mean(spread):.1f} % (seeds: {100 * np.ptp(spread):.1f} apart)")
    print(run.table(f"Intersection over union in the east, %; {nets[0]['adds'] / 1e3:,.0f} thousand multiply-adds a "
                    f"point, {run.pick(150, 40, 3)} epochs of {np.mean([net['seconds'] for net in nets]):.0f} s in all",
                    ["", *CLASSES, "mean", "error, %"], [shown(*row) for row in rows]))
    if run.size != "tiny":
        answers = np.array(nets[0]["answers"])
        run.picture("east", picture(parts["east"][0], labels[~west], answers),
                    "The test strip from above: the class of the lowest point in each 2 m, in truth and by the U-Net of "
                    f"seed 0 with {views} views, and the share of wrong points.")


def scan_of(run):
    """Return points (n, 3) in metres, attributes (n, k) of them and class numbers (n,)."""
    path = None if run.data is None or run.size == "tiny" else run.data / "lidar_topography.npz"
    if path is None or not path.exists():
        print("no lidar_topography.npz in a folder of --data: a landscape made from the seed")
        points, labels = sp.terrain(run.pick(70_000, 20_000, 4000), run.pick(280, 150, 70), run.seed)
        return points, np.zeros((len(points), 0)), labels
    with np.load(path) as scan:
        attributes = np.column_stack([scan["intensity"] / 1000 - 1, (scan["return_number"] - 1) / 2])
        return scan["xyz"].astype(np.float64), attributes, np.searchsorted([1, 2, 9], scan["classification"])


def features(points, attributes):
    """Return (n, 3 + k): height above and below what lies around, how dense it is, and the attributes."""
    return np.column_stack([sp.surroundings(points, 32) * (0.1, 0.1, 1), attributes])


def trained(run, name, part, cell, seed, epochs):
    points, given, labels = part
    weights = 1 / np.sqrt(np.maximum(1, np.bincount(labels, minlength=3)))
    net = sp.ToPoints(*sp.unet(5, run.pick(16, 16, 4), given.shape[1], 3, rng=seed))
    data = sp.PointBatches(points, given, labels, cell, tile=TILE, batch=BATCH, augment=MOVES)
    loss = partial(sp.softmax_cross_entropy, weights=weights / weights.mean())
    history = run.fit(name, net, data, sp.Adam(net.parameters(), 0.005), epochs, schedule="cosine", loss=loss)
    return net, sum(history.seconds)


def choose(run, parts):
    """Return the mean IoU in the validation strip, and the sites a point, for each cell."""
    found, (points, given, labels) = [], parts["validation"]
    for cell in run.pick(CELLS, CELLS[1:3], CELLS[1:2]):
        net, _ = trained(run, f"cell-{'-'.join(map(str, cell))}", parts["training"], cell, 0, run.pick(50, 15, 2))
        data = sp.PointBatches(points, given, labels, cell)
        sites = next(data.epoch(0))[0].grid.n / len(points)
        found.append({"cell": cell, "sites": sites, "iou": mean_iou(sp.evaluate(net, data).confusion)})
    return found


def neighbours(parts, of):
    """Return the confusion in the east of the most frequent class among the k nearest; k by the validation strip."""
    from scipy.spatial import cKDTree

    def confusion(train, test, k):
        near = cKDTree(of(*train[:2])).query(of(*test[:2]), range(1, k + 1))[1]
        votes = np.stack([(train[2][near] == c).sum(1) for c in range(3)], 1)
        return confusion_matrix(votes.argmax(1), test[2], 3)

    k = max(NEIGHBOURS, key=lambda k: mean_iou(confusion(parts["training"], parts["validation"], k)))
    return confusion(parts["west"], parts["east"], k).tolist()


def tested(run, parts, cell, seed, views):
    """Train in the west; return the confusion in the east with one view and more, and the answers."""
    net, seconds = trained(run, f"net-{seed}", parts["west"], cell, seed, run.pick(150, 40, 3))
    data = sp.PointBatches(*parts["east"], cell, views=MOVES)
    found = [sp.evaluate(net, data, repeats=repeats) for repeats in (1, views)]
    summary = net.eval().summary(next(data.epoch(0))[0])
    return {"confusion": [one.confusion.tolist() for one in found], "answers": found[1].outputs.argmax(1).tolist(),
            "adds": summary.pair_multiply_adds / len(data), "seconds": seconds}


def mean_iou(confusion):
    return float(np.nanmean(intersection_over_union(confusion)))


def shown(name, confusion):
    wrong = 1 - np.trace(confusion) / np.sum(confusion)
    return [name, *(f"{100 * iou:.1f}" for iou in (*intersection_over_union(confusion), mean_iou(confusion), wrong))]


def picture(points, labels, answers):
    figure, cells = plot.figure(9, 6.5), np.floor((points[:, :2] - points[:, :2].min(0)) / 2).astype(int)
    below, shape = np.argsort(-points[:, 2], kind="stable"), cells.max(0) + 1     # the lowest is written last
    for axes, title, values in zip(figure.subplots(1, 3), ("truth", "answer", "share of wrong points"),
                                   (labels, answers, None), strict=True):
        image = np.full(shape, np.nan)
        if values is None:
            number = np.ravel_multi_index(cells.T, shape)
            n, wrong = (np.bincount(number, w, image.size).reshape(shape) for w in (None, labels != answers))
            image = np.where(n > 0, wrong / np.maximum(n, 1), np.nan)
        else:
            image[tuple(cells[below].T)] = values[below]
        drawn = axes.imshow(image.T, origin="lower", cmap="viridis" if values is not None else "magma_r",
                            vmin=0, vmax=2 if values is not None else 1, extent=(0, 2 * shape[0], 0, 2 * shape[1]))
        axes.set(title=title, xlabel="m", ylabel="m")
        bar = figure.colorbar(drawn, ax=axes, orientation="horizontal", shrink=0.9)
        if values is not None:
            bar.set_ticks([0, 1, 2], labels=CLASSES)
    return figure


if __name__ == "__main__":
    main()
