"""The stand-in for CuPy is as strict as CuPy: test_cupy_itself.py asks CuPy, this file holds the answers."""

import copy
import pickle

import cupy_on_host as cupy
import numpy as np
import protocols
import pytest

IMPLICIT = (r"^Implicit conversion to a NumPy array is not allowed\. Please use `\.get\(\)` to construct a NumPy array "
            r"explicitly\.$")
MIXED = "Unsupported type <class 'numpy.ndarray'>"
NUMPY = np.arange(6, dtype=np.float32).reshape(3, 2)


@pytest.fixture
def a():
    """An array of the device, (3, 2): 0 to 5."""
    return cupy.asarray(NUMPY)


@pytest.mark.parametrize("convert", [np.asarray, np.array, np.ascontiguousarray, lambda a: np.array([a, a]),
                                     lambda a: np.require(a, np.float32, "C"), lambda a: np.asarray([a[0, 0]])])
def test_nothing_becomes_numpy_that_is_not_asked_for(convert, a):
    with pytest.raises(TypeError, match=IMPLICIT):
        convert(a)
    assert type(a.get()) is np.ndarray and np.array_equal(a.get(), NUMPY)


def test_dlpack_names_the_gpu_and_numpy_cannot_read_it(a):
    assert a.__dlpack_device__() == (2, 0)
    with pytest.raises((BufferError, RuntimeError)):
        np.from_dlpack(a)
    assert cupy.from_dlpack(a).data.ptr == a.data.ptr
    with pytest.raises(BufferError, match="is not the GPU's"):
        cupy.from_dlpack(NUMPY)


@pytest.mark.parametrize("mix", [
    lambda a, n: a + n, lambda a, n: n + a, lambda a, n: n * a, lambda a, n: np.add(a, n), lambda a, n: a > n,
    lambda a, n: n == a, lambda a, n: cupy.maximum(a, n), lambda a, n: np.subtract(n, a), lambda a, n: a.__iadd__(n),
    lambda a, n: n.__iadd__(a), lambda a, n: cupy.where(a > 0, a, n), lambda a, n: cupy.clip(a, n, 9),
    lambda a, n: a + np.array(1.0), lambda a, n: cupy.add.at(a, np.array([0]), n[:1]), lambda a, n: cupy.sqrt(n),
])
def test_numpy_arrays_do_not_mix_with_those_of_the_device(mix, a):
    with pytest.raises(TypeError, match=MIXED):
        mix(a, NUMPY.copy())


@pytest.mark.parametrize("wrong", [
    lambda a, n: np.concatenate([a, n]), lambda a, n: cupy.concatenate([n, n]), lambda a, n: cupy.stack([a, n]),
    lambda a, n: a @ n.T, lambda a, n: n.T @ a, lambda a, n: cupy.where(n > 0, a, a), lambda a, n: cupy.zeros_like(n),
    lambda a, n: cupy.einsum("ij,ij->i", a, n), lambda a, n: np.einsum("ij->i", n, out=a), lambda a, n: a + [1, 2],
    lambda a, n: cupy.exp(a, out=n), lambda a, n: np.add.reduce(a), lambda a, n: np.add.at(n, (0, 0), a[0, 0]),
    lambda a, n: np.insert(a, 0, 0), lambda a, n: a < None, lambda a, n: cupy.repeat(a, np.array([1, 2, 3]), axis=0),
])
def test_what_cupy_has_no_answer_for_is_a_type_error(wrong, a):
    with pytest.raises(TypeError):
        wrong(a, NUMPY.copy())


