"""The cuda backend beside the CPU, beside gathering with cuBLAS on the same card, and spconv where it is installed.

    python benchmarks/bench_cuda.py [--rounds 5] [--channels 16 32 64 128 256] [--only Scan ...] [--record FILE]

prints milliseconds, GFLOP/s and how many times as fast as the CPU and as gathering each side is; every round times
all sides in turn. "forward" is a convolution, "backward" both of its gradients, "step" a training step with its rules.
Without a usable GPU it says what is missing and ends with status 2.
"""

import argparse
import json
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import workloads
from runner import processor

import spconv_cy as sp
from spconv_cy.backend.switch import ops_named, ops_of
from spconv_cy.errors import BackendError

SETTING = "SPCONV_CY_CUDA_CONVOLUTION"
SIDES = {  # name: backend, how it convolves, precision
    "cpu": ("cpu", "", "float32"),
    "gathered": ("cuda", "gathered", "float32"),
    "tiles": ("cuda", "tiles", "float32"),
    "tf32": ("cuda", "", "tf32"),
    "float16": ("cuda", "", "float16"),
}
BUSY = 0.25                                             # seconds of repeats that are enough for one side in one round
WRONG = {"float32": 1e-4, "tf32": 5e-3, "float16": 2e-2}               # of the largest number: told of, but timed


class Convolution:
    """A window over sites, c to o channels: the verbs alone, whose rulebook is there."""

    def __init__(self, sites, window, c, o):
        self.grid = sp.Grid.from_sites(sites)
        _, self.rulebook = self.grid.rules(window)
        rng = np.random.default_rng(1)
        self.w = workloads.weights(window.volume, c, o)
        self.x, self.dy = (rng.standard_normal((n, k), np.float32)
                           for n, k in ((self.rulebook.n_in, c), (self.rulebook.n_out, o)))
        once = 2e-9 * self.rulebook.n_pairs * c * o
        self.gflop = {"forward": once, "backward": 2 * once}

    def verbs(self, backend, precision):
        """Return {verb: function that gives an array} on a backend."""
        ops, book = ops_named(backend), self.rulebook
        x, dy, w = (ops.asarray(a) for a in (self.x, self.dy, self.w))
        if precision == "float16":
            x, dy = x.astype(np.float16), dy.astype(np.float16)

        def backward():
            ops.conv_dw(x, dy, book, precision=precision)
            return ops.conv(dy, w.swapaxes(1, 2), book.T, precision=precision)

        return {"forward": lambda: ops.conv(x, w, book, precision=precision), "backward": backward}


