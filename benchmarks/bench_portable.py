"""The portable kernels beside the processor's peak of four-wide multiply and add, one thread: needs a C++ compiler.

    python benchmarks/bench_portable.py [--rounds 7]

The peak is that of a loop of 13 independent sums a = a + b * c in vectors of 4 floats, with the flags of the portable
kernels: two instructions each where the processor's base set has no fused one (SSE2). x86-64 and gcc or clang only.
Peak and kernels take turns.
"""

import argparse
import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import workloads

CHAINS, STEPS = 13, 2_000_000
TERM = '{ vec t = x; asm volatile("" : "+x"(t)); NAME = NAME + t * y; }'   # else the product would leave the loop
LOOP = """
typedef float vec __attribute__((vector_size(16)));
extern "C" float chains(long steps, float b, float c) {
    vec x = {b, b, b, b}, y = {c, c, c, c}, BEGIN;
    for (long s = 0; s < steps; ++s) { STEP }
    vec sum = SUM;
    return sum[0] + sum[1] + sum[2] + sum[3];
}
"""


def loop_source():
    """Return the loop in C++, each chain in a variable of its own: an array would lie in memory."""
    names = [f"a{i}" for i in range(CHAINS)]
    return (LOOP.replace("BEGIN", ", ".join(f"{name} = {{1, 2, 3, {i}}}" for i, name in enumerate(names)))
            .replace("STEP", " ".join(TERM.replace("NAME", name) for name in names)).replace("SUM", " + ".join(names)))


def chains():
    """Return the compiled loop."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        raise SystemExit("bench_portable: expected a C++ compiler, got none; set CXX")
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "chains.cpp"), Path(folder, "chains.so")
        source.write_text(loop_source())
        subprocess.run([compiler, "-O3", "-std=c++17", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
        function = ctypes.CDLL(str(library)).chains
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_long, ctypes.c_float, ctypes.c_float]
    return function


def seconds(call):
    """Return what a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    os.environ["SPCONV_CY_ISA"] = "portable"                             # read at the import
    import spconv_cy as sp
    from spconv_cy.backend.switch import ops_named

    sp.set_threads(1)
    ops, loop, sites = ops_named("cpu"), chains(), workloads.indoor_scan()[:20_000]
    book = sp.Grid.from_sites(sites).rules(sp.sites.Window(3, 3, kind="submanifold"))[1]
    gflop, work, best = {"peak": 8e-9 * CHAINS * STEPS}, {"peak": lambda: loop(STEPS, 0.5, 1.0)}, {}
    for c in (16, 32, 64, 128):
        x, dy = workloads.features(sites, c), workloads.features(sites, c)
        w = workloads.features(range(27 * c), c).reshape(27, c, c)
        work[f"forward {c}"] = lambda x=x, w=w: ops.conv(x, w, book)
        work[f"weight gradient {c}"] = lambda x=x, dy=dy: ops.conv_dw(x, dy, book)
        gflop[f"forward {c}"] = gflop[f"weight gradient {c}"] = 2e-9 * book.n_pairs * c * c
    for _ in range(rounds):
        for name, call in work.items():
            best[name] = min(best.get(name, 1e9), seconds(call))
    rate = {name: gflop[name] / best[name] for name in work}
    for name, found in rate.items():
        print(f"{name:20s} {found:6.1f} GFLOP/s {found / rate['peak']:6.1%}")


if __name__ == "__main__":
    main()
