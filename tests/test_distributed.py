"""Training on several ranks: the same as on one, deterministic, and ended by any fault. tests/ranks_program.py runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ranks_program import SAMPLES, network, results, run, samples

import spconv_cy as sp
from spconv_cy.distributed import Averaged, Ranks, failing, world
from spconv_cy.distributed.shards import dealt, shard
from spconv_cy.train.one_run import only_run

PROGRAM = Path(__file__).parent / "ranks_program.py"


def mpiexec():
    """Return the path of mpiexec, or skip the test."""
    pytest.importorskip("mpi4py", reason="mpi4py is not installed")
    found = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if found is None:
        pytest.skip("mpiexec is not installed")
    return found


def under_mpi(tasks, folder, n, limit=120):
    """Run tasks of the program on n ranks; return (exit status, output). Ranks wait for each other for 600 s."""
    done = subprocess.run([mpiexec(), "-n", str(n), sys.executable, str(PROGRAM), tasks, str(folder)], text=True,
                          capture_output=True, timeout=limit, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return done.returncode, done.stdout + done.stderr


def loaded(path):
    """Return the arrays of an .npz file."""
    with np.load(path) as file:
        return dict(file)


@pytest.fixture(scope="module")
def alone():
    """The results of one process with the batches of all ranks."""
    net, history = run(12, validation=sp.data.TensorBatches(*samples(), batch=5))
    return results(net, history)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """A folder with what 2 and 4 ranks write, in a folder each; mpiexec is started once for each number."""
    folder = tmp_path_factory.mktemp("ranks")
    for n, tasks in (2, "train,sums,loop,buckets,differ"), (4, "train,resume"):
        (folder / str(n)).mkdir()
        if n == 4:
            run(12, 2, checkpoint=folder / "4" / "run.safetensors")
        status, output = under_mpi(tasks, folder / str(n), n)
        assert status == 0, output
    return folder


@pytest.fixture(scope="module")
def raised(tmp_path_factory):
    """A folder with what 3 ranks write before one of them raises an error, the exit status and the output."""
    folder = tmp_path_factory.mktemp("raised")
    return folder, *under_mpi("sums,raises", folder, 3)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """A folder with what 2 ranks write before they make unequal calls, the exit status and the output."""
    folder = tmp_path_factory.mktemp("others")
    return folder, *under_mpi("train,other", folder, 2)


@pytest.mark.parametrize("n", [2, 4])
def test_ranks_train_as_one_with_all_batches(ranks, alone, n):
    found = [loaded(ranks / str(n) / f"train{rank}.npz") for rank in range(n)]
    for name, array in alone.items():
        np.testing.assert_allclose(found[0][name], array, rtol=1e-5, atol=1e-5, err_msg=name)
    for other in found[1:]:
        assert all(np.array_equal(other[name], found[0][name]) for name in found[0])
    assert np.array_equal(found[0]["outputs"], found[0]["alone"])        # gathered in the order of the data
    assert np.array_equal(found[0]["labels"], samples()[1])


def test_a_run_has_the_same_bits_again(ranks, others):
    first, second = loaded(ranks / "2" / "train0.npz"), loaded(others[0] / "train0.npz")
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("n", [2, 3])
def test_sums_are_those_in_rank_order_in_float64(ranks, raised, n):
    folder = ranks / "2" if n == 2 else raised[0]
    found = [loaded(folder / f"sums{rank}.npz") for rank in range(n)]
    rngs = [np.random.default_rng(rank) for rank in range(n)]
    for size in (0, 1, 5, 1000, 16385, 100_003):
        for kind in (np.float32, np.float64):
            parts = [rng.standard_normal(size).astype(kind) for rng in rngs]
            total = np.zeros(size)
            for part in parts:
                total = total + part
            for rank in found:
                assert np.array_equal(rank[f"{size} {np.dtype(kind)}"], total.astype(kind))
    assert all((rank["first"] == sum(range(n))).all() and (rank["second"] == sum(range(1, n + 1))).all()
               for rank in found)


def test_a_loop_averages_weighted_gradients(ranks):
    first, second = (loaded(ranks / "2" / f"loop{rank}.npz") for rank in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    # Both begin at 1, the weights of rank 0. The mean over 3 + 1 samples is (3 * 1 + 1 * 2) / 4 of the sum of squares.
    np.testing.assert_allclose(first["w"], 1 - 0.5 * 2 * 5 / 4)
    assert (first["unused"] == 1).all()
    np.testing.assert_allclose(first["sometimes"], 1 - 0.5 * 3 / 4)


def test_sums_in_the_backward_pass_have_the_same_bits(ranks):
    first, second = (loaded(ranks / "2" / f"buckets{rank}.npz") for rank in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_run_resumes_with_other_ranks(ranks):
    folder = ranks / "4"
    whole, history = run(12, 4)
    found = loaded(folder / "resumed.npz")
    for name, array in results(whole, history).items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5, err_msg=name)
    run(12, 5, checkpoint=folder / "run.safetensors")                    # and alone again
    assert not list(folder.glob("*.lock"))


def test_different_networks_are_refused(ranks):
    for rank in range(2):
        text = (ranks / "2" / f"differ{rank}.txt").read_text()
        assert "expected the same parameters on all ranks" in text


def test_a_killed_rank_ends_the_run(tmp_path):
    status, _ = under_mpi("dies", tmp_path, 2)
    assert status != 0


def test_an_error_on_one_rank_is_shown_once_and_ends_the_run(raised):
    _, status, output = raised
    assert status != 0
    assert output.count("FileNotFoundError") == 1
    assert "rank 1 of 3:" in output


def test_an_error_on_all_ranks_is_shown_once(tmp_path):
    status, output = under_mpi("wrong", tmp_path, 3)
    assert status != 0
    assert len(list(tmp_path.glob("silent*"))) == 2
    assert output.count("ValueError: fit: expected at least one sample in data, got none") == 1


def test_an_error_before_the_ranks_have_met_is_shown_once_and_ends_the_run(tmp_path):
    status, output = under_mpi("early", tmp_path, 3)
    assert status != 0
    assert output.count("LookupError: no data") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the error is shown by a child process")
@pytest.mark.parametrize(("start", "status"), [("os._exit(3)", 3), ("raise RuntimeError('no library')", 1)])
def test_an_error_is_shown_where_mpi_cannot_start(tmp_path, start, status):
    done = without_mpi(tmp_path, start, "import spconv_cy; print('printed'); raise LookupError('no data')")
    assert (done.returncode, done.stdout, done.stderr.count("LookupError: no data")) == (status, "printed\n", 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the error is shown by a child process")
def test_a_process_that_a_rank_starts_is_no_rank(tmp_path):
    """An error of it starts no MPI; the first is made by fork, the second inherits the variables of mpiexec."""
    fails = "raise LookupError('no data')"
    done = without_mpi(tmp_path, f"open({str(tmp_path / 'started')!r}, 'w').close()", f"""
