"""World-lines in 2 to 6 dimensions: which of two points leads (4 + 1), and the cost of a dimension on two lattices."""

from functools import partial

import numpy as np
from budget import widest
from experiment import Experiment
from world_lines import WorldLineBatches, leader_pairs, lissajous

import spconv_cy as sp
from spconv_cy import plot

DIMENSIONS, SPECS = (2, 3, 4, 5, 6), {"cubic": "8C2-MP2-16C2-MP2-24C2-output",
                                      "simplex": "8C2-MP3/2-16C2-MP3/2-24C2-output"}


def main():
    run = Experiment.of("dimensions", Experiment.parser(__doc__).parse_args())
    n, seeds, rows = run.pick((1000, 1000), (600, 600), (60, 60)), range(run.pick(3, 3, 1)), []
    for name, axes in (("axis", "x, y, x', y', t"), ("permuted", "the same, moments permuted"),
                       ("none", "x, y, x', y'")):
        found = [told(run, name, seed, n) for seed in seeds]
        rates = [100 * (1 - figures["error"]) for figures in found]
        rows.append([axes, f"{found[0]['sites']:.0f}", f"{found[0]['parameters']:,}", f"{found[0]['adds']:,.0f}",
                     f"{found[0]['seconds']:.0f}", f"{np.mean(rates):.1f}", ", ".join(f"{rate:.1f}" for rate in rates)])
    print(run.table(f"4 + 1 dimensions: which of two points leads? {n[0]} pairs to train on, {n[1]} to test on",
                    ["axes", "sites an item", "parameters", "multiply-adds", "seconds of training", "right, %",
                     "each seed"], rows))

    sizes = run.pick((16, 32, 64, 128), (16, 32, 64), (8, 16))
    costs = {(lattice, d): [run.once(f"{lattice} {d} {size}", partial(cost, run, lattice, d, size)) for size in sizes]
             for lattice in SPECS for d in DIMENSIONS}
    rows = []
    for (lattice, d), found in costs.items():
        middle = found[sizes.index(32)] if 32 in sizes else found[-1]
        rows.append([d, lattice, f"{middle['sites']:.0f}", f"{middle['after']:,}", f"{middle['adds']:,.0f}",
                     f"{middle['ms']:.2f}", *(f"{exponent(sizes, found, key):.2f}" for key in
                                                          ("after", "adds", "ms")), d])
    size = 32 if 32 in sizes else sizes[-1]
    print(run.table(f"Cost of an item, a point that moves for N steps in a field of N sites an axis: at N = {size}, "
                    f"and as a power of N from {sizes[0]} to {sizes[-1]}",
                    ["d", "lattice", "sites", "sites after C2", "multiply-adds", "ms", "exponent of sites after C2",
                     "of multiply-adds", "of time", "of the field"], rows))
    if run.size != "tiny":
        run.picture("cost", picture(costs, sizes), "Active sites after the first convolution and multiply-adds against "
                    "N: each line has slope 1, whatever the dimension, where a dense net's would have slope d. Right: "
                    "time against d; a dimension more costs a factor, a smaller one on the simplex lattice.")


def told(run, name, seed, n):
    """Train and test a network on pairs of points, with or without the order of moments."""
    parts = [WorldLineBatches(leader_pairs(count, seed=2 * seed + i), 23, time=name, batch=25)
             for i, count in enumerate(n)]
    build = partial(widest, lambda k: sp.models.deepcnet(3, k, 1, 2, d=4 + (name != "none"), first=2, rng=seed),
                    run.pick(25_000, 25_000, 2000))
    return run.classifier(f"leaders {name} {seed}", build, *parts, run.pick(8, 5, 1), rate=0.003, seed=seed)


def cost(run, name, d, size, items=10):
    """Return the cost of an item in d dimensions, one of which is time, and its active sites "after" C2."""
    rng, lattice = np.random.default_rng(0), getattr(sp.Lattice, name)(d)
    net = sp.models.from_spec(SPECS[name], 1, lattice, classes=2, rng=0)
    places = lissajous(rng.uniform(0, 2 * np.pi, (items, d - 1)), 1 + np.arange(d - 1) % 3, size, size)
    moments = np.broadcast_to(np.arange(size)[None, :, None] + 0.5, (items, size, 1))
    points = np.column_stack([np.repeat(np.arange(items), size), np.concatenate([places, moments], 2).reshape(-1, d)])
    x = sp.SparseTensor.from_points(points, np.ones((len(points), 1)), reduce="sum", lattice=lattice)
    return run.cost(net, x) | {"after": net.eval()[0](x).grid.n // items}


def exponent(sizes, found, key):
    """Return the exponent of a power law, fitted to the logarithms."""
    return np.polyfit(np.log(sizes), np.log([figures[key] for figures in found]), 1)[0]


STEPS = "N, moments and sites a side"


def picture(costs, sizes):
    from matplotlib import colormaps

    figure = plot.figure(9, 3.6)
    left, middle, right = figure.subplots(1, 3)
    for (lattice, d), found in costs.items():
        style = {"color": colormaps["viridis"]((d - 2) / 4.5), "linestyle": "-" if lattice == "cubic" else "--"}
        for axes, key in ((left, "after"), (middle, "adds")):
            axes.loglog(sizes, [figures[key] for figures in found], marker="o", markersize=3,
                        label=f"d = {d}, {lattice}", **style)
    for lattice, style in (("cubic", "-"), ("simplex", "--")):
        right.semilogy(DIMENSIONS, [costs[lattice, d][1]["ms"] for d in DIMENSIONS], style, color="#3b528b",
                       marker="o", label=lattice)
    for axes, title, label, unit in ((left, "After the first convolution", STEPS, "active sites"),
                                     (middle, "Arithmetic of a pass", STEPS, "multiply-adds"),
                                     (right, f"Time of a pass, N = {sizes[1]}", "dimension d", "ms, one thread")):
        axes.set(xlabel=label, ylabel=unit)
        axes.set_title(title, fontsize=11)
        axes.grid(color="0.9")
        axes.spines[["top", "right"]].set_visible(False)
        if label == STEPS:
            axes.set_xticks(sizes, sizes)
            axes.minorticks_off()
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, fontsize=7)
    right.set_xticks(DIMENSIONS)
    right.legend(frameon=False)
    return figure


if __name__ == "__main__":
    main()
