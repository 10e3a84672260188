"""Kept memory: arrays as numpy's, the same pages for the next array, given back when nobody wants it."""

import gc

import numpy as np
import pytest
from in_turn import each
from strategies import distinct

import spconv_cy as sp
from spconv_cy.compiled import memory


@each("shape", [(0, 3), (5,), 7, (100_000, 3), (1, 1_200_000), (70_000,)])
@each("dtype", [np.float32, np.int32, np.float64])
def test_arrays_are_plain_ones(shape, dtype):
    array = memory.empty(shape, dtype)
    expected = np.empty(shape, dtype)
    assert (array.shape, array.dtype, array.strides) == (expected.shape, expected.dtype, expected.strides)
    assert array.flags.c_contiguous and array.flags.writeable and array.flags.aligned
    array[...] = 3
    assert (array == 3).all() and not memory.zeros(shape, dtype).any()


def test_two_arrays_never_share_memory_while_both_live():
    arrays = [memory.empty((40_000 + i,)) for i in range(20)]
    for i, array in enumerate(arrays):
        array.fill(i)
    del arrays[::2]
    arrays += [memory.zeros((40_000 + i,)) for i in range(20)]
    assert [set(array.tolist()) for array in arrays[:10]] == [{float(i)} for i in range(1, 20, 2)]


def test_a_view_keeps_the_memory_and_the_last_one_gives_it_back():
    gc.collect()
    before = memory.in_use()[0]
    view = memory.empty((300_000, 2))[5:10]
    assert memory.in_use()[0] - before >= 300_000 * 8
    view.fill(1)
    del view
    assert memory.in_use()[0] == before


def test_the_next_array_of_that_size_takes_the_same_memory():
    array = memory.empty((200_000,))
    start = array.ctypes.data
    del array
    assert memory.empty((199_000,)).ctypes.data == start


def test_what_is_kept_is_bounded_by_what_is_in_use():
    memory.release()
    held = [memory.empty((int(n),)) for n in np.random.default_rng(0).integers(20_000, 3_000_000, 100)]
    while held:
        del held[-1]
        used, kept, _ = memory.in_use()
        assert kept <= used / 4 + 2**24


def test_a_loop_that_asks_again_keeps_its_memory_until_it_is_released():
    def step():
        return [memory.empty((2**23,)) for _ in range(4)]               # 128 MB

    memory.release()
    for _ in range(3):
        step()
    assert memory.in_use()[1] >= 2**27
    sp.release_memory()
    assert memory.in_use()[1] == 0
    for _ in range(3):
        step()
    gc.collect()
    assert memory.in_use()[1] == 0


def test_a_steady_loop_asks_for_no_more():
    rng = np.random.default_rng(0)
    sites = distinct(rng.integers(0, 60, (20_000, 3)))
    x = sp.SparseTensor.from_sites(np.column_stack([np.zeros(len(sites), int), sites]), rng.random((len(sites), 8)),
                                   ground=None)
    net = sp.Sequential(sp.SubmanifoldConvolution(3, 8, 16, 3, rng=0), sp.BatchNormalization(16), sp.ReLU(),
                        sp.SubmanifoldConvolution(3, 16, 8, 3, rng=1))

    def step():
        (net(x).features ** 2).sum().backward()
        return memory.in_use()

    for _ in range(3):
        step()
    assert len({step() for _ in range(5)}) == 1


def test_more_than_there_is_is_a_memory_error():
    with pytest.raises(MemoryError, match="bytes"):
        memory.empty((2**55,))
