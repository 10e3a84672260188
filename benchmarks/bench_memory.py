"""Memory of frozen networks: the bound that is told before a call beside what the call takes, in random runs.

    python benchmarks/bench_memory.py [--runs 1000] [--seed 0] [--most 50000]

Each run draws a network of `sp.models`, or a chain of layers, with random widths, in float32 or bfloat16; and sites:
from none to --most, dense or scattered, one to three samples, a bounded field or none, with a ground state or without.
It runs on one to eight threads, after nothing, or after a frame of other sites whose rulebooks are kept and, where few
sites differ, updated. "Taken" is the most memory in use while rulebooks are found and while the network runs, over that
before: arrays of the library, Python's objects and numpy's arrays. Printed are the runs that took more than told, and
the largest bounds over what was taken.
"""

import argparse
import functools
import sys
import tracemalloc
from collections import Counter
from unittest import mock

import numpy as np

import spconv_cy as sp
from spconv_cy.compiled import memory
from spconv_cy.deploy.rules import Rules, rules_bytes

MEGABYTE = 2**20                        # below it Python's objects weigh more than rows
MOST = 1.2                              # told over taken, from a megabyte up
FINDING = ((sp.Grid, "rules"), (sp.Grid, "rules_to"), (Rules, "_follow"))   # what finds one rulebook


def unet(rng):
    d = int(rng.integers(2, 4))
    levels, reps = int(rng.integers(2, 5)), int(rng.integers(1, 3))
    return sp.models.unet(levels, width(rng), channels(rng), 5, d=d, reps=reps, rng=rng), d, None, False


def uresnet(rng):
    return sp.models.uresnet(filters=width(rng), rng=rng), 3, field(rng), False


def minkunet(rng):
    return sp.models.minkunet("14A", 3, 7, width=float(rng.choice([0.125, 0.25, 0.5])), rng=rng), 3, None, False


def spunet(rng):
    c = width(rng)
    net = sp.models.spunet(3, 7, base=c, channels=(c, 2 * c, 2 * c, c), repeats=(1, 2, 1, 1), rng=rng)
    return net, 3, field(rng), False


def second(rng):
    return sp.models.voxel_backbone_8x(rng=rng), 3, (41, *(field(rng),) * 2), False


def resnet(rng):
    c = width(rng)
    return sp.models.resnet([(c, 2, 1), (2 * c, 2, 2)], c, rng=rng), 2, 127, False


def deepcnet(rng):
    levels = int(rng.integers(2, 5))
    return sp.models.deepcnet(levels, width(rng), channels(rng), 10, rng=rng), 2, 3 * 2**levels, True


def fcgf(rng):
    c = width(rng)
    return sp.models.fcgf(channels=(c, 2 * c), up=(c, c), rng=rng), 3, 64, False


def encoder(rng):
    c = int(rng.integers(1, 5))
    return sp.models.pcgc_encoder((1, 4 * c, 4 * c, 4 * c), rng=rng), 3, 64, False


def chain(rng):
    """Return a chain of layers of all kinds whose memory is known: d, no field, a ground state or none."""
    d, c = int(rng.integers(1, 5)), channels(rng)
    ground, layers, downs = bool(rng.integers(2)), [sp.SubmanifoldConvolution(d, c, c, rng=rng)], []
    for _ in range(int(rng.integers(1, 9))):
        what, new = int(rng.integers(10)), width(rng)
        if what < 3:
            layers.append(sp.SubmanifoldConvolution(d, c, new, 3 if d > 2 else int(rng.choice([3, 5])), rng=rng))
            c = new
        elif what == 3:
            size = int(rng.integers(2, 4))
            layers.append(sp.Convolution(d, c, new, size, 2, rng=rng))
            downs.append((size, c))
            c = new
        elif what == 4 and downs and not ground:         # a Deconvolution has no common ground state
            size, fine = downs.pop()
            layers.append(sp.Deconvolution(d, c, fine, size, 2, rng=rng))
            c = fine
        elif what == 5:
            layers.append((sp.MaxPooling if rng.integers(2) else sp.AveragePooling)(d, 2, 2))
            downs = []
        elif what == 6:
            layers.append(sp.Residual(sp.SubmanifoldConvolution(d, c, c, rng=rng), sp.BatchNormalization(c)))
        elif what == 7:
            kind = getattr(sp.layers, str(rng.choice(["ELU", "GELU", "SiLU", "Tanh", "Sigmoid", "Softmax", "PReLU"])))
            layers.append(kind(c) if kind is sp.layers.PReLU else kind())
        elif what == 8:
            layers.append(sp.Concatenate(sp.Sequential(), sp.SubmanifoldConvolution(d, c, new, rng=rng)))
            c += new
        else:
            layers += [sp.BatchNormalization(c), sp.LeakyReLU(0.1), sp.NetworkInNetwork(c, new, rng=rng)]
            c = new
    return sp.Sequential(*layers), d, None, ground


