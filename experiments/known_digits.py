"""Write the known digits with which the page tells a digit from something else, and print its false alarms."""

import argparse
from pathlib import Path

import numpy as np
from drawn_digits import training_digits

import spconv_cy as sp
from spconv_cy.data.pen_digits import as_digit, with_aspect
from spconv_cy.page.known import FARTHEST, FILE, KnownDigits, centred


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="1000 digits: seconds")
    parser.add_argument("--file", type=Path, default=FILE.name, help="where to save them")
    options = parser.parse_args()
    (train, labels), (test, _) = sp.data.digits_by_writers()
    n = 1000 if options.small else len(train)
    characters, _ = training_digits(train[:n], labels[:n])
    characters += [turned for one, label in zip(train[:n], labels[:n], strict=True) if label == 0
                   for turned in begun_elsewhere(with_aspect(one)[0])]
    points = np.stack([as_digit(one, aspect=True)[0] for one in characters])
    chosen = thinned(centred(points).reshape(len(points), -1), 25)
    np.savez_compressed(options.file, points=np.round(points[chosen]).astype(np.uint8))
    known = KnownDigits(options.file)
    far = [known.distance(with_aspect(character)) for character in test]
    print(f"{len(chosen)} of {len(points)} digits; of {len(test)} digits of writers never seen "
          f"{100 * np.mean(np.array(far) > FARTHEST):.2f} % are farther than {FARTHEST} from all of them")


def begun_elsewhere(points, nearest=30):
    """Return characters: a ring, begun at each of its other points; none if the ends are not near each other."""
    if np.linalg.norm(points[0] - points[-1]) > nearest:
        return []
    return [[np.concatenate([points[i:], points[:i + 1]])] for i in range(1, len(points) - 1)]


def thinned(points, radius):
    """Return rows such that every row is within the radius of one of them, and none of another."""
    kept, left = [], np.ones(len(points), bool)
    for i in range(len(points)):
        if left[i]:
            kept.append(i)
            left[((points - points[i]) ** 2).sum(1) < radius**2] = False
    return np.array(kept)


if __name__ == "__main__":
    main()
