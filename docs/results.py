"""The tables of docs/numbers.md that compare: each cell is computed from the kept records and benchmarks.

`python docs/write_numbers.py` writes them; `python docs/results.py NAME` prints one of TABLES.
"""

import argparse
import json
import math
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from scipy.special import stdtrit

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent / "experiments"), str(DOCS)]
import comparison  # noqa: E402
from result_rows import ROWS  # noqa: E402

BENCHMARKS = DOCS / "benchmarks"
NONE = "—"


def table(name, records):
    """Return the table NAME of TABLES in Markdown, computed from the records of experiments."""
    head, rows = TABLES[name](records)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def minute(records):
    """What a reader of one minute takes home: exact, this fast, this good, from the figures of the other tables."""
    better, equal = verdicts((row, outcome(row, records)) for row in ROWS)
    ratios = {}
    for *_, others in comparisons():
        for side, ratio in others.items():
            ratios.setdefault(side, []).append(round(ratio, 1))
    rows = [["exact", "; ".join(f"{row[0]}: {row[1]}" for row in (*answers_on_mnist(records), *logs(records)))],
            ["fast, two threads", "times faster than " + ", ".join(f"{side} {min(found):g} to {max(found):g}"
                                                                   for side, found in sorted(ratios.items()))],
            ["good", f"better than the best cheap baseline, zero outside the interval: {'; '.join(better) or NONE}"],
            ["not shown to be better", "; ".join(equal) or NONE]]
    return ["", "in one minute"], rows


def verdicts(rows):
    """Return (better, equal), those whose interval excludes zero for ours and the others, of pairs (Row, Outcome)."""
    better, equal = [], []
    for row, found in rows:
        if found and found.best is not None:
            sure = found.low > 0 if row.overlap else found.high < 0
            (better if sure else equal).append(f"{row.what} ({mean_of(found.ours):.2f}, {found.less:+.2f})")
    return better, equal


# What was read, and compared with what.


def main(records):
    """One line a task: ours over seeds, the best of the cheap baselines, their difference, what others published."""
    head = ["task", "data and split", "n", "ours: error, % (or as named)", "best cheap baseline",
            "ours less baseline (95 %)", "published on the same data, %", "processor seconds to train", "command"]
    return head, [line for row in ROWS for line in [told(row, records)] if line]


def told(row, records):
    """Return the cells of a row, or None if its experiment was not run, or by an older version."""
    found = outcome(row, records)
    if found is None:
        return None
    compared = [NONE, NONE] if found.best is None else [
        f"{found.theirs:.2f}: {found.best}", f"{found.less:+.2f} ({found.low:+.2f} to {found.high:+.2f}){found.how}"]
    older = "" if records[row.record].get("commit") else " (an older record, without its commit)"
    return [row.what, row.data, f"{found.n:,}", spread(found.ours), *compared, row.published or NONE,
            spent(records[row.record], row.trainings), f"`{row.command}`{older}"]


class Outcome(NamedTuple):
    """What a row of the first table says: errors in %, or overlaps, of each seed, beside those of a baseline."""

    n: int
    ours: list[float]
    best: str | None = None
    theirs: float = 0.0
    less: float = 0.0
    low: float = 0.0
    high: float = 0.0
    how: str = ""


def outcome(row, records):
    """Return the Outcome of a row, or None if its experiment was not run, or by an older version."""
    if row.record not in records:
        return None
    answers, n = row.ours(records[row.record])
    if not answers:
        return None
    best = baseline(row.task, records)
    if row.among:
        items = set(row.among(n))
        answers, n = [among(answer, items) for answer in answers], len(items)
        best = best and best | {"wrong": (wrong := among(best["wrong"], items)), "error": len(wrong) / n}
    ours = answers if row.overlap else [100 * share(answer, n) for answer in answers]
    if best is None:
        return Outcome(n, ours)
    theirs = best["value"] if row.overlap else 100 * best["error"]
    return Outcome(n, ours, best["name"], theirs,
                   *(over_seeds(ours, theirs) if row.overlap else difference(answers, best, n)))


def among(answer, items):
    """Return the wrong items of a list that are among those that count, numbered anew; a share as it is."""
    places = {item: place for place, item in enumerate(sorted(items))}
    return [places[item] for item in answer if item in places] if isinstance(answer, list) else answer


def share(answer, n):
    """Return the share of wrong answers: of a list of wrong items, or the share itself."""
    return len(answer) / n if isinstance(answer, list) else answer


def mean_of(values):
    """Return the mean of a list of numbers."""
    return sum(values) / len(values)


