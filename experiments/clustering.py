"""Measures of what an embedding tells about classes that were not used to make it: k-means, neighbours, probes."""

import numpy as np
import scipy

from spconv_cy.checks import as_array, generator
from spconv_cy.errors import ShapeError, expected
from spconv_cy.train.metrics import confusion_matrix

LARGEST = {np.float16: 0, np.float32: 1e15, np.float64: 1e150}           # of rows, so that sums of squares are finite
BLOCK = 250                                             # rows whose distances to the whole bank are held at a time


def k_means(x, k, *, restarts=10, rounds=300, rng=None):
    """Cluster rows by k-means with k-means++ starts, and return the best of several restarts.

    Args:
        x: (n, c), finite numbers.
        k: number of clusters, 1 to n.
        restarts: 1 or more; the one with the smallest sum of squared distances is returned.
        rounds: largest number of assignments; it stops earlier when none changes.
        rng: seed or numpy Generator.

    Returns:
        (clusters (n,) int64, centres (k, c), sum of squared distances).

    Source: Arthur and Vassilvitskii 2007, k-means++.

    >>> clusters, centres, within = k_means([[0.0], [0.1], [5.0], [5.1]], 2, rng=0)
    >>> bool(clusters[0] == clusters[1] != clusters[2] == clusters[3]), round(within, 6)
    (True, 0.01)
    """
    x = _rows("k_means", x)
    if not 1 <= k <= len(x) or restarts < 1:
        raise ValueError(expected("k_means", f"k from 1 to {len(x)}, the number of rows, and one restart or more",
                                  f"k {k!r} and restarts {restarts!r}"))
    rng, mean = generator("k_means", rng), x.mean(0)
    x = x - mean                                        # else squared distances of large numbers are lost in rounding
    squares = np.einsum("ij,ij->i", x, x)
    found = [_clustered(x, squares, _starts(x, squares, k, rng), rounds) for _ in range(restarts)]
    clusters, centres, within = min(found, key=lambda one: one[2])
    return clusters, centres + mean, within


def cluster_accuracy(clusters, labels):
    """Return the accuracy under the best one-to-one map of clusters to classes.

    >>> cluster_accuracy([2, 2, 0, 1], [0, 0, 1, 2])
    1.0
    """
    table = _table(clusters, labels)
    rows, columns = scipy.optimize.linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / table.sum())


def normalized_mutual_information(clusters, labels):
    """Return 2 I(C; Y) / (H(C) + H(Y)), or 1 if both have one cluster only.

    >>> normalized_mutual_information([0, 0, 0, 0], [0, 1, 2, 3])
    0.0
    """
    table = _table(clusters, labels)
    joint, rows, columns = (_entropy(part / table.sum()) for part in (table.ravel(), table.sum(1), table.sum(0)))
    return float(2 * (rows + columns - joint) / (rows + columns)) if rows + columns else 1.0


