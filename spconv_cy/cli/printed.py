"""Results on standard output, as lines or as JSON; wrong arguments."""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np


class WrongArguments(ValueError):
    """Arguments that do not fit each other; the exit status is 2."""


def wrong(text: str, what: str) -> argparse.ArgumentTypeError:
    """Return the error for the value of an option; argparse puts the name of the option before it."""
    return argparse.ArgumentTypeError(f"expected {what}, got {text!r}")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option --json to a command."""
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def tell(options: argparse.Namespace, result: dict[str, Any], text: str | None = None) -> None:
    """Print a result: one JSON object with --json, else the text or a line for each entry."""
    if options.json:
        print(json.dumps(result, default=_plain, ensure_ascii=False))
    else:
        print(text if text is not None else lines_of(result))


def lines_of(result: dict[str, Any]) -> str:
    """Return a line for each entry whose value is not None.

    >>> print(lines_of({"points": 3, "low": [0.5, 1.0], "note": None}))
    points  3
    low     0.5, 1
    """
    shown = {name.replace("_", " "): _shown(value) for name, value in result.items() if value is not None}
    width = max(map(len, shown), default=0)
    return "\n".join(f"{name:<{width}}  {value}".replace("\n", "\n" + " " * (width + 2)) for name, value in
                     shown.items())


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name}: {_shown(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown, value)) or "none"
    if isinstance(value, (float, np.floating)):
        return f"{value:.6g}"
    return "yes" if value is True else "no" if value is False else str(value)


def _plain(value: object) -> object:
    """Return a number or an array of numpy as JSON can hold it."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return str(value)
