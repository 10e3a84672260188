"""What each case is to reach, what the peers took, and whether a record meets it.

The peers' times were taken on 2 threads of a machine whose sgemm peak was 204 GFLOP/s; against a run on another
machine, or in another hour, they are scaled by that run's own peak.
"""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

PUBLISHED_PEAK = 204.0
WRONG = ("spconv",)                                     # its scatter races on two threads, so its results are not right


@dataclass(frozen=True)
class Goal:
    """Bounds on our figures; a bound that is None is not asked for.

    Attributes:
        share: at least this part of the sgemm peak of the run.
        ms: at most so many milliseconds (on the published machine).
        over_any, over_right: so many times faster than every peer, than every one with right results.
        peers: {name: milliseconds}, as published.
    """

    share: float = None
    ms: float = None
    over_any: float = None
    over_right: float = None
    peers: dict = field(default_factory=dict)


def _peers(spconv, sparseconvnet, minkowski):
    return {"spconv": spconv, "SparseConvNet": sparseconvnet, "MinkowskiEngine": minkowski}


def _shares(gflop, *shares):
    return _peers(*(1e3 * gflop / (share * PUBLISHED_PEAK) for share in shares))


SCAN = {c: 2e-9 * 1_163_241 * c * c for c in (16, 32, 64, 128)}
GOALS = {
    ("Scan", 16, "forward"): Goal(share=0.78, peers=_peers(14.5, 26, 78)),
    ("Scan", 32, "forward"): Goal(share=0.88, peers=_peers(57, 51, 132)),
    ("Scan", 64, "forward"): Goal(share=0.92, peers=_peers(112, 130, 224)),
    ("Scan", 128, "forward"): Goal(share=0.92, peers=_peers(388, 430, 637)),
    ("Scan", 16, "forward_backward"): Goal(share=0.75, peers=_shares(3 * SCAN[16], 0.18, 0.13, 0.05)),
    ("Scan", 32, "forward_backward"): Goal(share=0.87, peers=_shares(3 * SCAN[32], 0.22, 0.21, 0.11)),
    ("Scan", 64, "forward_backward"): Goal(share=0.90, peers=_shares(3 * SCAN[64], 0.41, 0.38, 0.24)),
    ("Scan", 128, "forward_backward"): Goal(share=0.90, peers=_shares(3 * SCAN[128], 0.53, 0.45, 0.35)),
    ("Lidar", "forward"): Goal(share=0.85, peers=_peers(33, 42, 71)),
    ("SpaceTime", "forward"): Goal(share=0.85, peers=_peers(51, 64, 155)),
    ("Down", "forward"): Goal(over_any=2, peers=_peers(14, 5.4, 16)),
    ("Up", "forward"): Goal(over_any=2, peers=_peers(5.4, 6.7, 16)),
    ("Rules", "sorted"): Goal(ms=5, peers=_peers(26, 79, 67)),
    ("Rules", "unsorted"): Goal(ms=8, peers=_peers(26, 79, 67)),
    ("Cold", "forward"): Goal(over_any=3, over_right=4, peers=_peers(77, 130, 231)),
    ("UNet", "forward"): Goal(over_any=3, over_right=3.5, peers=_peers(195, 316, 877)),
    ("UNet", "training_step"): Goal(over_any=2.5, over_right=3.5, peers=_peers(543, 740, 1774)),
    ("Glyphs", "training_step"): Goal(over_any=3, peers=_peers(163, 148, 408)),
}
AT_MOST = {                                             # figures that are no times
    ("Rules", "bytes_a_pair"): 9.0,
    ("Small", "overhead_us"): 20.0,
    ("Memory", "forward_over_rulebook_MB"): 4.0,
    ("Memory", "unet_training_step_MB"): 200.0,
    ("Steady", "faults_a_step"): 1000.0,
    ("Steady", "growth_MB"): 1.0,
}
CASES = [*(("Scan", (channels,)) for channels in SCAN),
         *((case, ()) for case in ("Lidar", "SpaceTime", "Down", "Up", "Rules", "Cold", "UNet", "Glyphs"))]


def key(row):
    """Return the place of a row, or of a figure, in the tables."""
    return (row["case"], *row["params"], row.get("verb") or row["name"])


def judged(rows, figures=()):
    """List (name, what is asked, what was found, whether it was met) for every goal that the record speaks of.

    Args:
        rows: of a record; ours, and those of the peers that ran beside it.
        figures: of the same record.
    """
    found = []
    for row in rows:
        goal = GOALS.get(key(row))
        if row["side"] != "ours" or goal is None:
            continue
        name, best, scale = name_of(key(row)), 1e3 * row["best"], PUBLISHED_PEAK / row["peak"]
        if goal.share:
            got = f"{row['share']:.1%} (median {row['share_median']:.1%})"
            found.append((name, f"{goal.share:.0%} of the peak", got, row["share"] >= goal.share))
        if goal.ms:
            got = f"{best:.2f} ms at {row['peak']:.0f} GFLOP/s"
            found.append((name, f"{goal.ms:g} ms", got, best <= goal.ms * scale))
        published = {peer: ms * scale for peer, ms in goal.peers.items()}
        beside = {other["side"]: 1e3 * other["best"] for other in rows
                  if key(other) == key(row) and other["side"] != "ours"}
        for times, where in ((published, "published"), (beside, "in this run")):
            for factor, who in ((goal.over_any, "any"), (goal.over_right, "any right one")):
                ratios = {peer: ms / best for peer, ms in times.items() if who == "any" or peer not in WRONG}
                if factor and ratios:
                    peer = min(ratios, key=ratios.get)
                    found.append((name, f"{factor:g}x faster than {who}, {where}", f"{ratios[peer]:.2f}x ({peer})",
                                  ratios[peer] >= factor))
    for figure in figures:
        most = AT_MOST.get(key(figure))
        if most is not None and figure["side"] == "ours":
            found.append((name_of(key(figure)), f"at most {most:g}", f"{figure['value']:.2f}", figure["value"] <= most))
    return found


def tell(rows, figures=(), say=print):
    """Print the table of goals, and how the published peers compare."""
    for name, asked, got, met in judged(rows, figures):
        say(f"{name:34s} {asked:44s} {got:34s} {'met' if met else 'NOT MET'}")
    say("\nours x the peak of this run / (theirs x 204 GFLOP/s), as times faster:")
    for row in rows:
        goal = GOALS.get(key(row))
        if row["side"] == "ours" and goal is not None:
            ratios = {peer: ms * PUBLISHED_PEAK / (1e3 * row["best"] * row["peak"]) for peer, ms in goal.peers.items()}
            say(f"{name_of(key(row)):34s} " + "   ".join(f"{peer} {ratio:5.1f}x" for peer, ratio in ratios.items()))


def name_of(place):
    case, *params, verb = place
    return f"{case}{tuple(params) if len(params) > 1 else f'({params[0]})' if params else ''}.{verb}"


def table(record):
    """Return the goals of a record, and its other verdicts, as a table of Markdown."""
    lines = [(*line[:3], line[3]) for line in judged(record["rows"], record["figures"])]
    lines += [(v["what"], f"{'at least' if v['at_least'] else 'at most'} {v['bound']:g}", f"{v['value']:.2f}", v["met"])
              for v in record["verdicts"]]
    heads = "| what | goal | found | |\n|---|---|---|---|\n"
    return heads + "\n".join(f"| {what} | {goal} | {found} | {'met' if met else '**not met**'} |"
                             for what, goal, found, met in lines)


if __name__ == "__main__":
    for _path in sys.argv[1:]:
        print(table(json.loads(Path(_path).read_text())))
