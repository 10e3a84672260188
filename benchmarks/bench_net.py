"""spconv_cy: its layers on large inputs, a U-Net, a DeepCNet, rules, and what small inputs cost."""

import argparse

import goals
import picture
from cases import (  # noqa: F401  a worker asks this module
    Cold,
    Down,
    Glyphs,
    Lidar,
    OneGlyph,
    Part,
    Rules,
    Scan,
    SpaceTime,
    UNet,
    Up,
    Wide,
)
from loops import ANEW, SMALL, faults_a_step, layers_of_100_sites, peak_beyond
from runner import Run, Worker

import spconv_cy as sp

AVX2 = {"SPCONV_CY_ISA": "avx2", "OPENBLAS_CORETYPE": "Haswell"}


def versions():
    """Name the library and its instruction set."""
    from spconv_cy import _core

    return {"spconv_cy": sp.__version__, "isa": _core.isa()}


def set_threads(n_threads):
    sp.set_threads(n_threads)


class Small:
    """What a layer costs at 100 sites, in inference, over its arithmetic: microseconds."""

    def setup(self):
        self.layers = layers_of_100_sites()

    def track_overhead_us(self):
        return max(self.layers[name] for name in SMALL)


for _name in SMALL + ANEW:                                      # a figure for each layer
    setattr(Small, f"track_{_name}_us", lambda self, name=_name: self.layers[name])


class Memory:
    """Megabytes at the peak beyond what was there before and what came out."""

    def setup(self):
        """Nothing: each figure has a process of its own."""

    def track_forward_over_rulebook_MB(self):
        return peak_beyond("forward")

    def track_unet_training_step_MB(self):
        return peak_beyond("unet")


class Steady:
    """A training loop after its tenth step."""

    def setup(self):
        """Nothing: the loop runs in a process of its own."""

    def track_faults_a_step(self):
        return faults_a_step()["faults"]

    def track_growth_MB(self):
        return faults_a_step()["growth"]


def over_avx2(run, options):
    """Time the AVX2 kernels against a product of matrices that uses no more than AVX2 either."""
    ours = Worker("ours avx2", "bench_net", threads=options.threads, environment=AVX2)
    avx2 = Run([ours], options.threads, environment=AVX2)
    avx2.measure("Scan", (32,), options.rounds, only=["forward"])
    avx2.close()
    run.rows += avx2.rows
    goal = goals.GOALS["Scan", 32, "forward"].of("share", "avx2")
    for row in avx2.rows:
        run.judge("AVX2, 32 channels: part of an AVX2 sgemm", row["share"], goal, at_least=True)


def one_thread(run, options, environment):
    """Time training steps on one thread beside those on several, and one glyph."""
    alone = Run([Worker("ours 1", "bench_net", threads=1, environment=environment)], 1, environment=environment)
    for case in (*goals.OVER_ONE_THREAD, "OneGlyph"):
        alone.measure(case, (), options.rounds, only=["training_step", "forward"] if case == "OneGlyph" else
                      ["training_step"])
    alone.close()
    best = {row["case"]: row["best"] for row in alone.rows}
    several = {row["case"]: row["best"] for row in run.rows if row["verb"] == "training_step"}
    for case, goal in goals.OVER_ONE_THREAD.items():
        if case in best and case in several and options.threads > 1:
            what = f"{case}.training_step: {options.threads} threads over one"
            run.judge(what, best[case] / several[case], goal, at_least=True)
    if "OneGlyph" in best:
        goal = goals.ONE_GLYPH_MS[goals.isa_of(run.record()) == "avx512f"]
        run.judge("OneGlyph, new sites, one thread: ms", 1e3 * best["OneGlyph"], goal)
    run.rows += alone.rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", help="names of cases; Avx2 and OneThread are two")
    parser.add_argument("--record", default="benchmarks/records/net.json", help="file for the record")
    parser.add_argument("--isa", choices=["avx2"], help="leave out AVX-512, in numpy too")
    options = parser.parse_args()
    environment = AVX2 if options.isa else {}
    run = Run([Worker("ours", "bench_net", threads=options.threads, environment=environment)], options.threads,
              environment=environment)
    for case, params in goals.CASES:
        if not options.only or case in options.only:
            run.measure(case, params, options.rounds)
    for case in ("Rules", "Small", "Memory", "Steady"):
        if not options.only or case in options.only:
            run.track(case)
    if not options.only or "OneThread" in options.only:
        one_thread(run, options, environment)
    run.close()
    goals.tell(run.record())
    if not options.isa and (not options.only or "Avx2" in options.only):
        over_avx2(run, options)
    run.save(options.record)
    picture.bars(run.record(), options.record)


if __name__ == "__main__":
    main()