def deviation(values):
    """Return the standard deviation of a sample."""
    return (sum((value - mean_of(values))**2 for value in values) / (len(values) - 1))**0.5


def spread(values):
    """Return a mean with the deviation of the seeds, or a single value with the remark that it is one."""
    if len(values) == 1:
        return f"{values[0]:.2f} (1 seed)"
    return f"{mean_of(values):.2f} ± {deviation(values):.2f} ({len(values)} seeds)"


def baseline(task, records):
    """Return the baseline of a task with the fewest errors, {"name", "error", "wrong", ...}, or None."""
    figures = records.get("baselines", {"figures": {}})["figures"]
    found = [{"name": key.partition(": ")[2]} | value for key, value in figures.items()
             if key.partition(": ")[0] == task]
    return min(found, key=lambda one: one["error"] if "error" in one else -one["value"], default=None)


def difference(ours, best, n):
    """Return (ours less theirs in %, the ends of its 95 % interval, how): paired by item where both keep those."""
    if best.get("wrong") is not None and all(isinstance(answer, list) for answer in ours):
        return *(100 * value for value in paired(tuple(map(tuple, ours)), tuple(best["wrong"]), n)), ""
    found = comparison.unpaired([share(answer, n) for answer in ours], best["error"], n)
    return *(100 * value for value in found), ", not paired"


@cache
def paired(ours, theirs, n):
    """Return comparison.paired of tuples, drawn once for all tables that show it."""
    return comparison.paired(ours, theirs, n)


def over_seeds(ours, theirs):
    """Return (ours less theirs, the ends of the 95 % interval of the seeds' mean by Student's t, how)."""
    n, less = len(ours), mean_of(ours) - theirs
    half = stdtrit(n - 1, 0.975) * deviation(ours) / n**0.5 if n > 1 else math.inf       # one seed tells no spread
    return less, less - half, less + half, ", over seeds"


def spent(record, begins):
    """Return the mean processor seconds of the trainings whose names begin so; of the clock for older records."""
    runs = [run for name, run in record["trainings"].items() if name.startswith(begins)]
    for key, said in (("processor seconds", ""), ("seconds", " by the clock, busy machine")):
        times = [run[key] for run in runs if run.get(key)]
        if times:
            return f"{sum(times) / len(times):,.0f}{said}"
    return NONE


def others(records):
    """Every baseline of every task."""
    figures = records.get("baselines", {"figures": {}})["figures"]
    rows = [[*key.split(": ", 1), f"{value['n']:,}", f"{100 * value['error']:.2f}" if "error" in value
             else f"mean IoU {value['value']:.1f}", value["setting"], f"{value['seconds']:.0f}"]
            for key, value in sorted(figures.items())]
    return ["task", "baseline", "n", "error, %", "chosen on held-out training items", "processor seconds"], rows


def evidence(records):
    """The records that the first table is made of, and what they cost; two experiments run at a time."""
    names = [*dict.fromkeys([row.record for row in ROWS if row.record in records] + ["baselines", "same_log"])]
    kept = [records[name] for name in names if name in records]
    rows = [[f"`{one['command']}`", f"{seconds_of(one):,.0f}"
             + ("" if "processor seconds" in one else " by the clock, an older record"), one.get("commit") or NONE,
             one.get("date") or NONE, (one.get("processor") or {}).get("instruction set") or NONE] for one in kept]
    total = sum(map(seconds_of, kept))
    return (["command", "processor seconds", "commit", "date", "instruction set"],
            [*rows, ["all", f"{total:,.0f}: {total / 120:.0f} minutes of two cores", "", "", ""]])


def seconds_of(record):
    """Return a record's processor seconds, or those of the clock if it has none."""
    return record.get("processor seconds") or record["seconds"]


# Exactness.


def answers_on_mnist(records):
    """Return rows: the answers of networks on the active sites only, and with all sites active."""
    for name, what in (("mnist", "a perceptron, LeNet-5 and DeepCNet"), ("fractional", "fractional pooling")):
        nets = [value["difference"] for value in records.get(name, {"figures": {}})["figures"].values()
                if isinstance(value, dict)]
        if nets:
            yield [f"active sites only, or all sites of the field: answers on MNIST of {what}, {len(nets)} trainings",
                   f"{max(nets):g}", f"`python experiments/{name}.py`"]


def logs(records):
    """Return rows: the log of one training on several instruction sets."""
    if "same_log" in records:
        found = records["same_log"]["figures"]["logs"]
        yield [f"the log of one training on {', '.join(found['sets'])}: largest relative difference",
               f"{found['difference']:.1g}", "`python experiments/same_log.py`"]


