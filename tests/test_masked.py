"""Masked arrays are refused at every door, by name: numpy would drop the mask, and what was masked count as data."""

import clustering
import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.train import metrics

SITES = np.array([[0, 0], [0, 1], [0, 2]])
ROWS = np.array([[1.0], [2.0], [3.0]])
STROKE = np.array([[0.0, 0.0], [3.0, 4.0]])
CHARACTERS = [[STROKE], [STROKE + 1]]


def masked(array):
    """Mask the second element."""
    array = np.array(array)
    mask = np.zeros(array.shape, bool)
    mask.reshape(-1)[min(1, array.size - 1)] = True
    return np.ma.masked_array(array, mask)


def x(ground=None):
    return sp.SparseTensor.from_sites(SITES, ROWS, size=4, ground=ground)


def built():
    builder = sp.data.BatchBuilder(1, 1, 4)
    builder.add_sample()
    return builder


class Coo:
    """A COO array of layout (b, c, n), one part of it masked."""

    def __init__(self, **wrong):
        self.coords, self.data, self.shape = np.array([[0, 0], [0, 0], [1, 2]]), np.ones(2), (1, 1, 4)
        self.__dict__.update(wrong)


def trained():
    return sp.SparseConvClassifier(l=1, k=2, augment="none", epochs=1, random_state=0).fit(CHARACTERS, [0, 1])


