"""Pictures of strokes, active sites, filters and training, by matplotlib, which is imported when used."""

import numpy as np

from spconv_cy.checks import as_array


def strokes(axes, character, cmap="viridis", linewidth=3):
    """Draw one character, a list of (n, 2) arrays (x right, y down), into matplotlib axes.

    Colours run with time through the first four fifths of the map; each stroke begins with a dot.
    """
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection

    character = [as_array("plot", stroke, float) for stroke in character]
    points, first = np.concatenate([np.empty((0, 2)), *character]), 0
    shade = colormaps[cmap]
    for stroke in character:
        # Eight pieces to a segment, so that no step of colour is seen.
        at = np.linspace(0, len(stroke) - 1, 8 * (len(stroke) - 1) + 1)
        line = np.stack([np.interp(at, np.arange(len(stroke)), stroke[:, axis]) for axis in (0, 1)], 1)
        colours = shade(0.8 * (first + at) / max(1, len(points) - 1))
        axes.add_collection(LineCollection(np.stack([line[:-1], line[1:]], 1), colors=colours[1:], linewidths=linewidth,
                                           capstyle="round"))
        axes.plot(*stroke[0], "o", color=colours[0], markersize=2 * linewidth)
        first += len(stroke)
    if len(points):
        middle, half = (points.min(0) + points.max(0)) / 2, 0.56 * max(1e-4, np.ptp(points, axis=0).max())
        axes.set_xlim(middle[0] - half, middle[0] + half)
        axes.set_ylim(middle[1] + half, middle[1] - half)
    axes.set_aspect("equal")
    axes.set_axis_off()


def active_sites(axes, x, sample=0, cmap="viridis"):
    """Draw the active sites of one sample of a 2-D SparseTensor, its first axis to the right, its second down.

    Shades show the size of the feature vector less the ground state; inactive sites are grey.
    """
    low, high = x.grid.batch_starts[sample:sample + 2]
    features, ground = x.features.numpy()[low:high], 0 if x.ground is None else x.ground.numpy()
    picture = np.full(x.grid.size, np.nan)
    picture[tuple(x.sites[low:high, 1:].T)] = np.sqrt(((features - ground) ** 2).sum(1))
    axes.set_facecolor("0.93")
    axes.imshow(picture.T, cmap=cmap, interpolation="nearest", vmin=0)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def in_space(axes, x, sample=0, view=None, cmap="viridis"):
    """Draw the active sites of one sample of a 3-D SparseTensor, on either lattice, as balls where they lie in space.

    Balls are a quarter wider than neighbours are apart, so that few gaps show; the brighter, the nearer.

    Args:
        view: (3, 3), row vectors: places @ view are right, up and towards the eye; None: from the front, a little
            from above, with the second axis upwards.
    """
    from matplotlib import colormaps
    from matplotlib.collections import EllipseCollection

    low, high = x.grid.batch_starts[sample:sample + 2]
    if view is None:
        (c, s), (u, v) = (np.cos(0.5), np.sin(0.5)), (np.cos(0.3), np.sin(0.3))
        view = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]) @ np.array([[1, 0, 0], [0, u, v], [0, -v, u]])
    places = (x.sites[low:high, 1:] + 0.5) @ x.grid.lattice.basis @ view
    places = places[np.argsort(places[:, 2], kind="stable")]
    depth = places[:, 2] - places[:1, 2]
    # Few shades without blended edges: as a PNG a third of the size.
    shades = colormaps[cmap](0.1 + 0.9 * np.round(19 * depth / max(1e-9, depth.max(initial=0))) / 19)
    axes.add_collection(EllipseCollection(1.25, 1.25, 0.0, units="xy", offsets=places[:, :2], facecolors=shades,
                                          offset_transform=axes.transData, edgecolors="0.3", linewidths=0.3,
                                          antialiaseds=False))
    if len(places):
        middle, half = (places.min(0) + places.max(0)) / 2, 1 + np.ptp(places, axis=0)[:2].max() / 2
        axes.set_xlim(middle[0] - half, middle[0] + half)
        axes.set_ylim(middle[1] - half, middle[1] + half)
    axes.set_aspect("equal")
    axes.set_axis_off()


def layer_by_layer(net, x):
    """Return the SparseTensors that a Sequential makes of x: x itself, then after every layer that moves the sites."""
    tensors = [x]
    for layer in net.layers:
        x = layer(x)
        if not hasattr(x, "grid"):
            break
        if x.grid is not tensors[-1].grid:
            tensors.append(x)
        else:
            tensors[-1] = x
    return tensors


def training_curve(axes, history, validation="validation error", floor=1e-4):
    """Draw training loss, and training and validation error, over the epochs of a History.

    `validation` names the last; what is below `floor` is drawn there: the axis is logarithmic.
    """
    epochs = np.arange(1, len(history) + 1)
    curves = [("training loss", history.losses, "0.7"), ("training error", history.errors, "#3b528b"),
              (validation, history.validation_errors, "#5ec962")]
    for label, values, colour in curves:
        values = [np.nan if value is None else max(value, floor) for value in values]
        if np.isfinite(values).any():
            axes.semilogy(epochs[len(epochs) - len(values):], values, color=colour, label=label, linewidth=2)
    axes.set_xlabel("epoch")
    axes.grid(axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


def confusion(axes, matrix, classes):
    """Draw a confusion matrix, rows the truth, columns the answer; the diagonal is left out."""
    off = np.array(as_array("plot", matrix), float)
    np.fill_diagonal(off, 0)
    axes.imshow(off, cmap="Reds", vmin=0, vmax=max(1.0, 1.4 * off.max(initial=0)))
    for row, column in np.argwhere(off > 0):
        axes.text(column, row, int(off[row, column]), ha="center", va="center")
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.tick_params(length=0)
    axes.spines[:].set_color("0.8")
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")


def figure(*size):
    """Return a matplotlib figure of that size in inches that needs no screen.

    Raises:
        ImportError: matplotlib is not installed; the message names the extra that brings it.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install 'spconv_cy[plot]'") from error
    drawn = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(drawn)
    return drawn
