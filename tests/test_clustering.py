"""Clusters, neighbours and probes against scikit-learn, direct formulas, and what must hold by definition."""

import numpy as np
import pytest
from clustering import (
    adjusted_rand_index,
    cluster_accuracy,
    embedding_measures,
    k_means,
    linear_probe,
    neighbour_accuracy,
    normalized_mutual_information,
    principal_components,
)
from in_turn import each
from numpy.testing import assert_allclose

from spconv_cy.errors import ShapeError

MEASURES = (cluster_accuracy, normalized_mutual_information, adjusted_rand_index)
TEN = np.repeat(np.arange(10), 30)


def test_perfect_but_permuted_clusters_have_one_of_everything(rng):
    order = rng.permutation(len(TEN))
    clusters = rng.permutation(10)[TEN]
    assert_allclose([measure(clusters[order], TEN[order]) for measure in MEASURES], 1, rtol=1e-12)


def test_one_cluster_of_ten_balanced_classes_tells_nothing():
    assert [measure(np.zeros(300, int), TEN) for measure in MEASURES] == [0.1, 0, 0]
    assert [measure([3, 3], [0, 0]) for measure in MEASURES] == [1, 1, 1]


def test_the_measures_are_those_of_scikit_learn(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    labels = rng.integers(0, 5, 400)
    clusters = np.where(rng.random(400) < 0.6, (labels * 3 + 2) % 7, rng.integers(0, 7, 400))
    assert_allclose(normalized_mutual_information(clusters, labels),
                    metrics.normalized_mutual_info_score(labels, clusters), rtol=1e-12)
    assert_allclose(adjusted_rand_index(clusters, labels), metrics.adjusted_rand_score(labels, clusters), rtol=1e-12)


def test_the_accuracy_is_that_of_the_best_map_of_all(rng):
    from itertools import permutations

    labels, clusters = rng.integers(0, 4, 60), rng.integers(0, 5, 60)
    best = max(np.mean(np.array(order)[clusters] == labels) for order in permutations(range(5)))
    assert_allclose(cluster_accuracy(clusters, labels), best)


def test_k_means_finds_clusters_that_are_there_and_its_sum_is_that_of_its_centres(rng):
    centres = 20 * rng.normal(size=(6, 4)) + 1000
    labels = rng.integers(0, 6, 500)
    x = (centres[labels] + rng.normal(size=(500, 4))).astype(np.float32)
    clusters, found, within = k_means(x, 6, rng=0)
    assert cluster_accuracy(clusters, labels) == 1
    assert_allclose(np.stack([x[clusters == c].mean(0) for c in range(6)]), found, rtol=1e-5)
    assert_allclose(within, ((x.astype(float) - found[clusters]) ** 2).sum(), rtol=1e-3)
    again = k_means(x, 6, rng=0)
    assert np.array_equal(clusters, again[0]) and within == again[2]


def test_k_means_is_as_good_as_scikit_learn_s(rng):
    cluster = pytest.importorskip("sklearn.cluster")
    x = rng.random((300, 3))
    theirs = cluster.KMeans(8, n_init=10, random_state=0).fit(x).inertia_
    clusters, centres, within = k_means(x, 8, rng=0)
    assert within < 1.02 * theirs
    nearest = ((x[:, None] - centres) ** 2).sum(2).argmin(1)
    assert np.array_equal(clusters, nearest)


def test_more_restarts_are_never_worse(rng):
    x = rng.random((200, 2))
    few, many = (k_means(x, 12, restarts=n, rng=3)[2] for n in (1, 12))
    assert many < few


def test_clusters_of_equal_rows_do_not_fail():
    clusters, centres, within = k_means(np.ones((5, 2)), 3, rng=0)
    assert within == 0 and np.isfinite(centres).all() and len(clusters) == 5


@pytest.mark.parametrize("cosine", [False, True])
def test_neighbours_vote_as_scikit_learn_s_and_the_nearest_breaks_ties(cosine, rng):
    neighbours = pytest.importorskip("sklearn.neighbors")
    bank, x = rng.normal(size=(300, 5)), rng.normal(size=(520, 5))
    bank_labels, labels = (np.argmax(part[:, :3], 1) for part in (bank, x))
    found = neighbour_accuracy(bank, bank_labels, x, labels, (1, 5), cosine=cosine)
    theirs = neighbours.NearestNeighbors(n_neighbors=5, metric="cosine" if cosine else "euclidean").fit(bank)
    near = bank_labels[theirs.kneighbors(x)[1]]
    for k, accuracy in zip((1, 5), found, strict=True):
        answers = []
        for row in near[:, :k].tolist():
            answers.append(max(row, key=lambda c, row=row: (row.count(c), -row.index(c))))
        assert_allclose(accuracy, np.mean(np.array(answers) == labels))
    assert 0.6 < found[0] < 1


def test_the_probe_is_the_logistic_regression_of_scikit_learn(rng):
    linear = pytest.importorskip("sklearn.linear_model")
    x = rng.normal(size=(200, 6)) * [1, 10, 0.1, 1, 1, 0] + 3
    labels = ((x[:, :3] - 3) / [1, 10, 0.1] + rng.normal(size=(200, 3))).argmax(1)
    spread = np.where(x.std(0) > 0, x.std(0), 1)
    theirs = linear.LogisticRegression(C=0.5, max_iter=2000).fit((x - x.mean(0)) / spread, labels)
    tests = rng.normal(size=(500, 6)) * [1, 10, 0.1, 1, 1, 0] + 3
    answers = linear_probe(x, labels, penalty=2.0, rounds=2000)(tests)
    assert np.mean(answers == theirs.predict((tests - x.mean(0)) / spread)) > 0.995
    assert np.mean(linear_probe(x, labels)(x) == labels) > 0.6


def test_principal_components_are_those_of_the_singular_values(rng):
    x = rng.normal(size=(80, 6)) @ rng.normal(size=(6, 6)) + 5
    mean, directions = principal_components(x, 3)
    _, _, vt = np.linalg.svd(x - x.mean(0), full_matrices=False)
    assert_allclose(abs(np.sum(directions * vt[:3].T, 0)), 1, rtol=1e-9)
    assert_allclose(mean, x.mean(0))


def test_an_embedding_that_is_the_classes_has_one_of_everything_and_noise_has_chance(rng):
    labels, test_labels = np.repeat(np.arange(4), 50), np.repeat(np.arange(4), 20)
    bank, x = (np.eye(4)[part] + 0.01 * rng.normal(size=(len(part), 4)) for part in (labels, test_labels))
    order = rng.permutation(200)
    found = embedding_measures(bank[order], labels[order], x, test_labels, few=40, rng=0)
    assert len(found) == 9 and set(found.values()) == {1.0}
    noise = embedding_measures(*(part for m, truth in ((200, labels), (80, test_labels)) for part in
                                 (rng.normal(size=(m, 4)), truth)), few=40, rng=0)
    assert all(noise[name] < 0.5 for name in noise) and abs(noise["ARI"]) < 0.05


@each(
    "call, error",
    [
        (lambda: k_means(np.zeros(4), 2), ShapeError),
        (lambda: k_means(np.zeros((4, 2)), 5), ValueError),
        (lambda: k_means(np.zeros((4, 2)), 2, restarts=0), ValueError),
        (lambda: cluster_accuracy([0, 1], [0]), ShapeError),
        (lambda: cluster_accuracy([], []), ShapeError),
        (lambda: neighbour_accuracy(np.zeros((3, 2)), [0, 1, 0], np.zeros((2, 2)), [0]), ShapeError),
        (lambda: neighbour_accuracy(np.zeros((3, 2)), [0, 1, 0], np.zeros((2, 2)), [0, 1]), ValueError),
        (lambda: linear_probe(np.zeros((3, 2)), [0.5, 1, 0]), ShapeError),
        (lambda: principal_components(np.zeros((3, 2)), 3), ValueError),
    ],
)
def test_what_does_not_fit_is_told(call, error):
    with pytest.raises(error, match="expected .*, got|came; "):
        call()
