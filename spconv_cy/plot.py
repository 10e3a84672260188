"""Pictures of strokes, active sites, filters and training, by matplotlib, which is imported when used."""

import numpy as np


def strokes(axes, character, colour="black"):
    """Draw one character, a list of (n, 2) arrays (x right, y down), into matplotlib axes."""
    for stroke in character:
        axes.plot(stroke[:, 0], stroke[:, 1], color=colour, linewidth=1.5, marker="o", markersize=2)
    axes.set_aspect("equal")
    axes.set_ylim(sorted(axes.get_ylim(), reverse=True))
    axes.set_axis_off()


def active_sites(axes, x, sample=0):
    """Draw the active sites of one sample of a 2-D SparseTensor, its first axis to the right, its second down.

    Shades show the size of the feature vector less the ground state.
    """
    low, high = x.grid.batch_starts[sample:sample + 2]
    features, ground = x.features.numpy()[low:high], 0 if x.ground is None else x.ground.numpy()
    picture = np.full(x.grid.size, np.nan)
    picture[tuple(x.sites[low:high, 1:].T)] = np.sqrt(((features - ground) ** 2).sum(1))
    axes.imshow(picture.T, cmap="viridis", interpolation="nearest", vmin=0)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(f"{'x'.join(map(str, x.grid.size))}: {high - low} of {x.grid.field}", fontsize=7)


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


def training_curve(axes, history):
    """Draw training loss, and training and validation error, over the epochs of a History."""
    epochs = np.arange(1, len(history.losses) + 1)
    axes.semilogy(epochs, np.maximum(history.losses, 1e-6), color="0.6", label="training loss")
    axes.semilogy(epochs, np.maximum(history.errors, 1e-6), label="training error")
    if len(history.validation_errors):
        axes.semilogy(epochs[-len(history.validation_errors):], np.maximum(history.validation_errors, 1e-6),
                      label="test error")
    axes.set_xlabel("epoch")
    axes.legend(fontsize=7)


def confusion(axes, matrix, classes):
    """Draw a confusion matrix, rows the truth, columns the answer; the diagonal is left out."""
    off = np.array(matrix, float)
    np.fill_diagonal(off, 0)
    axes.imshow(off, cmap="Reds")
    for row, column in np.argwhere(off > 0):
        axes.text(column, row, int(off[row, column]), ha="center", va="center", fontsize=7)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
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
