"""How cost grows: over sites, the scale of glyphs, channels, dimension and threads; curves, figures and exponents.

    python benchmarks/bench_scaling.py [--most 10000000] [--only sites scale channels dimension threads]

The cases are classes as in bench_net.py; `python benchmarks/bench_scaling.py` times them and draws them.
"""

import argparse

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
    return [{"title": "time a pair, 32 channels", "x": "sites", "y": "ns", "log": "x",
             "lines": {"forward": (n, a_pair), "rules": (n, rules_a_pair)}},
            {"title": "memory a site: rules and output, 32 channels", "x": "sites", "y": "bytes", "log": "x",
             "lines": {"peak": (n, memory)}}]


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
    return [{"title": "DeepCNet(5, 30), 20 glyphs: training step", "x": "scale", "y": "s", "log": "xy", "base": 2,
             "lines": {"sparse": (SCALES, seconds)}},
            {"title": "its multiply-adds", "x": "scale", "y": "", "log": "xy", "base": 2,
             "lines": {"sparse": (SCALES, work), "dense": (SCALES, dense)}}]


def over_channels(run, options):
    for c in CHANNELS:
        run.measure("Surface", (100_000, c, 3), options.rounds if c < 128 else 2, only=["forward"])
    share = [_row(run, "Surface", (100_000, c, 3), "forward")["share"] for c in CHANNELS]
    return [{"title": "part of the sgemm peak, 100,000 sites", "x": "channels", "y": "", "log": "x", "base": 2,
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
    return [{"title": "time a pair, windows of 3^d, 32 channels", "x": "dimension", "y": "ns", "log": "",
             "lines": lines}]


def over_threads(_, options):
    most = options.threads
    sides = {n: Worker(f"{n} threads", "bench_net", threads=n) for n in range(1, most + 1)}
    run = Run(list(sides.values()), most)
    for case, params in (("Scan", (32,)), ("UNet", ()), ("Glyphs", ())):
        run.measure(case, params, options.rounds, check=False)
    run.close()
    lines = {}
    for row in run.rows:
        lines.setdefault(f"{row['case']} {row['verb']}", []).append(row["best"])
    for name, seconds in lines.items():
        run.judge(f"{most} threads over one, {name}", seconds[0] / seconds[-1], SPEED_UP, at_least=True)
    return [{"title": "speed-up", "x": "threads", "y": "", "log": "",
             "lines": {name: (list(sides), [seconds[0] / s for s in seconds]) for name, seconds in lines.items()}}], run


AXES = {"sites": over_sites, "scale": over_scale, "channels": over_channels, "dimension": over_dimension,
        "threads": over_threads}


def _row(run, case, params, verb):
    return next(r for r in run.rows[::-1] if (r["case"], tuple(r["params"]), r["verb"]) == (case, params, verb))


def _best(run, case, params, verb):
    """Return seconds at the best peak of the run: what else the machine did then slowed the peak as well."""
    row = _row(run, case, params, verb)
    return row["best"] * row["peak"] / max(other["peak"] for other in run.rows)


def _figure(run, case, params, name):
    return next(f["value"] for f in run.figures if (f["case"], tuple(f["params"]), f["name"]) == (case, params, name))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--most", type=int, default=10**7, help="sites of the largest set; 10^7 take 5 GB")
    parser.add_argument("--only", nargs="+", choices=AXES, default=list(AXES))
    parser.add_argument("--record", default="benchmarks/records/scaling.json")
    options = parser.parse_args()
    run = Run([Worker("ours", "bench_scaling", threads=options.threads)], options.threads)
    panels = []
    for axis in options.only:
        found = AXES[axis](run, options)
        if axis == "threads":
            found, other = found
            run.rows += other.rows
            run.verdicts += other.verdicts
        panels += found
    run.close()
    run.save(options.record)
    picture.curves(panels, options.record)


if __name__ == "__main__":
    main()
