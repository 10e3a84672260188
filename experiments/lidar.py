"""A U-Net labels every point of an aerial scan as other, ground or water; compared with nearest neighbours."""

from functools import partial

import numpy as np
from experiment import Experiment
from figures import from_above
from scipy.spatial import cKDTree
from terrain import TERRAIN_CLASSES, terrain

import spconv_cy as sp
from spconv_cy import plot
from spconv_cy.train.metrics import confusion_matrix, intersection_over_union, mean_iou

FILE = "lidar_topography.npz"
COLOURS = ("#2d6a4f", "#e9c46a", "#3a86d1")                                     # of TERRAIN_CLASSES
CELLS = ((2, 2, 0.4), (1, 1, 0.4), (1, 1, 0.2), (0.5, 0.5, 0.2))                # metres: x, y, height
MOVES = sp.data.PointAffine(turn=np.pi, stretch=0.1, shift=8)


def main():
    parser = Experiment.parser(__doc__, data=f"folder with {FILE} (R package lidR, Topography.laz, GPL-3)")
    run = Experiment.of("lidar", parser.parse_args())
    points, attributes, labels = scan_of(run)
    parts = parts_of(points, attributes, labels, ("west", "east", "validation", "training"))
    east, truth = parts["east"][0], parts["east"][2]
    print(f"{len(parts['west'][2]):,} points in the west to train on, {len(truth):,} in the east to test on")

    tried, epochs, views = run.once("cells", partial(choose, run, parts)), run.pick(80, 40, 4), run.pick(12, 4, 2)
    print(run.table("Side of a site in metres, chosen on the southern 30 % of the west",
                    ["x, y, height", "sites a point", "mean IoU, %"],
                    [[" x ".join(map(str, c["cell"])), f"{c['sites']:.2f}", f"{100 * c['iou']:.1f}"] for c in tried]))
    cell = max(tried, key=lambda row: row["iou"])["cell"]
    rows = {f"nearest neighbours on height{what}": run.once(f"neighbours{what}", partial(neighbours, parts, of))
            for what, of in (("", lambda p, f: p[:, 2:]), (" above the lowest of 32 around", lambda p, f: f[:, :1]))}
    nets = [run.once(f"net {seed}", partial(tested, run, parts, cell, seed, epochs, views))
            for seed in range(run.pick(3, 1, 1))]
    for i, view in enumerate(("one view", f"mean of {views} views")):
        rows |= {f"U-Net, {view}, seed {seed}": net["confusion"][i] for seed, net in enumerate(nets)}
        if len(nets) > 1:
            rows[f"U-Net, {view}, all seeds"] = np.sum([net["confusion"][i] for net in nets], axis=0)
    print(run.table(f"Intersection over union, %, in the east of {'the scan' if attributes.size else 'a made land'}; "
                    f"{epochs} epochs; {nets[0]['adds'] / 1e3:,.0f} thousand multiply-adds a point",
                    ["", *TERRAIN_CLASSES, "mean", "error, %"],
                    [[name, *(f"{100 * share:.1f}" for share in (*intersection_over_union(matrix), mean_iou(matrix),
                              1 - np.trace(matrix) / np.sum(matrix)))] for name, matrix in rows.items()]))
    net = trained(run, "net-0", parts["west"], cell, 0, epochs)                         # from its checkpoint
    answers = sp.evaluate(net, sp.data.PointBatches(*parts["east"], cell, views=MOVES), views).outputs.argmax(1)
    run.picture("east", picture(east, truth, answers), "The test strip from above: the class of the "
                f"lowest point in each 2 m, in truth and by seed 0 with {views} views; the share of wrong points.")


def scan_of(run):
    if run.size != "tiny" and run.data is not None and (run.data / FILE).exists():
        scan = sp.readers.read_scan(run.data / FILE)
        attributes = np.column_stack([scan.intensity / 1000 - 1, (scan.return_number - 1) / 2])
        return scan.points, attributes, np.searchsorted([1, 2, 9], scan.codes)
    print(f"no {FILE} in a folder of --data: a landscape made from the seed")
    points, labels = terrain(run.pick(70_000, 20_000, 4000), run.pick(280, 150, 70), run.seed)
    return points, np.zeros((len(points), 0)), labels