def voxelnext(rng):
    widths = [width(rng) for _ in range(4)]
    net = sp.models.voxelnext(4, widths=(*widths, widths[-1]), channels_out=width(rng), rng=rng)
    return net, 3, (41, *(field(rng),) * 2), False


def windows(rng):
    """Return one to three windows that make sites, of a few channels: most of the memory is that of finding them."""
    d, c, layers = int(rng.integers(1, 5)), int(rng.choice([4, 8])), []
    for _ in range(int(rng.integers(1, 4))):
        kind, size = rng.integers(4), int(rng.integers(2, 4))
        if kind == 0:
            layers.append(sp.layers.TransposedConvolution(d, c, c, 2, 2, rng=rng))
        elif kind == 1:
            layers.append(sp.Convolution(d, c, c, 3, 2, sites="cell", rng=rng))
        else:
            layers.append(sp.Convolution(d, c, c, size, int(rng.integers(1, 1 + size)), rng=rng))
    return sp.Sequential(*layers), d, None, False


KINDS = (voxelnext, unet, uresnet, minkunet, spunet, second, resnet, deepcnet, fcgf, encoder, chain, chain, chain,
         windows)


def field(rng):
    return int(rng.choice([64, 512]))


def width(rng):
    return int(rng.choice([1, 4, 8, 12, 16, 24, 32]))


def channels(rng):
    return int(rng.integers(1, 6))


def sites_of(rng, n, d, size, samples, sparse):
    """Return canonical sites, at most n: a noisy surface or a cloud, in a field or in a box of n * sparse^d places."""
    axes = np.array(size if isinstance(size, tuple) else (size or int(sparse * max(2, n ** (1 / d))),) * d)
    places = rng.integers(0, axes, (n, d))
    if d > 1 and rng.integers(2):                                        # near a surface, as scans are
        wave = axes[-1] / 2 * (1 + 0.8 * np.sin(places[:, 0] * 6 / axes[0]))
        places[:, -1] = np.clip(wave + rng.normal(0, 1, n), 0, axes[-1] - 1)
    found = np.column_stack([np.sort(rng.integers(0, samples, n)), places])
    return np.unique(found, axis=0)


def drawn(rng, most):
    """Return (name, frozen network, input, input before it or None)."""
    make = KINDS[rng.integers(len(KINDS))]
    net, d, size, ground = make(rng)
    frozen = sp.freeze(net.eval(), precision="bfloat16" if rng.integers(5) == 0 else "float32")
    n = 0 if rng.random() < 0.02 else int((most / 3 if make is windows else most) ** rng.uniform(0, 1))
    samples = int(rng.integers(1, 4))
    sparse = int(rng.choice([2, 16]))                    # for the second there are no maps of places
    sites = sites_of(rng, n, d, size, samples, sparse)
    before = None
    if rng.integers(2):
        share = float(rng.choice([0.01, 0.05, 0.5]))
        kept = sites[rng.random(len(sites)) > share / 2]
        other = np.unique(np.concatenate([kept, sites_of(rng, int(share * n / 2), d, size, samples, sparse)]), axis=0)
        before = tensor(rng, other, frozen, size, samples, ground)
    return make.__name__, frozen, tensor(rng, sites, frozen, size, samples, ground), before


def tensor(rng, sites, frozen, size, samples, ground):
    rows = rng.normal(size=(len(sites), frozen.parts[0].values[0].channels)).astype(np.float32)
    return sp.SparseTensor.from_sites(sites, rows, size, samples, ground="zero" if ground else None)


