"""Every public function that takes or gives feature arrays, called with the arrays that `give` makes of numpy's."""

from functools import cache

import clustering
import numpy as np
import scipy
from figures import answers, from_above

import spconv_cy as sp
from spconv_cy.backend.switch import ops_of
from spconv_cy.functional.loss import mse, squared_hinge
from spconv_cy.models.autoencoder import reconstruction_loss
from spconv_cy.plot import active_sites, confusion, figure
from spconv_cy.train import metrics
from spconv_cy.train.evaluation import predict_outputs, predict_probabilities
from spconv_cy.train.exemplars import Exemplars
from spconv_cy.train.label import classes_of

SITES = np.array([[0, 0, 3], [0, 2, 1], [0, 2, 2], [1, 0, 0], [1, 4, 5]])
TWICE = SITES[[0, 1, 0, 3, 1]]
ROWS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
CLASSES = np.array([0, 1, 2, 0, 1])
DENSE = np.where(np.random.default_rng(1).random((2, 1, 4, 4)) < 0.5, np.ones((2, 3, 4, 4), np.float32), 0)
PADDED = [[[2], [0]], [[1], [-1]]]
POINTS = np.array([[0, 1.2, 3.0], [1, 2.0, 2.0], [0, 1.3, 3.2]])
MORE = [[0, 2, 2], [1, 1, 1]]


def as_they_are(array):
    return array


def tensor(give=as_they_are, ground="zero", columns=3):
    return sp.SparseTensor.from_sites(SITES, give(ROWS[:, :columns]), 6, 2, ground=ground)


def builder(give):
    b = sp.data.BatchBuilder(2, 3, 6)
    b.add_sample()
    b.set_site([1, 1], give(ROWS[0]))
    b.set_sites([[2, 2], [1, 1]], give(ROWS[1:3]), overwrite=False)
    b.set_sites([[3, 3]], ROWS[3:4].tolist())
    b.add_dense(give(DENSE[0]), offset=1)
    b.add_tensor(tensor(give))
    return b.tensor()


class Elsewhere:
    """A sparse matrix as of cupyx.scipy.sparse."""

    shape = (3, 3)

    def __init__(self, give):
        self.row, self.col, self.data = give(np.array([0, 2])), give(np.array([1, 1])), give(ROWS[0, :2].copy())

    def tocoo(self):
        return self


def scores(give):
    characters, labels = [[[(0, 0), (9, 0)]], [[(0, 0), (0, 9)]]], np.array([3, 5])
    classifier = sp.SparseConvClassifier(l=1, k=4, augment="none", epochs=2, random_state=0, repeats=1)
    classifier.fit(characters, give(labels))
    weighted = classifier.score(characters, give(labels), sample_weight=give(np.ones(2)))
    return [classifier.predict_proba(characters), classifier.classes_, weighted]


def loss_of(function, *given):
    def made(give):
        x = sp.Tensor(give(ROWS), requires_grad=True)
        loss = function(x, *map(give, given))
        loss.backward()
        return loss, x.grad

    return made


def item_loss(give):
    layer = Exemplars(5, 3, unit=True)
    loss = layer.loss(sp.Tensor(give(ROWS[:2])), give(np.array([4, 0])))
    loss.backward()
    return loss, layer.columns.grad


def network():
    return sp.Sequential(sp.Convolution(2, 3, 4, 3, padding=1, bias=False, rng=0), sp.BatchNormalization(4), sp.ReLU(),
                         sp.GlobalPooling(), sp.NetworkInNetwork(4, 3, rng=1))


def trained(labels, loss=sp.softmax_cross_entropy, **options):
    def made(give):
        net, pairs = network(), [(tensor(give), give(labels))] * 2
        sp.fit(net, pairs, sp.Adam(net.parameters(), 0.01), 2, validation=pairs, loss=loss, rng=0, progress=False,
               **options)
        found = sp.evaluate(net, pairs, loss=loss)
        return [found.loss, found.outputs, found.labels, *net.state().values()]

    return made