def parts_of(points, attributes, labels, names):
    """Return {name: (points, features, labels)} of parts of a scan; "west" is "validation" and "training"."""
    along = (points - points.min(0)) / np.ptp(points, axis=0)
    west, south = along[:, 0] < 0.7, along[:, 1] < 0.3
    masks = {"west": west, "east": ~west, "validation": west & south, "training": west & ~south}
    return {name: (points[mask], features(points[mask], attributes[mask]), labels[mask])
            for name, mask in masks.items() if name in names}


def features(points, attributes):
    return np.column_stack([sp.data.neighbourhood_features(points, 32) * (0.1, 0.1, 1), attributes])


def trained(run, name, part, cell, seed, epochs):
    points, given, labels = part
    weights = 1 / np.sqrt(np.maximum(1, np.bincount(labels, minlength=3)))
    net = sp.layers.ToPoints(*sp.models.unet(5, run.pick(16, 16, 4), given.shape[1], 3, rng=seed))
    data = sp.data.PointBatches(points, given, labels, cell, tile=32, batch=4, augment=MOVES)
    run.fit(name, net, data, sp.Adam(net.parameters(), 0.005), epochs, schedule="cosine",
            loss=partial(sp.softmax_cross_entropy, weights=weights / weights.mean()))
    return net


def choose(run, parts):
    """Return the mean IoU in the validation strip and the sites per point, for each size of cell."""
    found = []
    for cell in run.pick(CELLS, CELLS[1:3], CELLS[1:2]):
        net = trained(run, f"cell-{'-'.join(map(str, cell))}", parts["training"], cell, 0, run.pick(40, 15, 2))
        data = sp.data.PointBatches(*parts["validation"], cell)
        sites = next(data.epoch(0, training=False))[0].grid.n / len(data)
        found.append({"cell": cell, "sites": sites, "iou": mean_iou(sp.evaluate(net, data).confusion)})
    return found


def neighbours(parts, of):
    """Return the confusion in the east of a vote of k nearest neighbours; k is chosen on the validation strip."""
    def confusion(train, test, k):
        near = cKDTree(of(*train[:2])).query(of(*test[:2]), range(1, k + 1))[1]
        votes = np.stack([(train[2][near] == c).sum(1) for c in range(3)], 1)
        return confusion_matrix(votes.argmax(1), test[2], 3)

    k = max((1, 15, 101), key=lambda k: mean_iou(confusion(parts["training"], parts["validation"], k)))
    return confusion(parts["west"], parts["east"], k).tolist()


def tested(run, parts, cell, seed, epochs, views):
    """Train in the west and return the confusion in the east, with one view and with several, and the work a point."""
    net = trained(run, f"net-{seed}", parts["west"], cell, seed, epochs)
    data = sp.data.PointBatches(*parts["east"], cell, views=MOVES)
    summary = net.eval().summary(next(data.epoch(0, training=False))[0])
    return {"confusion": [sp.evaluate(net, data, repeats).confusion.tolist() for repeats in (1, views)],
            "adds": summary.pair_multiply_adds / len(data)}


def picture(points, labels, answers):
    """Draw three maps of a strip, north to the right and west up, with what each colour means."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    figure, turned = plot.figure(8, 6.6), points[:, [1, 0, 2]] * (1, -1, 1)
    shades = ListedColormap(COLOURS)
    maps = {"Truth: class of the lowest point in each square of 2 m": (labels, {}),
            "Answer of the network": (answers, {}),
            "Share of wrong points in each square": (labels != answers, {"show": "mean", "cmap": "magma_r", "vmax": 1})}
    for axes, (title, (values, options)) in zip(figure.subplots(3, 1), maps.items(), strict=True):
        image = from_above(axes, turned, values, 2.0, **({"cmap": shades, "vmin": 0, "vmax": 2} | options))
        axes.set_title(title, fontsize=11)
        axes.set(xlabel="from south to north, m", ylabel="from east to west, m", anchor="W")
        if options:
            figure.colorbar(image, ax=axes, label="share of wrong points", aspect=10, shrink=0.7,
                            panchor=False)
        else:
            marks = [Patch(color=colour, label=name) for colour, name in zip(COLOURS, TERRAIN_CLASSES, strict=True)]
            marks.append(Patch(facecolor="white", edgecolor="0.5", label="no point"))
            axes.legend(handles=marks, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


if __name__ == "__main__":
    main()
