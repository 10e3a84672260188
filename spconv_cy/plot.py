"""Pictures of strokes, active sites and training with matplotlib, which is imported when it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array, as_list, described, is_integer, is_number, kind_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.tensor import SparseTensor
from spconv_cy.train.history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from spconv_cy.types import Array, ArrayLike

__all__ = ["active_sites", "confusion", "figure", "in_space", "strokes", "training_curve"]


def __dir__() -> list[str]:
    return __all__


@known_arguments
def strokes(axes: Axes, character: Sequence[ArrayLike], cmap: str = "viridis", linewidth: float = 3) -> None:
    """Draw one character.

    Colours run with time through the first four fifths of the colour map. A dot marks the start of each stroke.

    Args:
        axes: of matplotlib.
        character: a list of (n, 2) arrays, x to the right, y down.
        cmap: name of a colour map of matplotlib.
        linewidth: in points.
    """
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection

    _check_axes("plot.strokes", axes)
    lines = [as_array("plot.strokes", stroke, float)
             for stroke in as_list("plot.strokes", character, "a list of (n, 2) arrays, one for each stroke")]
    for line in lines:
        if line.ndim != 2 or line.shape[1] != 2 or not len(line):
            raise ShapeError(expected("plot.strokes", "a list of (n, 2) arrays, one for each stroke",
                                      f"one of shape {line.shape}"))
    points, first = np.concatenate([np.empty((0, 2)), *lines]), 0
    shade = colormaps[cmap]
    for stroke in lines:
        # Eight pieces for each segment, so that the colour changes smoothly.
        at = np.linspace(0, len(stroke) - 1, 8 * (len(stroke) - 1) + 1)
        line = np.stack([np.interp(at, np.arange(len(stroke)), stroke[:, axis]) for axis in (0, 1)], 1)
        colours = shade(0.8 * (first + at) / max(1, len(points) - 1))
        axes.add_collection(LineCollection(list(np.stack([line[:-1], line[1:]], 1)), colors=colours[1:],
                                           linewidths=linewidth, capstyle="round"))
        axes.plot(*stroke[0], "o", color=colours[0], markersize=2 * linewidth)
        first += len(stroke)
    if len(points):
        middle, half = (points.min(0) + points.max(0)) / 2, 0.56 * max(1e-4, np.ptp(points, axis=0).max())
        axes.set_xlim(middle[0] - half, middle[0] + half)
        axes.set_ylim(middle[1] + half, middle[1] - half)
    axes.set_aspect("equal")
    axes.set_axis_off()


@known_arguments
def active_sites(axes: Axes, x: SparseTensor, sample: int = 0, cmap: str = "viridis") -> None:
    """Draw the active sites of one sample of a 2-D SparseTensor, with its first axis to the right, its second down.

    Colours show the length of the features minus the ground state. Inactive sites are grey.

    Args:
        axes: of matplotlib.
        x: SparseTensor with a size.
        sample: number of the sample.
        cmap: name of a colour map of matplotlib.
    """
    low, high = _sample("plot.active_sites", axes, x, sample, 2)
    if x.grid.size is None:
        raise ShapeError(expected("plot.active_sites", "a SparseTensor with a size", f"{x}"))
    features, ground = x.features.numpy()[low:high], 0 if x.ground is None else x.ground.numpy()
    picture = np.full(x.grid.size, np.nan)
    picture[tuple(x.sites[low:high, 1:].T)] = np.sqrt(((features - ground) ** 2).sum(1))
    axes.set_facecolor("0.93")
    axes.imshow(picture.T, cmap=cmap, interpolation="nearest", vmin=0)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


@known_arguments
def in_space(axes: Axes, x: SparseTensor, sample: int = 0, view: ArrayLike | None = None,
             cmap: str = "viridis", ruler: int = 0) -> None:
    """Draw the active sites of one sample of a 3-D SparseTensor as balls at their places, on either lattice.

    Balls are a quarter wider than the distance of neighbours, so that few gaps show. Nearer balls are brighter.

    Args:
        axes: of matplotlib.
        x: SparseTensor.
        sample: number of the sample.
        view: (3, 3), for row vectors: places @ view are right, up and towards the viewer. None: from the front and a
            little above, with the second axis upwards.
        cmap: name of a colour map of matplotlib.
        ruler: length of three labelled lines below on the left, along the axes x, y and z of space, in distances of
            neighbouring sites; 0: none.
    """
    from matplotlib import colormaps
    from matplotlib.collections import EllipseCollection

    low, high = _sample("plot.in_space", axes, x, sample, 3)
    if not is_integer(ruler) or ruler < 0:
        raise ValueError(expected("plot.in_space", "ruler to be a whole number from 0 up", repr(ruler)))
    turned = _front_view() if view is None else view
    places = (x.sites[low:high, 1:] + 0.5) @ x.grid.lattice.basis @ turned  # type: ignore[operator]
    places = places[np.argsort(places[:, 2], kind="stable")]
    depth = places[:, 2] - places[:1, 2]
    # Few shades and no blended edges make a PNG a third as large.
    shades = colormaps[cmap](0.1 + 0.9 * np.round(19 * depth / max(1e-9, depth.max(initial=0))) / 19)
    axes.add_collection(EllipseCollection(1.25, 1.25, 0.0, units="xy", offsets=places[:, :2], facecolors=shades,
                                          offset_transform=axes.transData, edgecolors="0.3", linewidths=0.3,
                                          antialiaseds=False))
    if len(places):
        middle, half = (places.min(0) + places.max(0)) / 2, 1 + np.ptp(places, axis=0)[:2].max() / 2
        axes.set_xlim(middle[0] - half, middle[0] + half)
        axes.set_ylim(middle[1] - half, middle[1] + half)
    if ruler and len(places):
        _draw_ruler(axes, ruler * np.asarray(turned)[:, :2], ruler)
    axes.set_aspect("equal")
    axes.set_axis_off()


def _draw_ruler(axes: Axes, ends: Array, length: int) -> None:
    """Draw three lines from one point, in the corner of what is drawn; room is made for them below it.

    Args:
        ends: (3, 2), of the lines along x, y and z, seen from their beginning.
    """
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    beyond = 0.8 + 0.1 * length                                          # what the letters at the ends take
    start = np.array([left, bottom]) - np.minimum(0, ends.min(0)) + beyond - (0, np.ptp(ends[:, 1]) + 2 * beyond)
    for name, end in zip("xyz", ends, strict=True):
        axes.plot(*np.transpose([start, start + end]), color="black", linewidth=1.2)
        x, y = start + end * (1 + beyond / (1e-9 + np.hypot(*end)))
        axes.text(x, y, name, ha="center", va="center", fontsize=9)
    axes.text(start[0] + max(0, *ends[:, 0]) + 2 * beyond, start[1], f"lines of {length} sites", va="center",
              fontsize=9)
    axes.set_xlim(left, right)
    axes.set_ylim(start[1] + min(0, *ends[:, 1]) - 2 * beyond, top)


def _front_view():
    (c, s), (u, v) = (np.cos(0.5), np.sin(0.5)), (np.cos(0.3), np.sin(0.3))
    return np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]) @ np.array([[1, 0, 0], [0, u, v], [0, -v, u]])


@known_arguments
def training_curve(axes: Axes, history: History, validation: str = "validation error", floor: float = 1e-4) -> None:
    """Draw the training loss, the training error and the validation error of each epoch.

    Args:
        axes: of matplotlib; the vertical axis becomes logarithmic.
        history: History.
        validation: label of the validation error.
        floor: smaller values, such as 0, are drawn at this value.
    """
    _check_axes("plot.training_curve", axes)
    if not isinstance(history, History):
        raise TypeError(expected("plot.training_curve", "a History, as fit returns it", kind_of(history)))
    epochs = np.arange(1, len(history) + 1)
    curves: list[tuple[str, Sequence[float | None], str]] = [
        ("training loss", history.losses, "0.7"), ("training error", history.errors, "#3b528b"),
        (validation, history.validation_errors, "#5ec962")]
    for label, values, colour in curves:
        shown = [np.nan if value is None else max(value, floor) for value in values]
        if np.isfinite(shown).any():
            axes.semilogy(epochs[len(epochs) - len(shown):], shown, color=colour, label=label, linewidth=2)
    axes.set(xlabel="epoch", ylabel="loss, error (fraction)")
    axes.grid(axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


@known_arguments
def confusion(axes: Axes, matrix: ArrayLike, classes: Sequence[str]) -> None:
    """Draw a confusion matrix without its diagonal.

    Args:
        axes: of matplotlib.
        matrix: (classes, classes) counts, a row for each label, a column for each answer.
        classes: names of the classes.
    """
    _check_axes("plot.confusion", axes)
    off = as_array("plot.confusion", matrix)
    if off.dtype.kind not in "iuf" or off.shape != (len(classes), len(classes)):
        raise ShapeError(expected("plot.confusion", f"counts ({len(classes)}, {len(classes)}) of the classes",
                                  described(matrix)))
    off = np.array(off, float)
    np.fill_diagonal(off, 0)
    axes.imshow(off, cmap="Reds", vmin=0, vmax=max(1.0, 1.4 * off.max(initial=0)))
    for row, column in np.argwhere(off > 0):
        axes.text(column, row, str(int(off[row, column])), ha="center", va="center")
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.tick_params(length=0)
    axes.spines[:].set_color("0.8")
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")


@known_arguments
def figure(*size: float) -> Figure:
    """Return a matplotlib figure of width and height in inches; it needs no screen.

    Raises:
        ImportError: matplotlib is not installed; the message names the extra that installs it.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(expected("plot.figure", "matplotlib to be installed", "no such package",
                                   "install it by pip install 'spconv_cy[plot]'")) from error
    if len(size) != 2 or not all(is_number(side, 0) and side > 0 for side in size):
        raise ValueError(expected("plot.figure", "a width and a height in inches, two numbers above 0", repr(size)))
    drawn = Figure(figsize=size, layout="constrained")  # type: ignore[arg-type]
    FigureCanvasAgg(drawn)
    return drawn


def _check_axes(who: str, axes: object) -> None:
    if not hasattr(axes, "add_collection"):
        raise TypeError(expected(who, "axes of matplotlib", kind_of(axes), "figure(4, 4).subplots() returns some"))


def _sample(who: str, axes: object, x: SparseTensor, sample: int, d: int) -> tuple[int, int]:
    """Return the first row of a sample and the row after its last one, after the checks of both functions."""
    _check_axes(who, axes)
    if not isinstance(x, SparseTensor):
        raise TypeError(expected(who, "a SparseTensor", kind_of(x)))
    if x.grid.d != d:
        raise ShapeError(expected(who, f"a SparseTensor of dimension {d}", f"one of dimension {x.grid.d}"))
    if not is_integer(sample) or not 0 <= sample < x.grid.samples:
        raise ValueError(expected(who, f"sample to be a whole number from 0 to {x.grid.samples - 1}", repr(sample)))
    return int(x.grid.batch_starts[sample]), int(x.grid.batch_starts[sample + 1])
