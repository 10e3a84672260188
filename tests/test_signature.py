"""Path signatures: against iterated sums by definition, published values, and the identities they keep."""

import itertools
import math

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.data.signatures import lyndon_words
from spconv_cy.errors import ShapeError

L_SHAPE = [(0, 0), (1, 0), (1, 1)]
SQUARE = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
# REFERENCE 6.3 and 6.4, each level in the order of words.
L_SIGNATURE = [1, 1, 1, 1 / 2, 1, 0, 1 / 2, 1 / 6, 1 / 2, 0, 1 / 2, 0, 0, 0, 1 / 6,
               1 / 24, 1 / 6, 0, 1 / 4, 0, 0, 0, 1 / 6, 0, 0, 0, 0, 0, 0, 0, 1 / 24]
SEGMENT_SIGNATURE = [1, 2, 1, 2, 1, 1, 1 / 2, 4 / 3, 2 / 3, 2 / 3, 1 / 3, 2 / 3, 1 / 3, 1 / 3, 1 / 6,
                     2 / 3, 1 / 3, 1 / 3, 1 / 6, 1 / 3, 1 / 6, 1 / 6, 1 / 12, 1 / 3, 1 / 6, 1 / 6, 1 / 12, 1 / 6,
                     1 / 12, 1 / 12, 1 / 24]
SQUARE_SIGNATURE = [1, 0, 0, 0, 1, -1, 0, 0, 1 / 2, -1, -1 / 2, 1 / 2, 1, -1 / 2, 0,
                    0, 1 / 6, -1 / 2, -1 / 4, 1 / 2, 1, -1 / 2, 1 / 6, -1 / 6, -1 / 2, 0, -1 / 2, 1 / 4, 1 / 2, -1 / 6,
                    0]
# The Witt dimensions of REFERENCE 6.4, summed over the levels.
LYNDON = {2: [2, 3, 5, 8], 3: [3, 6, 14, 32], 4: [4, 10, 30, 90], 5: [5, 15, 55, 205], 6: [6, 21, 91, 406]}


def iterated(path, level):
    """{word: iterated integral}: over every split of a word's letters among the segments, as sums of products."""
    steps, found = np.diff(np.asarray(path, float), axis=0), {(): 1.0}
    for k in range(1, level + 1):
        for word in itertools.product(range(np.shape(path)[1]), repeat=k):
            total = 0.0
            for at in itertools.combinations_with_replacement(range(len(steps)), k):
                share = 1.0
                for segment, letter in zip(at, word, strict=True):
                    share *= steps[segment][letter]
                for segment in set(at):
                    share /= math.factorial(at.count(segment))
                total += share
            found[word] = total
    return found


def chen(a, b, level, d):
    """The product of two {word: value}: all ways to cut a word in two."""
    return {word: sum(a[word[:i]] * b[word[i:]] for i in range(len(word) + 1))
            for k in range(level + 1) for word in itertools.product(range(d), repeat=k)}


def by_word(values, level, d):
    words = [word for k in range(level + 1) for word in itertools.product(range(d), repeat=k)]
    return dict(zip(words, values, strict=True))


@pytest.mark.parametrize("path, expected", [
    (L_SHAPE, L_SIGNATURE), ([(0, 0), (2, 1)], SEGMENT_SIGNATURE), (SQUARE, SQUARE_SIGNATURE)])
def test_signatures_are_those_of_the_reference(path, expected):
    for level in range(5):
        found = sp.data.signature(path, level)
        np.testing.assert_allclose(found, expected[:2 ** (level + 1) - 1], atol=1e-15)


@pytest.mark.parametrize("d, level", [(1, 4), (2, 4), (3, 4), (6, 2)])
def test_signatures_are_iterated_sums(d, level, rng):
    path = rng.normal(size=(6, d))
    found = sp.data.signature(path, level)
    assert len(found) == sum(d**k for k in range(level + 1))
    np.testing.assert_allclose(found, list(iterated(path, level).values()), atol=1e-12)


def test_the_signature_of_a_joined_path_is_chens_product(rng):
    path = rng.normal(size=(9, 3))
    a, b = (by_word(sp.data.signature(part, 4), 4, 3) for part in (path[:5], path[4:]))
    np.testing.assert_allclose(sp.data.signature(path, 4), list(chen(a, b, 4, 3).values()), atol=1e-12)


def test_a_path_and_its_reverse_cancel(rng):
    path = rng.normal(size=(7, 2))
    a, b = (by_word(sp.data.signature(part, 4), 4, 2) for part in (path, path[::-1]))
    np.testing.assert_allclose(list(chen(a, b, 4, 2).values()), [1] + [0] * 30, atol=1e-12)
    np.testing.assert_allclose(sp.data.log_signature(path[::-1], 4), -sp.data.log_signature(path, 4), atol=1e-12)


