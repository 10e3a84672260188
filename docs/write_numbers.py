"""Write what experiments and benchmarks found into docs/numbers.md: between its markers nothing is typed by hand."""

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
    """Keep the runs under build/ and write the page anew."""
    for record in sorted(RUNS.glob("*/record.json")):
        keep(record.parent)
    text = PAGE.read_text()
    places = set(re.findall(r"<!-- (\w+ \w+) -->", text))
    kept = {f"experiment {json.loads(path.read_text())['name']}" for path in KEPT.glob("*/record.json")}
    kept |= {f"benchmark {path.stem}" for path in BENCHMARKS.glob("*.txt")}
    if kept - places:
        raise SystemExit(f"numbers.md lacks <!-- {' -->, <!-- '.join(sorted(kept - places))} --> and <!-- end -->")
    PAGE.write_text(page(text))


def keep(run):
    """Copy a run's record, logs and pictures beside the page; a tiny one is only a test, and checkpoints are large."""
    record = json.loads((run / "record.json").read_text())
    if record["size"] == "tiny" or not record["tables"]:
        return
    folder = KEPT / (record["name"] if record["size"] == "full" else f"{record['name']}-{record['size']}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("record.json", *record["logs"], *record["pictures"]):
        shutil.copyfile(run / name, folder / name)


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
    record = json.loads(path.read_text()) if path.exists() else {"rows": [], "figures": []}
    judged = goals.judged(record["rows"], record["figures"])
    parts = [f"`{command.removeprefix('$ ')}`", ""]
    parts += [goals.table(record), ""] if judged else ["```text", *lines, "```", ""]
    if path.with_suffix(".png").exists():
        parts += [f"![What {name} measured](benchmarks/{name}.png)", ""]
    return "\n".join(parts)


def experiment(name):
    """Return what an experiment found: the full run, then the small one."""
    folders = [KEPT / name, KEPT / f"{name}-small"]
    parts = [shown(folder) for folder in folders if (folder / "record.json").exists()]
    return "\n".join(parts) or "Not run yet.\n"


def shown(folder):
    """Return one run's command, time, logs, tables and pictures in Markdown."""
    record = json.loads((folder / "record.json").read_text())
    seconds = record["seconds"]
    took = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
    logs = ", ".join(f"[{Path(log).stem}](experiments/{folder.name}/{log})" for log in record["logs"])
    if len(record["logs"]) > 12:
        logs = f"[{len(record['logs'])} logs](experiments/{folder.name})"
    lines = [f"`{record['command']}`: {took} on {record['threads']} threads" + (f"; epochs: {logs}" * bool(logs)), ""]
    for title, table in record["tables"].items():
        lines += [f"*{title}*", "", table, ""]
    for picture, caption in record["pictures"].items():
        lines += [f"![{caption}](experiments/{folder.name}/{picture})", "", caption, ""]
    if record["size"] == "small":                        # what `make seed` makes; the full run, if any, stands above
        lines = ["<details><summary>Small, by <code>make seed</code></summary>", "", *lines, "</details>", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
