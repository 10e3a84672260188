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
from spconv_cy.backend.switch import ops_named
from spconv_cy.sites.rulebook import Rulebook

SMALL = ("submanifold", "convolution", "network_in_network", "max_pooling", "relu", "batch_normalization",
         "deconvolution")
CHANNELS = 32


def layers_of_100_sites(rounds=2000):
    """Return {layer: microseconds of a call over those of its arithmetic}; the rules are there, nothing is recorded.

    The arithmetic is the verb of the backend on the same arrays, or numpy where a layer needs no verb. Each round takes
    the two in turn; medians.
    """
    rng = np.random.default_rng(0)
    sites = np.unique(rng.integers(0, 12, (400, 3)), axis=0)[:100]
    sites = np.column_stack([np.zeros(100, int), sites])
    x = sp.SparseTensor.from_sites(sites, rng.standard_normal((100, CHANNELS), np.float32), 12, ground=None)
    ops, rows = ops_named("cpu"), x.features.data
    layers = {"submanifold": sp.SubmanifoldConvolution(3, CHANNELS, CHANNELS, 3, rng=0),
              "convolution": sp.Convolution(3, CHANNELS, CHANNELS, 2, 2, rng=0),
              "network_in_network": sp.NetworkInNetwork(CHANNELS, CHANNELS, rng=0),
              "max_pooling": sp.MaxPooling(3, 2), "relu": sp.ReLU(),
              "batch_normalization": sp.BatchNormalization(CHANNELS),
              "deconvolution": sp.Deconvolution(3, CHANNELS, CHANNELS, 2, 2, rng=0)}
    net = sp.Sequential(*layers.values()).eval()
    coarse = layers["convolution"](x)
    book = {name: x.grid.rules(layers[name].window)[1] for name in ("submanifold", "convolution", "max_pooling")}
    book["network_in_network"], book["deconvolution"] = Rulebook.identity(100), book["convolution"].T
    scale, shift = rng.standard_normal((2, 1, CHANNELS), np.float32)
    plain = {"max_pooling": lambda: ops.max_pool(rows, book["max_pooling"], None),
             "relu": lambda: np.maximum(rows, 0), "batch_normalization": lambda: rows * scale + shift}
    for name in ("submanifold", "convolution", "network_in_network", "deconvolution"):
        layer, given = layers[name], coarse.features.data if name == "deconvolution" else rows
        plain[name] = functools.partial(ops.conv, given, layer.weight.data, book[name], bias=layer.bias.data)
    assert len(net) == len(SMALL)
    given = dict.fromkeys(SMALL, x) | {"deconvolution": coarse}
    return {name: _over(functools.partial(layers[name], given[name]), plain[name], rounds) for name in SMALL}


def _over(call, plain, rounds):
    times = np.empty((rounds, 2))
    for row in times:
        for i, function in enumerate((call, plain)):
            start = time.perf_counter()
            function()
            row[i] = time.perf_counter() - start
    return 1e6 * float(np.subtract(*np.median(times[rounds // 10:], axis=0)))


def peak_beyond(what):
    """Return megabytes at the peak beyond what the process had before.

    "forward": of a layer of 32 channels on the scan, the rulebook and the output taken off; "unet": of a training step.
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
        return x.grid, layer(x)

    peak, (grid, y) = peak_of(run)
    rulebook = grid.rules(layer.window)[1]
    kept = sum(a.nbytes for a in {id(v): v for v in vars(rulebook).values() if isinstance(v, np.ndarray)}.values())
    return {"MB": peak - (kept + y.features.data.nbytes) / 2**20}


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
    print(json.dumps({"forward": _forward, "unet": _unet, "loop": _loop}[sys.argv[1]](*map(int, sys.argv[3:]))))
