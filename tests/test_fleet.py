"""Predictions for many files: shards, results that are there already, broken files, several processes, recipes."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy.cli import main
from spconv_cy.io import fleet

SCALE = (Path(__file__).resolve().parents[1] / "docs" / "scale.md").read_text()
N = 7


@pytest.fixture
def work(tmp_path):
    """A folder with net.safetensors, a network, and N scenes in scenes/."""
    net = sp.Sequential(sp.SubmanifoldConvolution(3, 2, 4, 3, rng=0), sp.BatchNormalization(4), sp.ReLU())
    sp.save(tmp_path / "net.safetensors", net)
    write_scenes(tmp_path / "scenes", N)
    return tmp_path


def write_scenes(folder, n):
    """Write n small scenes."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(n):
        sites = np.unique(rng.integers(0, 9, (20, 3)), axis=0)
        np.savez(folder / f"{i:04}.npz", sites=np.c_[np.zeros(len(sites), int), sites],
                 features=rng.random((len(sites), 2)))


def names(folder):
    """Return the names in a folder in order."""
    return sorted(path.name for path in folder.iterdir())


def test_each_result_is_that_of_the_network(work):
    found = sp.io.predict_files(work / "net.safetensors", work / "scenes", work / "out", progress=False)
    assert len(found.done) == N
    assert not found.skipped
    assert not found.failed
    net = sp.load(work / "net.safetensors").eval()
    for name in names(work / "scenes"):
        with np.load(work / "scenes" / name) as scene, np.load(work / "out" / name) as result:
            x = sp.SparseTensor.from_sites(scene["sites"], scene["features"], ground=None)
            assert np.array_equal(result["sites"], x.sites)
            assert np.array_equal(result["features"], net(x).features.numpy())


def test_shards_share_the_files(work):
    done = [sp.io.predict_files(work / "net.safetensors", [work / "scenes"], work / "out", shard=(i, 3),
                                progress=False).done for i in range(3)]
    assert [len(part) for part in done] == [3, 2, 2]
    assert names(work / "out") == names(work / "scenes")


def test_what_is_there_is_left_and_half_a_file_is_not_counted(work):
    out = work / "out"
    out.mkdir()
    (out / "0003.npz").write_bytes(b"a result")
    (out / ".0123456789abcdef.part").write_bytes(b"half")                # of a process that was killed
    found = sp.io.predict_files(work / "net.safetensors", [work / "scenes"], out, progress=False)
    assert len(found.done) == N - 1
    assert found.skipped == [str(out / "0003.npz")]
    assert (out / "0003.npz").read_bytes() == b"a result"
    again = sp.io.predict_files(work / "net.safetensors", [work / "scenes"], out, progress=False)
    assert not again.done
    assert len(again.skipped) == N


def test_a_broken_file_is_reported_and_the_others_are_done(work, capsys):
    (work / "scenes" / "0001.npz").write_bytes(b"no zip")
    status = main(["predict", str(work / "net.safetensors"), str(work / "scenes"), "--out", str(work / "out")])
    told = capsys.readouterr()
    assert status == 1
    assert f"{N - 1} done, 0 were there before, 1 failed" in told.out
    assert "0001.npz: FileError: " in told.err
    assert len(names(work / "out")) == N - 1


def test_two_processes_write_the_same_files(work):
    pytest.importorskip("joblib")
    for n in (1, 2):
        sp.io.predict_files(work / "net.safetensors", [work / "scenes"], work / f"out{n}", processes=n, threads=1,
                            progress=False)
    assert names(work / "out1") == names(work / "out2") == names(work / "scenes")
    for name in names(work / "out1"):
        assert (work / "out1" / name).read_bytes() == (work / "out2" / name).read_bytes()


def test_a_killed_process_ends_the_call_with_a_remedy_and_the_next_does_the_rest(work, monkeypatch):
    pytest.importorskip("joblib")
    call = work / "net.safetensors", [work / "scenes"], work / "out"
    monkeypatch.setattr(fleet, "_predict", killed)
    with pytest.raises(ChildProcessError, match="predict_files: expected all processes to live, got one that was kill"):
        sp.io.predict_files(*call, processes=2, threads=1, progress=False)
    monkeypatch.undo()
    found = sp.io.predict_files(*call, processes=2, threads=1, progress=False)
    assert not found.failed and names(work / "out") == names(work / "scenes")


