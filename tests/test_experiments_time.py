"""The experiments in space-time run without their data, and their tables have the networks and the controls."""

import pytest
from experiment_runs import tiny

pytest.importorskip("matplotlib")


def test_strokes_are_classified_and_their_direction_told_in_two_and_three_dimensions(tmp_path):
    done, record = tiny(tmp_path, "space_time_strokes.py")
    assert "omniglot_strokes.npz" in done.stdout and "MIT" in done.stdout
    assert set(record["figures"]) == {"digits 2-D", "digits 3-D", "direction 2-D 0", "direction 3-D 0"}
    assert record["figures"]["digits 2-D"]["sites"] < record["figures"]["digits 3-D"]["sites"]


def test_events_without_time_cannot_tell_their_direction_whatever_is_learnt(tmp_path):
    done, record = tiny(tmp_path, "events.py")
    assert "made from the seed" in done.stdout
    assert [record["figures"][f"late none {polarity} 0"]["error"] for polarity in ("none", "kept")] == [0.5, 0.5]


def test_shapes_move_with_and_without_time(tmp_path):
    _, record = tiny(tmp_path, "moving_shapes.py")
    assert set(record["figures"]) == {"point axis 0", "point none 0", "point permuted 0", "cube or ball axis 0",
                                      "cube or ball none 0"}


def test_digits_are_lifted_to_each_number_of_axes(tmp_path):
    _, record = tiny(tmp_path, "lifted_strokes.py")
    sites = [record["figures"][f"{key} 0"]["sites"] for key in ("2-D y", "3-D time", "4-D curvature", "5-D time")]
    assert sites == sorted(sites)


def test_the_cost_of_a_world_line_is_that_of_its_sites(tmp_path):
    _, record = tiny(tmp_path, "dimensions.py")
    figures = record["figures"]
    for d in (2, 3, 4, 5, 6):
        assert figures[f"cubic {d} 16"]["sites"] == 16 and figures[f"cubic {d} 16"]["after"] <= 16 * 2**d
        assert figures[f"simplex {d} 16"]["after"] <= 16 * (d + 1) and figures[f"simplex {d} 16"]["adds"] <= \
            figures[f"cubic {d} 16"]["adds"]
    assert figures["cubic 5 16"]["after"] > 4 * figures["simplex 5 16"]["after"]
