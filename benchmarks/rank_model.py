"""A model of the time of a training step on many ranks, fitted to runs on few: bench_ranks.py --model calls it.

With w batches of compute c each, in `rounds` exchanges of a message to every other rank, `sent` bytes in all:

    step = w * c * slow * share + rounds * latency + rounds * (N - 1) * message + sent / bandwidth

`slow` is how much slower the processors were in a run than at their best, which a product of matrices tells, and
`share` the number of ranks on a processor. The latency and the bandwidth of hosts are those that were set, plus what
the fit finds for the rest of the way.
"""

import json
import os
from pathlib import Path

import numpy as np

RANKS = np.unique(np.geomspace(1, 1000, 40).astype(int))
CLUSTERS = {"10 Gbit/s, 50 us": (1.25e9, 50e-6), "100 Gbit/s, 3 us": (12.5e9, 3e-6)}
WORTH = 0.8                                             # of the work of N ranks that do not wait for each other
HOST = 16                                               # ranks of a host, for a hierarchy


def measure(run, names, hosts_of, rounds):
    """Return rows of measurements.

    Args:
        run: function of (name, n, *options, epochs=, hosts=) that returns a report, as in bench_ranks.
        names: of the networks.
        hosts_of: context manager of (n, mbit, ms) that gives hosts; None: there can be none.
        rounds: of runs; the epochs of all count.
    """
    cores = len(os.sched_getaffinity(0))
    places = [(n, None) for n in (1, 2, 4)]
    if hosts_of is not None:
        places += [(2, (1000, 0)), (2, (100, 0)), (2, (1000, 2)), (2, (100, 5)), (4, (1000, 0)), (4, (100, 2))]
    rows = {}
    for _ in range(rounds):
        for n, link in places:
            for name in names:
                options = "--each", "4"
                if link is None:
                    found = run(name, n, *options, epochs=5)
                else:
                    with hosts_of(n, *link) as hosts:
                        found = run(name, n, *options, epochs=5, hosts=hosts)
                new = {"name": name, "ranks": n, "link": link, "share": max(1, n / cores), "seconds": [], "probe": []}
                row = rows.setdefault((name, n, link), new)
                row["seconds"] += found["seconds"][1:]
                row["probe"] += found["probe"][1:]
                row |= {part: found[part] for part in ("messages", "bytes")}
                print(name, n, link, [round(1e3 * s, 1) for s in found["seconds"]], flush=True)
    best = min(probe for row in rows.values() for probe in row["probe"])
    for row in rows.values():
        at = int(np.argsort(row["seconds"])[len(row["seconds"]) // 2])
        row["slow"], row["seconds"] = row["probe"][at] / best, row["seconds"][at]
    return [{key: value for key, value in row.items() if key != "probe"} for row in rows.values()]


def fitted(rows):
    """Return {"compute": {name: s}, "latency": s, "message": s, "way": s, "bandwidth": bytes a second}.

    `latency` and `bandwidth` are those of ranks of one machine, `way` what the network of hosts takes besides
    the latency that was set. The least squares are of relative errors, with no number below zero.
    """
    from scipy.optimize import nnls

    names = sorted({row["name"] for row in rows})
    columns = []
    for row in rows:
        others, far = row["ranks"] - 1, row["link"] is not None
        rounds = row["messages"] / others if others else 0
        known = 0.0
        if far:
            mbit, ms = row["link"]
            known = rounds * ms / 1e3 + row["bytes"] * 8 / (mbit * 1e6)
        of_row = [row["slow"] * row["share"] * (row["name"] == name) for name in names]
        of_row += [0.0 if far else rounds, row["messages"] * row["share"], rounds if far else 0.0,
                   0.0 if far else row["bytes"] / 1e9]
        columns.append((of_row, row["seconds"] - known, row["seconds"]))
    weights = np.array([1 / seconds for *_, seconds in columns])
    a, b = (np.array([column[i] for column in columns]) for i in range(2))
    found = nnls(a * weights[:, None], b * weights)[0]
    *compute, latency, message, way, per_gb = found.tolist()
    return {"compute": dict(zip(names, compute, strict=True)), "latency": latency, "message": message, "way": way,
            "bandwidth": 1e9 / per_gb if per_gb else None}


def predicted(fit, row):
    """Return the seconds of a row by the model."""
    others = row["ranks"] - 1
    rounds = row["messages"] / others if others else 0
    if row["link"] is None:
        line = rounds * fit["latency"] + (row["bytes"] / fit["bandwidth"] if fit["bandwidth"] else 0)
    else:
        mbit, ms = row["link"]
        line = rounds * (ms / 1e3 + fit["way"]) + row["bytes"] * 8 / (mbit * 1e6)
    own = fit["compute"][row["name"]] * row["slow"] + row["messages"] * fit["message"]
    return own * row["share"] + line


class Network:
    """What a step of a network exchanges for any number of ranks, from a run of two.

    Args:
        fit: of `fitted`.
        row: a measurement with two ranks of one machine.
    """

    def __init__(self, fit, row):
        self.compute, self.message, self.rounds = fit["compute"][row["name"]], fit["message"], row["messages"]
        self.bytes = row["bytes"]                                        # of two ranks; of many, nearly twice as many

    def step(self, n, cluster, batches=1, host=1):
        """Return the seconds of a step.

        Args:
            n: ranks.
            cluster: (bytes a second of a host, seconds of latency).
            batches: whose gradients each rank adds up before it exchanges them.
            host: ranks that first sum among themselves, so that only one of them sends to other hosts; 1: none do.
        """
        bandwidth, latency = cluster
        near, far = (min(n, host) - 1, -(-n // host) - 1) if host > 1 else (0, n - 1)
        sent = 2 * self.bytes * far / max(1, far + 1)
        levels = (far > 0) * latency + (near > 0) * 2e-6                 # 2 us in the memory of a host, there and back
        return batches * self.compute + self.rounds * (levels + (far + 2 * near) * self.message) + sent / bandwidth

    def worth(self, cluster, **options):
        """Return the largest number of ranks, up to 100,000, that do WORTH of N times the work of one."""
        batches = options.get("batches", 1)
        ranks = np.unique(np.geomspace(1, 100_000, 2000).astype(int))
        good = [n for n in ranks if batches * self.compute / self.step(int(n), cluster, **options) >= WORTH]
        return int(max(good))


def report(record):
    """Return the tables of a record as lines of Markdown."""
    fit, rows = record["fit"], record["rows"]
    bandwidth = "no limit found" if fit["bandwidth"] is None else f"{fit['bandwidth'] / 1e9:.1f} GB/s"
    lines = [f"compute of a batch {', '.join(f'{name} {1e3 * s:.1f} ms' for name, s in fit['compute'].items())}; "
             f"a message {1e6 * fit['message']:.1f} us of a rank's time; an exchange {1e6 * fit['latency']:.0f} us in "
             f"one machine ({bandwidth}), {1e6 * fit['way']:.0f} us more than the set latency between hosts", "",
             "| training | ranks | network of the hosts | slower | measured | model | error |",
             "|---|---|---|---|---|---|---|"]
    for row in rows:
        link = "one machine" if row["link"] is None else "{} Mbit/s, {} ms".format(*row["link"])
        model = predicted(fit, row)
        lines.append(f"| {row['name']} | {row['ranks']} | {link} | {row['slow']:.2f} | {1e3 * row['seconds']:.1f} ms | "
                     f"{1e3 * model:.1f} ms | {100 * (model / row['seconds'] - 1):+.0f} % |")
    lines += ["", f"| training | cluster | ranks at {100 * WORTH:.0f} % | with 8 batches a step | with hosts of {HOST} "
              "| 1,000 ranks: plain | 8 batches | hosts | both |", "|---|---|---|---|---|---|---|---|---|"]
    for name in fit["compute"]:
        net = Network(fit, _two(rows, name))
        for cluster, of in CLUSTERS.items():
            ways = [{}, {"batches": 8}, {"host": HOST}, {"batches": 8, "host": HOST}]
            parts = [way.get("batches", 1) * net.compute / net.step(1000, of, **way) for way in ways]
            worth = [net.worth(of, **way) for way in ways[:3]]
            counts = " | ".join(f"{n:,}" if n < 1e5 else "over 100,000" for n in worth)
            lines.append(f"| {name} | {cluster} | {counts} | {' | '.join(f'{100 * part:.0f} %' for part in parts)} |")
    return lines


def draw(record, path):
    """Draw measurements beside the model, and the model up to 1,000 ranks."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    fit, rows = record["fit"], record["rows"]
    names = list(fit["compute"])
    figure, axes = pyplot.subplots(1, 1 + len(names), figsize=(5 * (1 + len(names)), 4))
    for name, colour in zip(names, ("#1b7837", "#4393c3"), strict=False):
        own = [row for row in rows if row["name"] == name]
        axes[0].loglog([1e3 * row["seconds"] for row in own], [1e3 * predicted(fit, row) for row in own], "o",
                       label=name, color=colour)
    measured = [1e3 * row["seconds"] for row in rows]
    ends = np.array([min(measured) / 1.3, max(measured) * 1.3])
    axes[0].loglog(ends, ends, "-", color="#878787", linewidth=1)
    axes[0].set(xlabel="measured, ms a step", ylabel="model, ms a step", title="Runs with 1, 2 and 4 ranks")
    axes[0].legend()
    for name, axis in zip(names, axes[1:], strict=True):
        net = Network(fit, _two(rows, name))
        for (cluster, of), colour in zip(CLUSTERS.items(), ("#d6604d", "#4393c3"), strict=True):
            for way, style in (({}, "-"), ({"batches": 8}, "--"), ({"host": HOST}, ":")):
                batches = way.get("batches", 1)
                part = [100 * batches * net.compute / net.step(int(n), of, **way) for n in RANKS]
                note = "8 batches a step" if "batches" in way else f"hosts of {HOST}" if way else "one batch"
                axis.semilogx(RANKS, part, style, color=colour, label=f"{cluster}, {note}")
        axis.axhline(100 * WORTH, color="#878787", linewidth=1)
        axis.set(xlabel="ranks", ylabel="% of N times the work of one rank", ylim=(0, 102), title=f"Model: {name}")
    axes[1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def _two(rows, name):
    return next(row for row in rows if row["name"] == name and row["ranks"] == 2 and row["link"] is None)


def write(rows, path):
    """Write the record and the picture beside it; return the tables.

    Args:
        rows: of `measure`; None: those of the record.
        path: of the record, .json.
    """
    path = Path(path)
    rows = json.loads(path.read_text())["rows"] if rows is None else rows
    record = {"rows": rows, "fit": fitted(rows)}
    path.write_text(json.dumps(record, indent=1) + "\n")
    draw(record, path.with_suffix(".png"))
    return report(record)
