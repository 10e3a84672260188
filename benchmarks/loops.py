"""Figures that are no plain times: overhead of a layer on few sites, peak memory, page faults of a steady loop."""

import ctypes
import functools
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import cases
import numpy as np
import workloads

import spconv_cy as sp

SMALL = ("Convolution", "SubmanifoldConvolution", "Deconvolution", "TransposedConvolution", "NetworkInNetwork",
         "MaxPooling", "AveragePooling", "SumPooling", "UnPooling", "GlobalPooling", "ReLU", "PReLU", "ELU", "SELU",
         "SiLU", "GELU", "Tanh", "Sigmoid", "Softmax", "BatchNormalization", "GroupNormalization",
         "LayerNormalization", "InstanceNormalization", "Dropout", "AddCoordinates")
# What they do besides their arithmetic is work of their own: they draw regions, choose sites, list pairs at each call.
ANEW = ("FractionalMaxPooling", "KeepTop", "Sparsify", "WindowAttention")
CHANNELS = 32


@functools.cache
def layers_of_100_sites():
    """Return {layer: microseconds of a call over those of its arithmetic}; the rules are there, nothing is recorded.

    The arithmetic is what the differentiable functions of arrays take that the layer calls; medians.
    """
    return _alone("small")


def _small(rounds=500):
    rng = np.random.default_rng(0)
    sites = np.unique(rng.integers(0, 12, (400, 3)), axis=0)[:100]
    sites = np.column_stack([np.zeros(100, int), sites])
    x = sp.SparseTensor.from_sites(sites, rng.standard_normal((100, CHANNELS), np.float32), 12, ground=None)
    coarse = kept = sp.Convolution(3, CHANNELS, CHANNELS, 2, 2, rng=0)(x)
    layers = {name: _small_layer(name).eval() for name in SMALL + ANEW}      # which loads their modules
    spent = [0.0]
    _time_functions(spent)
    found = {}
    for name, layer in layers.items():
        given = coarse if name in ("Deconvolution", "UnPooling") else x
        kept = layer(given)                             # its grid lives, and its rules with it
        times = np.empty(rounds)
        for i in range(rounds):
            spent[0], start = 0.0, time.perf_counter()
            layer(given)
            times[i] = time.perf_counter() - start - spent[0]
        found[name] = 1e6 * float(np.median(times[rounds // 10:]))
    del kept
    return found


def _small_layer(name):
    kind, c = getattr(sp.layers, name), CHANNELS
    if name in ("Convolution", "Deconvolution", "TransposedConvolution"):
        return kind(3, c, c, 2, 2, rng=0)
    if name in ("MaxPooling", "AveragePooling", "SumPooling", "UnPooling"):
        return kind(3, 2)
    others = {"SubmanifoldConvolution": (3, c, c), "NetworkInNetwork": (c, c), "FractionalMaxPooling": (3, 1.5),
              "PReLU": (c,), "BatchNormalization": (c,), "GroupNormalization": (4, c), "LayerNormalization": (c,),
              "InstanceNormalization": (c,), "AddCoordinates": (3,), "KeepTop": (c, 50), "Sparsify": (c,),
              "WindowAttention": (3, c, 4, 4)}
    return kind(*others.get(name, ()), **({"size_rule": "nearest"} if name == "FractionalMaxPooling" else {}))


def _time_functions(spent):
    """Put a stopwatch around the inside of every differentiable function: spent[0] grows by what the outermost take."""
    inside = []

    def timed(function):
        def call(*arguments, **options):
            start = time.perf_counter()
            inside.append(function)
            try:
                return function(*arguments, **options)
            finally:
                inside.pop()
                if not inside:
                    spent[0] += time.perf_counter() - start
        return call

    made, recorded = {}, sp.differentiable(lambda x: (x, None)).__code__   # every differentiable function has this code
    for module in [m for name, m in sys.modules.items() if name.startswith("spconv_cy.")]:
        for name, value in list(vars(module).items()):
            if getattr(value, "__code__", None) is recorded and value.__module__.startswith("spconv_cy.functional"):
                made.setdefault(value, sp.differentiable(timed(value.__wrapped__)))
                setattr(module, name, made[value])


def peak_beyond(what):
    """Return megabytes at the peak beyond what the process had before.

    "forward": of a layer of 32 channels on the scan, less the copy of its rows, the rulebook and the output;
    "unet": of a training step.
    """
    return _alone(what)["MB"]


@functools.cache
def faults_a_step():
    """Return {"faults": page faults a step, "growth": of the peak of resident memory in MB}, after a tenth step."""
    return _alone("loop")


def _alone(what):
    answer = subprocess.run([sys.executable, __file__, what, str(sp.config.threads())], check=True, capture_output=True)
    return json.loads(answer.stdout)


def _status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def peak_of(call):
    """Return MB of resident memory at the peak of a call beyond what there was, and what it returned."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)                # what is free goes back, and would not count otherwise
    Path("/proc/self/clear_refs").write_text("5")       # the peak begins anew
    before = _status("VmRSS")
    kept = call()
    return _status("VmHWM") - before, kept


def _forward():
    sites = workloads.indoor_scan()
    rows = workloads.features(sites, CHANNELS)
    layer = sp.SubmanifoldConvolution(3, CHANNELS, CHANNELS, 3, bias=False, rng=0).eval()
    # The code is in memory then, and so are the threads' stacks; no pass over the scan has left memory behind.
    layer(sp.SparseTensor.from_sites(sites[:1000], rows[:1000], ground=None))

    def run():
        x = sp.SparseTensor.from_sites(sites, rows, ground=None)
        return x, layer(x)

    peak, (x, y) = peak_of(run)
    book = x.grid.rules(layer.window)[1]
    kept = (x.features.data, y.features.data, book.in_rows, book.out_rows, book.offset_ptr, book.tile_ptr)
    return {"MB": peak - sum(array.nbytes for array in kept) / 2**20}


def _unet():
    step = cases.UNet()
    step.begin()
    small = sp.SparseTensor.from_sites(step.sites[:500], step.rows[:500], cases.SCAN_SIZE, ground=None)
    step.net.train()
    sp.softmax_cross_entropy(step.net(small).features, step.labels[:500]).backward()
    step.optimizer.zero_grad()
    return {"MB": peak_of(step.time_training_step)[0]}


def _loop(steps=300, warm=10):
    glyphs = cases.Glyphs()
    glyphs.setup()
    for _ in range(warm):
        glyphs.time_training_step()
    faults, size = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, _status("VmHWM")
    for _ in range(steps):
        glyphs.time_training_step()
    return {"faults": (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults) / steps,
            "growth": _status("VmHWM") - size}


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(__file__))
    sp.set_threads(int(sys.argv[2]))
    what = {"forward": _forward, "loop": _loop, "small": _small, "unet": _unet}[sys.argv[1]]
    print(json.dumps(what(*map(int, sys.argv[3:]))))
