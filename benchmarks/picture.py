"""Pictures of records; `python benchmarks/picture.py faster|bars RECORD.json` draws one again.

A picture is as wide as a page of the documents shows it, 8 inches of 100 pixels, and stored with twice as many.
"""

import json
import sys
from pathlib import Path

import goals

COLOURS = {"ours": "#1b7837", "spconv": "#d6604d", "SparseConvNet": "#4393c3", "MinkowskiEngine": "#8073ac",
           "torch dense": "#878787", "scipy sparse": "#dfc27d", "Paddle": "#80cdc1"}
WIDTH, PIXELS = 8, 200                                  # inches; pixels an inch
WORKLOADS = {                                           # what the first picture of the README shows
    ("Lidar", "forward"): "Lidar sweep, 60,000 sites:\n3$^3$ convolution, 64 channels",
    ("Cold", "forward"): "Indoor scan, 100,000 new sites:\nrules and 3$^3$ convolution",
    ("UNet", "forward"): "U-Net of 4 levels on the scan:\nprediction",
    ("UNet", "training_step"): "The same U-Net:\ntraining step",
    ("Glyphs", "training_step"): "DeepCNet on 100 drawn characters:\ntraining step",
}
COVER = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}          # of a text, over lines
COMPARED = ("spconv", "SparseConvNet", "MinkowskiEngine")
FORWARD_ONLY = ("spconv",)                              # its backward pass wants a CUDA driver
TRAINING = ("forward_backward", "training_step")
CASES = {"Scan": "Indoor scan, {} channels", "Wide": "20,000 sites, {} channels", "Part": "5,000 sites, {} channels",
         "Lidar": "Lidar sweep, 64 channels", "SpaceTime": "4-D scene, 32 channels",
         "Down": "Stride 2, 32 to 64 channels",
         "Up": "Its inverse, 64 to 32 channels", "Cold": "Indoor scan, new sites", "UNet": "U-Net on the scan",
         "Glyphs": "DeepCNet, 100 characters"}
VERBS = {"forward": "forward", "forward_backward": "forward and backward", "training_step": "training step",
         "cold": "new sites"}


def faster(made, record):
    """Draw how many times faster ours is than each library on five workloads, into the record's name with .png.

    A record without one of them is not drawn.

    A library that the run does not have is drawn hatched, from the sheet of times measured before.

    Args:
        made: a record, a dict.
        record: its path.
    """
    pyplot = _pyplot()
    rows = {(goals.key(row), row["side"]): row for row in made["rows"]}
    if any((workload, "ours") not in rows for workload in WORKLOADS):
        return
    published = goals.published(goals.isa_of(made))
    live = {side for _, side in rows}
    figure, axis = pyplot.subplots(figsize=(WIDTH, 4.8))
    for place, workload in enumerate(WORKLOADS):
        ours = rows[workload, "ours"]
        for i, side in enumerate(COMPARED):
            height, width = place + 0.27 * (i - 1), 0
            if (workload, side) in rows:
                width = rows[workload, side]["best"] / ours["best"]
            elif side not in live and side in published[workload]:
                width = published[workload][side] / (1e3 * ours["best"] * ours["peak"])
            axis.barh(height, width, 0.25, color=COLOURS[side], hatch="" if side in live else "////",
                      edgecolor="white", linewidth=0)
            axis.text(width + 0.12, height, f"{width:.1f}x" if width else f"{side} cannot train on a CPU",
                      va="center", fontsize=9, color="black" if width else "#666666", bbox=COVER)
    axis.plot([1, 1], [-0.5, len(WORKLOADS) - 0.5], color="black", linewidth=1, linestyle="--")
    axis.text(1, -0.62, "equal", ha="center", va="center", fontsize=9)
    axis.set_yticks(range(len(WORKLOADS)), WORKLOADS.values())
    axis.set_ylim(len(WORKLOADS) - 0.5, -0.75)
    axis.set_xlim(0, axis.get_xlim()[1] * 1.04)
    axis.set_xlabel("time of the library / time of spconv_cy")
    _plain(axis)
    _head(figure, "How many times faster spconv_cy is than other libraries on a CPU", made)
    handles = [pyplot.Rectangle((0, 0), 1, 1, facecolor=COLOURS[side], hatch="" if side in live else "////",
                                edgecolor="white", linewidth=0) for side in COMPARED]
    _legend(figure, handles, [_named(side, live) for side in COMPARED])
    _save(figure, record, 0.7)


