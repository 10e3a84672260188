"""Pictures: what is drawn is what there is."""

import builtins

import numpy as np
import pytest
from figures import answers, from_above, headed, powers, site_counts

import spconv_cy as sp
from spconv_cy import plot
from spconv_cy.layers.intermediate import tensors_by_grid
from spconv_cy.train.history import History

pytest.importorskip("matplotlib")


@pytest.fixture
def axes():
    return plot.figure(3, 3).subplots()


def test_strokes_run_through_their_points_with_y_down_and_a_dot_where_each_begins(axes):
    character = [[(0, 0), (9, 0), (9, 20)], [(4, 4)]]
    plot.strokes(axes, character)
    ends = [[tuple(line.get_segments()[0][0]), tuple(line.get_segments()[-1][-1])] for line in axes.collections
            if line.get_segments()]
    assert ends == [[(0, 0), (9, 20)]]
    assert [tuple(line.get_xydata()[0]) for line in axes.lines] == [(0, 0), (4, 4)]
    bottom, top = axes.get_ylim()
    assert bottom > 20 and top < 0 and axes.get_xlim()[0] < 0 and axes.get_xlim()[1] > 9
    first, last = (axes.collections[0].get_colors()[i] for i in (0, -1))
    assert sum(last[:3]) > sum(first[:3])                       # lighter in time


def test_an_empty_character_draws_nothing(axes):
    plot.strokes(axes, [])
    assert not axes.lines and not axes.collections


def test_active_sites_are_shown_at_their_place_and_the_others_left_out(axes):
    x = sp.SparseTensor.from_sites([[0, 1, 2], [1, 3, 0], [1, 0, 1]], [[9.0, 9], [3, 4], [0, 1]], size=(4, 4))
    plot.active_sites(axes, x, sample=1)
    picture = np.ma.filled(axes.images[0].get_array(), np.nan)
    assert picture[0, 3] == 5 and picture[1, 0] == 1            # rows are the second axis
    assert np.isnan(picture).sum() == 14


def test_the_tensors_by_grid_are_what_the_network_computes_on_each(rng):
    net = sp.models.deepcnet(2, 4, 1, 3, rng=rng).eval()
    x = sp.SparseTensor.from_sites([[0, 4, 5], [0, 7, 7]], [[1.0], [2.0]], size=(12, 12))
    tensors = tensors_by_grid(net, x)
    assert [t.grid.size[0] for t in tensors] == [12, 10, 5, 4, 2, 1]
    last = sp.Sequential(*net.layers[-2:])
    np.testing.assert_array_equal(last(tensors[-1]).data, net(x).data)


def test_the_confusion_leaves_the_diagonal_out(axes):
    plot.confusion(axes, np.array([[50, 2], [0, 70]]), "ab")
    assert [text.get_text() for text in axes.texts] == ["2"] and axes.texts[0].get_position() == (1, 0)
    assert np.array_equal(axes.images[0].get_array(), [[0, 2], [0, 0]])


def test_the_curve_names_what_it_draws_and_keeps_zeros_on_the_axis(axes):
    history = History(losses=[1.0, 0.5], errors=[0.5, 0.0], validation_errors=[0.25])
    plot.training_curve(axes, history, "test error", floor=1e-3)
    drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert drawn == {"training loss": [[1, 1], [2, 0.5]], "training error": [[1, 0.5], [2, 1e-3]],
                     "test error": [[2, 0.25]]}


def test_a_curve_without_errors_draws_the_loss_alone(axes):
    plot.training_curve(axes, History(losses=[1.0], errors=[None]))
    assert [line.get_label() for line in axes.lines] == ["training loss"]


def test_a_map_shows_the_lowest_point_or_the_mean_of_each_square(axes):
    points = [[0.0, 0, 5], [0.5, 0.9, 1], [0.2, 0.2, 3], [3.5, 2.5, 0]]
    for show, value in (("lowest", 20), ("mean", 20.5)):
        image = from_above(axes, points, [10, 20, 31.5, 7], 1.0, show)
        picture = np.ma.filled(image.get_array().astype(float), np.nan)
        assert picture.shape == (3, 4) and picture[0, 0] == value and picture[2, 3] == 7
        assert np.isnan(picture).sum() == 10 and image.origin == "lower"


def test_the_answers_of_windows_stand_at_their_middles_fainter_where_less_sure(axes):
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    answers(axes, [[0, 0], [5, 9]], np.array([[1.0, 2], [3, 4], [5, 6]]), shares)
    drawn = [(spot.get_offsets().tolist(), spot.get_alpha().round(2).tolist()) for spot in axes.collections]
    assert drawn == [([[1, 2], [5, 6]], [0.81, 0.25]), ([[3, 4]], [0.64])]
    assert axes.get_ylim()[0] > axes.get_ylim()[1] and axes.lines[0].get_xydata().tolist() == [[0, 0], [5, 9]]


def test_a_headline_stands_over_its_row():
    part = plot.figure(4, 2).subfigures()
    assert len(headed(part, "Three", 3)) == 3 and part.get_suptitle() == "Three"
    assert len(headed(plot.figure(4, 2), "One", 1)) == 1


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'spconv_cy\[plot\]'"):
        plot.figure(1, 1)


