"""Figures that the experiments share, drawn by matplotlib."""

import numpy as np

from spconv_cy import plot
from spconv_cy.backend.switch import hosted
from spconv_cy.checks import as_array


def headed(part, title, n, **options):
    """Return n axes in one row of a figure or subfigure, with a headline at the left."""
    part.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    return part.subplots(1, n, squeeze=False, **options)[0]


def in_space(figure, tensors, ruler, sample=0):
    """Draw the sites of named SparseTensors side by side as balls, with lines of some sites and the colours' meaning.

    Args:
        figure: of matplotlib.
        tensors: {title: SparseTensor}.
        ruler: sites of a line along each axis.
        sample: number of the sample.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap

    row = figure.subplots(1, len(tensors), squeeze=False)[0]
    for axes, (title, x) in zip(row, tensors.items(), strict=True):
        plot.in_space(axes, x, sample, ruler=ruler)
        axes.set_title(title, fontsize=11)
    shades = colormaps["viridis"]
    used = ScalarMappable(cmap=ListedColormap(shades(np.linspace(0.1, 1, 20))))
    bar = figure.colorbar(used, ax=list(row), shrink=0.8, ticks=[0, 1], label="distance to the viewer", aspect=25)
    bar.ax.set_yticklabels(["far", "near"])


def cloud(axes, sites, values, label, size, what=("x, sites", "y, sites", "z, sites"), title=""):
    """Draw sites (n, 3) as squares in space, coloured by values (n,), with a colour bar of that label."""
    drawn = axes.scatter(*np.transpose(sites), c=values, cmap="viridis", marker="s", s=size, depthshade=False)
    axes.set(xlabel=what[0], ylabel=what[1])
    axes.text2D(1, 0.86, what[2], transform=axes.transAxes, ha="right")  # beside its axis it would leave the picture
    axes.set_title(title, fontsize=11)
    axes.set_box_aspect(None, zoom=0.85)
    axes.figure.colorbar(drawn, ax=axes, orientation="horizontal", label=label, shrink=0.8, aspect=25, pad=0.02)


def site_counts(axes, names, tensors):
    """Draw the sites of the field and the active sites of named SparseTensors of one sample as bars."""
    places = range(len(names))
    axes.bar(places, [x.grid.field for x in tensors], color="0.88", label="sites of the field (dense)")
    axes.bar(places, [x.grid.n for x in tensors], color="#31688e", label="active sites of that sample")
    axes.set_yscale("log")
    axes.set_xticks(places, names, fontsize=9)
    axes.set(xlabel="layer", ylabel="sites")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def powers(axes, x, curves, *, beside=None, slopes=True):
    """Draw curves {label: values (n,)} over x (n,) on logarithmic axes, with their slopes in the legend.

    The slope is the exponent of a power law, fitted by least squares to the logarithms; all values must be above 0.
    `beside`: as many other curves, dashed in the same colours. `slopes=False` leaves the slopes out.
    """
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    colours = ("#21918c", "#440154", "#d95f02", "0.5", "#3b8ede", "#c8a800")
    for i, (label, values) in enumerate(curves.items()):
        colour = colours[i % len(colours)]
        if slopes and len(x) > 1:
            label += f", slope {np.polyfit(np.log(x), np.log(values), 1)[0]:.2f}"
        axes.loglog(x, values, "o-", color=colour, label=label)
        if beside is not None:
            axes.loglog(x, list(beside.values())[i], "--", color=colour)
    axes.set_xticks(x, x)
    axes.minorticks_off()
    low, high = axes.get_ylim()
    if high < 30 * low:                                                  # too few powers of ten for the labels
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7) if high < 10 * low else (1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.grid(color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


def from_above(axes, points, values, cell=1.0, show="lowest", **options):
    """Draw points as a map, x to the right and y up; a square shows the value of its lowest point, or the mean.

    Args:
        axes: of matplotlib.
        points: (n, 3) numbers: x, y, height.
        values: (n,) numbers.
        cell: side of a square, in the points' unit.
        show: "lowest" or "mean".
        options: of imshow.

    Returns:
        The image of matplotlib; its array is NaN where there is no point.
    """
    points, values = (as_array("plot", part, float) for part in (points, values))
    cells = np.floor((points[:, :2] - points[:, :2].min(0)) / cell).astype(int)
    shape = cells.max(0) + 1
    number, picture = np.ravel_multi_index(cells.T, shape), np.full(shape.prod(), np.nan)
    if show == "lowest":
        falling = np.argsort(-points[:, 2], kind="stable")
        picture[number[falling]] = values[falling]                       # the last one written stays
    else:
        there = np.unique(number)
        picture[there] = (np.bincount(number, values) / np.maximum(1, np.bincount(number)))[there]
    axes.set(xlabel="m", ylabel="m")
    return axes.imshow(picture.reshape(shape).T, origin="lower", interpolation="nearest",
                       extent=(0, cell * shape[0], 0, cell * shape[1]), **options)


def answers(axes, sites, middles, probabilities):
    """Draw sites of the plane in grey, and in the middle of each window the class that was predicted there.

    Args:
        axes: of matplotlib; x to the right, y down.
        sites: (n, 2), x and y.
        middles: (m, 2).
        probabilities: (m, classes); the most probable class is written, fainter if its probability is smaller.
    """
    axes.plot(*np.transpose(sites), "s", color="0.75", markersize=0.8)
    probabilities = hosted(probabilities)
    said, sure = probabilities.argmax(1), probabilities.max(1)
    for answer in np.unique(said):
        axes.scatter(*middles[said == answer].T, s=30, alpha=sure[said == answer]**2, marker=f"${answer}$",
                     color=f"C{answer % 10}")
    axes.set(aspect="equal", xlabel="sites", ylabel="sites")
    axes.invert_yaxis()
