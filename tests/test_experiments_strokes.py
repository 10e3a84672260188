"""The experiments on handwriting run, say what they found, and go on where they were stopped."""

import pytest
from experiment_runs import rows, tiny

pytest.importorskip("matplotlib")


def write_assamese(folder):
    """Files of two characters by a writer who trains and one who is tested, as UCI's archive lays them out."""
    for writer in (1, 30):
        (folder / f"W{writer}").mkdir(parents=True)
        for character in (1, 2):
            points = "".join(f"{10 * x} {10 * x * character} {x} 1\n" for x in range(20))
            (folder / f"W{writer}" / f"{character}.{writer}.txt").write_text(
                f"NAME c\nSTROKES 1\nX Y T S\n\nPEN_DOWN\n{points}PEN_UP\nEND\n")


def test_the_scale_table_is_made_of_the_digits_and_goes_on_where_it_was_stopped(tmp_path):
    first, before = tiny(tmp_path, "scale_table.py", "--levels", 3)
    assert "the pen digits alone" in first.stdout
    second, record = tiny(tmp_path, "scale_table.py")
    assert first.stderr.count("epoch 1/1") == second.stderr.count("epoch 1/1") == 3       # cells that were trained
    assert {key: record["figures"][key] for key in before["figures"]} == before["figures"]
    errors, changes, costs = (rows(table) for title, table in record["tables"].items() if "digits" in title)
    assert errors[0] == ["l", "scale", "groups", "seeds", "none", "translation", "affine"]
    assert [row[:4] for row in errors[2:]] == [["3", "8", "1", "1"], ["4", "16", "1", "1"]]
    share = record["figures"]["digits-4-none-0"]["error"]
    assert errors[3][4].split(" ± ")[0] == f"{100 * share:.2f}"
    assert len(record["figures"]["digits-4-none-0"]["wrong"]) == round(300 * share)
    assert changes[2][0] == "3 to 4" and len(changes) == 3
    less = 100 * (share - record["figures"]["digits-3-none-0"]["error"])
    assert float(changes[2][1].split(" ± ")[0]) == pytest.approx(less, abs=0.006)
    sparse, dense = (int(costs[3][column].replace(",", "")) for column in (3, 4))
    assert sparse < dense / 4
    assert (tmp_path / "log" / "digits.png").stat().st_size > 1000 and "digits-4-affine-0.csv" in record["logs"]


def test_the_scale_table_reads_the_assamese_files(tmp_path):
    write_assamese(tmp_path / "data")
    done, record = tiny(tmp_path, "scale_table.py", "--data", tmp_path / "data", "--levels", 3)
    assert "assamese: 2 characters to train on, 2 to test on, 183 classes" in done.stdout
    assert "the pen digits alone" not in done.stdout
    (errors,) = (rows(table) for title, table in record["tables"].items() if "assamese: test error" in title)
    assert errors[2][:2] == ["3", "8"] and all(float(cell.split()[0]) in (0, 50, 100) for cell in errors[2][4:7])
    (published,) = (rows(table) for title, table in record["tables"].items() if "assamese, published" in title)
    assert published[2] == ["3", "51.4", "38.3", "35.2"]                # the talk's
    assert "assamese-3-affine-0.csv" in record["logs"]


def test_unseen_writers_are_tested_with_settings_tried_on_held_out_styles(tmp_path):
    done, record = tiny(tmp_path, "unseen_writers.py")
    tests, tried = (rows(table) for table in record["tables"].values())
    assert [row[0] for row in tried[2:]] == ["as chosen", "stretched to squares, as the file has them"]
    assert [row[0] for row in tests[2:]] == ["seed 0", "mean"] and tests[2] == ["seed 0", *tests[3][1:]]
    assert any("14 writers never seen" in title for title in record["tables"])
    found = record["figures"]["seed 0"]
    assert f"{found['one']:.2f}" == tests[2][1] and len(found["wrong"]) == round(found["one"] * 2)     # of 200 digits
    assert (tmp_path / "log" / "misread.png").stat().st_size > 1000


def test_the_levels_of_signatures_are_compared_on_the_digits(tmp_path):
    done, record = tiny(tmp_path, "signature_levels.py", "--encodings", "signature0", "signature2")
    ((title, table),) = record["tables"].items()
    assert title.startswith("digits: test error in %, 100 characters of writers never seen; DeepCNet(4, 20)")
    assert [row[:2] for row in rows(table)[2:]] == [["signature0", "1"], ["signature2", "7"]]
    found = record["figures"]["digits signature2 0"]
    assert len(found["wrong"]) == round(100 * found["error"]) and record["spent"]["digits-signature2-0"] > 0
