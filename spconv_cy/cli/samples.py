"""Drawings and point clouds of files and folders, with their labels, for train, evaluate and predict."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy import readers
from spconv_cy.cli.kinds import kind_of_file
from spconv_cy.cli.printed import WrongArguments, wrong
from spconv_cy.errors import FileError, expected, printable
from spconv_cy.estimators.encoders import PointEncoder

if TYPE_CHECKING:
    from spconv_cy.data import Handwriting, PointCloud

DRAWN: dict[str, Callable[[str], Handwriting]] = {
    "npz": readers.read_handwriting, "inkml": readers.read_inkml, "quickdraw": readers.read_quickdraw,
    "casia": readers.read_casia, "unipen": readers.read_unipen, "uji": readers.read_uji,
    "kanjivg": readers.read_kanjivg, "hanzi_writer": readers.read_hanzi_writer, "assamese": readers.read_assamese}
FORMATS = (*DRAWN, "points")
WHOLE = ("kanjivg", "hanzi_writer", "assamese")     # read from a folder as a whole


@dataclass
class Samples:
    """Samples of files.

    Attributes:
        drawings: characters, each a list of strokes; or
        clouds: PointClouds.
        labels: of each sample; None where there is none.
        names: of each sample, for a table: the file, and the number in it if it has several.
        tested: True for a sample of the test part of the data's own split.
    """

    drawings: list[Any] = field(default_factory=list)
    clouds: list[PointCloud] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    tested: list[bool] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def items(self) -> list[Any]:
        """The drawings, or the clouds."""
        return self.drawings or self.clouds

    def part(self, chosen: Any) -> Samples:
        """Return the samples of a mask."""
        at = np.flatnonzero(chosen)
        return Samples(**{name: [values[i] for i in at] if values else [] for name, values in vars(self).items()})

    def check_read_by(self, command: str, encoder: object) -> None:
        """Raise FileError if these are not what the encoder of a model reads."""
        if len(self) and bool(self.clouds) != isinstance(encoder, PointEncoder):
            kinds = "files of drawings, which the model reads", "files of points, which the model reads"
            raise FileError(expected(command, kinds[not self.clouds], "points" if self.clouds else "drawings"))

    def check_labels(self, command: str) -> None:
        """Raise FileError if a sample has no label."""
        missing = [name for name, label in zip(self.names, self.labels, strict=True) if label in (None, "")]
        if missing:
            raise FileError(expected(command, "a label of each sample", f"none of {missing[0]}"
                                     + (f" and {len(missing) - 1} more" if len(missing) > 1 else ""),
                                     "put the files of each class into a folder named after it"
                                     + (", or give --points for a class of every point" if self.clouds else "")))


def add_samples(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how files are read."""
    parser.add_argument("--reader", choices=FORMATS, help="of the files, if their names do not tell it")
    parser.add_argument("--axes", type=_names, metavar="X,Y,Z", help="columns with the coordinates in tables of text")


def read_samples(options: argparse.Namespace, paths: list[str]) -> Samples:
    """Return the samples of files and folders; a folder in a folder is a class.

    Points that are not finite are left out, which a line on standard error says.

    Raises:
        FileNotFoundError, FileError: no such file; a file that is damaged or holds neither drawings nor points.
        WrongArguments: drawings and points together.
    """
    found = Samples()
    for path in paths:
        if os.path.isdir(path) and options.reader not in WHOLE:
            _add_folder(found, path, options)
        else:
            _add(found, path, None, options)
    if found.drawings and found.clouds:
        raise WrongArguments(expected(options.command, "files of drawings or files of points", "both"))
    return found


def _add_folder(found: Samples, folder: str, options: argparse.Namespace) -> None:
    before = len(found)
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir():
            for inner in sorted(os.scandir(entry.path), key=lambda entry: entry.name):
                if inner.is_file() and not inner.name.startswith("."):
                    _add(found, inner.path, entry.name, options, skip=True)
        elif not entry.name.startswith("."):
            _add(found, entry.path, None, options, skip=True)
    if len(found) == before:
        other = next((os.path.join(place, name) for place, _, names in os.walk(folder) for name in sorted(names)
                      if not name.startswith(".")), None)
        raise FileNotFoundError(expected(
            folder, "a folder with files of drawings or points", "none in it" if other is None else
            f"none but files of other kinds, such as {printable(other)}",
            "" if other is None else "a drawing is the strokes of a pen, not a picture; --reader names the format"))


def _add(found: Samples, path: str, label: str | None, options: argparse.Namespace, skip: bool = False) -> None:
    """Add the samples of a file; in a folder, files of other kinds are skipped."""
    kind = options.reader or kind_of_file(path)
    if kind in DRAWN:
        _add_drawn(found, path, label, DRAWN[kind](path))
    elif kind == "points":
        found.clouds.append(_finite(path, readers.read_points(path, options.axes)))
        found.names.append(path)
        found.labels.append(label)
        found.tested.append(False)
    elif not skip:
        raise FileError(expected(path, "a file of drawings or points", f"one of the kind {kind!r}",
                                 f"see spconv-cy info {path}, or give --reader"))


def _finite(path: str, cloud: PointCloud) -> PointCloud:
    """Return the points of a file that are finite; tell how many are not."""
    there = cloud.finite()
    if not len(there):
        told = ("finite points", f"{len(cloud)} that are not") if len(cloud) else ("points", "none")
        raise FileError(expected(path, *told))
    if len(there) < len(cloud):
        out = len(cloud) - len(there)
        print(f"{printable(path)}: {out:,} of {len(cloud):,} points left out, whose coordinates are not finite",
              file=sys.stderr)
    return there


def _add_drawn(found: Samples, path: str, label: str | None, drawn: Handwriting) -> None:
    found.drawings += [drawn.characters[i] for i in range(len(drawn))]
    found.labels += [label if label is not None else drawn.classes[i] for i in drawn.labels]
    found.names += [path if len(drawn) == 1 else f"{path}:{i}" for i in range(len(drawn))]
    found.tested += [False] * len(drawn) if drawn.tested is None else drawn.tested.tolist()


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise wrong(text, "names with commas between them, such as px,py,pz")
    return names


def base_name(path: str) -> str:
    """Return the name of a file without its folder and ending."""
    return Path(path).stem
