"""The experiments on scans and on differences in input size run, and say what they found."""

import pytest
from experiment_runs import rows, run, tiny

pytest.importorskip("matplotlib")


def test_a_landscape_made_from_a_seed_is_labelled_point_by_point(tmp_path):
    done, record = tiny(tmp_path, "lidar.py")
    assert "no lidar_topography.npz in a folder of --data: a landscape made from the seed" in done.stdout
    assert "in the west to train on" in done.stdout
    shares = next(rows(table) for title, table in record["tables"].items() if title.startswith("Intersection"))
    assert shares[0] == ["", "other", "ground", "water", "mean", "error, %"]
    for row in shares[2:]:
        assert sum(map(float, row[1:4])) / 3 == pytest.approx(float(row[4]), abs=0.11)
    assert float(shares[2][4]) > 50                     # neighbours on height: water lies low there
    assert set(record["pictures"]) == {"east.png"} and "net-0.csv" in record["logs"]


def test_one_network_reads_many_sizes(tmp_path):
    done, record = tiny(tmp_path, "input_sizes.py")
    errors, field = (rows(table) for table in record["tables"].values())
    assert errors[0] == ["trained on", "12*", "32*"] and [row[0] for row in errors[2:7]] == [
        "all sizes", "all sizes, pooled by maximum", "12 alone", "24 alone", "48 alone"]
    sites = [int(cell) for cell in errors[7][1:]]
    assert errors[7][0] == "active sites" and 2 < sites[1] / sites[0] < 3.2     # 32 / 12, as the strokes
    assert float(field[2][4]) < 1e-5                    # a field is read as each digit by itself
    assert set(record["pictures"]) == {"digits.png", "field.png"}


def test_omniglot_without_its_file_says_what_it_wants(tmp_path):
    done = run(tmp_path, "input_sizes.py", "--tiny", "--sets", "omniglot", "--log", "log", "--data", tmp_path)
    assert done.returncode == 0 and "--sets omniglot wants omniglot_strokes.npz (B. Lake, MIT)" in done.stdout
