"""A model of the time of a training step on many ranks, fitted to runs on few: bench_ranks.py --model calls it.

A step in which each of N ranks computes a batch, and which exchanges a message with every other rank `rounds` times:

    step = (compute + waits * sqrt(2 ln N)) * slow * share + rounds * latency + messages * message * share
           + sent / bandwidth

`sqrt(2 ln N)` is about how far the slowest of N ranks is behind. `slow` is how much slower the processors were than at
their best, which a product of matrices tells, and `share` the number of ranks on a processor. `message` is measured by
itself: the time in which a rank begins one message and its answer. Latency and bandwidth of hosts are those that were
set, and what the fit finds beside them: large messages wait for more than one trip.
"""

import json
import os
import time
from pathlib import Path

import numpy as np

RANKS = np.unique(np.geomspace(1, 1000, 40).astype(int))
CLUSTERS = {"10 Gbit/s, 50 us": (1.25e9, 50e-6), "100 Gbit/s, 3 us": (12.5e9, 3e-6)}
WORTH = 0.8                                             # of the work of N ranks that do not wait for each other
SLOWEST = 1.45                                          # more, and a probe was interrupted
HOST = 16                                               # ranks of a host, for a hierarchy


def measure(run, names, hosts_of, rounds):
    """Return {"rows": measurements, "message": seconds}.

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
        row["slow"] = [min(SLOWEST, probe / best) for probe in row.pop("probe")]
    return {"rows": list(rows.values()), "message": run("message", 4)}


def task(_):
    """Return the seconds in which a rank begins one message and its answer."""
    import spconv_cy as sp

    ranks, spent = sp.distributed.world(), []
    mine, parts = np.zeros(100), np.zeros((ranks.size, 100))
    for _ in range(500):
        began = time.perf_counter()
        received = {r: parts[r] for r in ranks.others()}
        requests = ranks.begin(ranks.next_tag(), received, dict.fromkeys(ranks.others(), mine))
        spent.append(time.perf_counter() - began)
        ranks.wait(requests)
    return float(np.median(spent)) / (ranks.size - 1)


def _columns(row, names, message):
    """Return what each number of the fit is multiplied by (epochs, n), and the seconds of messages and what was set."""
    others, far, slow = row["ranks"] - 1, row["link"] is not None, np.array(row["slow"])[:, None] * row["share"]
    rounds = row["messages"] / others if others else 0.0
    mbit, ms = row["link"] or (1, 0)
    known = row["messages"] * row["share"] * message + (row["bytes"] * 8 / (mbit * 1e6) if far else 0.0)
    own = np.array([row["name"] == name for name in names], float)
    near = np.array([rounds, row["bytes"] / 1e9]) * (not far)
    along = np.array([rounds, row["bytes"] * row["share"] / 1e9, rounds * ms / 1e3]) * far
    fixed = np.broadcast_to(np.concatenate([near, along]), (len(slow), 5))
    return np.hstack([slow * own, slow * own * behind(row["ranks"]), fixed]), known


def behind(n):
    """Return how far the slowest of n ranks is behind, in standard deviations."""
    return float(np.sqrt(2 * np.log(n)))


def fitted(rows, message):
    """Return the numbers of the model, by name: "compute" and "waits" are dicts of the networks.

    `latency` and `per_gb` are those of ranks of one machine, `way` and `way_per_gb` what the network of hosts takes
    beside what was set, `trips` how often an exchange waits for the set latency. The least squares
    are of relative errors, with no number below zero.
    """
    from scipy.optimize import nnls

    names = sorted({row["name"] for row in rows})
    left, right = [], []
    for row in rows:
        columns, known = _columns(row, names, message)
        seconds = np.array(row["seconds"])
        left.append(columns / seconds[:, None])
        right.append((seconds - known) / seconds)
    found = nnls(np.concatenate(left), np.concatenate(right))[0].tolist()
    n = len(names)
    rest = "latency", "per_gb", "way", "way_per_gb", "trips"
    return {"names": names, "found": found, "message": message, "compute": dict(zip(names, found[:n], strict=True)),
            "waits": dict(zip(names, found[n:2 * n], strict=True)),
            **dict(zip(rest, found[2 * n:], strict=True))}


def predicted(fit, row):
    """Return the seconds of a row's median epoch by the model."""
    columns, known = _columns(row, fit["names"], fit["message"])
    return float((columns @ fit["found"] + known)[_middle(row)])


