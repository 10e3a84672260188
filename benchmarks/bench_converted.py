"""Networks of other libraries and the same networks converted to ours, on the same inputs and processor.

    python benchmarks/bench_peers.py --install          makes the environment of the others
    python benchmarks/bench_converted.py [--only second spunet14] [--threads 1 2] [--isa avx2] [--add --reuse]
    python benchmarks/bench_converted.py --table        prints the record as a table

Random weights, drawn by name, go into the library's own checkpoint, and from there into ours by `sp.io.convert`; values
must agree to 2e-6 of the largest. Measured, for the converted network and for what `sp.freeze` makes of it: a frame
with new sites, a frame with rules kept, the peak of memory of a process that runs three frames, and the whole of a
fresh process that loads its network and ends ("ready"), or goes on to its first features; the record also has the times
until these are told ("ready_told_s", "start_told_s"). Ours is measured as this Python has it: an installed package
starts 13 ms sooner than one that was installed with -e. The frozen network, and ours in "saved", come from the file
that `sp.save` wrote. A library that is not there is told of and left out. spconv's scatter races on two threads, so
that its values are right on one thread only.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import idle
import networks
import scenes
from bench_peers import BLAS, PYTHON
from goals import isa_of
from runner import HERE, Run, Worker, variables

PEERS = {"spconv": "peers.networks_spconv", "MinkowskiEngine": "peers.networks_minkowski"}
TOLERANCE = 2e-6
# For a run without AVX-512: ours, numpy's and torch's products of matrices.
AVX2 = {"SPCONV_CY_ISA": "avx2", "OPENBLAS_CORETYPE": "Haswell", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
FASTER = {("spunet14", "avx2"): 2.4, ("spunet14", "avx512f"): 3.0, ("deepcnet", "avx2"): 1.6,
          ("deepcnet", "avx512f"): 1.6}                 # on one thread, new sites each frame
COLUMNS = (("cold", 1e3, ".1f"), ("kept", 1e3, ".1f"), ("ready_s", 1, ".2f"), ("start_s", 1, ".2f"),
           ("peak_MB", 1, ".0f"))
OURS = ("ours", "frozen")
START, MEMORY = 10, 2                                   # times faster from the start; times less at the peak
MINK14_SIZE = ("spunet14", "minkunet14")
MULTIPLY_ADDS = {"cold": 1.15, "kept": 1.08}            # frozen, one thread: times what they take at sgemm's rate


def sides(name, threads, more):
    """Return the workers of a network: ours, frozen, and its library's where that can be run."""
    library = networks.NETWORKS[name].library
    there = {"LD_LIBRARY_PATH": str(BLAS / "lib")} if BLAS.exists() else {}
    return [Worker("ours", "converted", threads=threads, environment=more),
            Worker("frozen", "latency", threads=threads, environment=more),
            Worker(library, PEERS[library], str(PYTHON), threads, more | there)]


def prepare(name, more):
    """Write the scene and the checkpoints; return why the network cannot be compared, or None."""
    scenes.save_scene(name)
    Path(networks.saved(name)).with_suffix(".frozen").unlink(missing_ok=True)
    ours, frozen, peer = sides(name, 1, more)
    answers = [worker.ask("setup", case="Checkpoint", params=[name]) for worker in (peer, ours)]
    for worker in (ours, frozen, peer):
        worker.close()
    return next((answer["error"] for answer in answers if "error" in answer), None)


def started(worker, name, function="first_frame"):
    """Return seconds from the start of a process until it tells the features of its first frame, and to its end."""
    _, module, python, threads, more = worker.made
    command = [python, str(HERE / "first_frame.py"), module, name, str(threads), function]
    given = variables(threads, more)
    given.pop("PYTHONDONTWRITEBYTECODE", None)          # an installed package has its bytecode
    start = time.perf_counter()
    with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        told = time.perf_counter() - start
        error = process.communicate()[1]
    if process.returncode:
        raise RuntimeError(error.decode(errors="replace"))
    return told, time.perf_counter() - start


def measure(name, threads, options, more):
    """Return the record of one network on some threads."""
    run = Run(sides(name, threads, more), threads, environment=more)
    run.measure("Converted", [name], options.rounds, tolerance=TOLERANCE)
    run.track("Peak", [name], anew=True)
    if len({row["side"] for row in run.rows}) < len(run.workers):           # a side could not run it, and said why
        run.close()
        return run
    ways = [(worker, function) for worker in run.workers for function in ("ready", "first_frame")]
    ways += [(run.workers[0], "first_frame_saved")]
    seconds = [[started(worker, name, function) for worker, function in ways] for _ in range(1 + options.starts)]
    for (worker, function), found in zip(ways, zip(*seconds[1:], strict=True), strict=True):
        for kind, least in zip(("_told_s", "_s"), map(min, zip(*found, strict=True)), strict=True):
            run.figure("Converted", [name], function.replace("first_frame", "start") + kind, worker, least)
    run.close()
    return run