def test_powers_name_their_slopes(axes):
    x = [8, 16, 32]
    powers(axes, x, {"line": [3, 6, 12], "square": [1, 4, 16]})
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["line, slope 1.00", "square, slope 2.00"]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), [(8, 1), (16, 4), (32, 16)])
    powers(axes, [8], {"point": [3]})                      # no slope to tell
    assert axes.get_legend().get_texts()[-1].get_text() == "point"


def test_what_stands_beside_powers_is_dashed_in_the_same_colour(axes):
    powers(axes, [8, 16], {"a": [3, 6], "b": [1, 4]}, beside={"a": [2, 1], "b": [5, 6]}, slopes=False)
    a, dashed, b, other = axes.lines
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--", "-", "--"]
    assert a.get_color() == dashed.get_color() != b.get_color() == other.get_color()
    assert other.get_ydata().tolist() == [5, 6]


def test_site_counts_are_bars_of_the_field_and_of_what_is_active(axes):
    x = sp.SparseTensor.from_sites([[0, 1, 2], [0, 3, 0]], [[1.0], [2]], size=(4, 5))
    pooled = sp.MaxPooling(2, 2, 2, size_rule="floor")(x)
    site_counts(axes, ["input", "MP2"], [x, pooled])
    assert [bar.get_height() for bar in axes.patches] == [20, 4, 2, 2]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["input", "MP2"]


@pytest.mark.parametrize("lattice", [sp.Lattice.cubic(3), sp.Lattice.simplex(3)], ids=str)
def test_sites_in_space_are_drawn_where_the_lattice_has_them_the_nearest_last(axes, lattice, rng):
    sites = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 2]])
    given = np.column_stack([np.repeat([0, 1], 5), np.tile(sites, (2, 1))])
    x = sp.SparseTensor.from_sites(given, np.ones((10, 1)), 5, lattice=lattice)
    plot.in_space(axes, x, sample=1, view=np.eye(3))
    drawn = axes.collections[0].get_offsets()
    expected = (x.sites[:, 1:][5:] + 0.5) @ lattice.basis
    assert np.allclose(drawn, expected[np.argsort(expected[:, 2], kind="stable")][:, :2])
    shades = axes.collections[0].get_facecolors()[:, :3].sum(1)
    assert shades[-1] == shades.max() > shades[0]
    assert not axes.lines and not axes.texts
    plot.in_space(axes, x, sample=1, view=np.eye(3), ruler=2)
    lines = [line.get_xydata() for line in axes.lines]
    assert np.allclose([end - start for start, end in lines], 2 * np.eye(3)[:, :2])
    assert max(end[1] for start, end in lines) < drawn[:, 1].min() and axes.get_ylim()[0] < lines[0][0, 1]
    assert [text.get_text() for text in axes.texts] == ["x", "y", "z", "lines of 2 sites"]
    plot.in_space(axes, sp.SparseTensor.from_sites(np.zeros((0, 4), int), np.zeros((0, 1)), 5, 1, lattice=lattice),
                  ruler=2)


POINTS = np.ones((3, 2))
SOLID = sp.SparseTensor.from_sites([[0, 1, 2, 3]], [[1.0]])
FLAT = sp.SparseTensor.from_sites([[0, 1, 2], [0, 3, 0]], [[1.0], [2]], size=(4, 5))


@pytest.mark.parametrize(("call", "words"), [
    (lambda axes: plot.strokes(None, [POINTS]), "plot.strokes: expected axes of matplotlib, got None"),
    (lambda axes: plot.strokes(axes, None), r"plot.strokes: expected a list of \(n, 2\) arrays, .*, got None"),
    (lambda axes: plot.strokes(axes, POINTS), r"plot.strokes: expected a list of .*, got one of shape \(2,\)"),
    (lambda axes: plot.active_sites(axes, POINTS), "plot.active_sites: expected a SparseTensor, got an ndarray"),
    (lambda axes: plot.active_sites(axes, FLAT, sample=1), "plot.active_sites: expected sample to be .* to 0, got 1"),
    (lambda axes: plot.active_sites(axes, sp.SparseTensor.from_sites([[0, 1, 2]], [[1.0]])),
     "plot.active_sites: expected a SparseTensor with a size, got"),
    (lambda axes: plot.in_space(axes, FLAT), "plot.in_space: expected a SparseTensor of dimension 3, got one of dim"),
    (lambda axes: plot.in_space(axes, SOLID, ruler=-1), "plot.in_space: expected ruler to be a whole .*, got -1"),
    (lambda axes: plot.confusion(axes, POINTS, "ab"), r"plot.confusion: expected counts \(2, 2\) .*\(3, 2\)"),
    (lambda axes: plot.training_curve(axes, [1.0]), "plot.training_curve: expected a History, .*, got a list"),
    (lambda axes: plot.figure("a", "b"), r"plot.figure: expected a width and a height .*, got \('a', 'b'\)"),
    (lambda axes: plot.figure(3), "plot.figure: expected a width and a height"),
])
def test_wrong_arguments_are_named(axes, call, words):
    with pytest.raises((TypeError, ValueError), match=f"^{words}"):
        call(axes)
