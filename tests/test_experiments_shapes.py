"""The experiments on shapes and meshes run, without their data and with it, and say what they show."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import spconv_cy as sp

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
pytest.importorskip("matplotlib")


def run(folder, script, *arguments):
    environment = {"OMP_WAIT_POLICY": "passive"} | os.environ | {"PYTHONPATH": str(EXAMPLES.parent)}
    environment.pop("SPCONV_CY_DATA", None)
    command = [sys.executable, str(EXAMPLES / script), "--tiny", "--log", "log", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((folder / "log" / "record.json").read_text())


def test_solids_take_the_place_of_shapes_that_are_not_there(tmp_path):
    text, record = run(tmp_path, "09_shapes.py")
    assert record["name"] == "solids" and "Without --data FOLDER" in text and "CC BY 4.0" in text
    cubic, tetrahedral = (record["figures"][f"{name} 0"] for name in ("cubic", "tetrahedral"))
    assert tetrahedral["sparse"] < cubic["sparse"] < cubic["dense"] / 3
    assert record["logs"] == ["cubic-0.csv", "tetrahedral-0.csv"] and (tmp_path / "log" / "shape.png").exists()


def test_voxel_shapes_are_read_from_the_folder_that_is_given(tmp_path, rng):
    cubes = (rng.random((40, 28, 28, 28)) < 0.02).astype(np.uint8)
    parts = {"train": cubes[:25], "val": cubes[25:30], "test": cubes[30:]}
    np.savez_compressed(tmp_path / "adrenalmnist3d.npz", **{f"{name}_images": part for name, part in parts.items()},
                        **{f"{name}_labels": np.arange(len(part))[:, None] % 2 for name, part in parts.items()})
    text, record = run(tmp_path, "09_shapes.py", "--data", tmp_path)
    assert record["name"] == "shapes" and record["command"].endswith("--data FOLDER")
    assert "| always the larger class |  |  |  |  | 50.0 |  | 0.500 |" in text and "Yang et al. 2023" in text


def test_a_mesh_of_ones_own_is_measured_on_both_lattices(tmp_path):
    sp.write_mesh(tmp_path / "cone.ply", sp.solid("cone", 0))
    text, record = run(tmp_path, "10_meshes.py", tmp_path / "cone.ply")
    assert text.count("| yes |") == 3 and "NO" not in text and set(record["pictures"]) == {"cost.png", "mesh.png"}
    for lattice in ("cubic", "tetrahedral"):
        small, large = (record["figures"][f"cone {lattice} {radius}"] for radius in (4, 8))
        assert 3 < large["sites"] / small["sites"] < 5 and large["sparse"] < large["dense"]