class Training:
    """A step of a network, its rules made each time."""

    def __init__(self, sites, channels, labels, net, loss_rows):
        self.sites, self.rows, self.labels = sites, workloads.features(sites, channels), labels
        self.net, self.loss_rows, self.gflop = net, loss_rows, {"step": None}

    def verbs(self, backend, precision):
        """Return {"step": function that gives the loss} on a backend."""
        with sp.use(backend):
            net = self.net()
        optimizer = sp.SGD(net.parameters(), 0.01, 0.9)

        def step():
            with sp.use(backend):
                x = sp.SparseTensor.from_sites(self.sites, self.rows, ground=None)
                loss = sp.softmax_cross_entropy(self.loss_rows(net(x)), self.labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss.data.reshape(1, 1)

        return {"step": step}


def cases(channels, small):
    """Yield (name, function that makes the case)."""
    scan = workloads.surface(100) if small else workloads.indoor_scan()
    submanifold = sp.sites.Window(3, 3, kind="submanifold")
    for c in channels:
        yield f"Scan({c})", lambda c=c: Convolution(scan, submanifold, c, c)
    yield "Down", lambda: Convolution(scan, sp.sites.Window(3, 2, 2), 32, 64)
    if not small:
        yield "Lidar", lambda: Convolution(workloads.lidar(), submanifold, 64, 64)
        yield "SpaceTime", lambda: Convolution(workloads.space_time(), sp.sites.Window(4, 3, kind="submanifold"), 32,
                                               32)
    classes = np.random.default_rng(3).integers(0, 20, len(scan))
    levels, width = (2, 4) if small else (4, 16)
    yield "UNet", lambda: Training(scan, 3, classes, lambda: sp.models.unet(levels, width, 3, 20, rng=0),
                                   lambda y: y.features)


@contextmanager
def set_to(how, precision):
    """Convolve in one way and precision."""
    before = os.environ.get(SETTING)
    os.environ[SETTING] = how
    try:
        with sp.precision(precision):
            yield
    finally:
        os.environ.pop(SETTING)
        if before is not None:
            os.environ[SETTING] = before


def timed(call, done, repeats):
    """Return the seconds of each of some calls, all of the GPU's work in them."""
    seconds = []
    for _ in range(repeats):
        done()
        start = time.perf_counter()
        call()
        done()
        seconds.append(time.perf_counter() - start)
    return seconds


def measure(name, case, rounds, say, peers=()):
    """Time every side of a case; return rows of a record."""
    wait, turns, truth = ops_named("cuda").xp.cuda.get_current_stream().synchronize, {}, {}
    for side, (backend, how, precision) in SIDES.items():
        try:
            with set_to(how, precision):
                verbs = case.verbs(backend, precision)
                for verb, call in verbs.items():
                    found = call()
                    found = ops_of(found).to_numpy(found).astype(np.float64)
                    expected = truth.setdefault(verb, found)
                    wrong = np.abs(found - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-30)
                    if not wrong <= WRONG[precision]:
                        say(f"{name}.{verb:24s} {side:>10s} WRONG by {wrong:.1%} of the largest number")
                    turns[verb, side] = (call, how, precision, wait if backend == "cuda" else lambda: None)
        except BackendError as error:                # such a card has no such tensor cores, or no such memory
            say(f"{name:30s} {side:>10s} {error}")
    for peer in peers:
        for verb, (call, done) in peer(case).items():
            turns[verb, "spconv"] = call, "", "float32", done
    seconds, repeats = {turn: [] for turn in turns}, dict.fromkeys(turns, 1)
    for _ in range(rounds):
        for turn, (call, how, precision, done) in turns.items():
            with set_to(how, precision):
                seconds[turn] += timed(call, done, repeats[turn])
            repeats[turn] = int(np.clip(BUSY / min(seconds[turn]), 1, 50))
    return [told(name, verb, side, case.gflop[verb], seconds, say) for verb, side in turns]


def told(name, verb, side, gflop, seconds, say):
    """Print a row and return it, with its ratios to the CPU and to gathering in this run."""
    best, median = min(seconds[verb, side]), float(np.median(seconds[verb, side]))
    ratios = {other: min(seconds[verb, other]) / best for other in ("cpu", "gathered") if (verb, other) in seconds}
    say(f"{name + '.' + verb:30s} {side:>10s} {1e3 * best:9.3f} ms {1e3 * median:9.3f} "
        + (f"{gflop / best:9.0f} GFLOP/s" if gflop else " " * 17)
        + "".join(f"  {ratio:7.2f} x {other}" for other, ratio in ratios.items()))
    return {"case": name, "verb": verb, "side": side, "best": best, "median": median, "gflop": gflop, "ratios": ratios,
            "repeats": len(seconds[verb, side])}


def spconv_peer():
    """Return the function that gives spconv's verbs of a case, or None where it cannot run on this GPU."""
    try:
        import spconv.pytorch as spconv
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None

    def verbs(case):
        if not isinstance(case, Convolution) or len(case.w) != 27:
            return {}
        c, o = case.w.shape[1:]
        layer = spconv.SubMConv3d(c, o, 3, bias=False, indice_key="a").cuda()
        sites = case.grid.sites - case.grid.sites.min(0)
        rows = torch.from_numpy(case.x).cuda().requires_grad_()
        x = spconv.SparseConvTensor(rows, torch.from_numpy(sites).cuda(), (sites[:, 1:].max(0) + 1).tolist(), 1)
        dy, y = torch.from_numpy(case.dy).cuda(), layer(x).features

        def forward():
            with torch.no_grad():
                layer(x)

        return {"forward": (forward, torch.cuda.synchronize),
                "backward": (lambda: torch.autograd.grad(y, [rows, *layer.parameters()], dy, retain_graph=True),
                             torch.cuda.synchronize)}

    return verbs


def card(cupy):
    """Return what names the GPU."""
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    name = properties["name"]
    return {"card": name.decode() if isinstance(name, bytes) else name, "cupy": cupy.__version__,
            "compute capability": cupy.cuda.Device().compute_capability,
            "driver": cupy.cuda.runtime.driverGetVersion()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--channels", type=int, nargs="+", default=[16, 32, 64, 128, 256])
    parser.add_argument("--only", nargs="+", help="names of cases: Scan, Down, Lidar, SpaceTime, UNet")
    parser.add_argument("--record", default="benchmarks/records/cuda.json", help="file for the record")
    parser.add_argument("--small", action="store_true", help="few sites: whether it runs, no figures worth having")
    options = parser.parse_args()
    try:
        cupy = ops_named("cuda").xp
    except BackendError as error:
        print(f"bench_cuda: {error}", file=sys.stderr)
        sys.exit(2)
    machine = card(cupy) | {"processor": processor(), "threads": sp.config.threads(), "date": time.strftime("%F %T"),
                            "spconv_cy": sp.__version__}
    print(", ".join(f"{what} {value}" for what, value in machine.items()))
    peer = spconv_peer()
    print("spconv: beside, float32" if peer else "spconv: not installed with a torch that finds this GPU")
    rows = []
    for name, make in cases(options.channels, options.small):
        if not options.only or name.split("(")[0] in options.only:
            rows += measure(name, make(), options.rounds, print, [peer] if peer else [])
    Path(options.record).parent.mkdir(parents=True, exist_ok=True)
    Path(options.record).write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    print(f"wrote {options.record}")


if __name__ == "__main__":
    main()
