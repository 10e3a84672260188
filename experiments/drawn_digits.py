"""Digits to train on besides the recorded ones: other ways to write them, plain strokes for 1, paths that are cut.

UCI's writers draw most digits in one of two or three ways. The outlines below add ways of writing, orders and
directions of strokes that they do not use; the network sees each with random distortions only.
"""

import numpy as np

from spconv_cy.data.pen_digits import as_digit, with_aspect

_RING = [(50, 0), (18, 12), (0, 50), (18, 88), (50, 100), (82, 88), (95, 50), (80, 12), (50, 0)]
_HEAD = [(75, 20), (50, 0), (20, 12), (12, 35), (35, 55), (65, 40), (75, 15)]
WAYS = {
    0: [[_RING], [_RING[::-1]], [_RING, [(85, 5), (10, 95)]], [_RING[4:] + _RING[1:5]]],
    1: [[[(0, 25), (25, 0), (25, 100)]], [[(0, 25), (25, 0), (25, 100)], [(0, 100), (55, 100)]],
        [[(25, 0), (25, 100)], [(0, 100), (50, 100)]], [[(0, 45), (35, 0), (35, 100)]],
        [[(0, 25), (25, 0), (25, 100), (0, 100), (50, 100)]]],
    2: [[[(5, 25), (20, 5), (50, 0), (70, 20), (60, 45), (0, 100), (75, 100)]],
        [[(5, 25), (20, 5), (50, 0), (70, 20), (55, 50), (20, 95), (3, 90), (15, 78), (75, 100)]],
        [[(5, 25), (20, 5), (50, 0), (70, 20), (60, 45), (0, 100)], [(0, 100), (75, 100)]]],
    3: [[[(5, 10), (40, 0), (65, 20), (30, 45), (65, 65), (55, 90), (25, 100), (0, 88)]],
        [[(5, 0), (65, 0), (28, 40), (60, 55), (65, 80), (35, 100), (0, 90)]],
        [[(5, 10), (40, 0), (65, 20), (45, 40), (25, 45)], [(25, 45), (60, 55), (65, 80), (35, 100), (0, 90)]]],
    4: [[[(40, 0), (0, 65), (75, 65)], [(50, 35), (50, 100)]], [[(10, 0), (5, 50), (65, 50)], [(65, 0), (65, 100)]],
        [[(60, 100), (60, 0), (0, 65), (85, 65)]], [[(55, 0), (0, 65), (85, 65)], [(55, 0), (55, 100)]],
        [[(65, 100), (60, 0)], [(60, 0), (0, 60), (90, 60)]], [[(10, 0), (5, 50), (60, 50), (62, 0), (60, 100)]]],
    5: [[[(65, 0), (10, 0), (8, 42), (45, 38), (70, 65), (50, 95), (0, 95)]],
        [[(10, 0), (8, 42), (45, 38), (70, 65), (50, 95), (0, 95)], [(10, 0), (70, 0)]],
        [[(15, 0), (70, 0)], [(15, 0), (10, 42), (45, 38), (70, 65), (50, 95), (0, 95)]]],
    6: [[[(55, 0), (20, 30), (0, 70), (20, 98), (50, 95), (60, 70), (35, 58), (5, 72)]],
        [[(50, 5), (10, 45), (8, 85), (35, 100), (62, 78), (40, 58), (8, 75)]],
        [[(5, 72), (35, 55), (60, 70), (45, 98), (15, 95), (0, 65), (20, 25), (55, 0)]]],
    7: [[[(0, 0), (70, 0), (25, 100)]], [[(0, 0), (70, 0), (25, 100)], [(10, 50), (70, 50)]],
        [[(0, 15), (0, 0), (70, 0), (25, 100)]], [[(0, 5), (70, 0), (40, 50), (30, 100)], [(5, 55), (65, 45)]],
        [[(0, 0), (70, 0)], [(70, 0), (25, 100)]], [[(0, 0), (70, 0), (30, 100), (40, 55), (15, 55), (65, 50)]]],
    8: [[[(65, 15), (35, 0), (8, 20), (35, 48), (62, 75), (35, 100), (5, 78), (35, 48), (65, 15)]],
        [[(35, 48), (8, 20), (35, 0), (62, 20), (35, 48), (5, 78), (35, 100), (65, 75), (35, 48)]],
        [[(35, 48), (62, 20), (35, 0), (8, 20), (35, 48), (65, 75), (35, 100), (5, 78), (35, 48)]],
        [[(35, 0), (8, 22), (35, 46), (62, 22), (35, 0)], [(35, 46), (3, 75), (35, 100), (68, 75), (35, 46)]],
        [[(8, 15), (35, 0), (62, 20), (35, 48), (5, 78), (35, 100), (65, 75), (35, 48), (5, 15)]]],
    9: [[[*_HEAD, (72, 60), (55, 100)]], [_HEAD, [(75, 15), (72, 100)]], [[*_HEAD, (75, 70), (50, 98), (15, 92)]],
        [[(72, 100), (75, 20), (50, 0), (20, 12), (12, 35), (35, 55), (68, 40)]],
        [[(75, 10), (40, 0), (10, 25), (30, 50), (70, 35), (78, 5), (70, 100)]]],
}