def drawn(give):
    axes = figure(2, 2).subplots(1, 1)
    active_sites(axes, tensor(give))
    confusion(axes, give(np.eye(3)), [0, 1, 2])
    answers(axes, np.ones((3, 2)), np.ones((5, 2)), give(np.full((5, 2), 0.5)))
    return from_above(axes, give(ROWS), give(ROWS[:, 0])).get_array().filled(0)


def backward(give):
    x = sp.Tensor(give(ROWS), requires_grad=True)
    (x * 2.0).backward(give(ROWS))
    total = x.sum()
    total.backward(give(np.full((), 3.0, np.float32)))
    return x.grad


def autoencoder(give):
    net = sp.models.Autoencoder(2, 4, code=8, rng=0)
    x = sp.SparseTensor.from_sites([[0, 3, 4], [1, 5, 5]], give(ROWS[:2, :1].copy()), size=16, samples=2)
    found = net(x)
    reconstruction_loss(found).backward()
    return [found.code, net.eval().decode(give(np.ones((2, 8), np.float32))), net.encode(x)]


CALLS = {
    "from_sites": tensor,
    "from_sites, rows": lambda give: sp.SparseTensor.from_sites(SITES, [give(row) for row in ROWS], 6, 2),
    "from_sites, merged": lambda give: sp.SparseTensor.from_sites(TWICE, give(ROWS), 6, 2, reduce="max"),
    "from_points": lambda give: sp.SparseTensor.from_points(POINTS, give(ROWS[:3])),
    "from_dense": lambda give: sp.SparseTensor.from_dense(give(DENSE), 0.5),
    "from_dense, of one channel": lambda give: sp.SparseTensor.from_dense(give(np.eye(4)[None, None])),
    "to_dense": lambda give: tensor(give).to_dense(),
    "builder": builder,
    "collate": lambda give: sp.collate([tensor(give), tensor(give)]),
    "prune": lambda give: tensor(give, None).prune(give(ROWS[:, 0] > 0)),
    "keep_top": lambda give: tensor(give, None).keep_top(give(ROWS[:, 0]), give(np.array([1, 2]))),
    "crop": lambda give: tensor(give).crop(0, 3, moved=True),
    "to_points": lambda give: tensor(give).to_points(give(np.array([4, 0, 0]))),
    "add": lambda give: tensor(give).add(sp.SparseTensor.from_sites(MORE, give(ROWS[:2]), 6, samples=2)),
    "concatenate": lambda give: tensor(give).concatenate(
        sp.SparseTensor.from_sites(MORE, give(ROWS[:2]), 6, samples=2)),
    "from_padded": lambda give: sp.exchange.from_padded(PADDED, give(ROWS[:4].reshape(2, 2, 3)), 4).tensor,
    "to_padded": lambda give: sp.exchange.to_padded(tensor(give), give(np.array([[0, 2], [4, -1]]))),
    "from_scipy": lambda give: sp.exchange.from_scipy(scipy.sparse.eye(3)),
    "from_scipy, elsewhere": lambda give: sp.exchange.from_scipy(Elsewhere(give)),
    "to_scipy": lambda give: [one.toarray() for one in sp.exchange.to_scipy(tensor(give, columns=1))],
    "from_coo": lambda give: sp.exchange.from_coo(sp.exchange.to_coo(tensor())._replace(data=give(ROWS.reshape(-1)))),
    "to_coo": lambda give: sp.exchange.to_coo(tensor(give)).data,
    "interpolate": lambda give: sp.layers.interpolate(tensor(give), POINTS, missing="skip"),
    "splat": lambda give: sp.layers.splat(POINTS, give(ROWS[:3]), reduce="mean"),
    "apply_to_points": lambda give: sp.layers.apply_to_points(sp.SubmanifoldConvolution(2, 3, 2, rng=0), POINTS,
                                                              give(ROWS[:3])),
    "DenseToSparse": lambda give: sp.DenseToSparse(2, threshold=0.5)(give(DENSE)),
    "rows": lambda give: [layer(give(ROWS)) for layer in (sp.layers.Softmax(), sp.NetworkInNetwork(3, 2, rng=0),
                                                          sp.BatchNormalization(3), sp.Dropout(rng=0))],
    "cross-entropy": loss_of(sp.softmax_cross_entropy, CLASSES),
    "cross-entropy, weighted": loss_of(lambda x, y, w: sp.softmax_cross_entropy(x, y, weights=w), CLASSES,
                                       np.array([1.0, 2.0, 0.5])),
    "squared_hinge": loss_of(squared_hinge, CLASSES),
    "mse": loss_of(mse, ROWS[::-1].copy()),
    "contrastive": loss_of(lambda x: sp.functional.contrastive_loss(x[:4])),
    "index loss": loss_of(lambda x, y: sp.functional.index_loss(x, sp.Tensor(y)), ROWS[::-1].copy()),
    "exemplars": item_loss,
    "a sum of no axes": lambda give: loss_of(lambda x: x.sum())(lambda _: give(np.float32(3.0) * np.ones(()))),
    "a gradient": backward,
    "autoencoder": autoencoder,
    "metrics": lambda give: [f(give(np.abs(ROWS)), give(CLASSES)) for f in (
        metrics.error_rate, metrics.roc_auc, metrics.negative_log_likelihood)],
    "confusion": lambda give: metrics.mean_iou(give(metrics.confusion_matrix(give(ROWS).argmax(1), give(CLASSES), 3))),
    "clusters": lambda give: list(clustering.k_means(give(ROWS), 2, rng=0)),
    "components": lambda give: list(clustering.principal_components(give(ROWS), 2)),
    "measures": lambda give: [*clustering.embedding_measures(
        give(ROWS), give(CLASSES), give(ROWS), give(CLASSES), few=3, restarts=1, rng=0).values()][:7],
    "probe": lambda give: clustering.linear_probe(give(ROWS), give(CLASSES))(give(ROWS)),
    "classes": lambda give: list(classes_of(give(CLASSES), 5)),
    "trained": trained(np.array([0, 2])),
    "trained, a loss scale": trained(np.array([0, 2]), loss_scale=1024),
    "trained, targets": trained(np.ones((2, 3), np.float32), mse),
    "outputs": lambda give: [f(network(), [(tensor(give), None)]) for f in (predict_outputs, predict_probabilities)],
    "batches": lambda give: [labels for _, labels in sp.data.TensorBatches(
        [sp.SparseTensor.from_sites([[0, i]], give(ROWS[:1]), 4) for i in range(3)], give(CLASSES[:3]), batch=2,
    ).epoch(0, training=False)],
    "classifier": scores,
    "pictures": drawn,
}


def numbers(found):
    """List all arrays in what a call gave, as numpy arrays."""
    if isinstance(found, (list, tuple)):
        return [array for part in found for array in numbers(part)]
    if isinstance(found, sp.SparseTensor):
        parts = [found.sites, found.features, found.ground]
        return [array for part in parts if part is not None for array in numbers(part)]
    found = found.data if isinstance(found, sp.Tensor) else found
    return [ops_of(found).to_numpy(found) if hasattr(found, "dtype") and not isinstance(found, np.ndarray)
            else np.asarray(found)]


@cache
def expected_of(name):
    """Return what a call gives on the CPU."""
    with sp.use("cpu"):
        return numbers(CALLS[name](as_they_are))


def check_call(name, give):
    """Compare a call on the cuda backend with the same on the CPU."""
    with sp.use("cuda"):
        found = numbers(CALLS[name](give))
    assert len(found) == len(expected_of(name))
    for mine, truth in zip(found, expected_of(name), strict=True):
        assert mine.shape == truth.shape and mine.dtype.kind == truth.dtype.kind
        assert np.allclose(mine, truth, atol=2e-4)
