"""Writes tests/unfinished_names.txt anew: python tests/unfinished_names.py."""

from pathlib import Path

from test_public_api import DOCUMENTED, FUNCTIONS, missing_annotations, unplain

found = [f"types:{place}" for place, value in FUNCTIONS.items() if missing_annotations(value)]
found += [f"words:{place}" for place, value in DOCUMENTED.items() if unplain(value)]
(Path(__file__).parent / "unfinished_names.txt").write_text("".join(f"{name}\n" for name in sorted(found)))
print(len(FUNCTIONS), "functions,", len(DOCUMENTED), "documented names,", len(found), "unfinished")