import os, subprocess, sys, spconv_cy
if not os.fork(): {fails}
os.wait()
subprocess.run([sys.executable, "-c", "import spconv_cy; {fails}"])
""")
    assert (done.returncode, done.stderr.count("LookupError: no data")) == (0, 2)
    assert not (tmp_path / "started").exists()


def without_mpi(folder, start, program):
    """Run a program as one of two processes, with a stand-in for mpi4py that does `start` instead of starting MPI."""
    (folder / "mpi4py").mkdir()
    (folder / "mpi4py" / "__init__.py").touch()
    (folder / "mpi4py" / "MPI.py").write_text(f"import os; {start}")
    path = os.pathsep.join([str(folder), str(Path(sp.__file__).parents[1])])
    return subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, timeout=60,
                          env={**os.environ, "PYTHONPATH": path, "PMI_SIZE": "2"})


def test_a_hook_of_the_user_between_two_of_ours_shows_the_error_once(monkeypatch, capsys):
    class Comm:
        rank, size = 1, 3

        def Abort(self, status):
            sys.stderr.write(f"ended {status}\n")

    monkeypatch.setattr(failing, "_hooked", [])
    monkeypatch.setattr(failing, "_ending", [])
    monkeypatch.setattr(sys, "excepthook", lambda *_: sys.stderr.write("shown\n"))
    failing.faults_of(Comm())
    monkeypatch.setattr(sys, "excepthook", lambda *error, inner=sys.excepthook: inner(*error))
    failing.faults_of(Comm())
    sys.excepthook(LookupError, LookupError(), None)
    assert capsys.readouterr().err == "rank 1 of 3:\nshown\nended 1\n"


def test_ranks_with_other_data_or_other_calls_are_refused(others):
    folder, status, output = others
    assert status != 0
    expected = [("fit: expected the same samples", (37, 36)), ("fit: expected the same batch", (6, 7)),
                ("fit: expected the same samples", (16, 12)), ("fit: expected the same epochs", (1, 2)),
                ("evaluate: expected the same samples", (16, 12))]
    for rank, other in (0, 1), (1, 0):
        told = [f"{what} on all ranks, on this one {n[rank]}, got {n[other]} on rank {other}; give every rank the same "
                "data and arguments" for what, n in expected]
        assert (folder / f"other{rank}.txt").read_text().splitlines() == told
    assert output.count("Ranks: expected messages as other ranks send them, got another call of rank 1;") == 1


def test_a_rank_that_leaves_is_named(tmp_path):
    status, output = under_mpi("leaves", tmp_path, 2)
    assert status != 0
    assert output.count("Ranks: expected an answer of rank 1, got the end of its program") == 1
    assert "rank 0 of 2:" in output


def test_a_rank_that_hangs_is_named(tmp_path):
    status, output = under_mpi("hangs", tmp_path, 2)
    assert status != 0
    assert "Ranks: expected an answer of rank 1 within 0.5 s, got none" in output


def test_a_full_disk_of_the_writer_ends_the_run(tmp_path):
    status, output = under_mpi("full", tmp_path, 2)
    assert status != 0
    assert output.count("No space left on device") == 1 and "full.safetensors" in output
    assert [file.name for file in tmp_path.iterdir() if file.suffix != ".lock"] == ["full.safetensors"]
    assert len(run(12, 2, checkpoint=tmp_path / "full.safetensors")[1]) == 2   # the first epoch's checkpoint is whole


def test_a_second_run_with_ranks_in_one_folder_is_refused(tmp_path):
    with only_run(str(tmp_path / "run.safetensors")):
        status, output = under_mpi("resume", tmp_path, 2)
    assert status != 0
    assert output.count("expected a checkpoint of one run at a time, got one that another run is using") == 1
    assert not list(tmp_path.iterdir())


def test_one_process_needs_no_mpi_and_changes_no_bit():
    code = "import sys, spconv_cy as sp; sp.distributed.world(); assert 'mpi4py' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    plain, with_ranks = run(12), run(12, ranks=True)
    assert all(np.array_equal(array, results(*with_ranks)[name]) for name, array in results(*plain).items())
    assert world() is world()
    assert Ranks().sum(np.ones(2)).tolist() == [1, 1] and Ranks().sum(3) == 3


@pytest.mark.parametrize("name", ["SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"])
def test_a_process_that_mpi_takes_for_alone_is_told(name):
    """As under srun without a --mpi= that fits, or under the mpiexec of another MPI."""
    mpiexec()                                                            # or skip
    code = "import spconv_cy as sp; assert sp.distributed.world().size == sp.distributed.world().size == 1"
    others = {key: value for key, value in os.environ.items() if not key.startswith(("PMI", "OMPI", "SLURM"))}
    done = subprocess.run([sys.executable, "-c", code], env={**others, name: "2"}, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"RuntimeWarning: Ranks: expected the processes that {name}=2 tells of, got this one") == 1


class Numbers:
    """Batches without an argument `choose`."""

    def __init__(self, n):
        self.n = n

    def epoch(self, epoch, seed, *, training):
        """Yield (i, [i])."""
        return ((i, [i]) for i in range(self.n))


class Choosing(Numbers):
    """Batches with it, which remember what was made."""

    def epoch(self, epoch, seed, *, training, choose=None):
        """Yield the chosen (i, [i])."""
        self.made = list(range(self.n)) if choose is None else list(choose(self.n))
        return ((i, [i]) for i in self.made)


class Place:
    """A rank without MPI."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


