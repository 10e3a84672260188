"""Points that cover a surface: no hole beside an independent sampling, no triangle outside its plane, all in bounds."""

import numpy as np
import pytest
from scipy import ndimage
from solids import KINDS, revolved, solid

import spconv_cy as sp
from spconv_cy.data.meshes import fan
from spconv_cy.errors import ShapeError

SLIVERS = [[0, 0, 0], [20, 0, 0], [20, 0.01, 0.3], [9, 9, 9], [9, 9, 9], [0, 5, 0], [12, 5, 0], [3, 5, 0]]


def triangles(rng, m, side=6.0):
    """Triangles of all kinds: any, slender, without area, without extent."""
    corners = rng.uniform(-side, side, (m, 3, 3))
    corners[m // 4:m // 2, 2] = corners[m // 4:m // 2, 1] + rng.normal(0, 0.1, (m // 2 - m // 4, 3))
    corners[-3, 2] = 2 * corners[-3, 1] - corners[-3, 0]
    corners[-2:] = corners[-2:, :1]
    return sp.data.Mesh(corners.reshape(-1, 3), np.arange(3 * m).reshape(m, 3))


def barycentric(rng, mesh, n):
    """Random places (m * n, 3) on each triangle."""
    weights = rng.dirichlet([1, 1, 1], (len(mesh.triangles), n))
    return np.einsum("mnk,mkd->mnd", weights, mesh.vertices[mesh.triangles]).reshape(-1, 3)


def winding(places, mesh):
    """Whether the closed mesh goes around each place: the sum of its solid angles (van Oosterom and Strackee)."""
    a, b, c = (mesh.vertices[mesh.triangles[:, i]] - places[:, None] for i in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=2) for v in (a, b, c))
    volume = (a * np.cross(b, c)).sum(2)
    flat = la * lb * lc + (a * b).sum(2) * lc + (b * c).sum(2) * la + (c * a).sum(2) * lb
    return abs(2 * np.arctan2(volume, flat).sum(1)) > 2 * np.pi


@pytest.mark.parametrize("spacing", [0.3, 1, 2.5])
def test_every_place_on_the_surface_has_a_point_within_the_spacing_over_the_root_of_two(rng, spacing):
    from scipy.spatial import cKDTree

    mesh = triangles(rng, 60)
    far = cKDTree(mesh.surface(spacing)).query(barycentric(rng, mesh, 400))[0]
    assert far.max() <= spacing / 2**0.5 + 1e-9
    assert far.max() > spacing / 4                                          # and no more points than are needed


def test_the_points_lie_on_their_triangles(rng):
    for corners in triangles(rng, 12).vertices.reshape(-1, 3, 3):
        points = sp.data.Mesh(corners, [[0, 1, 2]]).surface(0.5)
        # A point is a mean of the corners with weights from 0 up: non-negative least squares find them, or do not.
        from scipy.optimize import nnls
        left = [nnls(np.vstack([corners.T, np.ones(3)]), np.append(p, 1))[1] for p in points[::7]]
        assert max(left) < 1e-8