TENSOR = {
    "Tensor": lambda: sp.Tensor(masked(ROWS)),
    "Tensor of a list": lambda: sp.Tensor([1.0, np.ma.masked]),
    "Tensor of nested lists": lambda: sp.Tensor([[1.0], [np.ma.masked]]),
    "Tensor of a list of arrays": lambda: sp.Tensor([masked(ROWS), ROWS]),
    "nothing of it masked": lambda: sp.Tensor(np.ma.masked_array([1.0, 2.0])),
    "operand": lambda: sp.Tensor(ROWS) * masked(ROWS),
    "operand on the left": lambda: masked(ROWS) + sp.Tensor(ROWS),
    "comparison": lambda: sp.Tensor(ROWS) < masked(ROWS),
    "index": lambda: sp.Tensor(ROWS)[masked([0, 1])],
    "gradient": lambda: (sp.Tensor(ROWS, requires_grad=True) * 2).backward(masked(ROWS)),
    "a layer's rows": lambda: sp.ReLU()(masked(ROWS)),
    "normalised rows": lambda: sp.BatchNormalization(1)(masked(ROWS)),
}
GRIDS = {
    "Grid": lambda: sp.Grid.from_sites(masked(SITES)),
    "Grid of lists": lambda: sp.Grid.from_sites([[0, 1], [0, np.ma.masked]]),
    "rows_of": lambda: x().grid.rows_of(masked(SITES)),
    "mask": lambda: x().grid.mask(masked([True, False, True])),
    "Rulebook": lambda: sp.sites.Rulebook(masked([0, 1]), [0, 1], [0, 2], 2, 2),
    "coordinates": lambda: sp.Lattice.simplex(1).coordinates(masked([[1.0]])),
    "from_sites": lambda: sp.SparseTensor.from_sites(SITES, masked(ROWS)),
    "from_sites, sites": lambda: sp.SparseTensor.from_sites(masked(SITES), ROWS),
    "from_points": lambda: sp.SparseTensor.from_points(masked(SITES + 0.0), ROWS),
    "from_points, features": lambda: sp.SparseTensor.from_points(SITES + 0.0, masked(ROWS)),
    "from_points, cell": lambda: sp.SparseTensor.from_points(SITES + 0.0, ROWS, cell=masked([2.0])),
    "from_dense": lambda: sp.SparseTensor.from_dense(masked([[[1.0, 2.0]]])),
    "DenseToSparse": lambda: sp.DenseToSparse(1)(masked([[[1.0, 2.0]]])),
    "prune": lambda: x().prune(masked([True, False, True])),
    "keep_top": lambda: x().keep_top(masked([1.0, 2.0, 3.0]), 1),
    "keep_top, k": lambda: x().keep_top(np.ones(3), masked([1])),
    "to_points": lambda: x().to_points(masked([0, 1])),
    "interpolate": lambda: sp.layers.interpolate(x(), masked(SITES + 0.5)),
    "splat": lambda: sp.layers.splat(masked(SITES + 0.5), ROWS),
    "splat, features": lambda: sp.layers.splat(SITES + [0, 0.5], masked(ROWS)),
    "set_sites": lambda: built().set_sites(masked([[1], [2]]), ROWS[:2]),
    "set_sites, features": lambda: built().set_sites([[1], [2]], masked(ROWS[:2])),
    "set_site": lambda: built().set_site(masked([1]), [1.0]),
    "add_dense": lambda: built().add_dense(masked([[1.0, 2.0]])),
    "from_padded": lambda: sp.exchange.from_padded(masked([[[1], [2]]]), ROWS[None, :2]),
    "from_padded, features": lambda: sp.exchange.from_padded([[[1], [2]]], masked(ROWS[None, :2])),
    "from_padded, lengths": lambda: sp.exchange.from_padded([[[1], [2]]], ROWS[None, :2], lengths=masked([2])),
    "to_padded": lambda: sp.exchange.to_padded(x(), masked([[0, 1]])),
    "from_coo, coords": lambda: sp.exchange.from_coo(Coo(coords=masked(Coo().coords))),
    "from_coo, data": lambda: sp.exchange.from_coo(Coo(data=masked(np.ones(2)))),
}
LABELS = {
    "softmax": lambda: sp.softmax_cross_entropy(sp.Tensor(np.eye(2)), masked([0, 1])),
    "softmax of a list": lambda: sp.softmax_cross_entropy(sp.Tensor(np.eye(2)), [0, np.ma.masked]),
    "weights": lambda: sp.softmax_cross_entropy(sp.Tensor(np.eye(2)), [0, 1], weights=masked([1.0, 2.0])),
    "mse": lambda: sp.mse(sp.Tensor(ROWS), masked(ROWS)),
    "squared_hinge": lambda: sp.functional.squared_hinge(sp.Tensor(np.eye(2)), masked([0, 1])),
    "confusion": lambda: metrics.confusion_matrix(masked([0, 1]), [0, 1]),
    "confusion, labels": lambda: metrics.confusion_matrix([0, 1], masked([0, 1])),
    "intersection": lambda: metrics.intersection_over_union(masked(np.eye(2))),
    "error": lambda: metrics.error_rate(masked(np.eye(2)), [0, 1]),
    "likelihood": lambda: metrics.negative_log_likelihood(np.eye(2), masked([0, 1])),
    "k_means": lambda: clustering.k_means(masked(ROWS), 1),
    "neighbours": lambda: clustering.neighbour_accuracy(ROWS, masked([0, 1, 0]), ROWS, [0, 1, 0], (1,)),
    "probe": lambda: clustering.linear_probe(ROWS, masked([0, 1, 0])),
    "TensorBatches": lambda: sp.data.TensorBatches([x(), x()], masked([0, 1])),
    "fit, labels": lambda: sp.SparseConvClassifier().fit(CHARACTERS, masked([0, 1])),
    "fit, a list of labels": lambda: sp.SparseConvClassifier().fit(CHARACTERS, [0, np.ma.masked]),
    "fit, characters": lambda: sp.SparseConvClassifier().fit([[masked(STROKE)], [STROKE]], [0, 1]),
}
DATA = {
    "a stroke": lambda: sp.data.Characters.pack([[masked(STROKE)]]),
    "a character": lambda: sp.data.Characters.pack([masked(STROKE[None])]),
    "a point": lambda: sp.data.Characters.pack([[[(0, np.ma.masked), (1, 2)]]]),
    "signature": lambda: sp.data.signature(masked(STROKE), 2),
    "log signature": lambda: sp.data.log_signature([STROKE, masked(STROKE)], 2),
    "factors": lambda: sp.data.StrokeEncoder("vector-space-time", factors=masked([1.0, 2.0, 3.0])),
    "items": lambda: sp.data.StrokeEncoder("pen").sites(CHARACTERS, masked([0, 1])),
    "shifts": lambda: sp.data.StrokeEncoder("pen").sites(CHARACTERS, shifts=masked(np.zeros((2, 2)))),
    "scales": lambda: sp.data.StrokeBatches(CHARACTERS, None, sp.data.StrokeEncoder("pen"), scales=masked([8, 16])),
    "pictures": lambda: sp.data.PictureBatches(masked(np.ones((1, 3, 3))), None, 9),
    "picture labels": lambda: sp.data.PictureBatches(np.ones((2, 3, 3)), masked([0, 1]), 9),
    "clouds": lambda: sp.data.PointBatches([masked(STROKE)], [ROWS[:2]], [[0, 1]], 1.0),
    "cloud features": lambda: sp.data.PointBatches([STROKE], [masked(ROWS[:2])], [[0, 1]], 1.0),
    "cloud labels": lambda: sp.data.PointBatches([STROKE], [ROWS[:2]], [masked([0, 1])], 1.0),
    "neighbourhood_features": lambda: sp.data.neighbourhood_features(masked(np.zeros((4, 3)))),
    "shapes": lambda: sp.data.Shapes.pack([masked(STROKE)]),
    "voxels": lambda: sp.data.voxel_points(masked([[1, 2, 3]])),
    "vertices": lambda: sp.data.Mesh(masked(np.eye(3)), [[0, 1, 2]]),
    "triangles": lambda: sp.data.Mesh(np.eye(3), masked([[0, 1, 2]])),
    "events": lambda: sp.data.Events(masked([0, 1]), np.zeros(2, int), np.zeros(2, int), np.ones(2, bool), (4, 4)),
    "event crops": lambda: sp.data.EventBatches(
        sp.data.Events([0, 1], [0, 1], [0, 1], np.ones(2, bool), (4, 4)), masked([[0, 0, 0]]), None),
}


