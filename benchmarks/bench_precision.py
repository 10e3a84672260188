"""Whole frozen networks in float32, bfloat16 and int8, by every set of kernels of this processor, in turns.

    python benchmarks/bench_precision.py [--only minkunet] [--rounds 7] [--threads 1]
    SPCONV_CY_ISA=avx2 python benchmarks/bench_precision.py        float32 by AVX2, against the sets that come with it

Rules are kept. Weights are drawn from normal distributions with the spread of the networks' own, since they are not
trained; the time depends on their spread only with int8 on plain AVX2. Memory is that of the weights and what
`frozen.memory` tells of a call.
"""

import argparse
import time
import warnings

import numpy as np
import scenes

import spconv_cy as sp
from spconv_cy import config
from spconv_cy._core import isa
from spconv_cy.compiled import small

WITHIN_AVX2 = ("avxvnni", "avx2", "portable")


def inputs(name):
    """Return (network, canonical sites, size, channels)."""
    sites = scenes.street()[0]
    if name == "minkunet":
        return sp.models.minkunet("14A", 3, 20, rng=0), sites, None, 3
    if name == "unet":
        return sp.models.unet(2, 64, 3, 20, rng=0), sites, 1024, 3
    return sp.models.voxel_backbone_8x(rng=0), *scenes.lidar(), 4


NAMES = {"minkunet": "MinkUNet14A, a lidar's street", "unet": "U-Net of 64 and 128 channels, the same sites",
         "second": "SECOND, a lidar's sweep"}


def made(name):
    """Return {what: frozen network} and an input."""
    net, sites, size, channels = inputs(name)
    rng = np.random.default_rng(0)
    for parameter in net.parameters():
        if parameter.data.ndim > 2:
            parameter.data[...] = rng.normal(0, parameter.data.std(), parameter.data.shape)
    x = sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), channels)), size, ground=None)
    with sp.no_grad():
        net(x)                                                          # the statistics of its norms
    nets = {"float32": sp.freeze(net)}
    for precision in ("bfloat16", "int8"):
        for kernels in small.sets(precision):
            if kernels != "portable" and (isa() != "avx2" or kernels in WITHIN_AVX2):
                small.select(kernels)
                nets[f"{precision} {kernels}"] = sp.freeze(net, precision=precision, calibrate=[x])
    small.select(None)
    return nets, x


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    print(f"{isa()}, {options.threads} threads, least of {options.rounds} rounds\n")
    print("| network | numbers, kernels | ms | over float32 | MB of weights | MB of a call | differs by |")
    print("|---|---|---|---|---|---|---|")
    for name in options.only:
        nets, x = made(name)
        least, found = dict.fromkeys(nets, np.inf), {what: net(x) for what, net in nets.items()}
        with config.thread_limit(options.threads):
            for _ in range(options.rounds):
                for what, net in nets.items():
                    began = time.perf_counter()
                    net(x)
                    least[what] = min(least[what], time.perf_counter() - began)
        exact = found["float32"].features.data
        for what, net in nets.items():
            away = np.linalg.norm(found[what].features.data - exact) / np.linalg.norm(exact)
            print(f"| {NAMES[name]}, {x.grid.n:,} sites | {what} | {1e3 * least[what]:.1f} | "
                  f"{least['float32'] / least[what]:.2f} | {net.weight_bytes() / 1e6:.1f} | "
                  f"{net.memory(x) / 1e6:.1f} | {away:.2%} |", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("error")
    main()