@pytest.mark.parametrize("name, function", [
    ("abs", np.abs), ("sum", np.sum), ("argwhere", np.argwhere), ("zeros", np.zeros_like), ("isfinite", np.isfinite),
    ("take", lambda a: np.take(a, [1, 0], axis=0)), ("float", lambda a: np.float32(2) * a), ("less", lambda a: 1 < a),
    ("moveaxis", lambda a: np.moveaxis(a, 0, 1)), ("concatenate", lambda a: np.concatenate([a, a], axis=1)),
    ("out", lambda a: np.multiply(a, 2, out=a)), ("where", lambda a: np.where(a > 2, a, 0)), ("max", np.max),
    ("column", lambda a: a[np.array([True, False, True])]), ("rows", lambda a: a[np.array([2, 0])]),
    ("list", lambda a: a[[0, 1], [1, 0]]), ("sorted", lambda a: a.argsort(kind="stable")),
])
def test_numpy_functions_and_indices_of_numpy_give_arrays_of_the_device(name, function, a):
    expected, found = function(NUMPY.copy()), function(a)
    assert type(found) is cupy.ndarray and np.array_equal(found.get(), expected) and found.dtype == expected.dtype


def test_results_of_no_axes_stay_on_the_device_until_they_are_asked_for(a):
    for found in (a.sum(), a.max(), a.all(), a[0, 1], a.argmax(), (a > 3).any(), cupy.sum(a)):
        assert type(found) is cupy.ndarray and found.shape == ()
    cupy.copies.clear()
    asked = float(a.sum()), int(a.argmax()), bool((a > 3).any()), a[1, 1].item(), f"{a[0, 1]:.1f}"
    assert asked == (15, 5, 1, 3, "1.0")
    assert [copied[:2] for copied in cupy.copies] == [("down", ())] * 5
    with pytest.raises(TypeError):
        [0, 1][a.argmin()]                                               # no __index__


def test_contiguous_copies_have_an_axis_and_asarray_keeps_none(a):
    assert cupy.ascontiguousarray(a.sum()).shape == (1,)
    assert cupy.asarray(a.sum(), order="C").shape == ()
    assert cupy.asarray(a) is a and cupy.asarray(a, np.float32, order="C") is a
    assert cupy.asarray(a.T, order="C").flags.c_contiguous
    assert np.array_equal(cupy.asarray([a[0], a[1]]).get(), NUMPY[:2])


def test_numpy_arrays_are_put_at_indices_of_numpy_alone(a):
    a[np.array([0, 2])] = np.array([[7, 8], [9, 10]])
    assert a.tolist() == [[7, 8], [2, 3], [9, 10]]
    a[np.array([True, False, False])] = 0
    a[1] = a[2]
    a[:, 1] = 5.0
    assert a.tolist() == [[0, 5], [9, 5], [9, 5]]
    for key in (..., slice(None), 0):
        with pytest.raises(ValueError, match="non-scalar numpy.ndarray cannot be used for fill"):
            a[key] = np.ones(2)


def test_two_values_for_one_place_are_noticed_since_either_may_stay(a):
    with pytest.raises(RuntimeError, match="left to chance"):
        a[[0, 0]] = a[:2]


def test_one_mask_is_an_index_and_it_stands_alone(a):
    mask = cupy.asarray(np.array([True, False, True]))
    assert a[mask].shape == (2, 2) and a[mask, 1:].shape == (2, 1)
    for key in ((mask, np.array([0, 1])), (mask, cupy.asarray(np.array([True, False])))):
        with pytest.raises(ValueError, match="slices that consist of one boolean array"):
            a[key]
    with pytest.raises(IndexError, match="must be of integer or boolean type"):
        a[np.array([0.0, 1.0])]


def test_copies_and_pickles_are_arrays_of_the_device(a):
    for made in (copy.copy(a), copy.deepcopy(a), pickle.loads(pickle.dumps(a))):
        assert type(made) is cupy.ndarray and made.data.ptr != a.data.ptr and np.array_equal(made.get(), NUMPY)


def test_every_case_that_is_asked_of_cupy_runs_in_the_stand_in():
    found = protocols.answers(cupy, cupy.asarray)
    assert found["asarray"] == "TypeError" and found["the type"] == "('cupy', 'ndarray', True)"
    assert protocols.ON_THE_GPU not in found.values()
