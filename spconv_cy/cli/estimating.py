"""The commands train and evaluate."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Any

import numpy as np

from spconv_cy.cli.converting import check_other
from spconv_cy.cli.kinds import check_no_regressor
from spconv_cy.cli.printed import WrongArguments, add_json, tell, wrong
from spconv_cy.cli.samples import Samples, add_samples, read_samples
from spconv_cy.cli.segmenting import add_points, evaluate_points, train_points
from spconv_cy.errors import FileError, expected
from spconv_cy.estimators import SparseConvClassifier
from spconv_cy.writing import check_writable

MOST_CONFUSED = 5                                   # pairs of classes that are listed


def add_train(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of train."""
    parser.description = ("Train a classifier of drawings or clouds of points and write it to MODEL. Its classes are "
                          "the labels in the files, or the folders DATA/CLASS/ of the files. With --points: a class "
                          "for every point, learnt from a column of the files.")
    parser.add_argument("data", metavar="DATA", nargs="+", help="files or folders")
    parser.add_argument("model", metavar="MODEL", help="the .safetensors file to write")
    add_samples(parser)
    parser.add_argument("--points", action="store_true", help="a class for every point, by a U-Net")
    add_points(parser)
    parser.add_argument("--cell", type=_positive, help="side of a site in the unit of the points, with --points; by "
                        "default twice the median distance of neighbours")
    parser.add_argument("--net", default="deepcnet", help="deepcnet, deepcnin, or a notation such as "
                        "32C3-MP2-64C2-output; by default deepcnet")
    parser.add_argument("--levels", type=count, help="of the network; by default 5, with --points 3")
    parser.add_argument("--channels", type=count, help="of its first level; by default 30, with --points 16")
    parser.add_argument("--epochs", type=count, help="by default 20, with --points as many as make 200 steps")
    parser.add_argument("--batch", type=count, help="samples in a step; by default 100, with --points 8")
    parser.add_argument("--rate", type=_positive, help="learning rate of Adam; by default 0.003, with --points 0.01")
    parser.add_argument("--test", type=_share, metavar="SHARE", help="of the samples that are kept apart to count "
                        "errors on; by default the data's own test part, if it has one")
    parser.add_argument("--seed", type=_seed, default=0, help="of the random draws; by default 0")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
    add_json(parser)
    parser.set_defaults(run=_train)


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of evaluate."""
    parser.add_argument("model", metavar="MODEL", help="a file that spconv-cy train wrote")
    parser.add_argument("data", metavar="DATA", nargs="+", help="files or folders with labels, as for train")
    add_samples(parser)
    add_points(parser)
    parser.add_argument("--all", action="store_true", help="evaluate on the training part, too, of data that is split")
    add_json(parser)
    parser.set_defaults(run=_evaluate)


def _train(options: argparse.Namespace) -> None:
    _check_model(options)
    if options.points:
        return train_points(options)
    samples = read_samples(options, options.data)
    samples.check_labels("train")
    train, test = _parts(samples, options)
    began = time.perf_counter()
    epochs = options.epochs or 20
    model = SparseConvClassifier(options.net, options.levels or 5, options.channels or 30, epochs=epochs,
                                 batch=options.batch or 100, rate=options.rate or 0.003, random_state=options.seed,
                                 verbose=not options.quiet)
    model.fit(train.items, train.labels)
    model.save(options.model)
    result: dict[str, Any] = {
        "model": options.model, "samples": len(train), "classes": len(model.classes_), "epochs": epochs,
        "training_loss": model.history_.losses[-1] if model.history_.losses else None,
        "training_error": model.history_.errors[-1] if model.history_.errors else None,
        "seconds": time.perf_counter() - began}
    if len(test):
        result |= _errors(model, test)
    tell(options, result)


def _evaluate(options: argparse.Namespace) -> None:
    kind = check_no_regressor(options.model)
    if kind == "segmenter":
        return evaluate_points(options)
    model = SparseConvClassifier.load(options.model)
    samples = read_samples(options, options.data)
    samples.check_read_by("evaluate", model.encoder_)
    samples.check_labels("evaluate")
    if any(samples.tested) and not options.all:
        samples = samples.part(samples.tested)
    if not len(samples):
        raise FileError(expected("evaluate", "samples to evaluate on", "none in the files"))
    tell(options, {"model": options.model, **_errors(model, samples)})


def _parts(samples: Samples, options: argparse.Namespace) -> tuple[Samples, Samples]:
    """Return (training samples, test samples)."""
    tested = np.array(samples.tested, bool)
    if options.test is not None:
        order = np.random.default_rng(options.seed).permutation(len(samples))
        tested = np.zeros(len(samples), bool)
        tested[order[:round(options.test * len(samples))]] = True
    if tested.all():
        raise FileError(expected("train", "samples to train on", f"{len(samples)} samples, all of them for the test",
                                 "give a smaller --test" if len(samples) else ""))
    return samples.part(~tested), samples.part(tested)


def _errors(model: SparseConvClassifier, samples: Samples) -> dict[str, Any]:
    """Return the error on samples, and which classes are taken for others most often."""
    found = model.predict(samples.items)
    pairs: dict[tuple[str, str], int] = {}
    for label, predicted in zip(samples.labels, found, strict=True):
        if str(label) != str(predicted):
            pairs[str(label), str(predicted)] = pairs.get((str(label), str(predicted)), 0) + 1
    worst = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:MOST_CONFUSED]
    return {"test_samples": len(samples), "test_errors": sum(pairs.values()),
            "test_error": sum(pairs.values()) / len(samples),
            "taken_for": {f"{label} as {other}": n for (label, other), n in worst} or None}


def _check_model(options: argparse.Namespace) -> None:
    """Check the file to write before the training begins."""
    folder = os.path.dirname(options.model) or "."
    if not options.model.endswith(".safetensors"):
        raise WrongArguments(expected("train", "MODEL, the name of a .safetensors file to write, as the last argument",
                                      repr(options.model)))
    if not os.path.isdir(folder):
        raise WrongArguments(expected(options.model, "a folder that exists", f"none named {folder}"))
    check_writable(options.model)
    for path in options.data:
        check_other(path, options.model)
    if not options.quiet:
        print(f"reading {', '.join(options.data)}", file=sys.stderr)


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise wrong(text, "a whole number from 0 up")
    return int(text)


def count(text: str) -> int:
    """Return the whole number above 0 of an option."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**31):
        raise wrong(text, "a whole number from 1 up")
    return int(text)


def _positive(text: str) -> float:
    return _number(text, "a number above 0", 0, float("inf"))


def _share(text: str) -> float:
    return _number(text, "a share above 0 and below 1, such as 0.2", 0, 1)


def _number(text: str, what: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low < value < high:
        raise wrong(text, what)
    return value