def training_digits(characters, labels, copies=2, drawn=0.06, lines=0.01, seed=0):
    """Return (characters, labels): the digits with their aspect, varied copies of them, and drawn ones.

    Args:
        characters, labels: of `digits_by_writers`.
        copies: varied copies of each digit.
        drawn: drawn digits, as a part of the others.
        lines: plain strokes for 1, up and down, as a part of the others.
        seed: for all that is drawn at random.

    >>> characters, labels = training_digits([[np.array([(0, 0), (50, 20), (100, 100)])]], [7], copies=1, drawn=5)
    >>> labels.tolist(), characters[0][0].shape
    ([7, 7, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9], (3, 2))
    """
    rng = np.random.default_rng(seed)
    plain = [with_aspect(character) for character in characters]
    found, answers = list(plain), list(labels)
    for _ in range(copies):
        found += [varied(character[0], label, rng) for character, label in zip(plain, labels, strict=True)]
        answers += list(labels)
    n = len(found)
    found += [written(i % 10, rng) for i in range(int(drawn * n))] + [line(rng) for _ in range(int(lines * n))]
    answers += [i % 10 for i in range(int(drawn * n))] + [1] * int(lines * n)
    return found, np.array(answers)


def varied(points, label, rng):
    """Return a digit that may begin later and end earlier, run the other way round, or, a narrow 1, be narrower."""
    if rng.random() < (0.3 if label == 1 else 0.1):
        points = points[::-1]
    width, height = np.ptp(points, axis=0)
    if label == 1 and width < 0.35 * height and rng.random() < 0.5:
        points = points * (rng.uniform(0.05, 1), 1)
    if rng.random() < 0.7:
        begin, end = rng.uniform(0, 0.06), rng.uniform(0.94, 1)
        way = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
        at = np.unique(np.clip(way, begin * way[-1], end * way[-1]))
        points = np.stack([np.interp(at, way, points[:, axis]) for axis in (0, 1)], 1)
    return sampled(points)


def written(digit, rng):
    """Return a digit written in one of WAYS, its corners rounded or not, some strokes turned round or exchanged."""
    strokes = [np.array(stroke, float) for stroke in WAYS[digit][rng.integers(len(WAYS[digit]))]]
    strokes = [rounded(stroke) if len(stroke) > 3 and rng.random() < 0.8 else stroke for stroke in strokes]
    strokes = [stroke[::-1] if rng.random() < 0.12 else stroke for stroke in strokes]
    return sampled(np.concatenate(strokes[::-1] if rng.random() < 0.2 else strokes))


def rounded(points):
    """Return a path whose corners are cut twice (Chaikin); its ends stay."""
    for _ in range(2):
        near, far = 0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]
        points = np.concatenate([points[:1], np.stack([near, far], 1).reshape(-1, 2), points[-1:]])
    return points


def line(rng):
    """Return a plain stroke, nearly upright, a little bent and trembling, drawn up or down."""
    up, t = rng.random() < 0.5, np.linspace(0, 1, 8)
    x = 100 * rng.normal(0, 0.2) * t + rng.uniform(0, 4) * rng.normal(0, 1, 8) + rng.normal(0, 24) * t * (1 - t)
    points = np.column_stack([x, 100 * t])
    return sampled(points[::-1] if up else points)


def sampled(points):
    """Return 8 points at even spacing along a path, also where it has 8 points already."""
    return as_digit([points[:1], points], aspect=True)