def bars(made, record):
    """Draw each case's part of the sgemm peak, the goals and other libraries beside, into the record's name with .png.

    Of what a library cannot do on a CPU, the sheet's times are left out.

    Args:
        made: a record, a dict.
        record: its path.
    """
    isa = goals.isa_of(made)
    published = goals.published(isa)
    live = {row["side"] for row in made["rows"]}
    shown = [row for row in made["rows"] if row["side"] == "ours" and row.get("share")]
    if not shown:
        return
    pyplot = _pyplot()
    figure, axis = pyplot.subplots(figsize=(WIDTH, 1.5 + 0.3 * len(shown)))
    for place, row in enumerate(shown):
        axis.barh(place, row["share"], 0.7, color=COLOURS["ours"], label="spconv_cy")
        goal = goals.GOALS.get(goals.key(row), goals.Goal()).of("share", isa)
        if goal:
            axis.plot([goal] * 2, [place - 0.45, place + 0.45], color="black", linewidth=2, label="goal")
        others = {side: 1e3 * row["gflop"] / product for side, product in published.get(goals.key(row), {}).items()
                  if side not in live}
        others |= {other["side"]: other["share"] for other in made["rows"] if goals.key(other) == goals.key(row)
                   and other["side"] in COLOURS and other["side"] != "ours"}
        for side in COMPARED:
            if side in others and not (side in FORWARD_ONLY and row["verb"] in TRAINING):
                axis.plot(others[side], place, "o", color=COLOURS[side], markeredgecolor="white", markersize=7,
                          label=_named(side, live))
        axis.text(max(row["share"], goal or 0) + 0.015, place, f"{row['share']:.0%}", va="center", fontsize=9,
                  bbox=COVER)
    axis.axvline(1, color="black", linewidth=1, linestyle="--", label="sgemm")
    axis.set_yticks(range(len(shown)), [_title(row) for row in shown])
    axis.set_ylim(len(shown) - 0.4, -0.6)
    axis.set_xlim(0, 1.15)
    axis.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    axis.set_xlabel("multiply-adds a second, as a part of sgemm's")
    _plain(axis)
    _head(figure, "Rate of arithmetic beside numpy's dense product of two matrices (sgemm)", made)
    seen = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    _legend(figure, list(seen.values()), list(seen), columns=2)
    _save(figure, record, 1.05)


def curves(panels, record):
    """Draw panels of curves.

    Args:
        panels: list of dicts {"title", "x", "y", "lines": {name: (xs, ys)}, "log": "x", "xy" or ""}.
        record: path whose name, with .png, the picture gets.
    """
    pyplot = _pyplot()
    lines = -(-len(panels) // 2)
    figure, axes = pyplot.subplots(lines, 2, figsize=(WIDTH, 3 * lines), squeeze=False)
    for axis in axes.flat[len(panels):]:
        axis.remove()
    for axis, panel in zip(axes.flat, panels, strict=False):
        for name, (xs, ys) in panel["lines"].items():
            axis.plot(xs, ys, marker="o", label=name)
        axis.set_title(panel["title"], fontsize=11)
        axis.set_xlabel(panel["x"])
        axis.set_ylabel(panel["y"])
        if "x" in panel["log"]:
            axis.set_xscale("log", base=panel.get("base", 10))
        else:
            axis.set_xticks(sorted({x for xs, _ in panel["lines"].values() for x in xs}))
        if "y" in panel["log"]:
            axis.set_yscale("log")
        else:
            axis.set_ylim(0, 1.25 * max(max(ys) for _, ys in panel["lines"].values()))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=9)
    _save(figure, record)


def _named(side, live):
    """Return the name of a library in a legend."""
    return side if side in live else f"{side} (earlier run, scaled)"


def _title(row):
    return f"{CASES[row['case']].format(*row['params'])}: {VERBS[row['verb']]}"


def _plain(axis):
    """Leave out the frame's upper and right side; grid lines behind the marks."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="x", alpha=0.3)
    axis.set_axisbelow(True)


def _head(figure, title, made):
    """Write a title, and below it the machine."""
    machine = f"{made['machine']['processor']}, {made['machine']['threads']} threads, {goals.isa_of(made)}"
    inch = 1 / figure.get_figheight()
    figure.text(0.5, 1 - 0.08 * inch, title, ha="center", va="top", fontsize=12)
    figure.text(0.5, 1 - 0.3 * inch, machine, ha="center", va="top", fontsize=10)


def _legend(figure, handles, names, columns=3):
    """Put the legend below the title."""
    figure.legend(handles, names, loc="upper center", bbox_to_anchor=(0.5, 1 - 0.42 / figure.get_figheight()),
                  ncols=columns, frameon=False)


def _pyplot():
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    return pyplot


def _save(figure, record, head=0.0):
    """Write the picture of a record; its first `head` inches are for title and legend."""
    path = Path(record).with_suffix(".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout(rect=(0, 0, 1, 1 - head / figure.get_figheight()))
    figure.savefig(path, dpi=PIXELS)
    print(f"wrote {path}")


if __name__ == "__main__":
    _kind, _path = sys.argv[1:]
    {"faster": faster, "bars": bars}[_kind](json.loads(Path(_path).read_text()), _path)
