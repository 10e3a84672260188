"""Write what experiments and benchmarks found into the pages of numbers.

The records of experiments that were run here, under build/experiments, are merged first into the one that is kept,
docs/experiments/record.json, with the pictures that the pages show beside it. Places are found by their markers,
`<!-- KIND NAME -->` to `<!-- end -->`, in docs/numbers.md, docs/experiments/*.md and docs/benchmarks/*.md:

    experiment NAME  the tables and pictures of a full run
    small all        those of all small runs
    benchmark NAME   what docs/benchmarks/NAME.txt and .json say
    results NAME     a table of docs/results.py
"""

import argparse
import csv
import json
import os
import re
import shutil
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent / "benchmarks"), str(DOCS)]
import goals  # noqa: E402
import results  # noqa: E402

RUNS, KEPT, BENCHMARKS = DOCS.parent / "build" / "experiments", DOCS / "experiments", DOCS / "benchmarks"
PAGES = (DOCS / "numbers.md", *sorted(KEPT.glob("*.md")), *sorted(BENCHMARKS.glob("*.md")))
BLOCK = re.compile(r"(<!-- (experiment|small|benchmark|results) (\w+) -->\n).*?(<!-- end -->)", re.S)
LAST = ("loss", "error", "validation loss", "validation error")


def main():
    """Merge the runs under build/ into the record and write the pages again."""
    records = kept_records()
    for path in sorted(RUNS.glob("*/record.json")):
        keep(records, path.parent)
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / "record.json").write_text(json.dumps(dict(sorted(records.items())), indent=1, ensure_ascii=False) + "\n")
    texts = {path: path.read_text() for path in PAGES}
    places = {f"{match[2]} {match[3]}" for text in texts.values() for match in BLOCK.finditer(text)}
    found = {f"experiment {record['name']}" for record in records.values() if record["size"] == "full"}
    found |= {f"benchmark {path.stem}" for path in BENCHMARKS.glob("*.txt")}
    if found - places:
        raise SystemExit(f"no page has <!-- {' -->, <!-- '.join(sorted(found - places))} --> and <!-- end -->")
    for path, text in texts.items():
        path.write_text(page(text, path.parent))


def kept_records():
    """Return the kept record: a dict of each run's, by its name, or name-small."""
    path = KEPT / "record.json"
    return json.loads(path.read_text()) if path.exists() else {}


def keep(records, run):
    """Put a run's record in place of the kept one and copy its pictures; a tiny run is only a test and is skipped."""
    record = json.loads((run / "record.json").read_text())
    if record["size"] == "tiny" or not record["tables"]:
        return
    key = record["name"] if record["size"] == "full" else f"{record['name']}-{record['size']}"
    for picture in records.get(key, {"pictures": ()})["pictures"]:
        (KEPT / f"{key}-{picture}").unlink(missing_ok=True)
    KEPT.mkdir(parents=True, exist_ok=True)
    for picture in record["pictures"]:
        shutil.copyfile(run / picture, KEPT / f"{key}-{picture}")
    spent = record.pop("spent", {})
    trainings = {(name := Path(log).stem): last_epoch(run / log) | ({"processor seconds": spent[name]} if name in spent
                                                                   else {}) for log in record.pop("logs")}
    record["trainings"] = {name: training for name, training in records.get(key, {}).get("trainings", {}).items()
                           if name.replace("-", " ") in record["figures"] or name in record["figures"]} | trainings
    records[key] = record


def last_epoch(log):
    """Return what the last line of a training's log says, and the seconds of all its epochs."""
    with open(log, newline="") as file:
        rows = list(csv.DictReader(file))
    last = {name: float(rows[-1][name]) for name in LAST if rows[-1].get(name)} if rows else {}
    return {"epochs": len(rows)} | last | {"seconds": round(sum(float(row["seconds"]) for row in rows), 1)}


def page(text, folder=DOCS):
    """Return a page's text with each marked place filled from the kept records; its links start in `folder`."""
    records = kept_records()
    fill = {"experiment": lambda name: experiment(name, records, folder), "small": lambda _: small(records, folder),
            "benchmark": lambda name: benchmark(name, folder), "results": lambda name: results.table(name, records)}
    return BLOCK.sub(lambda match: match[1] + fill[match[2]](match[3]) + match[4], text)


def benchmark(name, folder):
    """Return what a benchmark said: its goals where it judged some, and its picture, else its own lines."""
    said = BENCHMARKS / f"{name}.txt"
    if not said.exists():
        return "Not run yet.\n"
    command, *lines = said.read_text().splitlines()
    path = BENCHMARKS / f"{name}.json"
    record = json.loads(path.read_text()) if path.exists() else None
    parts = [f"`{command.removeprefix('$ ')}`", ""]
    if record and goals.judged(record):
        parts += [goals.table(record), ""]
    elif lines and lines[0].startswith("|"):             # a table of Markdown
        parts += [*lines, ""]
    else:
        parts += ["```text", *lines, "```", ""]
    if path.with_suffix(".png").exists():
        parts += [f"![What {name} measured]({linked(path.with_suffix('.png'), folder)})", ""]
    return "\n".join(parts)


def experiment(name, records, folder):
    """Return what the full run of an experiment found."""
    return shown(name, records[name], folder) if name in records else "Not run yet.\n"


def small(records, folder):
    """Return what all small runs found, each under a heading."""
    return "\n".join(f"\n## {record['name']}\n\n{shown(key, record, folder)}" for key, record in records.items()
                     if record["size"] == "small") or "Not run yet.\n"


def shown(key, record, folder):
    """Return one run's command, time, tables and pictures in Markdown."""
    lines = [f"`{record['command']}`: {results.took(record)}{results.where(record)}", ""]
    for title, table in record["tables"].items():
        lines += [f"*{title}*", "", table, ""]
    for picture, caption in record["pictures"].items():
        lines += [f"![{caption}]({linked(KEPT / f'{key}-{picture}', folder)})", "", caption, ""]
    return "\n".join(lines)


def linked(path, folder):
    """Return the path as a link of a page in `folder`."""
    return Path(os.path.relpath(path, folder)).as_posix()


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()    # it takes none; --help runs nothing
    main()
