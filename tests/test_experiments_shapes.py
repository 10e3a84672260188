"""The experiments on shapes and meshes run, without their data and with it, and say what they show."""

import numpy as np
import pytest
from experiment_runs import tiny
from solids import solid

import spconv_cy as sp

pytest.importorskip("matplotlib")


def test_solids_take_the_place_of_shapes_that_are_not_there(tmp_path):
    done, record = tiny(tmp_path, "shapes.py")
    assert record["name"] == "solids" and "Without --data FOLDER" in done.stdout and "CC BY 4.0" in done.stdout
    cubic, tetrahedral = (record["figures"][f"{name} 0"] for name in ("cubic", "tetrahedral"))
    assert tetrahedral["sparse"] < cubic["sparse"] < cubic["dense"] / 3
    assert record["logs"] == ["cubic-0.csv", "tetrahedral-0.csv"] and (tmp_path / "log" / "shape.png").exists()


def test_voxel_shapes_are_read_from_the_folder_that_is_given(tmp_path, rng):
    cubes = (rng.random((40, 28, 28, 28)) < 0.02).astype(np.uint8)
    parts = {"train": cubes[:25], "val": cubes[25:30], "test": cubes[30:]}
    np.savez_compressed(tmp_path / "adrenalmnist3d.npz", **{f"{name}_images": part for name, part in parts.items()},
                        **{f"{name}_labels": np.arange(len(part))[:, None] % 2 for name, part in parts.items()})
    done, record = tiny(tmp_path, "shapes.py", "--data", tmp_path)
    assert record["name"] == "shapes" and record["command"].endswith("--data FOLDER")
    assert "| always the larger class |  |  |  |  | 50.0 |  | 0.500 |" in done.stdout


def test_a_mesh_of_ones_own_is_measured_on_both_lattices(tmp_path):
    sp.readers.write_mesh(tmp_path / "cone.ply", solid("cone", 0))
    done, record = tiny(tmp_path, "meshes.py", tmp_path / "cone.ply")
    assert done.stdout.count("| yes |") == 3 and "NO" not in done.stdout
    assert set(record["pictures"]) == {"cost.png", "mesh.png"}
    for lattice in ("cubic", "tetrahedral"):
        small, large = (record["figures"][f"cone {lattice} {radius}"] for radius in (4, 8))
        assert 3 < large["sites"] / small["sites"] < 5 and large["sparse"] < large["dense"]
