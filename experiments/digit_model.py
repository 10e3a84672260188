"""Train the model of digits that comes with the package and that `spconv-cy page` uses; judge it on writers never seen.

It is trained on the 30 writers of UCI's training part, with the aspect of the digits, and on digits that are drawn in
other ways (drawn_digits.py). Settings were chosen on held-out styles of the training part, as unseen_writers.py does.
"""

import argparse
from pathlib import Path

import numpy as np
from drawn_digits import training_digits
from experiment import Experiment

import spconv_cy as sp
from spconv_cy.data.pen_digits import as_digit, with_aspect
from spconv_cy.page.reader import SHIPPED

DISTORTIONS = sp.data.Affine(stretch=0.2, turn=0.2, shift=0.1, ends=0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="1000 digits and 2 epochs: seconds")
    parser.add_argument("--model", type=Path, default=Path("digits_model.safetensors"), help="where to save it")
    parser.add_argument("--other", type=Path, help="digits of another source to test on too: UJI's pen characters, or "
                        "arrays that write_handwriting made")
    parser.add_argument("--judge", action="store_true", help="train nothing: judge the model that comes along")
    options = parser.parse_args()
    run = Experiment("digit_model") if options.judge else None
    classifier = sp.SparseConvClassifier.load(SHIPPED) if options.judge else trained(options)
    judge(classifier, options, run)
    if not options.judge:
        classifier.save(options.model)
        print(f"{options.model}: {options.model.stat().st_size:,} bytes")


def trained(options):
    (train, labels), _ = sp.data.digits_by_writers()
    n, epochs = (1000, 2) if options.small else (len(train), 14)
    encoder = sp.data.StrokeEncoder("octogram", size=48, scale=16)
    classifier = sp.SparseConvClassifier(l=4, k=20, encoding=encoder, augment=DISTORTIONS, epochs=epochs, rate=0.005,
                                         verbose=True, random_state=0)
    return classifier.fit(*training_digits(train[:n], labels[:n]))


def judge(classifier, options, run):
    """Test a model and print the errors; those of the one that comes along are kept in its record, `run`."""
    _, (test, answers) = sp.data.digits_by_writers()
    sets = {"digits of 14 writers never seen": ([with_aspect(character) for character in test], answers),
            "upright strokes, up and down, trembling by 0 to 3 pixels": (upright(), np.ones(200, int))}
    if options.other:
        others = others_of(options.other)
        sets[f"digits of {options.other.name}"] = others.characters, np.array(others.classes, int)[others.labels]
    found = {name: misread(classifier, *part).tolist() for name, part in sets.items()}
    rows = [[name, len(sets[name][1]), f"{100 * len(wrong) / len(sets[name][1]):.2f}"] for name, wrong in found.items()]
    for name, n, share in rows:
        print(f"{n} {name}: {share} % misread")
    if run:
        run.record["figures"] = found
        run.table("The model that comes along", ["judged on", "number", "misread, %"], rows)


def misread(classifier, characters, labels):
    """Return the items that are misread, as the page brings them to the model."""
    return np.flatnonzero(classifier.predict([as_digit(one, aspect=True) for one in characters]) != labels)


def error(classifier, characters, labels):
    """Return the share of digits in % that are misread."""
    return 100 * len(misread(classifier, characters, labels)) / len(labels)


def upright(seed=0):
    """Return 200 upright strokes of 50 to 300 pixels; every second one is drawn upward."""
    rng, found = np.random.default_rng(seed), []
    for i in range(200):
        n, tremble = rng.integers(8, 80), rng.uniform(0, 3)
        points = np.column_stack([100 + rng.uniform(-tremble, tremble, n), np.linspace(0, rng.uniform(50, 300), n)])
        found.append([points[::-1] if i % 2 else points])
    return found


def others_of(path):
    """Return the digits of a file of UJI's pen characters, or of arrays."""
    found = (sp.readers.read_handwriting if path.suffix == ".npz" else sp.readers.read_uji)(path)
    return found.with_classes([str(digit) for digit in range(10)])


if __name__ == "__main__":
    main()
