"""train --points, and evaluate and predict of a model that it wrote: a class for every point of files of points."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from spconv_cy.cli.converting import check_other
from spconv_cy.cli.printed import WrongArguments, tell
from spconv_cy.cli.samples import read_samples
from spconv_cy.data import PointCloud as Cloud
from spconv_cy.errors import FileError, ShapeError, expected, printable
from spconv_cy.estimators import SparseConvSegmenter
from spconv_cy.readers import write_points
from spconv_cy.train import mean_iou
from spconv_cy.writing import check_writable

WRITTEN = (".csv", ".ply")


def add_points(parser: argparse.ArgumentParser) -> None:
    """Add the options of files of points with a class for each point."""
    parser.add_argument("--label", metavar="NAME", help="column with the class of each point; by default the one that "
                        "is named label, class or alike")
    parser.add_argument("--by", metavar="NAME", help="column that tells the clouds of a file apart, such as event")


def train_points(options: argparse.Namespace) -> None:
    """Train a SparseConvSegmenter and print the result."""
    clouds = _clouds(options, options.data)
    labels = _labels(options, clouds)
    tested = np.zeros(len(clouds), bool)
    if options.test is not None:
        order = np.random.default_rng(options.seed).permutation(len(clouds))
        tested[order[:round(options.test * len(clouds))]] = True
    train = np.flatnonzero(~tested)
    if not len(train):
        raise FileError(expected("train", "clouds to train on", f"{len(clouds)}, all of them for the test",
                                 "give a smaller --test, or --by NAME if a file holds several"))
    given = {"levels": options.levels, "width": options.channels, "epochs": options.epochs, "batch": options.batch,
             "rate": options.rate, "cell": options.cell}
    model = SparseConvSegmenter(dimension=clouds[0].points.shape[1], random_state=options.seed,
                                verbose=not options.quiet,
                                **{name: value for name, value in given.items() if value is not None})
    began = time.perf_counter()
    model.fit([_unlabelled(options, clouds[i]) for i in train], [labels[i] for i in train])
    model.save(options.model)
    history = model.history_
    result: dict[str, Any] = {
        "model": options.model, "clouds": len(train), "points": sum(len(clouds[i]) for i in train),
        "classes": len(model.classes_), "training_loss": history.losses[-1], "training_error": history.errors[-1],
        "seconds": time.perf_counter() - began}
    if tested.any():
        result |= _errors(options, model, [clouds[i] for i in np.flatnonzero(tested)],
                          [labels[i] for i in np.flatnonzero(tested)])
    tell(options, result)


def evaluate_points(options: argparse.Namespace) -> None:
    """Print the error and the intersection over union of each class."""
    model = SparseConvSegmenter.load(options.model)
    clouds = _clouds(options, options.data)
    tell(options, {"model": options.model, **_errors(options, model, clouds, _labels(options, clouds))})


def predict_points(options: argparse.Namespace) -> None:
    """Write the points of a file with the class of each, or print how many points each class has."""
    *inputs, last = options.files
    target = last if inputs and last.lower().endswith(WRITTEN) else None
    if len(options.files) > 1 and (target is None or len(inputs) != 1):
        raise WrongArguments(expected("predict", "a model of points, one file of points, and a .csv or .ply file to "
                                      "write if any", f"{len(options.files)} files"))
    if target:
        check_other(inputs[0], target)
        check_writable(target)
    model = SparseConvSegmenter.load(options.net)
    whole = _read(options, inputs or [last])[0]
    parts = _parted(options, whole)
    shares = np.zeros((len(whole), len(model.classes_)))
    given = [_unlabelled(options, whole.take(part)) for part in parts]
    for part, found in zip(parts, model.predict_proba(given), strict=True):
        shares[part] = found
    classes = model.classes_[shares.argmax(1)]
    if target:
        write_points(target, Cloud(whole.points, {**whole.values, "predicted": classes, "probability": shares.max(1)}))
    counts = {str(label): int((classes == label).sum()) for label in model.classes_}
    result = {"output": target, "points": len(whole), "predicted": counts}
    tell(options, result, f"{printable(target)}: {len(whole)} points" if target else None)


def _read(options: argparse.Namespace, paths: list[str]) -> list[Cloud]:
    found = read_samples(options, paths)
    if found.drawings or not found.clouds:
        raise FileError(expected(options.command, "files of points", "drawings" if found.drawings else "none"))
    return found.clouds


def _clouds(options: argparse.Namespace, paths: list[str]) -> list[Cloud]:
    """Return the clouds of files, those of one file apart."""
    return [cloud.take(part) for cloud in _read(options, paths) for part in _parted(options, cloud)]


def _parted(options: argparse.Namespace, cloud: Cloud) -> Sequence[Any]:
    """Return the rows of each cloud of a file."""
    if options.by is None:
        return [np.arange(len(cloud))]
    if options.by not in cloud.values:
        named = any(name != f"c{i}" for i, name in enumerate(cloud.values, cloud.points.shape[1]))
        raise FileError(expected("--by", f"a column {options.by!r}", ", ".join(cloud.values) or "none",
                                 "" if named else "the first line of the file may name the columns"))
    found, numbers = np.unique(cloud.values[options.by], return_inverse=True)
    return [np.flatnonzero(numbers == i) for i in range(len(found))]


def _labels(options: argparse.Namespace, clouds: list[Cloud]) -> list[Any]:
    try:
        return [cloud.labels(options.label) for cloud in clouds]
    except ShapeError as error:
        name = options.label
        raise FileError(expected(options.command, f"a class of each point, in a column named {name or 'label'}",
                                 ", ".join(clouds[0].values) or "no columns but the coordinates",
                                 "" if name else "name it by --label NAME")) from error


def _unlabelled(options: argparse.Namespace, cloud: Cloud) -> Cloud:
    """Return a cloud without the columns that tell classes and clouds apart."""
    return Cloud(cloud.points, {name: value for name, value in cloud.values.items()
                                if name not in (options.label, options.by)})


def _errors(options: argparse.Namespace, model: SparseConvSegmenter, clouds: list[Cloud], labels: list[Any]
            ) -> dict[str, Any]:
    """Return the error on points, and the intersection over union of each class."""
    found = model.evaluate([_unlabelled(options, cloud) for cloud in clouds], labels)
    shares = {str(label): None if np.isnan(share) else float(share)           # a class that is neither there nor found
              for label, share in zip(model.classes_, found.iou, strict=True)}
    return {"test_points": sum(map(len, clouds)), "test_error": found.error,
            "mean_iou": mean_iou(found.confusion, ignore_label=found.ignore_label), "iou": shares}
