"""How long a network takes to answer one request, and in how much memory: ours frozen and not, and other libraries.

    python benchmarks/bench_peers.py --install          makes the environment of the others
    python benchmarks/bench_latency.py [--only second spunet14] [--threads 1 2] [--isa avx2] [--frames 100]
    python benchmarks/bench_latency.py --table          prints the record as a table

Networks and inputs are those of bench_converted.py: SECOND on a sweep of a lidar, a U-ResNet on an event of 768^3, a
U-Net of MinkUNet14's size on 20,000 sites, one glyph. Each frame has new sites. The sides take turns, and each frame
is timed: the median (p50) and what one in a hundred exceeds (p99). "First" is a fresh process from its start to its
first features; "peak" is the resident memory of a process that has run three frames, and "told" what `frozen.memory`
says of one call. A library that is not there, or cannot run a network, is told of and left out.
"""

import shutil

import idle
import networks
import numpy as np
from bench_converted import PEERS, arguments, recorded, started
from bench_peers import BLAS, PYTHON
from runner import Run, Worker

NAMES = {"second": "SECOND, a lidar's sweep", "pointgroup-event": "U-ResNet, seven levels, an event of 768^3",
         "spunet14": "MinkUNet14's size, 20,000 sites", "minkunet14": "MinkUNet14A, 20,000 sites",
         "deepcnet": "DeepCNet(5, 30), one glyph"}
OTHERS = {"paddle": "peers.paddle_sparse", "torch, dense": "peers.torch_dense"}
SECONDS = 8                                             # at most, of all frames of one side
TURN = 0.4                                              # seconds of one side before the next


def sides(name, threads, more):
    """Return the workers of a network."""
    library = networks.NETWORKS[name].library
    there = more | ({"LD_LIBRARY_PATH": str(BLAS / "lib")} if BLAS.exists() else {})
    found = [Worker("frozen", "latency", threads=threads, environment=more),
             Worker("ours", "converted", threads=threads, environment=more)]
    if shutil.which(str(PYTHON)):
        found += [Worker(library, PEERS[library], str(PYTHON), threads, there)]
        found += [Worker(side, module, str(PYTHON), threads, there) for side, module in OTHERS.items()]
    return found


def timed(workers, name, frames, say=print):
    """Return ({side: seconds of each frame}, {side: why there are none}); the sides take turns."""
    seconds, missing, each = {}, {}, {}
    for worker in workers:
        answer = worker.ask("setup", case="Converted", params=[name])
        answer = worker.ask("time", verb="cold", repeats=2) if "verbs" in answer else answer
        if "seconds" not in answer:
            missing[worker.name] = answer.get("missing") or answer.get("error")
            say(f"{name}: {worker.name} left out: {missing[worker.name]}")
            continue
        seconds[worker.name] = []
        each[worker] = int(np.clip(TURN / min(answer["seconds"]), 1, 20)), min(answer["seconds"])
    while each:
        for worker, (repeats, one) in list(each.items()):
            done = seconds[worker.name]
            if len(done) >= min(frames, max(5, SECONDS / one)):
                del each[worker]
                continue
            done += worker.ask("time", verb="cold", repeats=repeats, warm=False)["seconds"]
    return seconds, missing


def measure(name, threads, options, more):
    """Return the record of one network on some threads."""
    run = Run(sides(name, threads, more), threads, environment=more)
    seconds, missing = timed(run.workers, name, options.frames)
    there = [worker for worker in run.workers if worker.name in seconds]
    rows = {worker.name: {"frames": len(seconds[worker.name]),
                          **{f"p{q}": float(np.percentile(seconds[worker.name], q)) for q in (50, 99)}}
            for worker in there}
    run.workers = there
    run.track("Peak", [name], anew=True)
    for worker in there:
        if worker.name != "torch, dense":
            rows[worker.name]["first"] = min(started(worker, name)[1] for _ in range(options.starts))
    for figure in run.figures:
        rows[figure["side"]][figure["name"]] = figure["value"]
    record = run.record() | {"sites": len(networks.scene(name)[0]), "latency": rows, "missing": missing}
    run.close()
    return record


def table(records):
    """Return the records as a table of Markdown."""
    heads = ["network", "sites", "instructions, threads", "side", "p50, ms", "over frozen", "p99, ms", "first, s",
             "peak, MB", "told, MB"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for key, record in records.items():
        name, isa, threads = key.split()
        quiet = "" if idle.is_quiet(record["machine"]["idle"]) else ", busy machine"
        for i, (side, row) in enumerate(record["latency"].items()):
            cells = [NAMES[name], f"{record['sites']:,}", f"{isa}, {threads}{quiet}"] if not i else [""] * 3
            over = row["p50"] / record["latency"]["frozen"]["p50"]
            times = [f"{1e3 * row['p50']:.2f}", f"{over:.2f}x", f"{1e3 * row['p99']:.2f}"]
            shown = times + [f"{row[name]:.{digits}f}" if name in row else ""
                             for name, digits in (("first", 2), ("peak_MB", 0), ("told_MB", 1))]
            lines.append("| " + " | ".join([*cells, side, *shown]) + " |")
    return "\n".join(lines)


def main():
    parser = arguments(__doc__, NAMES, "benchmarks/records/latency.json")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--starts", type=int, default=2, help="processes started on each side")
    options = parser.parse_args()
    recorded(options, True, lambda name, threads, more: measure(name, threads, options, more), table)


if __name__ == "__main__":
    main()
