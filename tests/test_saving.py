"""How files are written: the umask's mode, links followed, pipes and devices written into, whole or not at all."""

import ctypes
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
from contextlib import suppress

import numpy as np
import pytest
from experiment import Experiment
from in_turn import each
from numpy.testing import assert_array_equal
from safetensors import safe_open
from safetensors.numpy import load

import spconv_cy as sp
from spconv_cy import writing
from spconv_cy.cli import main
from spconv_cy.errors import FileError
from spconv_cy.io import archive, pth_storage
from spconv_cy.io.pth_storage import mapped, release
from spconv_cy.readers.obj import write_obj
from spconv_cy.readers.off import write_off
from spconv_cy.readers.ply import write_ply

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes, links and pipes are Unix's")
NET = sp.models.from_spec("3C3-BN-MP2-2C2-output", 2, classes=2, rng=0)
MESH = sp.data.Mesh(np.eye(3), [[0, 1, 2]])


def handwriting():
    characters = sp.data.Characters.pack([[np.eye(2)], [np.ones((3, 2))]])
    return sp.data.Handwriting(characters, np.array([0, 1]), ("a", "b"), np.array([-1, -1]))


def checkpoint(path):
    net, x = sp.models.mlp((2, 2), rng=0), sp.Tensor(np.eye(2))
    with suppress(FileNotFoundError):
        os.unlink(path)                                                  # else it would be read
    sp.fit(net, [(x, np.array([0, 1]))], sp.SGD(net.parameters(), 1.0), 1, rng=0, progress=False, checkpoint=path)


WRITERS = {
    "save": lambda path: sp.save(path, NET),
    "write_handwriting": lambda path: sp.readers.write_handwriting(path, handwriting()),
    "write_ply": lambda path: write_ply(path, MESH),
    "text write_ply": lambda path: write_ply(path, MESH, text=True),
    "write_off": lambda path: write_off(path, MESH),
    "write_obj": lambda path: write_obj(path, MESH),
}
writers = each("write", WRITERS.values(), ids=WRITERS)