def _middle(row):
    return int(np.argsort(row["seconds"])[len(row["seconds"]) // 2])


class Network:
    """What a step of a network exchanges for any number of ranks, from a run of two.

    Args:
        fit: of `fitted`.
        row: a measurement with two ranks of one machine.
    """

    def __init__(self, fit, row):
        self.compute, self.waits = fit["compute"][row["name"]], fit["waits"][row["name"]]
        self.message, self.rounds, self.trips = fit["message"], row["messages"], max(1.0, fit["trips"])
        self.bytes = row["bytes"]                                        # of two ranks; of many, nearly twice as many

    def step(self, n, cluster, batches=1, host=1):
        """Return the seconds of a step.

        Args:
            n: ranks.
            cluster: (bytes a second of a host, seconds of latency).
            batches: times that a rank's batch is larger.
            host: ranks that first sum among themselves, so that only one of them sends to other hosts; 1: none do.
        """
        bandwidth, latency = cluster
        near, far = (min(n, host) - 1, -(-n // host) - 1) if host > 1 else (0, n - 1)
        sent = 2 * self.bytes * far / max(1, far + 1)
        levels = (far > 0) * latency * self.trips + (near > 0) * 2e-6    # in the memory of a host
        own = batches * (self.compute + self.waits * behind(n))
        return own + self.rounds * (levels + (far + 2 * near) * self.message) + sent / bandwidth

    def part(self, n, cluster, batches=1, host=1):
        """Return the work of n ranks as a part of n times that of one; for the arguments see `step`."""
        return batches * self.compute / self.step(n, cluster, batches, host)

    def worth(self, cluster, **options):
        """Return the largest number of ranks, up to 100,000, that do WORTH of N times the work of one."""
        ranks = np.unique(np.geomspace(1, 100_000, 2000).astype(int))
        good = [n for n in ranks if self.part(int(n), cluster, **options) >= WORTH]
        return int(max(good))

    def pays(self, cluster):
        """Return the number of ranks from which a step with hosts of HOST ranks is shorter."""
        return next(n for n in range(HOST + 1, 10**6) if self.step(n, cluster, host=HOST) < self.step(n, cluster))


def report(record):
    """Return the tables of a record as lines of Markdown."""
    fit, rows = record["fit"], record["rows"]
    each = [f"{name} {1e3 * fit['compute'][name]:.1f} and {1e3 * fit['waits'][name]:.1f} ms" for name in fit["names"]]
    lines = [f"compute and waits of a batch: {', '.join(each)}; "
             f"a message {1e6 * fit['message']:.1f} us; in one machine {1e6 * fit['latency']:.0f} us an exchange and "
             f"{fit['per_gb']:.2f} s a GB; hosts {1e6 * fit['way']:.0f} us and {fit['way_per_gb']:.2f} s a GB beside "
             f"what was set, and {fit['trips']:.1f} times the set latency an exchange",
             "", "| training | ranks | network of the hosts | processors slower | measured | model | error |",
             "|---|---|---|---|---|---|---|"]
    for row in rows:
        link = "one machine" if row["link"] is None else "{} Mbit/s, {} ms".format(*row["link"])
        model, at = predicted(fit, row), _middle(row)
        seconds, slow = row["seconds"][at], row["slow"][at]
        lines.append(f"| {row['name']} | {row['ranks']} | {link} | {slow:.2f} | {1e3 * seconds:.1f} ms | "
                     f"{1e3 * model:.1f} ms | {100 * (model / seconds - 1):+.0f} % |")
    lines += ["", f"| training | cluster | ranks at {100 * WORTH:.0f} % | with batches x 8 | hosts of {HOST} pay "
              "from | 1,000 ranks: as they are | batches x 8 | hosts | both |", "|---|---|---|---|---|---|---|---|---|"]
    for name in fit["compute"]:
        net = Network(fit, _two(rows, name))
        for cluster, of in CLUSTERS.items():
            ways = [{}, {"batches": 8}, {"host": HOST}, {"batches": 8, "host": HOST}]
            parts = [net.part(1000, of, **way) for way in ways]
            worth = [*(net.worth(of, **way) for way in ways[:2]), net.pays(of)]
            counts = " | ".join(f"{n:,}" for n in worth)
            lines.append(f"| {name} | {cluster} | {counts} | {' | '.join(f'{100 * part:.0f} %' for part in parts)} |")
    return lines


def draw(record, path):
    """Draw measurements beside the model, and the model up to 1,000 ranks."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    fit, rows = record["fit"], record["rows"]
    names = list(fit["compute"])
    figure, axes = pyplot.subplots(2, 2, figsize=(8, 6.6))               # as wide as a page shows it
    *axes, corner = axes.flat                                            # for the legend
    for name, colour in zip(names, ("#1b7837", "#4393c3"), strict=False):
        own = [row for row in rows if row["name"] == name]
        axes[0].loglog([1e3 * row["seconds"][_middle(row)] for row in own], [1e3 * predicted(fit, row) for row in own],
                       "o", label=name, color=colour)
    measured = [1e3 * row["seconds"][_middle(row)] for row in rows]
    ends = np.array([min(measured) / 1.3, max(measured) * 1.3])
    axes[0].loglog(ends, ends, "-", color="#878787", linewidth=1, label="equal")
    axes[0].set(xlabel="measured, ms a step", ylabel="model, ms a step", title="Steps of 1, 2 and 4 ranks")
    for axis in (axes[0].xaxis, axes[0].yaxis):
        axis.set_minor_formatter(ticker.NullFormatter())
        axis.set_major_locator(ticker.FixedLocator([50, 100, 200, 500]))
        axis.set_major_formatter(ticker.ScalarFormatter())
    axes[0].legend()
    for name, axis in zip(names, axes[1:], strict=True):
        net = Network(fit, _two(rows, name))
        for (cluster, of), colour in zip(CLUSTERS.items(), ("#d6604d", "#4393c3"), strict=True):
            for way, style in (({}, "-"), ({"batches": 8}, "--"), ({"host": HOST}, ":")):
                part = [100 * net.part(int(n), of, **way) for n in RANKS]
                note = "batches 8 times as large" if "batches" in way else f"hosts of {HOST}" if way else "plain"
                axis.semilogx(RANKS, part, style, color=colour, label=f"{cluster}, {note}")
        axis.axhline(100 * WORTH, color="#878787", linewidth=1, label=f"{100 * WORTH:.0f} %")
        axis.set(xlabel="ranks N", ylabel="work, % of N times that of one rank", ylim=(0, 102),
                 title=f"Work of N ranks by the model: {name}")
        axis.title.set_fontsize(11)
    corner.set_axis_off()
    corner.legend(*axes[1].get_legend_handles_labels(), loc="center", frameon=False, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=200)


def _two(rows, name):
    return next(row for row in rows if row["name"] == name and row["ranks"] == 2 and row["link"] is None)


def write(made, path):
    """Write the record and the picture beside it; return the tables.

    Args:
        made: of `measure`; None: that of the record.
        path: of the record, .json.
    """
    path = Path(path)
    made = json.loads(path.read_text()) if made is None else made
    record = {"rows": made["rows"], "message": made["message"], "fit": fitted(made["rows"], made["message"])}
    path.write_text(json.dumps(record) + "\n")
    draw(record, path.with_suffix(".png"))
    return report(record)