def test_there_are_about_as_many_points_as_the_area_has_squares_of_the_spacing():
    big = sp.data.Mesh([[0, 0, 0], [200, 0, 0], [0, 200, 0]], [[0, 1, 2]])
    assert len(big.surface(1)) == pytest.approx(big.area, rel=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_the_sites_of_a_closed_surface_keep_inside_and_outside_apart(kind, rng):
    """Centres of empty sites that touch by their faces lie all inside or all outside, as solid angles tell."""
    mesh = solid(kind, rng).normalised(11)
    for _ in range(2):
        turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        moved = sp.data.Mesh(mesh.vertices @ turn + rng.uniform(0, 1, 3) + 13, mesh.triangles)
        field = np.zeros((27,) * 3, bool)
        field[tuple(np.floor(moved.surface(0.7)).astype(int).T)] = True
        assert ndimage.label(field, np.ones((3, 3, 3)))[1] == 1             # the surface is in one piece
        parts = ndimage.label(~field)[0]                                    # empty sites, neighbours by faces
        sites = rng.permutation(np.argwhere(~field & ~ndimage.binary_erosion(~field, np.ones((7,) * 3))))[:250]
        part, inside = parts[tuple(sites.T)], winding(sites + 0.5, moved)
        assert inside.any() and not inside.all() and not set(part[inside]) & set(part[~inside])


def test_voxels_are_those_that_the_triangle_meets_and_miss_only_corners(rng):
    """Against places drawn at random, many to a voxel: those missed hold few of them, none is there without one."""
    mesh = triangles(rng, 8, 4.0)
    ours = {tuple(v) for v in np.floor(mesh.surface(0.25)).astype(int).tolist()}
    met, counts = np.unique(np.floor(barycentric(rng, mesh, 50_000)).astype(int), axis=0, return_counts=True)
    met = dict(zip(map(tuple, met.tolist()), counts.tolist(), strict=True))
    assert len(set(met) - ours) < 0.15 * len(met) and len(ours - set(met)) < 0.01 * len(ours)
    assert np.mean([met[voxel] for voxel in set(met) - ours]) < 0.1 * np.mean(list(met.values()))


def test_no_triangle_no_points_and_one_without_extent_one_place():
    assert sp.data.Mesh([], []).surface(1).shape == (0, 3) and sp.data.Mesh([], []).area == 0
    points = sp.data.Mesh(SLIVERS, [[3, 4, 4], [3, 3, 3]]).surface(0.1)
    assert len(points) and (points == 9).all()
    line = sp.data.Mesh(SLIVERS, [[5, 6, 7]]).surface(0.5)                       # three corners on a line
    assert np.allclose(np.unique(line.round(6), axis=0)[:, 0], np.arange(0, 12.1, 0.5)[:, None].ravel())
    assert np.allclose(line[:, 1:], [5, 0])


def test_the_points_are_the_same_at_each_call_and_follow_the_scale(rng):
    mesh = triangles(rng, 20)
    assert np.array_equal(mesh.surface(0.5), mesh.surface(0.5))
    assert np.allclose(sp.data.Mesh(mesh.vertices * 8, mesh.triangles).surface(4), 8 * mesh.surface(0.5))


def test_a_mesh_is_moved_to_its_radius(rng):
    mesh = sp.data.Mesh([*rng.uniform(5, 9, (20, 3)), [1e6, 0, 0]], [[0, 1, 2], [3, 4, 19]])
    moved = mesh.normalised(2.5)
    used = moved.vertices[[0, 1, 2, 3, 4, 19]]
    assert np.linalg.norm(used, axis=1).max() == pytest.approx(2.5)
    assert np.allclose(used.min(0), -used.max(0))
    assert sp.data.Mesh([[1e300, 0, 0], [-1e300, 0, 0], [0, 1e300, 0]], [[0, 1, 2]]).normalised().area > 0.1
    assert sp.data.Mesh([[3, 3, 3]], [[0, 0, 0]]).normalised().vertices.tolist() == [[0, 0, 0]]
    assert sp.data.Mesh([[3, 3, 3]], []).normalised().vertices.tolist() == [[3, 3, 3]]


@pytest.mark.parametrize("vertices, faces, message", [
    ([[0, 0]], [], r"vertices.*got shape \(1, 2\) of int64"),
    ([[0, 0, 0]], [[0, 0, 1]], r"got \[0, 0, 1\] in triangle 0"),
    ([[0, 0, 0]], [[0, 0, -1]], r"vertices.*got \[0, 0, -1\] in triangle 0"), ([[0, 0, 0]], [[0.0, 0, 0]], "whole"),
    ([[0, 0, np.inf]], [], r"got \[0.0, 0.0, inf\] as vertex 0"), ([[0, 0, 0], [1]], [], "unequal length"),
    ([["a", "b", "c"]], [], "vertices")])
def test_a_mesh_that_does_not_fit_is_refused(vertices, faces, message):
    with pytest.raises(ShapeError, match=message):
        sp.data.Mesh(vertices, faces)


def test_a_spacing_that_does_not_fit_is_refused():
    mesh = sp.data.Mesh([[0, 0, 0], [1e9, 0, 0], [0, 1e9, 0]], [[0, 1, 2]])
    for spacing in (0, -1, np.nan, np.inf, "1"):
        with pytest.raises(ShapeError, match="expected spacing to be a positive number"):
            mesh.surface(spacing)
    for spacing in (1, 1e-300):
        with pytest.raises(ShapeError, match="use a larger spacing"):
            mesh.surface(spacing)
    with pytest.raises(ShapeError, match="radius"):
        mesh.normalised(0)
    with pytest.raises(ShapeError, match="expected radius to be a.*got '1'"):
        mesh.normalised("1")


def test_polygons_are_cut_into_fans(rng):
    sizes = rng.integers(3, 9, 30)
    corners = rng.integers(0, 99, sizes.sum())
    ends = np.cumsum(sizes)
    expected = [[corners[e - s], corners[e - s + i], corners[e - s + i + 1]]
                for s, e in zip(sizes, ends, strict=True) for i in range(1, s - 1)]
    assert fan(sizes, corners).tolist() == expected and fan([], []).shape == (0, 3)


def test_solids_are_closed_fill_their_ball_and_differ_by_seed():
    for kind in KINDS:
        mesh = solid(kind, 0)
        places, at = np.unique(mesh.vertices.round(9), axis=0, return_inverse=True)
        faces = at[mesh.triangles]
        faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])]
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        forth, back = (set(map(tuple, part.tolist())) for part in (edges, edges[:, ::-1]))
        assert forth == back and len(forth) == len(edges)                   # each edge once in each direction
        assert np.linalg.norm(places, axis=1).max() == pytest.approx(1)
        assert not np.array_equal(mesh.vertices, solid(kind, 1).vertices)
    with pytest.raises(ValueError, match="solid: expected one of ellipsoid.*, got 'ball'"):
        solid("ball")
    assert revolved([(1, 0), (1, 2)], 400).area == pytest.approx(4 * np.pi, rel=1e-3)
