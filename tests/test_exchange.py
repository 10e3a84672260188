"""In and out: duplicates as SparseConvNet has them, padded batches, scipy, COO arrays, DLPack, batches that grow."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy
from in_turn import each
from numpy.testing import assert_allclose
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import BackendError, GridError, ShapeError

# Duplicates, as in SparseConvNet's modes: 1 first, 2 last (its documentation exchanges these two), 3 sum, 4 mean

MODES = {  # what the three points of a site give it, and which share of the site's gradient each of them gets
    "last": ([0, 0, 1], "last"),
    "first": ([1, 0, 0], "first"),
    "sum": ([1, 1, 1], "all"),
    "mean": ([1 / 3, 1 / 3, 1 / 3], "all"),
}


@each("reduce", MODES)
def test_duplicates_go_in_and_out_as_sparseconvnet_does_it(reduce, ops):
    shares, kept = MODES[reduce]
    sites, values = [[0, 5], [0, 2], [0, 5], [1, 2], [0, 5]], np.array([[1.0], [20], [3], [40], [8]])
    leaf = sp.Tensor(values, requires_grad=True)
    x = sp.SparseTensor.from_sites(sites, leaf, reduce=reduce, samples=2)
    merged = np.dot(shares, [1, 3, 8])
    assert_allclose(x.features.data, [[20], [merged], [40]], rtol=1e-6)
    points = x.to_points(kept=kept)
    alone = {"all": [1, 1, 1], "first": [1, 0, 0], "last": [0, 0, 1]}[kept]
    assert_allclose(points.data[:, 0], [merged * alone[0], 20, merged * alone[1], 40, merged * alone[2]], rtol=1e-6)
    x.features.backward([[2.0], [7.0], [5.0]])
    assert_allclose(leaf.grad[:, 0], [7 * shares[0], 2, 7 * shares[1], 5, 7 * shares[2]], rtol=1e-6)


@pytest.mark.parametrize("kept", ["all", "first", "last"])
def test_points_hand_their_gradients_back_to_the_rows(kept, rng):
    x = sp.SparseTensor.from_sites(rng.integers(0, 3, (20, 3)), rng.normal(size=(20, 2)), reduce="sum", samples=3)
    sp.check_gradient(lambda rows: x.with_features(rows).to_points(kept=kept), rng.normal(size=(x.grid.n, 2)))


def test_an_output_of_other_sites_takes_the_points_of_the_input(rng):
    x = sp.SparseTensor.from_sites(random_sites(rng, 20, 2), rng.normal(size=(20, 2)), ground=None)
    y = sp.Deconvolution(2, 2, 2, 2, 2)(sp.Convolution(2, 2, 2, 2, 2)(x))
    assert np.array_equal(y.to_points(x.point_rows).data, y.features.data[x.point_rows])
    with pytest.raises(ShapeError, match="give the point_rows of the tensor that was made of the"):
        y.to_points()
    for wrong in ([20], [-2], [[0]], [0.5]):
        with pytest.raises(ShapeError, match="rows from -1 to 19"):
            y.to_points(wrong)
    with pytest.raises(ShapeError, match="kept to be 'all', 'first' or 'last', got 'mean'"):
        x.to_points(kept="mean")


# Padded batches


def padded(rng, counts, l, d=2, c=3, size=6):
    """Draw a padded batch whose sites lie anywhere in the lists: sites, features, where something is."""
    sites, there = np.full((len(counts), l, d), -1), np.zeros((len(counts), l), bool)
    for i, n in enumerate(counts):
        places = rng.choice(l, n, replace=False)
        there[i, places] = True
        sites[i, places] = rng.integers(0, size, (n, d))
    return sites, rng.normal(size=(len(counts), l, c)), there


@each("counts, l", [((7, 0, 3), 9), ((1,), 1), ((0, 0), 4), ((), 5), ((0, 0), 0)])
def test_a_padded_batch_is_the_list_of_what_is_in_it_and_comes_back(counts, l, rng, ops):
    sites, features, there = padded(rng, counts, l)
    x, rows = sp.exchange.from_padded(sites, features, 6, reduce="mean")
    batch, place = np.nonzero(there)
    listed = np.column_stack([batch, sites[batch, place]])
    expected = sp.SparseTensor.from_sites(listed, features[there], 6, len(counts), reduce="mean")
    assert np.array_equal(x.sites, expected.sites) and np.array_equal(x.features.data, expected.features.data)
    assert np.array_equal(rows[there], expected.point_rows) and (rows[~there] == -1).all()
    assert np.array_equal(x.point_rows, expected.point_rows) and x.grid.samples == len(counts)
    back_sites, back = sp.exchange.to_padded(x, rows)
    assert np.array_equal(back_sites, sites) and back.shape == features.shape
    assert np.array_equal(back.data[there], x.features.data[x.point_rows]) and not back.data[~there].any()


def test_lengths_say_what_is_there_and_then_negative_sites_are_sites_like_others(rng):
    sites = [[[-1, -1], [4, 2], [9, 9]], [[0, -3], [9, 9], [9, 9]]]
    x, rows = sp.exchange.from_padded(sites, np.ones((2, 3, 1)), lengths=[2, 1])
    assert x.sites.tolist() == [[0, -1, -1], [0, 4, 2], [1, 0, -3]] and rows.tolist() == [[0, 1, -1], [2, -1, -1]]
    with pytest.raises(GridError, match="inside size"):
        sp.exchange.from_padded([[[-1, 2]]], np.ones((1, 1, 1)), 4)
    for wrong in ([4, 1], [1], [1.0, 2.0], -1):
        with pytest.raises(ShapeError, match="whole numbers from 0 to 3"):
            sp.exchange.from_padded(sites, np.ones((2, 3, 1)), lengths=wrong)


def test_padded_rows_of_duplicates_are_those_that_are_kept(rng):
    x, rows = sp.exchange.from_padded([[[2], [0], [2]]], [[[1.0], [2.0], [3.0]]], 4, reduce="first")
    for kept, expected in (("all", [1, 2, 1]), ("first", [1, 2, 0]), ("last", [0, 2, 1])):
        assert sp.exchange.to_padded(x, rows, kept=kept)[1].data[0, :, 0].tolist() == expected


def test_rows_are_padded_sample_by_sample_where_no_places_are_given(rng, ops):
    x = sp.SparseTensor.from_sites(random_sites(rng, 20, 2, samples=3), rng.normal(size=(20, 2)), samples=5)
    sites, features = sp.exchange.to_padded(x)
    most = np.diff(x.grid.batch_starts).max()
    assert sites.shape == (5, most, 2) and features.shape == (5, most, 2)
    for i in range(5):
        mine = slice(*x.grid.batch_starts[i : i + 2])
        n = mine.stop - mine.start
        assert np.array_equal(sites[i, :n], x.sites[mine, 1:]) and (sites[i, n:] == -1).all()
        assert np.array_equal(features.data[i, :n], x.features.data[mine]) and not features.data[i, n:].any()


def test_padded_batches_carry_gradients_both_ways(rng):
    sites, features, _ = padded(rng, (5, 0, 3), 6, c=2, size=3)
    sp.check_gradient(lambda rows: sp.exchange.from_padded(sites, rows, 3, reduce="sum").tensor.features, features)
    x, rows = sp.exchange.from_padded(sites, features, 3, reduce="sum")
    sp.check_gradient(lambda mine: sp.exchange.to_padded(x.with_features(mine), rows)[1], rng.normal(size=(x.grid.n,
                                                                                                           2)))


def test_padded_batches_that_do_not_fit_are_refused():
    ones = np.ones((2, 3, 1))
    for sites, features in ((np.zeros((2, 3)), ones), (np.zeros((2, 3, 2)), ones), (np.zeros((2, 4, 2), int), ones)):
        with pytest.raises(ShapeError, match=r"sites \(b, l, d\) of integers and features \(b, l, c\)"):
            sp.exchange.from_padded(sites, features)
    x, _ = sp.exchange.from_padded(np.zeros((2, 1, 2), int), ones[:, :1])
    for wrong in ([[0]], [[0], [2]], [[0.0], [1.0]], [0, 1]):
        with pytest.raises(ShapeError, match=r"rows \(2, l\) from -1 to 1"):
            sp.exchange.to_padded(x, wrong)


# scipy's matrices, COO arrays


@each("kind", ["csr_matrix", "coo_array", "csc_array", "lil_matrix", "dok_matrix", "bsr_matrix"])
def test_scipys_matrices_are_samples_and_come_back(kind, rng, ops):
    dense = [np.float32(rng.normal(size=(6, 4)) * (rng.random((6, 4)) < share)) for share in (0.4, 0.0, 0.2)]
    x = sp.exchange.from_scipy([getattr(scipy.sparse, kind)(matrix) for matrix in dense])
    assert np.array_equal(x.to_dense(), np.stack(dense)[:, None])
    assert [tuple(site) for site in x.sites.tolist()] == [tuple(site) for site in np.argwhere(np.stack(dense))]
    back = sp.exchange.to_scipy(x)
    assert all(scipy.sparse.issparse(matrix) for matrix in back)
    assert all(np.array_equal(a.toarray(), b) for a, b in zip(back, dense, strict=True))
    one = sp.exchange.from_scipy(getattr(scipy.sparse, kind)(dense[0]), ground=None)
    assert (one.grid.samples, one.ground) == (1, None)


def test_entries_that_are_stored_twice_add_up_and_a_stored_zero_is_active():
    matrix = scipy.sparse.coo_array(([1.0, 2.0, 0.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    x = sp.exchange.from_scipy(matrix)
    assert x.sites.tolist() == [[0, 0, 1], [0, 1, 0]] and x.features.data.tolist() == [[3.0], [0.0]]
    assert sp.exchange.to_scipy(x)[0].nnz == 2 and x.point_rows.tolist() == [0, 0, 1]


def as_coo(dense):
    """Store a dense array by coordinates, as pydata/sparse does; in an order of its own."""
    coords = np.stack(np.nonzero(dense))[:, ::-1]
    return SimpleNamespace(coords=coords, data=dense[tuple(coords)], shape=dense.shape, fill_value=dense.dtype.type(0))


@each("shape", [(3, 2, 7), (2, 3, 5, 4), (2, 1, 3, 4, 5), (1, 2, 2, 2, 2, 2)])
def test_coo_arrays_are_dense_arrays_and_come_back(shape, rng, ops):
    dense = np.float32(rng.normal(size=shape) * (rng.random(shape) < 0.3))
    x = sp.exchange.from_coo(as_coo(dense))
    assert np.array_equal(x.to_dense(), dense)
    assert x.sites.tolist() == np.argwhere((dense != 0).any(1)).tolist()
    coords, data, size = sp.exchange.to_coo(x)
    back = np.zeros(size, np.float32)
    np.add.at(back, tuple(coords), data)
    assert np.array_equal(back, dense) and coords.shape == (len(shape), x.grid.n * shape[1])
    assert np.array_equal(sp.exchange.from_coo(sp.exchange.to_coo(x)).features.data, x.features.data)
    assert np.array_equal(sp.exchange.from_coo(as_coo(dense[:, 0]), len(shape) - 2).to_dense(), dense[:, :1])
    assert np.array_equal(sp.exchange.from_coo(as_coo(dense[0, 0]), len(shape) - 2).to_dense(), dense[:1, :1])


def test_what_is_no_sparse_matrix_is_refused_with_a_remedy(rng):
    x = sp.SparseTensor.from_sites(random_sites(rng, 9, 2), rng.normal(size=(9, 1)), 10)
    eye, coo = scipy.sparse.eye(3), as_coo(np.eye(3)[None, None])
    for wrong in (np.eye(3), [], [eye, scipy.sparse.eye(4)], [eye, np.eye(3)], None, 3):
        with pytest.raises(ShapeError, match=r"a scipy.sparse matrix, or a list of them of one shape"):
            sp.exchange.from_scipy(wrong)
    with pytest.raises(ShapeError, match="use from_scipy for scipy's matrices"):
        sp.exchange.from_coo(np.eye(3))
    for d in (0, 1, 5, 2.0):
        with pytest.raises(ShapeError, match="the number of axes of size"):
            sp.exchange.from_coo(coo, d)
    coo.fill_value = 1.0
    with pytest.raises(ShapeError, match="a fill_value of 0, got 1.0"):
        sp.exchange.from_coo(coo)
    with pytest.raises(ShapeError, match="coords inside shape"):
        sp.exchange.from_coo(SimpleNamespace(coords=np.array([[0], [0], [4]]), data=np.ones(1), shape=(1, 1, 4)))
    with pytest.raises(ShapeError, match=r"\(axes, entries\) of integers"):
        sp.exchange.from_coo(SimpleNamespace(coords=np.zeros((3, 2), int), data=np.ones(1), shape=(1, 1, 4)))
    painted = x.with_features(x.features, sp.Tensor([[2.0]]))
    unbounded = sp.SparseTensor.from_sites([[0, 1, 1]], [[1.0]])
    for call in (sp.exchange.to_scipy, sp.exchange.to_coo):
        with pytest.raises(ShapeError, match=r"use to_dense\(\), which"):
            call(painted)
        with pytest.raises(ShapeError, match="give its sites a size"):
            call(unbounded)
        with pytest.raises(TypeError, match="expected a SparseTensor"):
            call(np.eye(3))
    with pytest.raises(ShapeError, match="to_coo accepts any"):
        sp.exchange.to_scipy(x.concatenate(x))


# DLPack


class Foreign:
    """An array of another library: it speaks DLPack and nothing else."""

    def __init__(self, array, device=(1, 0)):
        self.array, self.device = array, device

    def __dlpack__(self, **options):
        if self.array is None:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device


def test_foreign_arrays_come_in_by_dlpack_and_are_copied(rng, ops):
    sites = random_sites(rng, 20, 2)
    sites = sites[np.lexsort(sites.T[::-1])]
    features = rng.normal(size=(20, 3)).astype(np.float32 if ops == "cpu" else np.float64)
    x = sp.SparseTensor.from_sites(Foreign(sites), Foreign(features))
    assert np.array_equal(x.sites, sites) and np.array_equal(x.features.data, features)
    assert not np.shares_memory(x.features.data, features)
    assert not np.shares_memory(x.sites, sites) and sites.flags.writeable  # a grid's sites never change
    assert np.array_equal(x.grid.rows_of(Foreign(sites[::-1])), np.arange(20)[::-1])
    dense = rng.normal(size=(2, 3, 4, 4))
    assert np.array_equal(
        sp.SparseTensor.from_dense(Foreign(dense)).features.data, sp.SparseTensor.from_dense(dense).features.data
    )


def test_features_go_out_by_dlpack_without_a_copy_and_sites_as_what_they_are(rng, ops):
    x = sp.SparseTensor.from_sites(random_sites(rng, 20, 2), rng.normal(size=(20, 3)))
    out = np.from_dlpack(x.features)
    assert np.shares_memory(out, x.features.data) and out.dtype == x.features.dtype
    try:
        sites = np.from_dlpack(x.sites)
    except BufferError:  # numpy before 2.1 hands out nothing that is read-only
        sites = np.from_dlpack(x.sites.copy())
    assert np.array_equal(sites, x.sites) and not (np.shares_memory(sites, x.sites) and sites.flags.writeable)


def test_what_dlpack_cannot_carry_is_refused_with_a_remedy(rng):
    sites, features = [[0, 1]], np.ones((1, 1))
    for call in (
        lambda: sp.SparseTensor.from_sites(sites, Foreign(features, (2, 0))),
        lambda: sp.SparseTensor.from_sites(Foreign(features, (2, 0)), features),
    ):
        with pytest.raises(BackendError, match=r"the CPU's memory .DLPack device 1., got .* on device 2"):
            call()
    with pytest.raises(ShapeError, match="require gradient.*without gradients"):
        sp.SparseTensor.from_sites(sites, Foreign(None))
    with pytest.raises(BufferError, match="use its .data"):
        np.from_dlpack(sp.Tensor(features, requires_grad=True))


# Batches that grow


def test_a_batch_that_grows_is_a_dictionary_of_the_last_or_first_that_came(rng, ops):
    builder, truth, given = sp.data.BatchBuilder(2, 3, (5, 5), ground=None), {}, []
    for sample in range(4):
        assert builder.add_sample() == sample
        for _ in range(5 if sample != 2 else 0):
            overwrite, n = bool(rng.random() < 0.5), int(rng.integers(0, 6))
            sites, features = rng.integers(0, 5, (n, 2)), np.float32(rng.normal(size=(n, 3)))
            if n == 1:
                builder.set_site(sites[0], features[0], overwrite=overwrite)
            else:
                builder.set_sites(sites, features, overwrite=overwrite)
            for site, row in zip(sites.tolist(), features, strict=True):
                given.append((sample, *site))
                if overwrite or (sample, *site) not in truth:
                    truth[(sample, *site)] = row
    x = builder.tensor()
    assert [tuple(site) for site in x.sites.tolist()] == sorted(truth) and x.ground is None
    assert np.array_equal(x.features.data, [truth[site] for site in sorted(truth)])
    assert [tuple(site) for site in x.sites[x.point_rows].tolist()] == given and x.grid.samples == 4


def test_tensors_and_dense_arrays_join_a_batch_moved_by_an_offset(rng, ops):
    dense = rng.normal(size=(2, 3, 4)) * (rng.random((2, 3, 4)) < 0.5)
    x = sp.SparseTensor.from_sites(random_sites(rng, 9, 2, 0, 4, 2), rng.normal(size=(9, 2)), 4, 3)
    builder = sp.data.BatchBuilder(2, 2, 9)
    assert (builder.add_dense(dense, (4, 2), 0.3), builder.add_tensor(x, 5), builder.add_sample()) == (0, 1, 4)
    builder.set_site([8, 8], [7.0, 7.0])
    truth = np.zeros((5, 2, 9, 9))
    truth[0, :, 4:7, 2:6] = dense * (np.abs(dense) > 0.3).any(0)
    truth[1:4, :, 5:, 5:] = x.to_dense()
    truth[4, :, 8, 8] = 7
    assert_allclose(builder.tensor().to_dense(), truth, rtol=1e-6)
    assert repr(builder) == "BatchBuilder(Lattice(d=2, kind='cubic'), 5 samples, 2 channels, size (9, 9))"


def test_what_comes_in_may_lie_on_a_simplex_lattice(ops):
    triangular = sp.Lattice.simplex(2)
    dense = np.float32([[1, 0, 3], [4, 5, 0], [6, 0, 0]])
    expected = sp.SparseTensor.from_dense(dense[None, None], lattice=triangular)
    builder = sp.data.BatchBuilder(triangular, 1, 3)
    builder.add_dense(dense[None, :2, :2])
    builder.set_sites([[0, 2], [2, 0]], [[3.0], [6.0]])
    sites, features = sp.exchange.to_padded(expected)
    for x in (
        builder.tensor(),
        sp.exchange.from_scipy(scipy.sparse.coo_array(dense), lattice=triangular),
        sp.exchange.from_coo(as_coo(dense[None, None]), lattice=triangular),
        sp.exchange.from_padded(sites, features.data, 3, lattice=triangular).tensor,
    ):
        assert x.grid.lattice == triangular and np.array_equal(x.sites, expected.sites)
        assert np.array_equal(x.features.data, expected.features.data)
    assert np.array_equal(sp.exchange.to_scipy(expected)[0].toarray(), dense)
    with pytest.raises(ShapeError, match="whose fields are not boxes"):
        expected.crop(0, 2, moved=True)
    both = expected.add(builder.tensor())
    assert both.grid is expected.grid and np.array_equal(both.to_dense(), 2 * expected.to_dense())
    with pytest.raises(ShapeError, match="lattice"):
        expected.add(sp.SparseTensor.from_dense(dense[None, None]))


def test_an_empty_batch_is_a_batch_too_and_what_was_refused_leaves_it_as_it_was():
    builder = sp.data.BatchBuilder(2, 1, 4)
    assert (builder.tensor().grid.n, builder.tensor().grid.samples, builder.tensor().channels) == (0, 0, 1)
    with pytest.raises(ShapeError, match=r"call add_sample\(\) first"):
        builder.set_site([0, 0], [1.0])
    builder.add_sample()
    refused = [
        (lambda: builder.set_site([0, 4], [1.0]), GridError, "inside size"),
        (lambda: builder.set_site([0, 0, 0], [1.0]), ShapeError, r"sites \(n, 2\), without a batch index"),
        (lambda: builder.set_site([0, 0], [1.0, 2.0]), ShapeError, r"features \(1, 1\) for 1 sites"),
        (lambda: builder.set_site([0.5, 0], [1.0]), ShapeError, "integer dtype, got float64"),
        (lambda: builder.set_sites([[0, 0], [1]], [[1.0]]), ShapeError, "sites"),
        (lambda: builder.add_dense(np.ones((1, 2, 2)), 3), GridError, "inside size"),
        (lambda: builder.add_dense(np.ones((1, 2)), 0), ShapeError, "sites of dimension 2"),
        (lambda: builder.add_tensor(np.ones((1, 2))), TypeError, "expected a SparseTensor"),
        (lambda: sp.data.BatchBuilder(2, 0), ShapeError, "channels to be a whole number from 1"),
        (lambda: sp.data.BatchBuilder(2, 1, ground="none"), ShapeError, "got 'none'"),
    ]
    for call, error, message in refused:
        with pytest.raises(error, match=message):
            call()
    assert (builder.tensor().grid.n, builder.tensor().grid.samples) == (0, 1)