@pytest.mark.parametrize("n", [0, 1, 2, 5, 6, 7])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_batches_are_dealt_out_once_in_equal_rounds(n, size):
    for kind in (Numbers, Choosing):
        dealt_out = [list(shard(kind(n), Place(rank, size), 0, 0, training=True)) for rank in range(size)]
        assert {len(batches) for batches in dealt_out} == {-(-n // size)}
        mine = [(i, x, labels) for batches in dealt_out for i, own, x, labels in batches if own]
        assert sorted(mine) == [(i, i, [i]) for i in range(n)]
        assert all(i == x for batches in dealt_out for i, _, x, _ in batches)


def test_a_rank_makes_its_own_batches_only():
    data = sp.data.TensorBatches(*samples(), batch=5)
    whole = list(data.epoch(1, 2, training=True))
    chosen = []
    part = list(data.epoch(1, 2, training=True, choose=dealt(1, 3, chosen)))
    assert chosen == [1, 4, 7]
    assert all(np.array_equal(part[k][1], whole[i][1]) for k, i in enumerate(chosen))
    assert len(whole) == -(-SAMPLES // 5)


def test_wrong_arguments():
    net = network()
    sgd = sp.train.SGD(net.parameters(), 0.1)
    for wrong in (net, Averaged(sgd), None):
        with pytest.raises(TypeError, match="Averaged: expected an optimiser, such as Adam"):
            Averaged(wrong)
    with pytest.raises(TypeError, match="Averaged: expected ranks to be Ranks or None, got"):
        Averaged(sgd, ranks=4)
    alone, optimizer = Ranks(), Averaged(sgd)
    for call, told in ((lambda: Ranks(3), "Ranks: expected a communicator of mpi4py, a NcclCommunicator or None, got"),
                       (lambda: alone.sum("a"), "Ranks.sum: expected an array of real numbers, got one of <U1"),
                       (lambda: alone.stack([None]), "Ranks.stack: expected an array of real numbers, got one of obj"),
                       (lambda: alone.start_sum([1.0]), "Ranks.start_sum: expected a contiguous array .n,. of floats"),
                       (lambda: alone.start_sum(np.ones(4)[::2]), "Ranks.start_sum: expected a contiguous array"),
                       (lambda: optimizer.weighted(1.0, 2), "weighted: expected loss to be a Tensor, got a float")):
        with pytest.raises(TypeError, match=told):
            call()
    with pytest.raises(ValueError, match="weighted: expected n to be a number from 0 up, got -1"):
        optimizer.weighted(sp.Tensor(1.0), -1)
    with pytest.raises(TypeError, match="fit: expected ranks to be True, False or Ranks, got"):
        sp.train.fit(net, [(np.zeros((1, 4)), [0])], sgd, 1, ranks=4)


def test_two_runs_with_one_checkpoint_are_refused(tmp_path):
    path, seen = tmp_path / "run.safetensors", []

    def second(_):
        with pytest.raises(sp.errors.FileError, match="expected a checkpoint of one run at a time, got"):
            run(12, 1, checkpoint=path)
        (tmp_path / "link").symlink_to(path)
        with pytest.raises(sp.errors.FileError, match="expected a checkpoint of one run at a time, got"):
            run(12, 1, checkpoint=tmp_path / "link")                     # the same file by another name
        (tmp_path / "link").unlink()
        seen.append(True)

    run(12, 1, checkpoint=path, on_epoch=second)
    assert seen
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run.safetensors"]


def test_a_loss_scale_is_used_with_an_averaged_optimiser(monkeypatch):
    steps, step = [], sp.train.LossScale.step
    monkeypatch.setattr(sp.train.LossScale, "step", lambda *given: steps.append(given) or step(*given))
    net = network()
    data = sp.data.TensorBatches(*samples(), batch=12)
    sp.train.fit(net, data, Averaged(sp.train.SGD(net.parameters(), 0.05)), 1, rng=5, progress=False, loss_scale=8.0)
    assert len(steps) == 4