def adjusted_rand_index(clusters, labels):
    """Return the adjusted Rand index: 0 is expected by chance, 1 means the same clusters.

    Source: Hubert and Arabie 1985.
    """
    table = _table(clusters, labels)
    together, rows, columns, pairs = (float((part * (part - 1) // 2).sum()) for part in
                                      (table, table.sum(1), table.sum(0), table.sum()))
    chance, most = rows * columns / max(pairs, 1), (rows + columns) / 2
    return (together - chance) / (most - chance) if most != chance else 1.0


def neighbour_accuracy(bank, bank_labels, x, labels, neighbours=(1, 5), *, cosine=False):
    """Return the accuracy of a vote of the nearest neighbours in a bank, for each number of neighbours.

    If votes are equal, the class with the nearest member wins.

    Args:
        bank: (m, c), with bank_labels (m,) class numbers.
        x: (n, c), with labels (n,).
        neighbours: numbers of neighbours, each 1 to m.
        cosine: compare by the angle between rows; by default by Euclidean distance.

    Returns:
        list of shares from 0 to 1.
    """
    bank, x, bank_labels, labels = _rows("bank", bank), _rows("x", x), _labels(bank_labels), _labels(labels)
    if len(bank_labels) != len(bank) or len(labels) != len(x) or bank.shape[1] != x.shape[1]:
        raise ShapeError(expected("neighbour_accuracy", "a bank and rows of equal width, with a label for each row",
                                  f"a bank {bank.shape} with {len(bank_labels)} labels and rows {x.shape} with "
                                  f"{len(labels)}"))
    most, classes = max(neighbours), int(max(bank_labels.max(), labels.max())) + 1
    if not 1 <= min(neighbours) <= most <= len(bank):
        raise ValueError(expected("neighbour_accuracy", f"numbers of neighbours from 1 to {len(bank)}", neighbours))
    if cosine:
        bank, x = (part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) for part in (bank, x))
    halves, right = np.einsum("ij,ij->i", bank, bank) / 2, np.zeros(len(neighbours))
    for low in range(0, len(x), BLOCK):
        block, truth = x[low:low + BLOCK], labels[low:low + BLOCK]
        near = bank_labels[_largest(block @ bank.T - halves, most)]      # the larger, the nearer
        for i, k in enumerate(neighbours):
            votes = (near[:, :k, None] == np.arange(classes)).sum(1)
            best = np.take_along_axis(votes, near[:, :k], 1).argmax(1)
            right[i] += (near[np.arange(len(near)), best] == truth).sum()
    return (right / len(x)).tolist()


def linear_probe(x, labels, *, penalty=1.0, rounds=200):
    """Fit a logistic regression to rows and return a function that predicts the classes of rows.

    Columns are scaled to mean 0 and variance 1.

    Args:
        x: (n, c).
        labels: (n,) class numbers.
        penalty: factor of half the sum of squared weights; the losses are summed.
        rounds: largest number of L-BFGS iterations.

    >>> probe = linear_probe([[0.0], [1.0], [4.0], [5.0]], [0, 0, 1, 1])
    >>> probe([[-1.0], [7.0]]).tolist()
    [0, 1]
    """
    x, labels = _rows("linear_probe", x), _labels(labels)
    if labels.shape != x.shape[:1] or labels.dtype.kind not in "iu":
        raise ShapeError(expected("linear_probe", "rows (n, c) and class numbers (n,)",
                                  f"rows {x.shape} and labels {labels.shape} of {labels.dtype}"))
    mean, spread, classes = x.mean(0), x.std(0), int(labels.max()) + 1
    spread[spread == 0] = 1
    scaled = np.column_stack([(x - mean) / spread, np.ones(len(x), x.dtype)])
    target = np.eye(classes, dtype=x.dtype)[labels]

    def value(flat):
        w = flat.reshape(-1, classes)
        scores = scaled @ w.astype(x.dtype)
        scores -= scores.max(1, keepdims=True)
        log_shares = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        gradient = (scaled.T @ (np.exp(log_shares) - target)).astype(np.float64)
        gradient[:-1] += penalty * w[:-1]
        loss = -float((log_shares * target).sum(dtype=np.float64)) + penalty / 2 * float((w[:-1] ** 2).sum())
        return loss, gradient.ravel()

    w = scipy.optimize.minimize(value, np.zeros((scaled.shape[1]) * classes), jac=True, method="L-BFGS-B",
                                options={"maxiter": rounds}).x.reshape(-1, classes)
    return lambda rows: (((_rows("linear_probe", rows) - mean) / spread) @ w[:-1] + w[-1]).argmax(1)


def principal_components(x, k):
    """Return the mean (c,) and the k principal directions (c, k) of rows x (n, c).

    The components are `(x - mean) @ directions`, with the largest variance first.

    >>> mean, directions = principal_components([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]], 1)
    >>> mean.tolist(), abs(directions).tolist()
    ([2.0, 1.0], [[1.0], [0.0]])
    """
    x = _rows("principal_components", x)
    if not 1 <= k <= x.shape[1]:
        raise ValueError(expected("principal_components", f"k from 1 to {x.shape[1]}", f"{k!r}"))
    mean = x.mean(0)
    _, directions = np.linalg.eigh(((x - mean).T @ (x - mean)).astype(np.float64))
    return mean, np.ascontiguousarray(directions[:, ::-1][:, :k]).astype(x.dtype)


def embedding_measures(bank, labels, x, test_labels, *, few=1000, restarts=10, rng=None):
    """Return measures of what two sets of rows tell about classes that were not used to make them.

    Args:
        bank, labels: (m, c) and (m,) class numbers. Neighbours are searched in these, and probes are fitted to them.
        x, test_labels: (n, c) and (n,), on which both are tested.
        few: number of labels of the small probe, the first ones of the bank.
        restarts, rng: for k-means on all rows together, with as many clusters as classes.

    Returns:
        dict of shares from 0 to 1 (NMI and ARI up to 1): "ACC", "NMI", "ARI", "1-NN", "5-NN", "1-NN cosine", "5-NN
        cosine", "probe, few labels", "probe, all labels".
    """
    bank, labels, x, test_labels = (as_array("embedding", part) for part in (bank, labels, x, test_labels))
    both = np.concatenate([labels, test_labels])
    clusters = k_means(np.concatenate([bank, x]), int(both.max()) + 1, restarts=restarts, rng=rng)[0]
    found = {"ACC": cluster_accuracy(clusters, both), "NMI": normalized_mutual_information(clusters, both),
             "ARI": adjusted_rand_index(clusters, both)}
    for name, cosine in (("", False), (" cosine", True)):
        right = neighbour_accuracy(bank, labels, x, test_labels, (1, 5), cosine=cosine)
        found |= {f"{k}-NN{name}": share for k, share in zip((1, 5), right, strict=True)}
    for name, n in (("few", few), ("all", len(bank))):
        answers = linear_probe(bank[:n], labels[:n], rounds=100)(x)
        found[f"probe, {name} labels"] = float(np.mean(answers == test_labels))
    return found


def _starts(x, squares, k, rng):
    """Draw k rows, each with a probability in proportion to its squared distance from those already drawn."""
    chosen, nearest = [int(rng.integers(len(x)))], np.inf
    for _ in range(k - 1):
        row = x[chosen[-1]]
        nearest = np.minimum(nearest, np.maximum(squares - 2 * (x @ row) + row @ row, 0))
        total = np.cumsum(nearest, dtype=np.float64)
        at = np.searchsorted(total, rng.random() * total[-1], "right") if total[-1] else rng.integers(len(x))
        chosen.append(int(min(at, len(x) - 1)))
    return x[chosen]


def _clustered(x, squares, centres, rounds):
    clusters, k, rows = np.full(len(x), -1), len(centres), np.arange(len(x))
    for _ in range(rounds):
        scores = x @ (2 * centres.T) - np.einsum("ij,ij->i", centres, centres)
        before, clusters = clusters, scores.argmax(1)
        if np.array_equal(before, clusters):
            break
        member = np.zeros((len(x), k), x.dtype)
        member[rows, clusters] = 1
        counts = np.bincount(clusters, minlength=k)[:, None]
        # A centre without rows stays where it is.
        centres = np.where(counts, member.T @ x / np.maximum(counts, 1), centres).astype(x.dtype)
    difference = x - centres[clusters]
    return clusters, centres, float(np.einsum("ij,ij->", difference, difference, dtype=np.float64))


def _largest(scores, k):
    """Return the columns (n, k) of the k largest scores of each row, largest first. Overwrites scores."""
    found, rows = np.empty((len(scores), k), np.int64), np.arange(len(scores))
    for i in range(k):
        found[:, i] = scores.argmax(1)
        scores[rows, found[:, i]] = -np.inf
    return found


def _table(clusters, labels):
    if not np.size(labels):
        raise ShapeError(expected("labels", "at least one", "none"))
    return confusion_matrix(clusters, labels)


def _entropy(shares):
    shares = shares[shares > 0]
    return max(0.0, float(-(shares * np.log(shares)).sum()))


def _labels(labels):
    return as_array("labels", labels)


def _rows(who, x):
    x = as_array(who, x)
    if x.ndim != 2 or not len(x) or x.dtype.kind not in "fiu":
        raise ShapeError(expected(who, "rows of numbers (n, c), at least one", f"{x.shape} of {x.dtype}"))
    if x.dtype.kind != "f":
        return x.astype(np.float64)
    # Sums of squares must be finite, since infinite distances cannot be compared.
    largest = np.abs(x).max(initial=0)
    if largest < np.inf and not float(largest) < LARGEST[np.float64]:
        raise ShapeError(f"{who}: expected numbers up to {LARGEST[np.float64]:.0e}, whose squares float64 holds, got "
                         f"{largest!s}; scale them")
    small = largest < np.inf and float(largest) > LARGEST.get(x.dtype.type, np.inf)
    return x.astype(np.float64) if small else x
