"""What each case is to reach by instruction set, what the peers took, and whether a record meets it.

The peers' times are a sheet, peers/times.csv: one measurement a line, with its machine, date and source, and the sgemm
peak of its run. Against another run they are scaled by the ratio of the peaks.

    python benchmarks/goals.py RECORD.json ...           prints the goals of records as tables
    python benchmarks/goals.py --sheet RECORD.json       prints the peers' rows of a record as lines of the sheet
"""

import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path

SHEET = Path(__file__).parent / "peers" / "times.csv"
WRONG = ("spconv",)                                     # its scatter races on two threads, so its results are not right
ISAS = ("avx2", "avx512f")


@dataclass(frozen=True)
class Goal:
    """Bounds on our figures; a bound that is None is not asked for. A pair is one for AVX2 and one for AVX-512.

    Attributes:
        share: at least this part of the sgemm peak of the run.
        ms: at most so many milliseconds, at a peak of MS_PEAK.
        over_any, over_right: so many times faster than every peer, than every one with right results.
    """

    share: tuple | float = None
    ms: tuple | float = None
    over_any: tuple | float = None
    over_right: tuple | float = None

    def of(self, name, isa):
        """Return a bound for an instruction set; AVX2's for others."""
        bound = getattr(self, name)
        return bound[isa == "avx512f"] if isinstance(bound, tuple) else bound


MS_PEAK = 204.0                                         # GFLOP/s of sgemm where goals in milliseconds were set
GOALS = {
    ("Scan", 16, "forward"): Goal(share=(0.80, 0.90)),
    ("Scan", 32, "forward"): Goal(share=(0.95, 0.97)),
    ("Scan", 64, "forward"): Goal(share=(0.98, 1.04)),
    ("Scan", 128, "forward"): Goal(share=(0.98, 1.04)),
    ("Scan", 16, "forward_backward"): Goal(share=(0.75, 0.90)),
    ("Scan", 32, "forward_backward"): Goal(share=(0.86, 0.96)),
    ("Scan", 64, "forward_backward"): Goal(share=(0.92, 1.03)),
    ("Scan", 128, "forward_backward"): Goal(share=(0.92, 1.03)),
    ("Wide", 256, "forward_backward"): Goal(share=(0.90, 0.95)),
    ("Wide", 512, "forward_backward"): Goal(share=(0.90, 0.95)),
    ("Lidar", "forward"): Goal(share=0.85),
    ("SpaceTime", "forward"): Goal(share=0.85),
    ("Down", "forward"): Goal(share=0.75, over_any=2),
    ("Up", "forward"): Goal(share=0.75, over_any=2),
    ("Rules", "sorted"): Goal(ms=5),
    ("Rules", "unsorted"): Goal(ms=8),
    ("Cold", "forward"): Goal(over_any=3, over_right=4),
    ("UNet", "forward"): Goal(over_any=3, over_right=3.5),
    ("UNet", "training_step"): Goal(share=(0.70, 0.75), over_any=2.5, over_right=(4.5, 5.5)),
    ("Glyphs", "training_step"): Goal(over_any=(5, 4)),
}
ONE_GLYPH_MS = (1.5, 1.2)                               # new sites, one thread
OVER_ONE_THREAD = {"UNet": 1.85, "Glyphs": 1.8}         # two threads over one, training steps
AT_MOST = {                                             # figures that are no times
    ("Rules", "bytes_a_pair"): 9.0,
    ("Small", "overhead_us"): 20.0,
    ("Memory", "forward_over_rulebook_MB"): 4.0,
    ("Memory", "unet_training_step_MB"): 200.0,
    ("Steady", "faults_a_step"): 100.0,
    ("Steady", "growth_MB"): 1.0,
}
CASES = [*(("Scan", (channels,)) for channels in (16, 32, 64, 128)), ("Wide", (256,)), ("Wide", (512,)),
         ("Part", (32,)),
         *((case, ()) for case in ("Lidar", "SpaceTime", "Down", "Up", "Rules", "Cold", "UNet", "Glyphs"))]


def key(row):
    """Return the place of a row, or of a figure, in the tables."""
    return (row["case"], *row["params"], row.get("verb") or row["name"])


