"""The command predict: labels of a trained model, or the output of a network on sites and features."""

from __future__ import annotations

import argparse
import csv
import errno
import io
import os
import sys
from typing import Any

from spconv_cy.cli.converting import check_other
from spconv_cy.cli.estimating import count
from spconv_cy.cli.kinds import check_no_regressor, estimator_of, kind_of_file
from spconv_cy.cli.printed import WrongArguments, add_json, tell, wrong
from spconv_cy.cli.samples import FORMATS, add_samples, read_samples
from spconv_cy.cli.segmenting import add_points, predict_points
from spconv_cy.errors import expected, printable
from spconv_cy.estimators import SparseConvClassifier
from spconv_cy.io import predict_file, predict_files
from spconv_cy.writing import check_writable, new_file

TABLES = (".csv", ".tsv")
BEST = 3                                            # answers of a drawing with --json


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of predict."""
    parser.usage = ("spconv-cy predict MODEL DATA... [TABLE.csv]\n"
                    "       spconv-cy predict NET INPUT OUTPUT\n"
                    "       spconv-cy predict NET FILES... --out FOLDER [--shard i/n] [--processes N] [--threads N]")
    parser.description = ("The label and the probability of each sample for a model of spconv-cy train, on standard "
                          "output or in a table; for a model of points the class of each, in a .csv or .ply file. "
                          "For a network: its output on .npz files of sites and features.")
    parser.add_argument("net", metavar="MODEL", help="a .safetensors file of a model or a network")
    parser.add_argument("files", metavar="FILES", nargs="+", help="of a model: drawings, and a .csv file to write if "
                        "any; of a network: an .npz file with sites (n, 1 + d), features (n, c) and, if any, size (d,) "
                        "and the file to write; with --out: many inputs, or folders of them")
    add_samples(parser)
    add_points(parser)
    parser.add_argument("--out", metavar="FOLDER", help="of the results; those that are there are not computed again")
    parser.add_argument("--shard", type=_shard, default=(0, 1), metavar="i/n",
                        help="of the files, only every n-th from the i-th on, i from 0 to n - 1")
    parser.add_argument("--processes", type=count, default=1, help="that compute at the same time; by default 1")
    parser.add_argument("--threads", type=count, help="of each process; by default all, divided by the processes")
    parser.add_argument("--format", choices=("npz", "parquet"), default="npz", help="format of the results in --out")
    add_json(parser)
    parser.set_defaults(run=_predict)


def _predict(options: argparse.Namespace) -> int:
    if options.out is not None:
        return _predict_many(options)
    if not os.path.exists(options.net):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), options.net)
    kind = check_no_regressor(options.net) if os.path.isfile(options.net) else None
    if kind is None and os.path.isfile(options.net) and (read := kind_of_file(options.net)) in FORMATS:
        raise WrongArguments(expected("predict", "a model or a network as the first argument",
                                      f"a file of {'points' if read == 'points' else 'drawings'}, {options.net}",
                                      "give the model first, then the files to read"))
    if kind == "segmenter":
        predict_points(options)
        return 0
    if kind == "classifier":
        return _predict_labels(options)
    if len(options.files) != 2:
        raise WrongArguments(expected("predict", "INPUT and OUTPUT, or --out FOLDER", f"{len(options.files)} files"))
    inputs, outputs = options.files
    for given in (options.net, inputs):
        check_other(given, outputs)
    check_writable(outputs)
    found = predict_file(options.net, inputs, outputs)
    tell(options, {"output": outputs, "result": str(found)}, f"{printable(outputs)}: {found}")
    return 0


def _predict_many(options: argparse.Namespace) -> int:
    if os.path.isfile(options.net) and (kind := estimator_of(options.net)):
        raise WrongArguments(expected("predict", "a network with --out", f"the model of a {kind}, {options.net}",
                                      "give a table in place of --out: predict MODEL DATA... TABLE.csv"))
    found = predict_files(options.net, options.files, options.out, shard=options.shard, processes=options.processes,
                          threads=options.threads, format=options.format)
    for path, message in found.failed.items():
        print(f"spconv-cy predict: {printable(path)}: {message}", file=sys.stderr)
    tell(options, {"done": found.done, "skipped": found.skipped, "failed": found.failed}, str(found))
    return 1 if found.failed else 0


def _predict_labels(options: argparse.Namespace) -> int:
    """Print or write the label of each sample."""
    *inputs, last = options.files
    table = last if inputs and last.lower().endswith(TABLES) and not _is_data(last) else None
    if table is not None:
        check_writable(table)
    samples = read_samples(options, inputs if table else options.files)
    model = SparseConvClassifier.load(options.net)
    samples.check_read_by("predict", model.encoder_)
    shares = model.predict_proba(samples.items)
    best = shares.argsort(1, kind="stable")[:, ::-1]
    rows = [(name, str(model.classes_[order[0]]), float(share[order[0]]))
            for name, order, share in zip(samples.names, best, shares, strict=True)]
    if table is not None:
        _write(table, rows)
        tell(options, {"output": table, "samples": len(rows)}, f"{printable(table)}: {len(rows)} labels")
        return 0
    answers: list[dict[str, Any]] = [
        {"sample": name, "answers": [[str(model.classes_[i]), float(share[i])] for i in order[:BEST]]}
        for name, order, share in zip(samples.names, best, shares, strict=True)]
    tell(options, {"samples": answers}, "\n".join(f"{printable(name)}\t{label}\t{share:.3f}"
                                                  for name, label, share in rows))
    return 0


def _is_data(path: str) -> bool:
    """Return True if a .csv is one of points to read; a table of labels is written anew."""
    return os.path.isfile(path) and kind_of_file(path) == "points" and _head(path) != "sample,label,probability"


def _head(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.readline(100).strip()


def _write(path: str, rows: list[tuple[str, str, float]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t" if path.lower().endswith(".tsv") else ",", lineterminator="\n")
    writer.writerow(("sample", "label", "probability"))
    writer.writerows(rows)
    with new_file(path) as file:
        file.write(text.getvalue().encode())


def _shard(text: str) -> tuple[int, int]:
    i, slash, n = text.partition("/")
    if not (slash and i.isdecimal() and n.isdecimal() and int(i) < int(n)):
        raise wrong(text, "i/n, i from 0 to n - 1, such as 0/4")
    return int(i), int(n)
