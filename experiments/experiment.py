"""An experiment that can be stopped and continued: its figures, tables, pictures and logs, in one folder."""

import json
import os
import shlex
import sys
import time
from pathlib import Path

import provenance

from spconv_cy import config
from spconv_cy.checks import checked_path, checked_seed, is_one_of
from spconv_cy.errors import FileError, expected
from spconv_cy.sites.grid import Grid
from spconv_cy.tensor import SparseTensor
from spconv_cy.train.evaluation import evaluate
from spconv_cy.train.loop import fit
from spconv_cy.train.optim import Adam
from spconv_cy.writing import new_file

SIZES = ("full", "small", "tiny")


class Experiment:
    """One run of an experiment. All results are kept in a folder, and what is kept is not computed again.

    The folder holds `record.json` (figures, tables, captions, command, seconds of the clock and of the processor, those
    of each training, and the commit, date, processor and versions of the run that began it), a .csv of the epochs and a
    checkpoint for each training, and the pictures.

    Args:
        name: name of the record, one word.
        size: "full"; "small": minutes, with a similar outcome; "tiny": seconds, a test that it runs.
        folder: where the results are kept.
        seed: for everything that is drawn at random.
        data: path of data that do not come with the package, or None.

    Raises:
        ValueError: the size is unknown, or the folder holds a record of another experiment, size or seed.
        FileError: the record in the folder is damaged.

    >>> import tempfile
    >>> run = Experiment("sums", "tiny", tempfile.mkdtemp())
    >>> run.once("sum", lambda: sum(range(run.pick(100, 10, 5))))
    10
    >>> print(run.table("sums", ["n", "sum"], [[run.pick(100, 10, 5), run.figures["sum"]]]))
    | n | sum |
    | --- | --- |
    | 5 | 10 |
    """

    def __init__(self, name, size="full", folder=None, seed=0, data=None):
        if not is_one_of(size, SIZES):
            raise ValueError(expected("Experiment", f"size to be one of {', '.join(SIZES)}", f"{size!r}"))
        if not isinstance(name, str):
            raise TypeError(expected("Experiment", "a name, a text", f"{name!r}"))
        checked_seed("Experiment", seed=seed)
        data = None if data is None else checked_path("Experiment: data", data)
        folder = None if folder is None else checked_path("Experiment: folder", folder)
        self.name, self.size, self.seed = name, size, seed
        self.data = None if data is None else Path(data)
        self.folder = Path(folder or Path("build", "experiments", name if size == "full" else f"{name}-{size}"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._path, self._counted = self.folder / "record.json", (time.perf_counter(), _processor())
        self.record = {"name": name, "size": size, "seed": seed, "command": _command(), "threads": config.threads(),
                       "seconds": 0, "processor seconds": 0, "spent": {}} | provenance.provenance()
        self.record |= {"figures": {}, "tables": {}, "pictures": {}, "logs": []}
        if self._path.exists():
            found = _record_of(self._path)
            theirs = [found.get(key) for key in ("name", "size", "seed")]
            if theirs != [name, size, seed]:
                raise ValueError(expected(str(self._path), f"a record of {[name, size, seed]}", theirs,
                                          "give another folder (--log), or delete it"))
            self.record |= dict.fromkeys(provenance.NAMES) | found       # of the run that began it

    @classmethod
    def parser(cls, description, data=None):
        """Return an argparse parser with --small, --tiny, --seed and --log, to which other arguments can be added.

        `data` says which data set is needed, who publishes it and under which licence. If given, there is a --data
        argument too, with SPCONV_CY_DATA as its default.
        """
        import argparse  # here, since few programs that import this module parse arguments

        parser = argparse.ArgumentParser(description=description)
        size = parser.add_mutually_exclusive_group()
        size.add_argument("--small", action="store_const", const="small", dest="size", help="minutes instead of all")
        size.add_argument("--tiny", action="store_const", const="tiny", dest="size", help="seconds, to see it run")
        parser.set_defaults(size="full", data=None)
        if data is not None:
            parser.add_argument("--data", type=Path, default=config.data_folder(), help=data)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--log", type=Path, help="folder of figures, logs, pictures and checkpoints; a run "
                            "that was stopped continues from them (build/experiments/...)")
        return parser

    @classmethod
    def of(cls, name, options):
        """Return the experiment for parsed arguments."""
        try:
            run = cls(name, options.size, options.log, options.seed, options.data)
        except ValueError as error:
            raise SystemExit(str(error)) from error
        if run.data is not None and "--data" not in run.record["command"]:
            run.record["command"] += " --data FOLDER"   # from SPCONV_CY_DATA
        return run

    def pick(self, full, small, tiny):
        """Return the first, second or third value for a full, small or tiny run."""
        return dict(zip(SIZES, (full, small, tiny), strict=True))[self.size]

    @property
    def figures(self):
        """The values that `once` computed, by their keys."""
        return self.record["figures"]

    def once(self, key, compute):
        """Return compute(), a value that JSON can hold; if an earlier run has computed it, return the kept value."""
        if key not in self.figures:
            self.figures[key] = compute()
            self._write()
        return self.figures[key]

    def fit(self, name, net, data, optimizer, epochs, *, rng=None, **options):
        """Train as `fit` does, with a checkpoint and a .csv of the epochs, and return the History.

        `rng` is the seed, by default that of this run. The record's `spent` adds up the training's processor seconds.
        """
        began, checkpoint = time.process_time(), self.folder / f"{name}.safetensors"
        if not checkpoint.exists():                                      # begun, not continued
            self.record["spent"].pop(name, None)

        def log(history):
            nonlocal began
            now = time.process_time()
            self.record["spent"][name] = round(self.record["spent"].get(name, 0) + now - began, 2)
            began = now
            columns = {"loss": history.losses, "error": history.errors, "validation loss": history.validation_losses,
                       "validation error": history.validation_errors, "rate": history.rates, "seconds": history.seconds}
            lines = [",".join(["epoch", *columns])]
            for epoch in range(len(history)):
                found = [column[epoch] if epoch < len(column) else None for column in columns.values()]
                lines.append(",".join([str(epoch + 1), *("" if x is None else f"{x:.6g}" for x in found)]))
            with new_file(self.folder / f"{name}.csv") as file:
                file.write("\n".join([*lines, ""]).encode())
            if f"{name}.csv" not in self.record["logs"]:
                self.record["logs"].append(f"{name}.csv")
            self._write()

        history = fit(net, data, optimizer, epochs, rng=self.seed if rng is None else rng, on_epoch=log,
                      checkpoint=checkpoint, **options)
        log(history)                                                     # a complete checkpoint logs no epoch
        return history

    @staticmethod
    def cost(net, x, repeats=5):
        """Return {"sites", "adds", "ms"} per sample of x: active sites, multiply-adds, milliseconds on one thread.

        The time is the processor time of one forward pass in evaluation mode, rulebooks included; the smallest of
        `repeats` passes.
        """
        def once():
            began = time.process_time()
            net(SparseTensor(x.features, Grid(x.grid.sites, x.grid.size, x.grid.samples, x.grid.lattice), x.ground))
            return time.process_time() - began

        was_training, samples = net.training, x.grid.samples
        net.eval()
        with config.thread_limit(1):
            seconds = min(once() for _ in range(repeats))
        adds = net.summary(x).pair_multiply_adds
        net.train(was_training)
        return {"sites": x.grid.n / samples, "adds": adds / samples, "ms": 1e3 * seconds / samples}

    def classifier(self, key, build, train, test, epochs, *, rate=0.004, seed=None):
        """Train a network by Adam with a cosine schedule, test it, and return the outcome; computed once.

        Args:
            key: name of the figure, the log and the checkpoint.
            build: function without arguments that returns the network.
            train, test: Batches with class numbers.
            epochs, rate: of the training.
            seed: for order and distortions; None: that of this run.

        Returns:
            {"error": share of the test samples, "parameters", "seconds" of training}, and the `cost` of the first
            test batch.
        """
        def compute():
            net, name = build(), key.replace(" ", "-")
            history = self.fit(name, net, train, Adam(net.parameters(), rate), epochs, schedule="cosine", rng=seed)
            x, _ = next(test.epoch(0, training=False))
            return {"error": evaluate(net, test).error, "parameters": net.n_parameters(),
                    "seconds": round(sum(history.seconds), 1)} | self.cost(net, x)

        return self.once(key, compute)

    def digit_pictures(self, folder="build/mnist"):
        """Return (name, said, train, test) for this size of run: MNIST if it is there, else pen digits as pictures.

        Args:
            folder: path where MNIST is searched besides `data`.

        Returns:
            name: "MNIST" or "pen digits"; said: a text to print, "" if MNIST is there; train, test: (pictures, labels)
            each, or None for a full run without MNIST.

        Raises:
            FileError: MNIST is there and damaged.
        """
        from spconv_cy.readers.mnist import WHERE, digit_pictures  # here, since few experiments read pictures

        name, *parts = digit_pictures(self.data, folder)
        said = "" if name == "MNIST" else WHERE.format(folder=folder)
        if said and self.size == "full":
            return name, said, None, None
        counts = self.pick((None,) * 2, (7494, 2000), (400, 100))
        train, test = ((pictures[:n], labels[:n]) for (pictures, labels), n in zip(parts, counts, strict=True))
        return name, said and f"{said}\nInstead: pen digits, as pictures", train, test

    def table(self, title, head, rows):
        """Keep a table of rows under a head, and return it in Markdown."""
        lines = [head, ["---"] * len(head), *rows]
        text = "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
        self.record["tables"][title] = text
        self._write()
        return text

    def picture(self, name, figure, caption):
        """Keep a matplotlib figure as NAME.png, with a caption."""
        with new_file(self.folder / f"{name}.png") as file:
            figure.savefig(file, format="png", dpi=150)
        self.record["pictures"][f"{name}.png"] = caption
        self._write()

    def _write(self):
        now = time.perf_counter(), _processor()         # the time of stopped runs counts up to their last result
        for name, end, start in zip(("seconds", "processor seconds"), now, self._counted, strict=True):
            self.record[name] = round((self.record[name] or 0) + end - start, 1)
        self._counted = now
        text = json.dumps(self.record, indent=1) + "\n"
        with new_file(self._path) as file:
            file.write(text.encode())


def _processor():
    """Return the processor seconds of this process and of the finished processes that it started."""
    return sum(os.times()[:4])


def _record_of(path):
    kinds = {"seconds": (int, float), "figures": dict, "tables": dict, "pictures": dict, "logs": list}
    try:
        found = json.loads(path.read_text())
        fits = isinstance(found, dict) and all(isinstance(found.get(key), kind) for key, kind in kinds.items())
    except (ValueError, RecursionError):
        fits = False
    if not fits:
        raise FileError(f"{path}: expected the record of an experiment, got another or a damaged file; delete it, or "
                        "give another folder (--log)")
    return found


def _command():
    """Return the command to type at the root of a checkout, without folders of this machine."""
    words, skip = [], False
    for word in sys.argv[1:]:
        if not skip and not word.startswith(("--data=", "--log=")):
            skip = word in ("--data", "--log")
            name = Path(word).name if Path(word).is_absolute() else word
            words += [] if word == "--log" else [word, "FOLDER"] if skip else [name]
        else:
            skip = False
    return " ".join(["python", f"experiments/{Path(sys.argv[0]).name}", *map(shlex.quote, words)])