def sheet(path=SHEET):
    """Return the lines of the sheet: dicts with numbers where a column has numbers."""
    with open(path, newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        line["params"] = [int(n) for n in line["params"].split()]
        line.update({name: float(line[name]) for name in ("ms", "peak")}, threads=int(line["threads"]))
    return lines


def published(isa, threads=2):
    """Return {place: {peer: milliseconds x GFLOP/s}}; of an instruction set without a line, those of AVX-512."""
    found = {}
    for wanted in ("avx512f", isa):
        for line in sheet():
            if line["isa"] == wanted and line["threads"] == threads:
                found.setdefault(key(line), {})[line["peer"]] = line["ms"] * line["peak"]
    return found


def isa_of(record):
    """Return our instruction set in a record."""
    return record["machine"]["sides"]["ours"]["versions"]["isa"]


def judged(record):
    """List (name, what is asked, what was found, whether it was met) for every goal that a record speaks of."""
    isa, rows, found = isa_of(record), record["rows"], []
    peers = published(isa)
    for row in rows:
        goal = GOALS.get(key(row))
        if row["side"] != "ours" or goal is None:
            continue
        name, best, scale = name_of(key(row)), 1e3 * row["best"], MS_PEAK / row["peak"]
        share, most = goal.of("share", isa), goal.of("ms", isa)
        if share:
            got = f"{row['share']:.1%} (median {row['share_median']:.1%})"
            found.append((name, f"{share:.0%} of the peak", got, row["share"] >= share))
        if most:
            got = f"{best:.2f} ms at {row['peak']:.0f} GFLOP/s"
            found.append((name, f"{most:g} ms", got, best <= most * scale))
        told = {peer: ms / row["peak"] for peer, ms in peers.get(key(row), {}).items()}
        beside = {other["side"]: 1e3 * other["best"] for other in rows
                  if key(other) == key(row) and not other["side"].startswith("ours")}
        for times, where in ((told, "measured by us before"), (beside, "in this run")):
            for bound, who in (("over_any", "any"), ("over_right", "any right one")):
                factor = goal.of(bound, isa)
                ratios = {peer: ms / best for peer, ms in times.items() if who == "any" or peer not in WRONG}
                if factor and ratios:
                    peer = min(ratios, key=ratios.get)
                    found.append((name, f"{factor:g}x faster than {who}, {where}", f"{ratios[peer]:.2f}x ({peer})",
                                  ratios[peer] >= factor))
    for figure in record["figures"]:
        most = AT_MOST.get(key(figure))
        if most is not None and figure["side"] == "ours":
            found.append((name_of(key(figure)), f"at most {most:g}", f"{figure['value']:.2f}", figure["value"] <= most))
    return found


def tell(record, say=print):
    """Print the table of goals, and how the peers of the sheet compare."""
    for name, asked, got, met in judged(record):
        say(f"{name:34s} {asked:44s} {got:34s} {'met' if met else 'NOT MET'}")
    peers = published(isa_of(record))
    say(f"\nours x the peak of this run / (theirs x the peak of theirs), as times faster; sources in {SHEET.name}:")
    for row in record["rows"]:
        if row["side"] == "ours" and key(row) in peers:
            ours = 1e3 * row["best"] * row["peak"]
            say(f"{name_of(key(row)):34s} " + "   ".join(f"{peer} {theirs / ours:5.1f}x"
                                                         for peer, theirs in peers[key(row)].items()))


def name_of(place):
    case, *params, verb = place
    return f"{case}{tuple(params) if len(params) > 1 else f'({params[0]})' if params else ''}.{verb}"


def table(record):
    """Return the goals of a record, and its other verdicts, as a table of Markdown."""
    lines = [(*line[:3], line[3]) for line in judged(record)]
    lines += [(v["what"], f"{'at least' if v['at_least'] else 'at most'} {v['bound']:g}", f"{v['value']:.2f}", v["met"])
              for v in record["verdicts"]]
    heads = "| what | goal | found | |\n|---|---|---|---|\n"
    return heads + "\n".join(f"| {what} | {goal} | {found} | {'met' if met else '**not met**'} |"
                             for what, goal, found, met in lines)


def lines_of_sheet(record):
    """Return the peers' rows of a record as lines of the sheet."""
    machine = record["machine"]
    return [",".join(map(str, (row["case"], " ".join(map(str, row["params"])), row["verb"], row["side"],
                               f"{1e3 * row['best']:.4g}", f"{row['peak']:.4g}", row["threads"], isa_of(record),
                               machine["processor"], machine["date"][:10], "benchmarks/bench_peers.py")))
            for row in record["rows"] if not row["side"].startswith("ours")]


if __name__ == "__main__":
    _sheet = "--sheet" in sys.argv
    for _path in [name for name in sys.argv[1:] if name != "--sheet"]:
        _record = json.loads(Path(_path).read_text())
        print("\n".join(lines_of_sheet(_record)) if _sheet else table(_record))
