"""Runs a saved network on many files, in shares for the jobs of a cluster and on several processes of a machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from spconv_cy import config
from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_list, checked_path, is_integer, is_one_of
from spconv_cy.errors import FileError, expected
from spconv_cy.io.file import load
from spconv_cy.io.prediction import check_parquet, predict_file
from spconv_cy.layers import Layer
from spconv_cy.types import PathLike

FORMATS = ("npz", "parquet")


@known_arguments
@dataclass(frozen=True)
class Predictions:
    """What `predict_files` did.

    Attributes:
        done: paths of the files that it wrote.
        skipped: paths of the results that were there before.
        failed: {path of an input: the message of its error}.
    """

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{len(self.done)} done, {len(self.skipped)} were there before, {len(self.failed)} failed"


@known_arguments
def predict_files(net: PathLike, files: PathLike | Iterable[PathLike], out: PathLike, *,
                  shard: tuple[int, int] = (0, 1), processes: int = 1, threads: int | None = None, format: str = "npz",
                  progress: bool = True) -> Predictions:
    """Run a saved network on many files, each result in a file of its own, and return what was done.

    A result that exists is not computed again, and a file is written whole or not at all. So the same call, after it
    was stopped, does the rest. A file that cannot be computed is reported and does not stop the others.

    Args:
        net: path of a network that `save` wrote.
        files: paths of .npz files, as for `predict_file`; a folder stands for its .npz files in order of their names.
        out: folder of the results, made if there is none. A result has the name of its input.
        shard: (i, n): of the sorted files, only every n-th from the i-th on, i from 0 to n - 1.
        processes: that compute at the same time. More than one needs joblib, which scikit-learn installs.
        threads: of each process; None: the threads of this process, divided by `processes`.
        format: "npz" or "parquet" (with pyarrow).
        progress: show a bar on stderr.

    Raises:
        FileNotFoundError: there is no such network.
        ValueError: two inputs have the same name, or an argument is out of range.
        FileError: a result would replace its input, a folder has no .npz files, or `out` is a file.
        ImportError: joblib or pyarrow is needed and not installed.
        ChildProcessError: one of several processes was killed, perhaps for its memory; results that are there count.
    """
    tasks = _tasks(files, checked_path("predict_files: out", out), shard, format)
    for name, value in (("processes", processes), ("threads", 1 if threads is None else threads)):
        if not is_integer(value) or value < 1:
            raise ValueError(expected("predict_files", f"{name} to be a whole number from 1 up", f"{value!r}"))
    path = checked_path("predict_files: net", net)
    load(path)                                                           # an error now, not one for each file
    if format == "parquet":
        check_parquet()
    os.makedirs(out, exist_ok=True)
    found = Predictions(skipped=[target for _, target in tasks if os.path.exists(target)])
    there = set(found.skipped)
    tasks = [task for task in tasks if task[1] not in there]
    each = threads or max(1, config.threads() // processes)
    for source, target, error in _results(path, tasks, processes, each, progress):
        if error is None:
            found.done.append(target)
        else:
            found.failed[source] = error
    return found


def _tasks(files: PathLike | Iterable[PathLike], out: str, shard: tuple[int, int],
           format: str) -> list[tuple[str, str]]:
    """Return the (input, result) paths of a shard."""
    who = "predict_files"
    if not is_one_of(format, FORMATS):
        raise ValueError(expected(who, "format to be 'npz' or 'parquet'", f"{format!r}"))
    if not (isinstance(shard, Sequence) and len(shard) == 2 and all(map(is_integer, shard))
            and 0 <= shard[0] < shard[1]):
        raise ValueError(expected(who, "shard to be (i, n), i from 0 to n - 1", f"{shard!r}"))
    if os.path.exists(out) and not os.path.isdir(out):
        raise FileError(expected(out, "a folder for the results", "a file"))
    sources: list[str] = []
    files = [files] if isinstance(files, (str, os.PathLike)) else files
    for path in as_list(who, files, "a list of paths"):
        checked = checked_path(f"{who}: files", path)
        there = (sorted(entry.path for entry in os.scandir(checked) if entry.name.endswith(".npz"))
                 if os.path.isdir(checked) else [checked])
        if not there:
            raise FileError(expected(checked, "a folder with .npz files", "none"))
        sources += there
    targets: dict[str, str] = {}
    for source in {os.path.abspath(source): source for source in sources[::-1]}.values():    # a file named twice, once
        target = os.path.join(out, f"{os.path.splitext(os.path.basename(source))[0]}.{format}")
        if target in targets:
            raise ValueError(expected(who, "inputs with different names", f"{targets[target]!r} and {source!r}",
                                      "rename one, or give them different folders for their results"))
        if os.path.exists(source) and os.path.exists(target) and os.path.samefile(source, target):
            raise FileError(expected(source, "a folder for the results other than that of the inputs", out))
        targets[target] = source
    return sorted((source, target) for target, source in targets.items())[shard[0]::shard[1]]


def _results(net: str, tasks: list[tuple[str, str]], processes: int, threads: int,
             progress: bool) -> Iterable[tuple[str, str, str | None]]:
    """Yield (input, result, message of its error or None) for every task, in the order in which they end."""
    from tqdm import tqdm

    if processes == 1:
        found: Iterable[tuple[str, str, str | None]] = (_predict(net, *task, threads) for task in tasks)
    else:
        try:
            from joblib import Parallel, delayed
        except ImportError as error:
            raise ImportError(expected("predict_files", "joblib to be installed for processes above 1",
                                       "no such package", "pip install joblib, or use processes=1")) from error
        found = _while_all_live(Parallel(n_jobs=processes, return_as="generator_unordered")(
            delayed(_predict)(net, *task, threads) for task in tasks))
    return tqdm(found, total=len(tasks), unit=" files", disable=not progress)


def _while_all_live(found: Iterable[tuple[str, str, str | None]]) -> Iterator[tuple[str, str, str | None]]:
    from concurrent.futures.process import BrokenProcessPool  # with all of multiprocessing

    try:
        yield from found
    except BrokenProcessPool as error:
        raise ChildProcessError(expected("predict_files", "all processes to live", "one that was killed, perhaps for "
                                         "its memory", "the same call does the rest; try fewer processes")) from error


def _predict(net: str, source: str, target: str, threads: int) -> tuple[str, str, str | None]:
    try:
        with config.thread_limit(threads):
            predict_file(_network(net, os.stat(net).st_mtime_ns), source, target)
    except Exception as error:                                           # the other files are computed all the same
        return source, target, f"{type(error).__name__}: {error}"
    return source, target, None


@lru_cache(1)
def _network(path: str, changed: int) -> Layer:
    """Return the network of a file, read once in each process; `changed` is the file's time."""
    return load(path)
