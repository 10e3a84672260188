"""Checkpoints that ask for much memory or time, and files changed at random: read or refused, within bounds."""

import io
import os
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pth_writer import Raw, dumps, numpy_array, opcodes, tensor, zipped

import spconv_cy as sp
from spconv_cy.errors import FileError
from spconv_cy.io import pth_storage

MIB = 1 << 20
ALLOWED = 4 * MIB                                                        # instead of 32 MiB, for the time it takes


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(pth_storage, "ALLOWANCE", ALLOWED)


def read_within(tmp_path, content, match):
    """Check that a file is refused within the memory that it may use, and soon."""
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        began = time.process_time()
        with pytest.raises(FileError, match=match):
            sp.io.read_checkpoint(path)
        took, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(content) + ALLOWED + 2 * MIB and took < 20, (peak, took)


BOMBS = {
    "lists": Raw(b"(" + b"]" * 200_000 + b"l"),
    "dicts": Raw(b"(" + b"}" * 200_000 + b"l"),
    "objects": Raw(b"cmy\nNet\nq\x010(" + b"h\x01)\x81" * 50_000 + b"l"),
    "bytes made again": Raw(opcodes("x" * 100_000) + b"q\x010c_codecs\nencode\nq\x020X\x06\x00\x00\x00latin1q\x030(" +
                            b"h\x02h\x01h\x03\x86R" * 100 + b"l"),
    "lists made again": Raw(opcodes([0] * 10_000) +
                            b"q\x010cbuiltins\nlist\nq\x020(" + b"h\x02h\x01\x85R" * 200 + b"l"),
    "names made again": Raw(opcodes("x" * 100_000) + b"q\x010(" + b"h\x01h\x01\x93" * 100 + b"l"),
    "paths made again": Raw(opcodes("x" * 100_000) + b"q\x010cpathlib\nPurePosixPath\nq\x020(" +
                            b"h\x02h\x01h\x01\x86R" * 100 + b"l"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_pickle_that_asks_for_much_memory_is_refused(name, tmp_path, small):
    read_within(tmp_path, dumps([BOMBS[name]]), "at most .* bytes of memory")


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, small):
    content = zipped({"w": tensor("u1", "0", 1 << 24, (1 << 24,))}, {"0": bytes(1 << 24)}, method=zipfile.ZIP_DEFLATED)
    assert len(content) < MIB
    read_within(tmp_path, content, "at most .* bytes of memory")
    at = content.rindex(b"PK\1\2")                                       # a record that says less than it holds
    lying = content[:at + 24] + struct.pack("<I", 100) + content[at + 28:]
    read_within(tmp_path, lying, "of 100 bytes, got another size")


def test_a_record_is_unpacked_without_a_second_copy(tmp_path, small):
    content, size = io.BytesIO(), 4 * MIB - (1 << 17)
    np.savez_compressed(content, **{name: np.zeros(size, np.uint8) for name in "ab"})
    read_within(tmp_path, content.getvalue(), "at most .* bytes of memory")


def test_a_pickle_that_is_packed_a_thousand_times_is_refused_before_it_is_read(tmp_path, small):
    content = zipped(b"\x80\x02]" + b"N0" * MIB + b".", {}, method=zipfile.ZIP_DEFLATED)
    read_within(tmp_path, content, "'archive/data.pkl' that is packed at most 50 times, got 2097156 bytes in")
    content = zipped(dumps({"a": [0.5] * 50_000, "b": numpy_array((6,))}), {}, method=zipfile.ZIP_DEFLATED)
    (tmp_path / "net.pth").write_bytes(content)                          # a small one may be
    assert sp.io.read_checkpoint(tmp_path / "net.pth")["b"].shape == (6,)


def test_numbers_that_must_be_copied_are_copied_once_or_refused(tmp_path, small):
    count = 4 * MIB
    many = [tensor("bfloat16", "0", count, (count - n,), (1,), n) for n in range(40)]
    read_within(tmp_path, zipped(many, {"0": bytes(2 * count)}), "at most .* bytes of memory")
    same = [tensor("bfloat16", "0", count, (count,), (1,))] * 40
    (tmp_path / "net.pth").write_bytes(zipped(same, {"0": bytes(2 * count)}))
    assert len(sp.io.read_checkpoint(tmp_path / "net.pth")) == 40


DEEP = {
    "lists": b"]" * 3000 + b"a" * 2999,
    "dicts": b"}K\x01" * 3000 + b"N" + b"s" * 3000,
    "tuples": b")" + b"\x85" * 3000,
    "marks": b"(" * 3000 + b"t" * 3000,
    "objects": b"cmy\nNet\nq\x010" + b"h\x01)\x81" * 3000 + b"b" * 2999,
    "inside out": b"]q\x010" + b"(h\x01lq\x010" * 3000 + b"h\x01",
}


@pytest.mark.parametrize("name", DEEP)
def test_containers_nested_3000_deep_are_refused(name, tmp_path, small):
    read_within(tmp_path, dumps([Raw(DEEP[name])]), "at most 200 deep, got deeper")


def test_containers_that_hold_each_other_often_are_refused(tmp_path, small):
    levels = (b"(" + bytes([ord("h"), n]) * 10 + b"lq" + bytes([n + 1]) + b"0" for n in range(30))
    laughs = b"]q\x000" + b"".join(levels)
    path = tmp_path / "net.pth"
    path.write_bytes(dumps({"w": numpy_array((6,)), "x": Raw(laughs + b"h\x1e")}))
    began = time.process_time()
    with pytest.raises(FileError, match="at most .* bytes of memory"):
        sp.io.read_checkpoint(path)
    assert time.process_time() - began < 20
    assert len(sp.io.read_checkpoint(path, everything=True)) == 2        # nothing is repeated there


def test_a_container_that_holds_itself(tmp_path, small):
    path = tmp_path / "net.pth"
    path.write_bytes(dumps({"w": numpy_array((6,)), "x": Raw(b"]q\x01h\x01a")}))
    with pytest.raises(FileError, match="one that holds itself; give key="):
        sp.io.read_checkpoint(path)
    found = sp.io.read_checkpoint(path, everything=True)
    assert found["x"][0] is found["x"]
    net = Raw(b"cmy\nNet\n)\x81q\x01}(" + opcodes("_parameters") + opcodes({"w": numpy_array((6,))}) +
              opcodes("_buffers") + b"}" + opcodes("_modules") + b"}(" +
              opcodes("a") + b"h\x01" + opcodes("b") + b"h\x01uub")
    path.write_bytes(dumps(net))
    with pytest.raises(FileError, match="at most .* bytes of memory|holds itself"):
        sp.io.read_checkpoint(path)


def test_pickles_of_many_steps_are_refused(tmp_path, small, monkeypatch):
    monkeypatch.setattr(pth_storage, "MOST_STEPS", 5000)
    steps = Raw(b"N0" * 2600)                                            # each takes time and no memory
    read_within(tmp_path, dumps({"w": numpy_array((6,)), "x": [steps]}), "at most 5000 opcodes, got more")
    parts = {"w": numpy_array((6,)), "x": Raw(b"N0" * 2000 + b"N")}
    (tmp_path / "net.pth").write_bytes(dumps(parts))
    assert len(sp.io.read_checkpoint(tmp_path / "net.pth")) == 1


def test_keys_whose_hashes_are_equal_take_no_time(tmp_path, small):
    collide = Raw(b"}(" + b"".join(opcodes((n, 1)) + b"N" for n in range(2000)) + b"u")
    read_within(tmp_path, dumps([collide]), "at most 1000 tuples as keys")


def run_mutants(count, seed, timeout):
    program = Path(__file__).parent / "pth_mutants.py"
    folders = str(Path(sp.__file__).parents[1]), str(program.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    done = subprocess.run([sys.executable, str(program), str(count), str(seed)], capture_output=True, text=True,
                          timeout=timeout, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "refused" in done.stdout


def test_500_files_that_were_changed_at_random_are_read_or_refused():
    run_mutants(500, 20140922, 60)


@pytest.mark.slow
def test_100_000_files_that_were_changed_at_random_are_read_or_refused():
    run_mutants(100_000, 1, 1800)