def taken(work, programs=()):
    """Return (the most bytes in use during a call over those before, its result).

    The peaks of the library's memory, of Python's, and of rulebooks that neither counts are added, rulebook by rulebook
    and with Programs step by step, since one may be in one step and one in another.
    """
    memory.peak()
    before, most = memory.in_use()[0], [0]

    def blocks():
        return sum(bytes_in_blocks(program.rules) for program in programs)

    def step(*_):
        most[0] = max(most[0], memory.peak() - before + tracemalloc.get_traced_memory()[1] + blocks() - known)
        tracemalloc.reset_peak()

    def found(find, *arguments):
        step()                                                           # what lies between two Programs ends here
        rules = find(*arguments)
        step()
        return rules

    known = blocks()
    tracemalloc.start()
    steps = [mock.patch.object(kind, name, followed(getattr(kind, name), step)) for kind, name in FINDING]
    try:
        for patch in steps:
            patch.start()
        for program in programs:
            program.watch = step
            program.rules.find = functools.partial(found, program.rules.find)
        result = work()
        step()
        return most[0], result
    finally:
        tracemalloc.stop()
        for patch in steps:
            patch.stop()
        for program in programs:
            program.watch = None
            vars(program.rules).pop("find", None)


def followed(method, step):
    """Return a method after which a step is counted."""
    @functools.wraps(method)
    def call(*arguments):
        found = method(*arguments)
        step()
        return found
    return call


def bytes_in_blocks(rules):
    """Return the bytes of the rulebooks that were found last, of those that lie in blocks."""
    books = rules._last.books if rules._last is not None else ()
    return sum(8 * book.n_pairs + book.tile_ptr.nbytes for book in books if in_blocks(book.in_rows))


def in_blocks(array):
    """Return True if rows lie in memory that neither tracemalloc nor the library counts, as rules of few sites do."""
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return type(getattr(array, "obj", array)).__module__ == "spconv_cy.compiled.pairs"


def measured(frozen, x, before=None):
    """Return (bytes told of a call, the most that it takes, how many rulebooks were updated).

    Finding rulebooks and running are measured one after the other; rulebooks are held while the network runs. Those of
    several Programs are found while it runs, and not updated, since what is kept of the call before is not counted.
    """
    told, programs = frozen.memory(x), [part for part in frozen.parts if hasattr(part, "rules")]
    rules = programs[0].rules
    frozen.forget()
    if before is not None and len(programs) == 1:
        frozen(before)
    x = sp.SparseTensor(x.features, sp.Grid(x.sites.copy(), x.grid.size, x.grid.samples, x.grid.lattice), x.ground)
    sp.release_memory()
    if len(programs) > 1:
        return told, taken(lambda: frozen(x), programs)[0], 0
    updated = rules.updated
    finding, found = taken(lambda: rules.find(x.grid))
    finding += sum(8 * book.n_pairs + book.tile_ptr.nbytes for book in found.books if in_blocks(book.in_rows))
    running, _ = taken(lambda: frozen(x), programs)
    return told, max(finding, running + rules_bytes(found)), rules.updated - updated


def runs(count, seed, most):
    """Yield (what ran, bytes told, bytes taken, rulebooks updated) of random runs."""
    with sp.no_grad():                                                   # a module that it imports is not counted
        sp.layers.GELU()(sp.Tensor(np.ones((1, 1), np.float32)))
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        n_threads = int(rng.integers(1, 9))
        sp.set_threads(n_threads)
        name, frozen, x, before = drawn(rng, most)
        told, took, updated = measured(frozen, x, before)
        yield f"run {i}: {name}, {x.grid.n:,} sites, {n_threads} threads", told, took, updated
    sp.set_threads(None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=50_000, help="sites, at most")
    options = parser.parse_args()
    found, kinds = [], Counter()
    for what, told, took, updated in runs(options.runs, options.seed, options.most):
        found.append((told / max(took, 1), what, told, took))
        kinds["updated"] += updated > 0
        kinds["1 MB or more"] += took >= MEGABYTE
        if took > told:
            print(f"{what}: took {took:,}, told {told:,}", flush=True)
    large = sorted((run for run in found if run[3] >= MEGABYTE), reverse=True)
    above = sum(run[0] < 1 for run in found)
    print(f"{len(found)} runs, {kinds['updated']} with updated rulebooks, {kinds['1 MB or more']} of 1 MB or more")
    print(f"more taken than told: {above}; least told over taken: {min(found)[0]:.4f}, {min(found)[1]}")
    for ratio, what, _, took in large[:5]:
        print(f"told over taken {ratio:.3f}: {what}, {took / MEGABYTE:.2f} MB taken")
    sys.exit(1 if above or large and large[0][0] > MOST else 0)


if __name__ == "__main__":
    main()
