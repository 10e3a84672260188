"""Wrong arguments: every error names the function that was called, what it takes and what it got."""

import re

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.errors import BackendError, GridError, ShapeError

F = sp.functional
X, W = np.ones((3, 2), np.float32), np.ones((9, 2, 4), np.float32)
SITES = np.array([[0, 0, 0], [0, 1, 1], [0, 3, 2]])
INDICES = np.array([0, 9])


class Plain(sp.Layer):
    def __call__(self, x):
        return x


CASES = {
    "a number for a rulebook": (lambda: F.conv(X, W, 3), TypeError, "conv: expected a Rulebook, .*, got an int"),
    "none to pool over": (lambda: F.max_pool(X, None, None), TypeError, "max_pool: expected a Rulebook, .*, got None"),
    "text to average over": (lambda: F.average_pool(X, None, "3"), TypeError, "average_pool: expected .*, got a str"),
    "a class to sum over": (lambda: F.sum_pool(X, sp.sites.Rulebook), TypeError,
                            "sum_pool: expected .*, got the class Rulebook"),
    "a layer for an array": (lambda: F.softmax(sp.ReLU()), BackendError, "softmax: expected arrays of .*, got a ReLU"),
    "none for an array": (lambda: F.conv(X, None, sp.sites.Rulebook.identity(3)), BackendError,
                          "conv: expected arrays of numpy or cupy, got None"),
    "two backends": (lambda: F.concatenate(X, X.astype(float)), BackendError, "concatenate: expected arrays of one b"),
    "no such row": (lambda: F.gather(X, INDICES), IndexError, "gather: expected rows from 0 to 2, got 0 to 9"),
    "no such row of a list": (lambda: F.gather(X, [3]), IndexError, "gather: expected rows from 0 to 2, got 3 to 3"),
    "rows of text": (lambda: F.gather(X, "a"), ShapeError, r"gather: expected rows \(n,\), whole numbers, got 'a'"),
    "no rows": (lambda: F.gather(X, None), ShapeError, r"gather: expected rows \(n,\), whole numbers, got None"),
    "rows in part": (lambda: F.scatter_add(X, np.ones(3), 3), ShapeError, r"scatter_add: expected rows .*of float64"),
    "sums in no rows": (lambda: F.scatter_add(X, [0, 1, 1], "3"), ShapeError, "scatter_add: expected m to be .*'3'"),
    "nothing joined": (lambda: F.concatenate(), ShapeError, "concatenate: expected at least one array, got none"),
    "another size": (lambda: F.reshape(X, (5,)), ShapeError, r"reshape: expected a shape of 6 .*, got \(5,\)"),
    "a shape of text": (lambda: F.reshape(X, "a"), ShapeError, "reshape: expected a shape of 6 elements.*got 'a'"),
    "flat already": (lambda: F.flatten(3), ShapeError, r"flatten: expected an array \(b, ...\), got 3"),
    "flat slopes": (lambda: F.prelu(X, np.ones(2, np.float32)), ShapeError, r"prelu: expected .*\(3, 2\) and \(2,\)"),
    "weights of one axis": (lambda: F.he_normal((3,)), ShapeError, r"he_normal: expected the shape .*, got \(3,\)"),
    "weights of text": (lambda: F.glorot_uniform("a"), ShapeError, "glorot_uniform: expected the shape .*, got 'a'"),
    "a window of text": (lambda: sp.sites.Rulebook.one_row("3"), ShapeError, "Rulebook.one_row: expected volume .*'3'"),
    "a negative window": (lambda: sp.sites.Rulebook.one_row(-1), ShapeError, "Rulebook.one_row: expected .*, got -1"),
    "no optimiser": (lambda: sp.train.LossScale().step(None), TypeError, "LossScale.step: expected an opt.*, got None"),
    "a role of text": (lambda: type("Mine", (Plain,), {"role": "channelwise"}), TypeError,
                       "Mine: expected role to be a Role or a property, got 'channelwise'; give one, such as"),
    "memory by number": (lambda: type("Mine", (Plain,), {"working_memory": 2.0}), TypeError,
                         "Mine: expected working_memory to be a WorkingMemory, a property or None, got 2.0; give one,"),
    "none for features": (lambda: sp.Tensor(None), ShapeError, "features: expected floats, integers or b.*, got None"),
    "a layer of none": (lambda: sp.ReLU()(None), ShapeError, "features: expected floats, .*, got None"),
    "sites of no samples": (lambda: sp.Grid.from_sites(SITES, size=8, samples=0), GridError,
                            "Grid: expected no sites with samples=0, got 3"),
    "a mask of one": (lambda: sp.SparseTensor.from_sites(SITES, X, 8, ground=None).prune([True]), ShapeError,
                      r"prune: expected \(3,\) booleans, one for each site, got shape \(1,\) of bool"),
    "a mask of a grid": (lambda: sp.Grid.from_sites(SITES, size=8).mask([True]), ShapeError, r"mask: expected \(3,\)"),
    "a class to scale by": (lambda: sp.layers.SampleScale(sp.ReLU), TypeError, "SampleScale: .*, got the class ReLU"),
    "a class that scores": (lambda: sp.layers.ScorePruning(sp.ReLU), TypeError, "ScorePruning: .*the class ReLU"),
    "a checkpoint of nothing": (lambda: sp.io.convert({}, sp.ReLU()), ShapeError,
                                "convert: expected arrays of layers, got none"),
    "a class for a layer": (lambda: sp.save("x.safetensors", sp.ReLU), TypeError, "save: .*, got the class ReLU"),
}


@each("name", CASES)
def test_the_error_names_the_function_and_what_it_got(name):
    call, error, words = CASES[name]
    with pytest.raises(error) as caught:
        call()
    assert re.match(words, str(caught.value)), caught.value


def test_lists_of_row_numbers_have_gradients():
    sp.check_gradient(lambda x: F.gather(x, [0, 2, 2]), X.astype(float))
    sp.check_gradient(lambda x: F.scatter_add(x, [0, 1, 1], 2), X.astype(float))


def test_a_role_may_be_a_property_or_a_role():
    assert type("Mine", (Plain,), {"role": sp.layers.Role.CHANNELWISE}).role == sp.layers.Role.CHANNELWISE
    type("Mine", (Plain,), {"role": property(lambda self: sp.layers.Role.NONE)})


@each("name", [name for name in dir(sp.readers) if name.startswith("read_")])
@each("path", [None, 3], ids=str)
def test_a_reader_without_a_path_names_itself(name, path):
    with pytest.raises(TypeError, match=f"^{name}: expected the path .*, got {path}"):
        getattr(sp.readers, name)(path)
