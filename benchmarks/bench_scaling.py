"""How cost grows: over sites, the scale of glyphs, channels, dimension and threads; curves, figures and exponents.

    python benchmarks/bench_scaling.py [--most 10000000] [--only sites scale channels dimension threads]

The cases are classes as in bench_net.py; `python benchmarks/bench_scaling.py` times them and draws them.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import picture
import workloads
from bench_net import set_threads, versions  # noqa: F401  a worker asks this module for them
from loops import peak_of
from runner import Run, Worker

import spconv_cy as sp

SITES = (10_000, 100_000, 1_000_000, 10_000_000)
SCALES = (32, 64, 128, 256, 512, 1024)
CHANNELS = (1, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512)
DIMENSIONS = (2, 3, 4, 5)
FLAT, EXPONENT, SPEED_UP = 1.5, 1.1, 1.8                # what is asked: at most, at most, at least


class Surface:
    """A submanifold convolution of size 3 on a wavy surface of about n sites in d dimensions."""

    def setup(self, n, channels, d):
        self.sites = workloads.surface(n, d)
        self.rows = workloads.features(self.sites, channels)
        self.layer = sp.SubmanifoldConvolution(d, channels, channels, 3, bias=False, rng=0).eval()
        self.x = sp.SparseTensor.from_sites(self.sites, self.rows, ground=None)
        self.layer(self.x)
        rulebook = self.x.grid.rules(self.layer.window)[1]
        self.gflop = {"forward": 2e-9 * rulebook.n_pairs * channels**2, "rules": None}
        self.pairs = rulebook.n_pairs

    def time_forward(self, *_):
        self.layer(self.x)

    def time_rules(self, *_):
        return sp.Grid.from_sites(self.sites).rules(self.layer.window)[1].tile_ptr

    def track_sites(self, *_):
        return len(self.sites)

    def track_pairs(self, *_):
        return self.pairs


class Memory:
    """The same, sites in and features out, for the first time in this process: its peak beyond sites and features."""

    def setup(self, n, channels, d):
        self.sites = workloads.surface(n, d)
        self.rows = workloads.features(self.sites, channels)
        self.layer = sp.SubmanifoldConvolution(d, channels, channels, 3, bias=False, rng=0).eval()
        self.layer(sp.SparseTensor.from_sites(self.sites[:1000], self.rows[:1000], ground=None))

    def track_bytes_a_site(self, *_):
        peak, _ = peak_of(lambda: self.layer(sp.SparseTensor.from_sites(self.sites, self.rows, ground=None)))
        return peak * 2**20 / len(self.sites)


class Scale:
    """The convolutions of a DeepCNet(5, 30) with a global head, on 20 glyphs in a field of 3 times their scale."""

    def setup(self, scale):
        self.net = sp.models.deepcnet(5, 30, 3, rng=0)
        field = 3 * scale                               # as a DeepCNet(l, k) has it at its own scale 2^l
        self.sites, self.field = workloads.glyphs(batch=20, scale=scale, field=field), field
        self.rows = workloads.features(self.sites, 3)
        self.labels = np.arange(20) % 10
        x = sp.SparseTensor.from_sites(self.sites, self.rows, field, 20)
        summary = self.net.summary(x)
        self.multiply_adds = summary.pair_multiply_adds, summary.dense_multiply_adds
        self.gflop = {"training_step": 6e-9 * self.multiply_adds[0]}

    def time_training_step(self, *_):
        x = sp.SparseTensor.from_sites(self.sites, self.rows, self.field, 20)
        sp.softmax_cross_entropy(self.net(x), self.labels).backward()
        for parameter in self.net.parameters():
            parameter.grad = None

    def track_multiply_adds(self, *_):
        return self.multiply_adds[0]

    def track_dense_multiply_adds(self, *_):
        return self.multiply_adds[1]


def over_sites(run, options):
    sizes = [n for n in SITES if n <= options.most]
    for n in sizes:
        run.measure("Surface", (n, 32, 3), options.rounds if n < 10**6 else 2)
        run.track("Surface", (n, 32, 3))
        run.track("Memory", (n, 32, 3), anew=True)
    n = [_figure(run, "Surface", (n, 32, 3), "sites") for n in sizes]
    pairs = [_figure(run, "Surface", (n, 32, 3), "pairs") for n in sizes]
    forward, rules = ([_best(run, "Surface", (n, 32, 3), verb) for n in sizes] for verb in ("forward", "rules"))
    a_pair = [1e9 * t / p for t, p in zip(forward, pairs, strict=True)]
    memory = [_figure(run, "Memory", (n, 32, 3), "bytes_a_site") for n in sizes]
    run.judge("time a pair, forward, largest over smallest", max(a_pair) / min(a_pair), FLAT)
    run.judge("bytes a site, largest over smallest", max(memory) / min(memory), FLAT)
    rules_a_pair = [1e9 * t / p for t, p in zip(rules, pairs, strict=True)]
    return [{"title": "Time a pair, 3$^3$ window, 32 channels", "x": "active sites", "y": "ns a pair", "log": "x",
             "lines": {"forward": (n, a_pair), "rules": (n, rules_a_pair)}},
            {"title": "Memory of rules and output, 32 channels", "x": "active sites",
             "y": "bytes a site", "log": "x",
             "lines": {"at the peak": (n, memory)}}]


def over_scale(run, options):
    for scale in SCALES:
        run.measure("Scale", (scale,), options.rounds)
        run.track("Scale", (scale,))
    seconds = [_best(run, "Scale", (scale,), "training_step") for scale in SCALES]
    work = [_figure(run, "Scale", (scale,), "multiply_adds") for scale in SCALES]
    dense = [_figure(run, "Scale", (scale,), "dense_multiply_adds") for scale in SCALES]
    slope = {name: np.polyfit(np.log(SCALES), np.log(values), 1)[0]
             for name, values in (("training step", seconds), ("multiply-adds", work), ("dense", dense))}
    run.judge("exponent of the training step over the scale", slope["training step"], EXPONENT)
    run.say(f"exponent of its multiply-adds {slope['multiply-adds']:.2f}: at small scales strokes share the windows of "
            f"the coarse levels; of the dense ones {slope['dense']:.2f}")
    return [{"title": "Training step, DeepCNet(5, 30), 20 glyphs", "x": "scale of the glyphs, sites",
             "y": "seconds", "log": "xy", "base": 2,
             "lines": {"sparse": (SCALES, seconds)}},
            {"title": "Arithmetic of its forward pass", "x": "scale of the glyphs, sites",
             "y": "multiply-adds", "log": "xy", "base": 2,
             "lines": {"sparse": (SCALES, work), "dense": (SCALES, dense)}}]


def over_channels(run, options):
    for c in CHANNELS:
        run.measure("Surface", (100_000, c, 3), options.rounds if c < 128 else 2, only=["forward"])
    share = [_row(run, "Surface", (100_000, c, 3), "forward")["share"] for c in CHANNELS]
    return [{"title": "Rate of a convolution of 100,000 sites", "x": "channels in and out",
             "y": "part of the rate of sgemm", "log": "x", "base": 2,
             "lines": {"forward": (CHANNELS, share)}}]


def over_dimension(run, options):
    for d in DIMENSIONS:
        run.measure("Surface", (50_000, 32, d), options.rounds)
        run.track("Surface", (50_000, 32, d))
    lines = {}
    for verb in ("forward", "rules"):
        pairs = [_figure(run, "Surface", (50_000, 32, d), "pairs") for d in DIMENSIONS]
        seconds = [_best(run, "Surface", (50_000, 32, d), verb) for d in DIMENSIONS]
        lines[verb] = DIMENSIONS, [1e9 * t / p for t, p in zip(seconds, pairs, strict=True)]
    return [{"title": "Time a pair, windows of 3$^d$, 32 channels", "x": "dimension d", "y": "ns a pair", "log": "",
             "lines": lines}]


def over_threads(run, options):
    if not isinstance(run, Kept):
        sides = [Worker(f"{n} threads", "bench_net", threads=n) for n in range(1, options.threads + 1)]
        alone = Run(sides, options.threads)
        for case, params in (("Scan", (32,)), ("UNet", ()), ("Glyphs", ())):
            alone.measure(case, params, options.rounds, check=False)
        alone.close()
        run.rows += alone.rows
    lines = {}
    for row in run.rows:
        if row["side"] != "ours":
            lines.setdefault(f"{NAMES[row['case']]}, {row['verb'].replace('_', ' ')}", []).append(row["best"])
    most = max(map(len, lines.values()))
    for name, seconds in lines.items():
        run.judge(f"{most} threads over one, {name}", seconds[0] / seconds[-1], SPEED_UP, at_least=True)
    return [{"title": "Speed-up by threads", "x": "threads", "y": "times faster than one thread", "log": "",
             "lines": {name: (list(range(1, most + 1)), [seconds[0] / s for s in seconds])
                       for name, seconds in lines.items()}}]


class Kept:
    """A run that was recorded, from which the picture is drawn again: it measures and judges nothing."""

    def __init__(self, record):
        self.rows, self.figures = record["rows"], record["figures"]

    def measure(self, *_, **__):
        """Measure nothing: the rows are there."""

    track = judge = say = measure


NAMES = {"Scan": "scan", "UNet": "U-Net", "Glyphs": "glyphs"}
AXES = {"sites": over_sites, "scale": over_scale, "channels": over_channels, "dimension": over_dimension,
        "threads": over_threads}


def _row(run, case, params, verb):
    return next(r for r in run.rows[::-1] if (r["case"], tuple(r["params"]), r["verb"]) == (case, params, verb))


def _best(run, case, params, verb):
    """Return seconds at the best peak of the run: what else the machine did then slowed the peak as well."""
    row = _row(run, case, params, verb)
    return row["best"] * row["peak"] / max(other["peak"] for other in run.rows if other["side"] == "ours")


def _figure(run, case, params, name):
    return next(f["value"] for f in run.figures if (f["case"], tuple(f["params"]), f["name"]) == (case, params, name))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--most", type=int, default=10**7, help="sites of the largest set; 10^7 take 5 GB")
    parser.add_argument("--only", nargs="+", choices=AXES, default=list(AXES))
    parser.add_argument("--record", default="benchmarks/records/scaling.json")
    parser.add_argument("--redraw", action="store_true", help="draw the picture of the record again; measure nothing")
    options = parser.parse_args()
    if options.redraw:
        kept = Kept(json.loads(Path(options.record).read_text()))
        panels = [panel for axis in options.only for panel in AXES[axis](kept, options)]
        return picture.curves(panels, options.record)
    run = Run([Worker("ours", "bench_scaling", threads=options.threads)], options.threads)
    panels = []
    for axis in options.only:
        panels += AXES[axis](run, options)
    run.close()
    run.save(options.record)
    picture.curves(panels, options.record)


if __name__ == "__main__":
    main()
