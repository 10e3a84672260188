"""The rows of the first table of docs/numbers.md: which record and which baselines belong to a task."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Row:
    """A task: what is read, of which data and split, and where the figures are.

    Attributes:
        what, data: words for the table.
        task: name of the task in the record of the baselines.
        record: name of the experiment's record.
        ours: function of that record that returns (answers of each seed, number of test items); an answer is a list of
            the wrong items, or the share of wrong ones where no list was kept.
        trainings: how the names of the trainings begin whose seconds are meant; several if records differ.
        published: figures of others on the same data and split.
        command: what to type at the root of a checkout.
        overlap: the answers are mean intersections over union in %, the more the better.
        among: function of the number of test items that returns the items that count; the settings were chosen on the
            others. None: all count.
    """

    what: str
    data: str
    task: str
    record: str
    ours: Callable[[dict], tuple[list, int]]
    trainings: str | tuple[str, ...]
    published: str
    command: str
    overlap: bool = False
    among: Callable[[int], list[int]] | None = None


def seeds(n, begins, key):
    """Return the function of a record that lists the `key` of the figures whose names begin so."""
    return lambda record: ([value[key] for value in begun(record, begins)], n)


def begun(record, begins):
    """Return the figures of a record whose names begin so, in the order of the names."""
    return [value for name, value in sorted(record["figures"].items()) if name.startswith(begins)
            and isinstance(value, dict)]


def misread(n, begins):
    """Return the function of a record that lists the items that each seed misread, of [item, answer]."""
    return lambda record: ([[item[0] for item in value["wrong"]] for value in begun(record, begins)], n)


def kanji(record):
    """Return the wrong characters of each seed of the network that sees neither order nor direction."""
    return [one["wrong"] if "wrong" in one else one["errors"]["not chosen on"][0]
            for one in begun(record, "undirected ")], 5087


def not_chosen_on(n):
    """Return the characters on which nothing of experiments/kanji.py was chosen."""
    return np.random.default_rng(0).permutation(n)[1087:].tolist()


def overlaps(view):
    """Return the function of the record of the scan that lists the mean IoU in % of each seed, one view or several."""
    def found(record):
        nets = begun(record, "net ")
        if not nets:                                    # a run that was stopped before its first training
            return [], 0
        return [100 * mean_iou(net["confusion"][view]) for net in nets], sum(map(sum, nets[0]["confusion"][view]))

    return found


def mean_iou(matrix):
    """Return the mean over classes of the intersection over union of a confusion matrix, rows the truth."""
    columns = [sum(row[i] for row in matrix) for i in range(len(matrix))]
    return sum(row[i] / (sum(row) + columns[i] - row[i]) for i, row in enumerate(matrix)) / len(matrix)


ROWS = (
    Row("pen digits of writers never seen", "UCI, 30 writers to train on, 14 to test", "digits, writers",
        "unseen_writers", misread(3498, "seed "), "seed", "", "python experiments/unseen_writers.py"),
    Row("writers never seen, by the model that comes along", "the same; drawn digits besides to train on",
        "digits, writers", "digit_model",
        lambda record: ([wrong for name, wrong in record["figures"].items() if "writers never seen" in name], 3498),
        "-", "", "python experiments/digit_model.py --judge"),
    Row("pen digits, random split", "the same writers in both parts", "digits, random", "demo",
        seeds(3498, "random", "wrong"), "random", "",
        "for i in 0 1 2; do python experiments/handwriting.py --random --seed $i; done"),
    Row("Omniglot, 136 characters", "5 alphabets, 15 drawers to train on, 5 to test", "omniglot", "defaults",
        seeds(680, ("default epochs", "80 epochs"), "wrong"), ("default-epochs", "80-epochs"), "",
        "python experiments/defaults.py --data FOLDER"),
    Row("Chinese characters in another hand", "KanjiVG to train on, one drawing of each of 5,087; Make Me a Hanzi to "
        "test, without the 1,087 on which settings were chosen", "kanji", "kanji", kanji, "undirected", "",
        "make kanji", among=not_chosen_on),
    Row("MNIST, LeNet-5, shifted", "60,000 to train on", "mnist", "mnist", misread(10_000, "lenet5 "), "lenet5",
        "0.95; with distortions 0.8 (LeCun et al. 1998)", "make mnist"),
    Row("MNIST, DeepCNet(4, 30), shifted", "60,000 to train on", "mnist", "mnist", misread(10_000, "deepcnet "),
        "deepcnet", "", "make mnist"),
    Row("adrenal glands, normal or enlarged", "AdrenalMNIST3D, 1,188 to train on, 12 views", "adrenal", "shapes",
        seeds(298, "cubic", "mean error"), "cubic", "", "python experiments/shapes.py --data FOLDER"),
    Row("points of an aerial scan, one view: mean IoU", "lidR's Topography, west to train on, east to test on", "lidar",
        "lidar", overlaps(0), "net", "", "python experiments/lidar.py --data FOLDER", overlap=True),
    Row("the scan, mean of 12 views: mean IoU", "the same", "lidar", "lidar", overlaps(1), "net", "",
        "python experiments/lidar.py --data FOLDER", overlap=True),
)