def compared(record):
    """Return {what: {side: seconds or MB}} of a record of one network: what ours and the library have."""
    found = {}
    for row in record["rows"]:
        found.setdefault(row["verb"], {})[row["side"]] = row["best"]
    for figure in record["figures"]:
        found.setdefault(figure["name"], {})[figure["side"]] = figure["value"]
    return {what: sides for what, sides in found.items()
            if what == "start_saved_s" or {"ours"} < sides.keys() - {"frozen"}}


def judge(run):
    """Compare with what was asked for."""
    record = run.record()
    name, found = run.rows[0]["params"][0], compared(record)
    goal = FASTER.get((name.partition("-")[0], isa_of(record)))
    asked = {"cold": (goal if run.threads == 1 else None, "times faster, new sites"),
             "ready_s": (START, "times faster to load the network"),
             "start_s": (START, "times faster to the first features"), "peak_MB": (MEMORY, "times less memory")}
    for what, (bound, words) in asked.items():
        for side in (side for side in OURS if bound and side in found.get(what, ())):
            run.judge(f"{name}, {side}: {words}", times(found[what], side), bound, at_least=True)
    if name in MINK14_SIZE and run.threads == 1:
        at_sgemm = next(row["gflop"] / row["peak"] for row in run.rows if row["side"] == "ours")
        for verb, bound in MULTIPLY_ADDS.items():
            run.judge(f"{name}, frozen, {verb}: times its multiply-adds", found[verb]["frozen"] / at_sgemm, bound)


def times(sides, ours):
    """Return how many times more the library took than one of our sides."""
    return next(value for side, value in sides.items() if side not in OURS) / sides[ours]


def table(records):
    """Return the records as a table of Markdown: ours, frozen : the library's; and its figure over each of ours."""
    heads = ["network", "sites", "instructions, threads", "difference", "new sites, ms", "times", "rules kept, ms",
             "times", "ready, s", "times", "first features (saved), s", "times", "peak, MB", "times"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for key, record in records.items():
        name, isa, threads = key.split()
        library = networks.NETWORKS[name].library
        found, sites = compared(record), record["sites"]
        quiet = "" if idle.is_quiet(record["machine"]["idle"]) else ", busy machine"
        cells = [f"{name} ({library})", f"{sites:,}", f"{isa}, {threads}{quiet}", difference(record, library)]
        for what, scale, form in COLUMNS:
            if what not in found:
                cells += ["", ""]
                continue
            ours, theirs = [side for side in OURS if side in found[what]], f"{scale * found[what][library]:{form}}"
            shown = [f"{scale * found[what][side]:{form}}" for side in ours]
            shown[0] += f" ({found['start_saved_s']['ours']:.2f})" if what == "start_s" else ""
            cells += [f"{', '.join(shown)} : {theirs}", ", ".join(f"{times(found[what], side):.1f}x" for side in ours)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def difference(record, library):
    """Return the largest difference of the values, as a part of the largest."""
    found = [figure["value"] for figure in record["figures"]
             if figure["name"] == "cold_difference" and figure["side"] == library]
    return f"{found[0]:.0e}" if found else "other sites"


def arguments(doc, names, record):
    """Return a parser of the options that this benchmark shares with bench_latency.py."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(names), choices=names)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--isa", choices=["avx2"], help="leave out AVX-512 on all sides")
    parser.add_argument("--add", action="store_true", help="keep what the record has of other networks")
    parser.add_argument("--table", action="store_true", help="print the record as a table; measure nothing")
    parser.add_argument("--record", default=record)
    return parser


def recorded(options, reuse, measured, table):
    """Keep the record of each network on each number of threads in the file, and print all as a table.

    Args:
        options: what `arguments` parsed.
        reuse: whether scenes and checkpoints of an earlier run are kept.
        measured: function of a name, threads and variables of the environment that returns a record, or None.
        table: function from the records to text.
    """
    path, records = Path(options.record), {}
    if (options.add or options.table) and path.exists():
        records = json.loads(path.read_text())
    more = AVX2 if options.isa else {}
    for name in [] if options.table else options.only:
        reason = None if reuse and Path(networks.saved(name)).exists() else prepare(name, more)
        if reason:
            print(f"{name}: left out: {reason}")
            continue
        for threads in options.threads:
            record = measured(name, threads, more)
            if record is not None:
                records[f"{name} {isa_of(record)} {threads}"] = record
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(records, indent=1))
    print(table(records))


def main():
    parser = arguments(__doc__, networks.NETWORKS, "benchmarks/records/converted.json")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=3, help="processes started on each side")
    parser.add_argument("--reuse", action="store_true", help="keep the scenes and checkpoints of an earlier run")
    options = parser.parse_args()
    if not options.table and not shutil.which(str(PYTHON)):
        sys.exit(f"{PYTHON} is not there: run `make bench-converted`, or bench_peers.py --install, first")

    def measured(name, threads, more):
        run = measure(name, threads, options, more)
        if not run.rows:
            return None
        judge(run)
        return run.record() | {"sites": len(networks.scene(name)[0])}

    recorded(options, options.reuse, measured, table)


if __name__ == "__main__":
    main()
