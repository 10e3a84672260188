"""What a file is, by its name and its beginning."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

from spconv_cy.errors import FileError, expected
from spconv_cy.readers.points import READERS, TABLES

WEIGHTS = (".pth", ".pt", ".ckpt", ".pkl")
STROKES = {".inkml": "inkml", ".ndjson": "quickdraw", ".pot": "casia"}
MESHES = (".off", ".obj")
RECORD = struct.Struct("<Q2sbIH")                   # of quickdraw's .bin
ESTIMATORS = ("classifier", "regressor", "segmenter")
MOST_HEADER = 100_000_000
MOST_LINES = 50


def kind_of_file(path: str) -> str:
    """Return the format of a file: a reader's name, "network", "checkpoint", "weights", "sites", "onnx" or "unknown".

    Names of readers are points, npz, inkml, quickdraw, casia, gnt, unipen, uji, mesh, voxels, events.

    Raises:
        FileNotFoundError: there is no such file.
    """
    ending = Path(path).suffix.lower()
    with open(path, "rb") as file:
        head = file.read(4096)
    if ending == ".safetensors":
        return {"spconv_cy": "network", "spconv_cy checkpoint": "checkpoint"}.get(
            metadata_of(path).get("format", ""), "weights")
    if ending == ".npz":
        return _kind_of_arrays(path)
    if ending == ".bin":
        return "quickdraw" if head and _is_quickdraw(path) else "points"
    if ending in ("", ".txt", ".dat", ".uji") and _first_word(head) in (".", "WORD"):
        return "unipen" if _first_word(head) == "." else "uji"
    named = {**dict.fromkeys(WEIGHTS, "weights"), **STROKES, ".onnx": "onnx", ".gnt": "gnt",
             **dict.fromkeys(MESHES, "mesh"), **dict.fromkeys((*READERS, *TABLES), "points")}
    return named.get(ending, "unknown")


def metadata_of(path: str) -> dict[str, Any]:
    """Return the text in the header of a .safetensors file; {} if it is damaged."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(MOST_HEADER, os.path.getsize(path)):
            return {}
        try:
            found = json.loads(file.read(length)).get("__metadata__") or {}
        except (ValueError, AttributeError, RecursionError):
            return {}
    return found if isinstance(found, dict) else {}


def estimator_of(path: str) -> str | None:
    """Return the estimator whose model a .safetensors file is: one of ESTIMATORS; None if it is something else."""
    try:
        extra = json.loads(metadata_of(path).get("extra", "null"))
    except (TypeError, ValueError, RecursionError):
        return None
    return next((name for name in ESTIMATORS if name in extra), None) if isinstance(extra, dict) else None


def check_no_regressor(path: str) -> str | None:
    """Return the estimator whose model a file is, as `estimator_of`; raise FileError if it is a regressor."""
    found = estimator_of(path)
    if found == "regressor":
        raise FileError(expected(path, "a classifier, a segmenter or a network", "a regressor", "use it in Python: "
                                 "SparseConvRegressor.load(path).predict(X)"))
    return found


def _kind_of_arrays(path: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return "unknown"
    if {"stroke_end", "char_end"} <= names:
        return "npz"
    if {"sites", "features"} <= names:
        return "sites"
    if {"voxel", "shape_end"} <= names or {"train_images", "train_labels"} <= names:
        return "voxels"
    if {"t", "x", "y", "on"} <= names:
        return "events"
    return "points" if names & {"points", "xyz", "coord", "coords"} else "weights"


def _first_word(head: bytes) -> str:
    """Return the first word that is no comment, "." for UNIPEN's words."""
    for line in head.decode("latin-1").splitlines()[:MOST_LINES]:
        words = line.removeprefix("\xef\xbb\xbf").split()
        if words and not words[0].startswith("//"):
            return "." if words[0].startswith(".") and words[0][1:2].isupper() else words[0]
    return ""


def _is_quickdraw(path: str) -> bool:
    """Return True if a file is a chain of records of quickdraw from its begin to its end."""
    size, at = os.path.getsize(path), 0
    with open(path, "rb") as file:
        while at < size:
            head = file.read(RECORD.size)
            if len(head) < RECORD.size or RECORD.unpack(head)[2] not in (0, 1):
                return False
            for _ in range(RECORD.unpack(head)[4]):
                n = int.from_bytes(file.read(2), "little")
                if file.tell() + 2 * n > size:
                    return False
                file.seek(2 * n, 1)
            at = file.tell()
    return at == size