def exact(records):
    """What must be equal, how far it is, and where that is checked."""
    rows = [*answers_on_mnist(records), *logs(records)]
    if "input_sizes" in records:
        alone = records["input_sizes"]["tables"].get("digits: a field of many digits, read in one pass", "")
        rows += [["a field of many digits read in one pass, or each alone: largest difference of a probability",
                  alone.rsplit("|", 2)[-2].strip(), "`python experiments/input_sizes.py`"]] if alone else []
    one_thread = [one for one in rows_of("converted") if one[2].split(", ")[1] == "1"]   # spconv's scatter races on two
    if one_thread:
        what = f"{len({one[0] for one in one_thread})} networks and scenes of spconv and MinkowskiEngine"
        rows += [[f"{what}, converted: values, as a part of the largest; one thread",
                  f"{max(float(one[3]) for one in one_thread):.0e}", "`make bench-converted`"]]
    return ["what must be equal", "largest difference", "command"], rows


def rows_of(name):
    """Return the cells of a benchmark's table of Markdown, without its head."""
    path = BENCHMARKS / f"{name}.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    lines = [line for line in lines if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


# Speed and cost.


def speed(_):
    """Our times, their share of the sgemm peak, and other libraries in the same run; when and where it was."""
    rows = [[f"{case}{params or ''} {verb}".replace("[", "(").replace("]", ")"), f"{1e3 * ours['best']:.2f}",
             f"{ours['share']:.0%}" if ours.get("share") else NONE,
             ", ".join(f"{side} {ratio:.1f}" for side, ratio in sorted(others.items()))]
            for (case, *params, verb), ours, others in comparisons()]
    head = ["of the sgemm peak", "times faster than, in the same run"]
    return [", ".join(["case", *run_of(peers())]), "ours, ms", *head], rows


def run_of(kept):
    """Return the threads, the processor, our instruction set and the day of a benchmark's record, if there is one."""
    if not kept:
        return []
    machine = kept["machine"]
    return [f"{machine['threads']} threads", machine["processor"], machine["sides"]["ours"]["versions"]["isa"],
            machine["date"][:10]]


def peers():
    """Return the record of the benchmark of other libraries, empty if it was not run."""
    path = BENCHMARKS / "peers.json"
    return json.loads(path.read_text()) if path.exists() else {}


def comparisons():
    """Return (case, our row of the benchmark, {library: how many times faster ours is}) where others were timed."""
    places = {}
    for row in peers().get("rows", ()):
        places.setdefault((row["case"], *row["params"], row["verb"]), {})[row["side"]] = row
    for place, sides in places.items():
        ours = sides.pop("ours", None)
        if ours and sides:
            yield place, ours, {side: row["best"] / ours["best"] for side, row in sides.items()}


def scale(records):
    """Active sites and multiply-adds of a glyph as its scale doubles, sparse and dense."""
    table = records.get("scale_table", {"tables": {}})["tables"]
    found = next((text for title, text in table.items() if title.startswith("digits: cost")), "")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()]
    return (lines[0], lines[2:]) if lines else (["not run"], [])


def took(record):
    """Return how long a run took, in words."""
    seconds, spent_ = record["seconds"], record.get("processor seconds")
    said = counted(seconds / 60, "minute") if seconds >= 90 else counted(seconds, "second")
    return f"{said} on {counted(record['threads'], 'thread')}" + (
        f", {counted(spent_, 'processor second')}" if spent_ else "")


def counted(number, what):
    """Return a rounded number of something, in words."""
    return f"{number:,.0f} {what}{'s' * (round(number) != 1)}"


def where(record):
    """Return the processor, the versions, the commit and the date of a record that has them."""
    processor, versions = record["processor"] or {}, record["versions"] or {}
    known = [", ".join(filter(None, processor.values())), ", ".join(f"{name} {found}" for name, found in
                                                                     versions.items() if found),
             f"commit {record['commit']}" * bool(record["commit"]), record["date"] or ""]
    return "".join(f"; {part}" for part in known if part)


def assamese(_):
    """The table of Graham's talk, other data than any of ours."""
    import scale_table

    return ["l", "scale", *scale_table.AUGMENTS], [[l, 2**l, *cells] for l, cells in scale_table.PUBLISHED.items()]


TABLES = {"assamese": assamese, "minute": minute, "main": main, "evidence": evidence,
          "baselines": others, "exact": exact, "speed": speed, "scale": scale}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=TABLES, help="of a table")
    print(table(parser.parse_args().name, json.loads((DOCS / "experiments" / "record.json").read_text())))