@each("name", [*TENSOR, *GRIDS, *LABELS, *DATA])
def test_a_masked_array_is_refused_by_name(name):
    call = (TENSOR | GRIDS | LABELS | DATA)[name]
    with pytest.raises((ShapeError, ValueError), match="array without a mask, got a masked one; fill it"):
        call()


def test_a_classifier_refuses_masks_when_it_is_asked():
    classifier = trained()
    for call in (lambda: classifier.predict([[masked(STROKE)]]), lambda: classifier.score(CHARACTERS, masked([0, 1])),
                 lambda: classifier.score(CHARACTERS, [0, 1], sample_weight=masked([1.0, 2.0]))):
        with pytest.raises(ShapeError, match="without a mask"):
            call()


def test_states_with_masks_are_refused_and_nothing_is_changed():
    layer = sp.BatchNormalization(2)
    state = layer.state()
    state["weight"] = np.full((1, 2), 7.0)
    state["running_mean"] = masked(np.zeros((1, 2)))
    optimizer = sp.Adam(layer.parameters())
    with pytest.raises(ShapeError, match="without a mask"):
        layer.load_state(state)
    assert (layer.weight.data == 1).all()
    for parameter in layer.parameters():
        parameter.grad = np.ones_like(parameter.data)
    optimizer.step()
    saved, before = optimizer.state(), optimizer.state()
    saved["0.mean"], saved["1.square"] = np.full((1, 2), 7.0), masked(saved["1.square"])
    with pytest.raises(ShapeError, match="without a mask"):
        optimizer.load_state(saved)
    assert all(np.array_equal(array, before[name]) for name, array in optimizer.state().items())


def test_lists_of_any_depth_still_come_through():
    assert sp.Tensor([[[1.0, 2.0]], [[3.0, 4.0]]]).shape == (2, 1, 2)
    assert sp.Tensor([np.ones(2), np.zeros(2)]).shape == (2, 2) and sp.Tensor([]).shape == (0,)
    endless = []
    endless.append(endless)
    with pytest.raises((ShapeError, ValueError)):
        sp.Tensor(endless)
