"""The command info: what a file is."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy import readers
from spconv_cy.cli.kinds import ESTIMATORS, kind_of_file, metadata_of
from spconv_cy.cli.printed import add_json, tell
from spconv_cy.cli.samples import DRAWN
from spconv_cy.errors import FileError, expected
from spconv_cy.io import read_checkpoint, read_onnx
from spconv_cy.io.file import load_with_extra
from spconv_cy.io.foreign import recognised

if TYPE_CHECKING:
    from spconv_cy.data import PointCloud

MOST_SHOWN = 12                                     # names in a list


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of info."""
    parser.add_argument("file", metavar="FILE", help="a network, a checkpoint, drawings, points, or a folder")
    add_json(parser)
    parser.set_defaults(run=_info)


def _info(options: argparse.Namespace) -> None:
    path = options.file
    if os.path.isdir(path):
        tell(options, _of_folder(path))
        return
    kind = kind_of_file(path)
    read = {**dict.fromkeys(DRAWN, _of_drawings), **READ}.get(kind)
    if read is None:
        what, remedy = recognised(path)
        raise FileError(expected(path, "a network, a checkpoint, drawings or points", what, remedy))
    tell(options, {"file": path, **read(path)})


def _of_network(path: str) -> dict[str, Any]:
    net, extra = load_with_extra(path)
    found = {"kind": "network", **_layers(net)}
    parts = extra if isinstance(extra, dict) else {}
    learnt = parts.get("values" if "regressor" in parts else "classes")
    if learnt is not None:
        found["kind"] = next((name for name in ESTIMATORS if name in parts), "classifier")
        if isinstance(learnt, dict) and "means" in learnt:
            found["values"] = len(learnt["means"])
        else:
            found["classes"] = _short(_classes(learnt))
        if "columns" in parts:
            found["columns"] = _short(parts["columns"])
    elif extra is not None:
        found["extra"] = json.dumps(extra)[:200]
    return found


def _layers(net: Any) -> dict[str, Any]:
    state = net.state()
    rows = [f"{name} {value.shape}" for name, value in state.items()]
    return {"network": net.notation() or type(net).__name__, "layers": len({name.rpartition(".")[0] for name in state}),
            "parameters": net.n_parameters(), "arrays": _short(rows)}


def _classes(saved: Any) -> list[str]:
    """Return the labels of a saved classifier as text."""
    values = saved.get("labels", saved) if isinstance(saved, dict) else saved
    return [str(value[-1] if isinstance(value, list) and value else value) for value in values]


def _of_checkpoint(path: str) -> dict[str, Any]:
    text = metadata_of(path)
    history = json.loads(text.get("history", "{}"))
    losses, errors = history.get("losses") or [], history.get("errors") or []
    return {"kind": "checkpoint of fit, which continues it", "epochs": len(losses),
            "loss": losses[-1] if losses else None, "error": errors[-1] if errors else None,
            "optimizer": text.get("optimizer", "").strip('"')}


def _of_weights(path: str) -> dict[str, Any]:
    arrays = read_checkpoint(path)
    shapes = [f"{name} {array.shape} {array.dtype}" for name, array in arrays.items()]
    return {"kind": "weights of another program; spconv-cy convert takes them over", "arrays": len(arrays),
            "numbers": sum(array.size for array in arrays.values()), "names": _short(shapes)}


def _of_onnx(path: str) -> dict[str, Any]:
    return {"kind": "onnx", **_layers(read_onnx(path))}


def _of_sites(path: str) -> dict[str, Any]:
    arrays = read_checkpoint(path)
    sites = arrays["sites"]
    rows = sites[:, 1:] if sites.ndim == 2 and len(sites) else np.zeros((0, 0))
    return {"kind": "sites and features, for spconv-cy predict", "sites": sites.shape[0],
            "dimension": sites.shape[1] - 1 if sites.ndim == 2 else None, "channels": arrays["features"].shape[-1],
            "samples": int(sites[:, 0].max()) + 1 if len(rows) else 0, **_ends(rows)}


def _of_drawings(path: str) -> dict[str, Any]:
    kind = kind_of_file(path)
    found = DRAWN[kind](path)
    points, counts = found.characters.points, np.bincount(found.labels, minlength=len(found.classes))
    present = [f"{name or 'no label'} ({n})" for name, n in zip(found.classes, counts, strict=True) if n]
    return {"kind": "drawings", "format": kind, "drawings": len(found),
            "strokes": len(found.characters.stroke_starts) - 1, "points": len(points), "classes": _short(present),
            "writers": len(np.unique(found.writers[found.writers >= 0])), **_ends(points),
            "test part": int(found.tested.sum()) if found.tested is not None else None}


def _of_points(path: str) -> dict[str, Any]:
    cloud = readers.read_points(path)
    return {"kind": "points", "points": len(cloud), "dimension": cloud.points.shape[1],
            "not finite": len(cloud) - len(cloud.finite()), **_ends(cloud.finite().points), "values": _values(cloud)}


def _values(cloud: PointCloud) -> dict[str, str]:
    found = {}
    for name, value in cloud.values.items():
        finite = value[np.isfinite(value)] if value.dtype.kind == "f" else value
        ends = f", {finite.min():.6g} to {finite.max():.6g}" if value.dtype.kind in "iuf" and len(finite) else ""
        found[name] = f"{value.dtype}{ends}"
    return found


def _of_pictures(path: str) -> dict[str, Any]:
    found = readers.read_gnt(path)
    return {"kind": "pictures of characters", "pictures": len(found), "classes": _short(list(found.classes))}


def _of_mesh(path: str) -> dict[str, Any]:
    mesh = readers.read_mesh(path)
    return {"kind": "mesh", "vertices": len(mesh.vertices), "triangles": len(mesh.triangles), **_ends(mesh.vertices)}


def _of_voxels(path: str) -> dict[str, Any]:
    found = readers.read_voxels(path)
    return {"kind": "shapes of voxels", "shapes": len(found), "classes": _short(list(map(str, found.classes))),
            "size": list(found.size)}


def _of_events(path: str) -> dict[str, Any]:
    found = readers.read_events(path)
    return {"kind": "events of a camera", "events": len(found.t), "size": list(found.size),
            "microseconds": int(found.t[-1] - found.t[0]) if len(found.t) else 0}


def _of_folder(path: str) -> dict[str, Any]:
    kinds: dict[str, int] = {}
    names = sorted(entry.path for entry in os.scandir(path) if entry.is_file())
    for name in names:
        kind = kind_of_file(name)
        kinds[kind] = kinds.get(kind, 0) + 1
    folders = sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
    return {"file": path, "kind": "folder", "files": kinds, "folders": _short(folders)}


def _ends(points: Any) -> dict[str, Any]:
    if not len(points):
        return {}
    return {"low": [float(v) for v in points.min(0)], "high": [float(v) for v in points.max(0)]}


def _short(names: list[str]) -> list[str]:
    return names if len(names) <= MOST_SHOWN else [*names[:MOST_SHOWN], f"... {len(names)} in all"]


READ: dict[str, Callable[[str], dict[str, Any]]] = {
    "network": _of_network, "checkpoint": _of_checkpoint, "weights": _of_weights, "onnx": _of_onnx, "sites": _of_sites,
    "points": _of_points, "gnt": _of_pictures, "mesh": _of_mesh, "voxels": _of_voxels, "events": _of_events}
