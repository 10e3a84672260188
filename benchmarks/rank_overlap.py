"""How much of the sums of gradients goes on while backward computes: bench_ranks.py --overlap."""

import time

import numpy as np
import workloads

import spconv_cy as sp

LEVELS, SITES, STEPS = [64, 128, 192, 256], 2500, 8
SIZES = 2**30, 2**22, 2**20, 2**18


def task(bucket):
    """Return figures of rank 0 with buckets of so many bytes, medians of the steps, and the trace of the last step."""
    ranks = sp.distributed.world()
    sp.set_threads(1)
    sites = workloads.part(SITES * ranks.size)[ranks.rank * SITES:(ranks.rank + 1) * SITES]
    rng = np.random.default_rng(0)
    x = sp.SparseTensor.from_sites(sites, rng.standard_normal((SITES, 3)).astype(np.float32), ground=None)
    labels = rng.integers(0, 20, SITES)
    net = sp.models.unet(len(LEVELS), LEVELS, 3, 20, rng=0)
    optimizer = sp.distributed.Averaged(sp.SGD(net.parameters(), 0.01), bucket=int(bucket))
    rows = []
    for _ in range(STEPS):
        loss = sp.softmax_cross_entropy(net(x).features, labels)
        ranks.sum(np.zeros(1))                                           # all begin together
        began = time.perf_counter()
        with optimizer.overlapping():
            loss.backward()
        middle = time.perf_counter()
        optimizer.step()
        optimizer.zero_grad()
        rows.append(_figures(optimizer.trace, began, middle))
    names = "buckets", "started", "summed", "backward", "waited", "inside"
    return {**dict(zip(names, np.median(rows[1:], 0).tolist(), strict=True)),
            "trace": [(event, number, round(1e3 * (at - began), 1)) for event, number, at in optimizer.trace],
            "megabytes": sum(parameter.data.nbytes for parameter in net.parameters()) / 1e6}


def _figures(trace, began, middle):
    """Return the number of buckets, those started and summed in the backward pass, its seconds, those of the sums after
    it, and the part of all sums' time that lies in it.
    """
    times = {(event, number): at for event, number, at in trace}
    starts, ends = ({number: at for (event, number), at in times.items() if event == name}
                    for name in ("started", "summed"))
    inside = sum(max(0.0, min(end, middle) - starts[i]) for i, end in ends.items())
    whole = sum(end - starts[i] for i, end in ends.items())
    return (len(ends), sum(at < middle for at in starts.values()), sum(at < middle for at in ends.values()),
            middle - began, max(ends.values()) - middle, inside / whole)


def report(run):
    """Return lines of Markdown.

    Args:
        run: function of the bytes of a bucket that returns what `task` returns.
    """
    lines = ["| buckets of | buckets | started in backward | summed in it | backward | sums after | sums' time in it |",
             "|---|---|---|---|---|---|---|"]
    for size in SIZES:
        found = run(size)
        if size == 2**20:
            kept = found
        named = "all" if size == max(SIZES) else f"{size / 2**20:g} MB"
        lines.append(f"| {named} | {found['buckets']:.0f} | {found['started']:.0f} | {found['summed']:.0f} | "
                     f"{1e3 * found['backward']:.1f} ms | {1e3 * found['waited']:.1f} ms | "
                     f"{100 * found['inside']:.0f} % |")
    return [f"U-Net of {kept['megabytes']:.1f} MB of weights, {SITES:,} sites a rank", "", *lines, "",
            "a step with buckets of 1 MB, ms after backward began: "
            + ", ".join(f"{event} {number} {at}" for event, number, at in kept["trace"])]
