"""Pictures of records: bars as a part of the peak, curves over what grows."""

from pathlib import Path

import goals

COLOURS = {"ours": "#1b7837", "spconv": "#d6604d", "SparseConvNet": "#4393c3", "MinkowskiEngine": "#b2abd2",
           "torch dense": "#878787", "scipy sparse": "#dfc27d", "Paddle": "#80cdc1"}


def bars(made, record):
    """Draw each case's part of the sgemm peak, the published peers beside, into the record's name with .png.

    Args:
        made: a record, a dict.
        record: its path.
    """
    peers = goals.published(goals.isa_of(made))
    shown = [row for row in made["rows"] if row["side"] == "ours" and row.get("share")]
    if not shown:
        return
    pyplot = _pyplot()
    figure, axis = pyplot.subplots(figsize=(9, 1.2 + 0.55 * len(shown)))
    for place, row in enumerate(shown):
        share = goals.GOALS.get(goals.key(row), goals.Goal()).of("share", goals.isa_of(made))
        parts = {"ours": row["share"]}
        parts |= {peer: 1e3 * row["gflop"] / product for peer, product in peers.get(goals.key(row), {}).items()}
        parts |= {other["side"]: row["gflop"] / other["best"] / other["peak"] for other in made["rows"]
                  if goals.key(other) == goals.key(row) and other["side"] != "ours"}
        height = 0.8 / len(parts)
        for i, (side, share) in enumerate(parts.items()):
            axis.barh(place - 0.4 + (i + 0.5) * height, share, height * 0.95, color=COLOURS.get(side, "#cccccc"),
                      label=side if place == 0 else None)
        if share:
            axis.plot([share] * 2, [place - 0.42, place + 0.42], color="black", linewidth=1)
    axis.set_yticks(range(len(shown)), [goals.name_of(goals.key(row)) for row in shown])
    axis.invert_yaxis()
    axis.set_xlim(0, 1.1)
    axis.set_xlabel("part of the sgemm peak (pairs x channels in x channels out; black line: the goal)")
    seen = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    axis.legend(seen.values(), seen.keys(), loc="lower right", fontsize=8)
    _save(figure, record)


def curves(panels, record):
    """Draw panels of curves.

    Args:
        panels: list of dicts {"title", "x", "y", "lines": {name: (xs, ys)}, "log": "x", "xy" or ""}.
        record: path whose name, with .png, the picture gets.
    """
    pyplot = _pyplot()
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure, axes = pyplot.subplots(lines, columns, figsize=(5 * columns, 3.6 * lines), squeeze=False)
    for axis in axes.flat[len(panels):]:
        axis.remove()
    for axis, panel in zip(axes.flat, panels, strict=False):
        for name, (xs, ys) in panel["lines"].items():
            axis.plot(xs, ys, marker="o", label=name)
        axis.set_title(panel["title"], fontsize=10)
        axis.set_xlabel(panel["x"])
        axis.set_ylabel(panel["y"])
        if "x" in panel["log"]:
            axis.set_xscale("log", base=panel.get("base", 10))
        if "y" in panel["log"]:
            axis.set_yscale("log")
        else:
            axis.set_ylim(0, 1.25 * max(max(ys) for _, ys in panel["lines"].values()))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    _save(figure, record)


def _pyplot():
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    return pyplot


def _save(figure, record):
    path = Path(record).with_suffix(".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    print(f"wrote {path}")