@pytest.fixture
def umask():
    """Set the umask; the test's own is put back."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("write", [*WRITERS.values(), checkpoint], ids=[*WRITERS, "fit"])
def test_a_file_has_the_mode_that_open_would_give(write, umask, tmp_path):
    for mask in (0o022, 0o002, 0o077, 0o027, 0):
        umask(mask)
        open(tmp_path / f"opened {mask}", "w").close()
        for name in (f"new {mask}", "again"):
            write(tmp_path / name)
            assert mode(tmp_path / name) == mode(tmp_path / f"opened {mask}") == 0o666 & ~mask


def test_writing_never_touches_the_umask(tmp_path, monkeypatch):
    def fails(_):
        raise AssertionError("the umask is all threads'")

    monkeypatch.setattr(os, "umask", fails)
    sp.save(tmp_path / "net", NET)


@writers
def test_a_link_stays_a_link_and_its_target_is_written(write, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "real").write_bytes(b"old")
    os.symlink(os.path.join("far", "real"), tmp_path / "one")            # relative to the link
    os.symlink(tmp_path / "one", tmp_path / "two")
    os.symlink("missing", tmp_path / "dangling")
    write(tmp_path / "plain")
    expected = (tmp_path / "plain").read_bytes()
    for link, target in (("two", "far/real"), ("dangling", "missing")):
        write(tmp_path / link)
        assert (tmp_path / link).is_symlink() and not (tmp_path / target).is_symlink()
        assert len((tmp_path / target).read_bytes()) == len(expected)
    assert (tmp_path / "one").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["dangling", "far", "missing", "one", "plain", "two"]
    assert os.listdir(tmp_path / "far") == ["real"]


def test_the_other_name_of_a_hard_link_keeps_the_old_file(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    os.link(tmp_path / "a", tmp_path / "b")
    sp.save(tmp_path / "a", NET)
    assert (tmp_path / "b").read_bytes() == b"old" and sp.load(tmp_path / "a").layers


@writers
def test_a_pipe_gets_every_byte_and_stays_a_pipe(write, tmp_path):
    write(tmp_path / "plain")
    os.mkfifo(tmp_path / "pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write(tmp_path / "pipe")
    reader.join()
    assert len(got[0]) == (tmp_path / "plain").stat().st_size and stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)
    assert sorted(os.listdir(tmp_path)) == ["pipe", "plain"]


def test_what_goes_through_a_pipe_is_larger_than_the_pipe_and_is_the_network(tmp_path):
    net, got = sp.NetworkInNetwork(300, 300, rng=0), []                  # 360 kB; a pipe holds 64
    os.mkfifo(tmp_path / "pipe")
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()))
    writer = threading.Timer(0.05, reader.start)                         # a reader that comes late is waited for
    writer.start()
    sp.save(tmp_path / "pipe", net)
    reader.join()
    assert_array_equal(load(got[0])["weight"], net.weight.data)
    with pytest.raises(FileError, match="expected a regular file, got a pipe"):
        sp.load(tmp_path / "pipe")


def test_a_pipe_that_nobody_reads_is_told_and_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "SECONDS_FOR_A_READER", 0.05)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="expected a reader at the other end of this pipe, got none in 0.05 seconds"):
        sp.save(tmp_path / "pipe", NET)
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode) and os.listdir(tmp_path) == ["pipe"]


@writers
def test_a_device_stays_a_device(write, tmp_path):
    before = os.stat("/dev/null")
    os.symlink("/dev/null", tmp_path / "link")
    for path in ("/dev/null", tmp_path / "link"):
        write(path)
    assert os.path.samestat(os.stat("/dev/null"), before) and os.listdir(tmp_path) == ["link"]
    assert not os.path.exists("/dev/null.npz")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
@writers
def test_a_device_that_is_full_is_told(write):
    with pytest.raises(OSError, match="No space left"):
        write("/dev/full")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_standard_output_can_be_a_pipe(tmp_path):
    program = "import spconv_cy as sp; sp.save('/dev/stdout', sp.NetworkInNetwork(2, 2, rng=0))"
    piped = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, cwd=tmp_path).stdout
    assert sorted(load(piped)) == ["bias", "weight"]


def test_a_file_without_a_name_is_written_into(tmp_path):
    with open(tmp_path / "gone", "w+b") as file:
        file.write(b"longer than the mesh " * 100)
        file.flush()
        os.unlink(tmp_path / "gone")
        write_off(f"/dev/fd/{file.fileno()}", MESH)
        write_off(tmp_path / "plain", MESH)
        file.seek(0)
        assert file.read() == (tmp_path / "plain").read_bytes() and os.listdir(tmp_path) == ["plain"]


def test_a_folder_and_a_socket_are_refused(tmp_path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match="socket"):
            sp.save(tmp_path / "socket", NET)
        assert stat.S_ISSOCK(os.stat(tmp_path / "socket").st_mode)
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", f"{tmp_path}/folder/", f"{tmp_path}/new/", f"{tmp_path}/socket/"):
        with pytest.raises(OSError):
            sp.save(path, NET)
    os.symlink("loop", tmp_path / "loop")
    with pytest.raises(OSError, match="loop"):
        sp.save(tmp_path / "loop", NET)
    assert sorted(os.listdir(tmp_path)) == ["folder", "loop", "socket"] and not os.listdir(tmp_path / "folder")


@writers
def test_the_old_file_stays_where_there_is_no_room(write, tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large.*file"):
            write(tmp_path / "file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "file").read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_at_the_end_leaves_the_old_file_alone(name, error, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")

    def fails(*_):
        raise error

    with monkeypatch.context() as patch, pytest.raises(type(error)):
        patch.setattr(os, name, fails)
        sp.save(tmp_path / "file", NET)
    assert (tmp_path / "file").read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_a_folder_without_permission_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    tmp_path.chmod(0o555)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("root may write everywhere")
        for wants in (writing.check_writable, lambda path: sp.save(path, NET)):
            with pytest.raises(PermissionError, match="expected a folder in which a new file can be created"):
                wants(tmp_path / "file")
    finally:
        tmp_path.chmod(0o755)
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_folder_is_asked_before_the_work_whose_result_it_will_hold(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda path, mode: False)          # what a folder without permission tells
    net, before = sp.Sequential(sp.GlobalPooling(), sp.NetworkInNetwork(1, 2, rng=0)), tmp_path / "file"
    first = {name: array.copy() for name, array in net.state().items()}
    batches = [(sp.SparseTensor.from_sites([[0, 0, 0]], [[1.0]], size=3), np.array([0]))]
    with pytest.raises(PermissionError, match="no permission to write in"):
        sp.fit(net, batches, sp.Adam(net.parameters(), 0.1), 1, checkpoint=before, progress=False)
    assert all(np.array_equal(array, first[name]) for name, array in net.state().items()) and not os.listdir(tmp_path)
    sp.save(before, net)
    new = str(tmp_path / "new.safetensors")
    for words in (["train", "data", new], ["predict", str(before), "scene.npz", new],
                  ["convert", "theirs.pth", new, "--network", "second"]):
        assert main(words) == 1 and "no permission to write in" in capsys.readouterr().err
    writing.check_writable(os.devnull)                                   # no folder is asked for a device


def test_names_may_be_long_and_bytes(tmp_path):
    for path in (tmp_path / ("n" * 255), os.fsencode(tmp_path / "bytes"), str(tmp_path / "text")):
        sp.save(path, NET)
        assert len(sp.load(path).layers) == len(NET.layers)
    with pytest.raises(OSError, match="name too long"):
        sp.save(tmp_path / ("n" * 256), NET)
    assert len(os.listdir(tmp_path)) == 3


def test_savers_of_one_path_leave_a_whole_file(tmp_path):
    nets = [sp.NetworkInNetwork(40, n, rng=0) for n in range(1, 5)]

    def saves(net):
        for _ in range(10):
            sp.save(tmp_path / "net", net)

    threads = [threading.Thread(target=saves, args=[net]) for net in nets]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if (tmp_path / "net").exists():
            sp.load(tmp_path / "net")
    assert os.listdir(tmp_path) == ["net"] and sp.load(tmp_path / "net").weight.shape[1] == 40


DTYPES = ["?", "i1", "u1", "i2", "u2", "f2", "i4", "u4", "f4", "i8", "u8", "f8"]


def test_safetensors_reads_arrays_of_every_dtype_shape_and_order(tmp_path, rng):
    arrays = {f"{dtype} {shape}": rng.integers(0, 2, shape).astype(dtype)
              for dtype in DTYPES for shape in ((), (0,), (3,), (2, 0, 3), (2, 3, 1))}
    arrays["columns"], arrays["big"] = np.asfortranarray(rng.random((3, 4))), np.arange(5, dtype=">f4")
    arrays["every other, é"] = np.arange(10.0)[::2]
    archive.write(tmp_path / "file", "a kind", arrays, {"text": "é", "none": None})
    with safe_open(tmp_path / "file", framework="numpy") as file:
        assert sorted(file.keys()) == sorted(arrays) and file.metadata()["none"] == "null"
        for name, array in arrays.items():
            found = file.get_tensor(name)
            assert found.shape == array.shape and found.dtype == array.dtype.newbyteorder("=")
            assert_array_equal(found, array)
    found, text = archive.read(tmp_path / "file", "a kind")
    assert text == {"text": "é", "none": None} and found["f4 ()"].shape == ()


def test_a_description_that_no_reader_takes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "LONGEST_HEADER", 1000)
    with pytest.raises(ValueError, match="expected a description of at most 1000 bytes, got"):
        sp.save(tmp_path / "net", NET, extra="long" * 300)
    assert not os.listdir(tmp_path)


def test_a_network_with_a_parameter_of_no_axes_comes_back(tmp_path):
    class Scaled(sp.Layer):
        def __init__(self):
            self.factor = sp.Tensor(np.float32(3), requires_grad=True)

    sp.save(tmp_path / "net", Scaled())
    assert sp.load(tmp_path / "net", layers=[Scaled]).factor.shape == ()


def test_an_experiments_files_have_the_umasks_mode_and_go_through_links(umask, tmp_path):
    umask(0o027)
    os.symlink("kept", tmp_path / "record.json")
    Experiment("a", "tiny", tmp_path).once("x", lambda: 1)
    assert (tmp_path / "record.json").is_symlink() and mode(tmp_path / "kept") == 0o640
    assert Experiment("a", "tiny", tmp_path).figures == {"x": 1}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff", b"[" * 100_000,
                                     b'{"name": "a", "size": "tiny", "seed": 0}',
                                     b'{"name": "a", "size": "tiny", "seed": 0, "seconds": 0, "figures": 3, "tables": '
                                     b'{}, "pictures": {}, "logs": []}'])
def test_a_damaged_record_of_an_experiment_is_refused_and_kept(content, tmp_path):
    (tmp_path / "record.json").write_bytes(content)
    with pytest.raises(FileError, match="record.json: expected the record of an experiment"):
        Experiment("a", "tiny", tmp_path)
    assert (tmp_path / "record.json").read_bytes() == content


def test_a_process_that_locks_its_pages_in_memory_reads_mapped_files(tmp_path):
    sp.save(tmp_path / "net.safetensors", NET)
    content = mapped(tmp_path / "net.safetensors")
    page = ctypes.c_void_p(content.__array_interface__["data"][0])
    if ctypes.CDLL(None).mlock(page, ctypes.c_size_t(len(content))):
        pytest.skip("this user may not lock memory")
    release(content[8:])                                                 # which the kernel refuses then
    assert bytes(content) == (tmp_path / "net.safetensors").read_bytes()


def test_copied_arrays_of_a_mapped_file_are_given_back_4_MiB_at_a_time(tmp_path, monkeypatch):
    released = []
    monkeypatch.setattr(pth_storage, "release", lambda array: released.append(array.nbytes))
    releasing = pth_storage.Releasing()
    for size in (1 << 20, 1 << 21, 1 << 20, 1 << 23, 5, 1 << 22):
        releasing.copied(np.empty(size, np.uint8))
    releasing.copied()
    assert released == [1 << 20, 1 << 23, 1 << 22]
    net = sp.Sequential(*(sp.NetworkInNetwork(64, 64, rng=0) for _ in range(9)))
    released.clear()
    sp.save(tmp_path / "net", net)
    sp.load(tmp_path / "net")
    assert released == []