def test_products_of_coordinates_are_sums_over_shuffles(rng):
    s = by_word(sp.data.signature(rng.normal(size=(8, 3)), 4), 4, 3)
    for i, j, k, m in itertools.product(range(3), repeat=4):
        assert s[i,] * s[j,] == pytest.approx(s[i, j] + s[j, i])
        assert s[i, j] * s[k,] == pytest.approx(s[k, i, j] + s[i, k, j] + s[i, j, k])
        shuffles = [(i, j, k, m), (i, k, j, m), (i, k, m, j), (k, i, j, m), (k, i, m, j), (k, m, i, j)]
        assert s[i, j] * s[k, m] == pytest.approx(sum(s[w] for w in shuffles))


def test_place_and_points_on_the_way_change_nothing_and_scale_its_power(rng):
    path = rng.normal(size=(6, 2))
    expected = sp.data.signature(path, 4)
    at = np.sort(np.concatenate([np.arange(6), rng.uniform(0, 5, 30), [2, 2]]))
    finer = np.stack([np.interp(at, np.arange(6), axis) for axis in path.T], 1)
    np.testing.assert_allclose(sp.data.signature(finer, 4), expected, atol=1e-12)
    np.testing.assert_allclose(sp.data.signature(path + [40, -7], 4), expected, atol=1e-11)
    powers = np.repeat(np.arange(5), 2 ** np.arange(5))
    np.testing.assert_allclose(sp.data.signature(1.7 * path, 4), 1.7**powers * expected, atol=1e-11)


def test_log_signatures_are_those_of_the_reference():
    assert lyndon_words(2, 4) == [(0,), (1,), (0, 1), (0, 0, 1), (0, 1, 1), (0, 0, 0, 1), (0, 0, 1, 1), (0, 1, 1, 1)]
    np.testing.assert_allclose(sp.data.log_signature(L_SHAPE, 4), [1, 1, 1 / 2, 1 / 12, 1 / 12, 0, 1 / 24, 0],
                               atol=1e-15)
    for d, totals in LYNDON.items():
        assert [len(lyndon_words(d, level)) for level in range(1, 5)] == totals


@pytest.mark.parametrize("d", [2, 3])
def test_the_logarithm_is_the_series_of_the_signature(d, rng):
    path = rng.normal(size=(6, d))
    s = iterated(path, 4)
    x = dict(s) | {(): 0.0}
    power, logarithm = dict(x), dict(x)
    for n in (2, 3, 4):
        power = chen(power, x, 4, d)
        logarithm = {word: value + (-1) ** (n + 1) * power[word] / n for word, value in logarithm.items()}
    for level in range(1, 5):
        expected = [logarithm[word] for word in lyndon_words(d, level)]
        np.testing.assert_allclose(sp.data.log_signature(path, level), expected, atol=1e-12)


def test_a_straight_path_has_a_logarithm_of_level_one_alone(rng):
    step = rng.normal(size=3)
    expected = np.concatenate([step, np.zeros(29)])
    np.testing.assert_allclose(sp.data.log_signature([np.zeros(3), 0.3 * step, step], 4), expected, atol=1e-13)


def test_many_paths_have_the_bits_of_one_by_one_for_any_threads(threads, rng):
    paths = [rng.normal(size=(n, 3)) for n in rng.integers(1, 9, 40)]
    found = sp.data.signature(paths, 4), sp.data.log_signature(paths, 3)
    for i, path in enumerate(paths):
        np.testing.assert_array_equal(found[0][i], sp.data.signature(path, 4))
        np.testing.assert_array_equal(found[1][i], sp.data.log_signature(path, 3))


def test_a_point_has_the_signature_of_no_way():
    assert sp.data.signature([(3, 4)], 2).tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert sp.data.log_signature([(3, 4)], 2).tolist() == [0, 0, 0]


@each("paths, level, message", [
    (L_SHAPE, 5, "expected level to be a whole.*got 5"), (L_SHAPE, 1.5, "expected level to be a whole.*got 1.5"),
    (3, 2, r"expected an \(n, d\) array or.*got an int"), ([], 2, "expected one or more paths,.*got none"),
    ([[(0, 0)], [(0, 0, 0)]], 2, r"got paths in \[2, 3\] dimensions"),
    (np.zeros((0, 2)), 2, r"path.*got shape \(0, 2\) of float64"), (np.zeros((3, 7)), 2, "d from 1 to 6"),
    ([(0, 0), (1,)], 1, "path 0"), ([(math.nan, 0)], 1, "path.*got NaN or infinity"),
    ([("a", "b")], 1, r"got shape \(1, 2\) of <U1")])
def test_paths_that_have_no_signature_are_refused(paths, level, message):
    with pytest.raises(ValueError, match=message):
        sp.data.signature(paths, level)


def test_the_logarithm_begins_at_level_one():
    with pytest.raises(ShapeError, match="expected level to be a whole.*got 0"):
        sp.data.log_signature(L_SHAPE, 0)