def killed(*_):
    """End the process as the system does that has no memory left."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_parquet_has_the_same_numbers(work):
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for kind in ("npz", "parquet"):
        sp.io.predict_files(work / "net.safetensors", [work / "scenes"], work / "out", format=kind, progress=False)
    with np.load(work / "out" / "0002.npz") as result:
        table = parquet.read_table(work / "out" / "0002.parquet")
        assert table.column_names == ["sample", "x0", "x1", "x2", "f0", "f1", "f2", "f3"]
        columns = np.stack([np.asarray(column) for column in table.columns], 1)
        assert np.array_equal(columns, np.c_[result["sites"], result["features"]])


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"shard": (2, 2)}, ValueError, r"predict_files: expected shard to be \(i, n\), i from 0 to n - 1, got \(2, 2\)"),
    ({"processes": 0}, ValueError, "predict_files: expected processes to be a whole number from 1 up, got 0"),
    ({"threads": 1.5}, ValueError, "predict_files: expected threads to be a whole number from 1 up, got 1.5"),
    ({"format": "csv"}, ValueError, "predict_files: expected format to be 'npz' or 'parquet', got 'csv'"),
    ({"files": 3}, TypeError, "predict_files: expected a list of paths"),
    ({"out": __file__}, sp.errors.FileError, r"test_fleet\.py: expected a folder for the results, got a file"),
    ({"net": "missing.safetensors"}, FileNotFoundError, "missing.safetensors"),
])
def test_wrong_arguments_are_refused_before_anything_is_written(work, options, error, message):
    given = {"net": work / "net.safetensors", "files": [work / "scenes"], "out": work / "out"} | options
    with pytest.raises(error, match=message):
        sp.io.predict_files(given.pop("net"), given.pop("files"), given.pop("out"), progress=False, **given)
    assert not (work / "out").exists()


def test_results_never_replace_inputs_or_each_other(work):
    with pytest.raises(sp.errors.FileError, match="a folder for the results other than that of the inputs"):
        sp.io.predict_files(work / "net.safetensors", [work / "scenes"], work / "scenes", progress=False)
    (work / "none").mkdir()
    with pytest.raises(sp.errors.FileError, match=r"none: expected a folder with \.npz files, got none"):
        sp.io.predict_files(work / "net.safetensors", work / "none", work / "out", progress=False)
    twice = [work / "scenes", work / "scenes" / "0000.npz", os.path.relpath(work / "scenes" / "0001.npz")]
    assert len(sp.io.predict_files(work / "net.safetensors", twice, work / "twice", progress=False).done) == N
    write_scenes(work / "more", 1)
    with pytest.raises(ValueError, match="expected inputs with different names"):
        sp.io.predict_files(work / "net.safetensors", [work / "scenes", work / "more"], work / "out", progress=False)


def test_the_slurm_script_of_the_page_does_all(work):
    (script,) = re.findall(r"```\n(#!/bin/bash\n.*?)```", SCALE, re.S)
    (work / "job.sh").write_text(script)
    path = f"{work}{os.pathsep}{os.environ['PATH']}"
    (work / "spconv-cy").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m spconv_cy "$@"\n')
    (work / "spconv-cy").chmod(0o755)
    for i in range(2):
        variables = {"SLURM_ARRAY_TASK_ID": str(i), "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_CPUS_PER_TASK": "1"}
        subprocess.run(["bash", "job.sh"], cwd=work, check=True, env={**os.environ, **variables, "PATH": path})
    assert names(work / "results") == names(work / "scenes")


@pytest.mark.slow
def test_the_dask_program_of_the_page_loses_no_file_when_a_worker_is_killed(work):
    pytest.importorskip("distributed")
    (program,) = re.findall(r"```python\n(import glob\n.*?)```", SCALE, re.S)
    write_scenes(work / "many", 2000)
    program = program.replace("scenes/", "many/").replace("# here", "kill_one(cluster)")
    kill = ("import os, signal, threading, time\ndef kill_one(cluster):\n"
            "    pid = next(iter(cluster.workers.values())).pid\n"
            "    def run():\n"
            "        while len(os.listdir('results')) < 200: time.sleep(0.01)\n"
            "        with open('before.txt', 'w') as file:\n"
            "            for one in os.scandir('results'):\n"
            "                if one.name[0] != '.': print(one.name, one.stat().st_mtime_ns, file=file)\n"
            "        os.kill(pid, signal.SIGKILL)\n"
            "    os.makedirs('results', exist_ok=True)\n"
            "    threading.Thread(target=run).start()\n")
    (work / "fleet.py").write_text(kill + program)
    done = subprocess.run([sys.executable, "fleet.py"], cwd=work, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "2000 results" in done.stdout
    assert [name for name in names(work / "results") if name[0] != "."] == names(work / "many")
    before = [line.split() for line in (work / "before.txt").read_text().splitlines()]
    assert len(before) > 100 and all((work / "results" / name).stat().st_mtime_ns == int(when) for name, when in before)
