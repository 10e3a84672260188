"""The rows of the first table of docs/numbers.md: which record and which baselines belong to a task."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A task: what is read, of which data and split, and where the figures are.

    Attributes:
        what, data: words for the table.
        task: name of the task in the record of the baselines.
        record: name of the experiment's record.
        ours: function of that record that returns (answers of each seed, number of test items); an answer is a list of
            the wrong items, or the share of wrong ones where no list was kept.
        trainings: how the names of the trainings begin whose seconds are meant.
        published: figures of others on the same data and split.
        command: what to type at the root of a checkout.
    """

    what: str
    data: str
    task: str
    record: str
    ours: Callable[[dict], tuple[list, int]]
    trainings: str
    published: str
    command: str


def seeds(n, begins, key):
    """Return the function of a record that lists the `key` of the figures whose names begin so."""
    def found(record):
        values = [value for name, value in sorted(record["figures"].items()) if name.startswith(begins)]
        return [value[key] for value in values if isinstance(value, dict)], n

    return found


def writers(record):
    """Return the wrong items of each seed of unseen_writers, with one view."""
    found = [value for name, value in sorted(record["figures"].items()) if name.startswith("seed ")]
    return [[item[0] for item in value["wrong"]] for value in found], 3498


def kanji(record):
    """Return the share of the network that sees neither order nor direction, one seed."""
    found = record["figures"]["undirected"]
    return [found.get("wrong", found["errors"]["all"][0])], found["counts"]["all"]


def mnist(name, n=10_000):
    """Return the function of the record that lists what a network of MNIST misread, one seed."""
    return lambda record: ([[item[0] for item in record["figures"][name]["wrong"]]], n)


ROWS = (
    Row("pen digits of writers never seen", "UCI, 30 writers to train on, 14 to test", "digits, writers",
        "unseen_writers", writers, "seed", "", "python experiments/unseen_writers.py"),
    Row("pen digits, random split", "the same writers in both parts", "digits, random", "demo",
        seeds(3498, "random", "wrong"), "random", "", "python experiments/handwriting.py --random"),
    Row("Omniglot, 136 characters", "5 alphabets, 15 drawers to train on, 5 to test", "omniglot", "signature_levels",
        seeds(680, "omniglot octogram", "wrong"), "omniglot-octogram", "",
        "python experiments/signature_levels.py --data FOLDER"),
    Row("Chinese characters in another hand", "KanjiVG to train on, one drawing of each of 5,087; Make Me a Hanzi to "
        "test", "kanji", "kanji", kanji, "undirected", "", "make kanji"),
    Row("MNIST, LeNet-5", "60,000 to train on", "mnist", "mnist", mnist("lenet5"), "lenet5",
        "0.95; with distortions 0.8 (LeCun et al. 1998)", "make mnist"),
    Row("MNIST, DeepCNet(4, 30), shifted", "60,000 to train on", "mnist", "mnist", mnist("deepcnet"), "deepcnet",
        "", "make mnist"),
    Row("adrenal glands, normal or enlarged", "AdrenalMNIST3D, 1,188 to train on, 12 views", "adrenal", "shapes",
        seeds(298, "cubic", "mean error"), "cubic", "", "python experiments/shapes.py --data FOLDER"),
)
