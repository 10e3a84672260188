"""Write what experiments and benchmarks found into docs/numbers.md: between its markers nothing is typed by hand.

The records of experiments that were run here, under build/experiments, are merged first into the one that is kept,
docs/experiments/record.json, with the pictures that the page shows beside it.
"""

import argparse
import csv
import json
import re
import shutil
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "benchmarks"))
import goals  # noqa: E402

RUNS, KEPT, PAGE = DOCS.parent / "build" / "experiments", DOCS / "experiments", DOCS / "numbers.md"
BENCHMARKS = DOCS / "benchmarks"
BLOCK = re.compile(r"(<!-- (experiment|benchmark) (\w+) -->\n).*?(<!-- end -->)", re.S)


def main():
    """Merge the runs under build/ into the record and write the page again."""
    records = kept_records()
    for path in sorted(RUNS.glob("*/record.json")):
        keep(records, path.parent)
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / "record.json").write_text(json.dumps(dict(sorted(records.items())), indent=1, ensure_ascii=False) + "\n")
    text = PAGE.read_text()
    places = set(re.findall(r"<!-- (\w+ \w+) -->", text))
    found = {f"experiment {record['name']}" for record in records.values()}
    found |= {f"benchmark {path.stem}" for path in BENCHMARKS.glob("*.txt")}
    if found - places:
        raise SystemExit(f"numbers.md lacks <!-- {' -->, <!-- '.join(sorted(found - places))} --> and <!-- end -->")
    PAGE.write_text(page(text))


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
    record["trainings"] = {Path(log).stem: last_epoch(run / log) for log in record.pop("logs")}
    records[key] = record


def last_epoch(log):
    """Return what the last line of a training's log says, and the seconds of all its epochs."""
    with open(log, newline="") as file:
        rows = list(csv.DictReader(file))
    last = {name: float(value) for name, value in rows[-1].items()
            if value and name not in ("epoch", "rate")} if rows else {}
    return {"epochs": len(rows)} | last | {"seconds": round(sum(float(row["seconds"]) for row in rows), 1)}


def page(text):
    """Return the page's text with each marked place filled from the kept records."""
    fill = {"experiment": experiment, "benchmark": benchmark}
    return BLOCK.sub(lambda match: match[1] + fill[match[2]](match[3]) + match[4], text)


def benchmark(name):
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
        parts += [f"![What {name} measured](benchmarks/{name}.png)", ""]
    return "\n".join(parts)


def experiment(name):
    """Return what an experiment found: the full run, then the small one."""
    records = kept_records()
    parts = [shown(key, records[key]) for key in (name, f"{name}-small") if key in records]
    return "\n".join(parts) or "Not run yet.\n"


def shown(key, record):
    """Return one run's command, time, tables and pictures in Markdown."""
    seconds = record["seconds"]
    took = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
    lines = [f"`{record['command']}`: {took} on {record['threads']} threads{where(record)}", ""]
    for title, table in record["tables"].items():
        lines += [f"*{title}*", "", table, ""]
    for picture, caption in record["pictures"].items():
        lines += [f"![{caption}](experiments/{key}-{picture})", "", caption, ""]
    if record["size"] == "small":                        # what `make seed` makes; the full run, if any, stands above
        lines = ["<details><summary>Small, by <code>make seed</code></summary>", "", *lines, "</details>", ""]
    return "\n".join(lines)


def where(record):
    """Return the processor, the versions, the commit and the date of a record that has them."""
    processor, versions = record["processor"] or {}, record["versions"] or {}
    known = [", ".join(filter(None, processor.values())), ", ".join(f"{name} {found}" for name, found in
                                                                     versions.items() if found),
             f"commit {record['commit']}" * bool(record["commit"]), record["date"] or ""]
    return "".join(f"; {part}" for part in known if part)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()            # it takes none; --help runs nothing
    main()
