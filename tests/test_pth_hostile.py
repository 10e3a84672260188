"""Hostile checkpoints: code, damage and lies are refused in plain words, and nothing runs."""

import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from in_turn import each
from pth_writer import (
    Call,
    Name,
    Object,
    Pid,
    Raw,
    dumps,
    legacy,
    numpy_array,
    opcodes,
    storage,
    tarred,
    tensor,
    zipped,
)

import spconv_cy as sp
from spconv_cy.errors import FileError

NUMBERS = np.arange(6, dtype=np.float32)
RAW = {"0": NUMBERS.tobytes()}
COMMAND = ("touch executed",)


def refused(tmp_path, content, match, **options):
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    for everything in (False, True):
        with pytest.raises(FileError, match=match) as raised:
            sp.io.read_checkpoint(path, everything=everything, **options)
        text = str(raised.value)
        assert text.startswith(f"{path}: expected ") and "\n" not in text and len(text) < 600
    return text


# What scanners of pickles look for: each calls a function that is not data, in one of the ways of the format.
CALLS = {
    "os.system": Call("os.system", COMMAND),
    "posix.system": Call("posix.system", COMMAND),
    "nt.system": Call("nt.system", COMMAND),
    "subprocess.Popen": Call("subprocess.Popen", COMMAND),
    "builtins.eval": Call("builtins.eval", ("open('executed', 'w')",)),
    "builtins.exec": Call("__builtin__.exec", ("open('executed', 'w')",)),
    "builtins.getattr": Call("builtins.getattr", (Name("os.path"), "join")),
    "builtins.__import__": Call("builtins.__import__", ("antigravity",)),
    "builtins.apply": Call("__builtin__.apply", (Name("os.system"), COMMAND)),
    "builtins.open": Call("builtins.open", ("executed", "w")),
    "builtins.map": Call("builtins.map", (Name("os.system"), COMMAND)),
    "runpy._run_code": Call("runpy._run_code", ("open('executed', 'w')", {})),
    "webbrowser.open": Call("webbrowser.open", ("http://localhost",)),
    "operator.attrgetter": Call("operator.attrgetter", ("system",)),
    "functools.partial": Call("functools.partial", (Name("os.system"), "touch executed")),
    "importlib.import_module": Call("importlib.import_module", ("antigravity",)),
    "pickle.loads": Call("pickle.loads", (pickle.dumps(1),)),
    "shutil.rmtree": Call("shutil.rmtree", ("folder",)),
    "pydoc.pipepager": Call("pydoc.pipepager", ("x", "touch executed")),
    "timeit.timeit": Call("timeit.timeit", ("open('executed', 'w')",)),
    "bdb.Bdb": Call("bdb.Bdb", ()),
    "numpy.testing._private.utils.runstring": Call("numpy.testing._private.utils.runstring", ("x", {})),
    "numpy.f2py.crackfortran.getlincoef": Call("numpy.f2py.crackfortran.getlincoef", ("1", [])),
    "torch.hub.load": Call("torch.hub.load", ("x", "y")),
    "torch.load": Call("torch.load", ("net.pth",)),
    "torch.storage._load_from_bytes": Call("torch.storage._load_from_bytes", (b"",)),
    "torch._utils.os.system": Call("torch._utils.os.system", COMMAND),
    "my.Net": Call("my.Net", ()),
    "collections.OrderedDict.fromkeys": Call("collections.OrderedDict.fromkeys", ([1],)),
    "subprocess.Popen by NEWOBJ": Raw(opcodes(Name("subprocess.Popen")) + opcodes(COMMAND) + b"\x81"),
    "subprocess.Popen by NEWOBJ alone": Raw(opcodes(Name("subprocess.Popen")) + b")\x81"),
    "subprocess.Popen by NEWOBJ_EX": Raw(opcodes(Name("subprocess.Popen")) + opcodes(COMMAND) + b"}\x92"),
    "os.system by INST": Raw(b"(" + opcodes("touch executed") + b"ios\nsystem\n"),
    "os.system by OBJ": Raw(b"(" + opcodes(Name("os.system")) + opcodes("touch executed") + b"o"),
    "os.system by STACK_GLOBAL": Raw(opcodes("os") + opcodes("system") + b"\x93" + opcodes(COMMAND) + b"R"),
    "os.system by memo": Raw(opcodes(Name("os.system")) + b"q\x010h\x01" + opcodes(COMMAND) + b"R"),
    "os.system by __newobj__": Call("copy_reg.__newobj__", (Name("os.system"), "touch executed")),
    "os.system by from_type": Call("torch._tensor._rebuild_from_type_v2", (Name("os.system"), None, COMMAND, {})),
    "os.system before damage": Raw(opcodes(Call("os.system", COMMAND)) + b"\xff\xff"),
}


@each("name", CALLS)
def test_a_pickle_that_calls_something_is_refused_by_name_and_place(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for content in (zipped({"w": tensor("f4", "0", 6, (6,)), "x": CALLS[name]}, RAW), dumps([CALLS[name]]),
                    legacy([CALLS[name]], RAW, {"0": 4}), dumps(CALLS[name], 4)):
        refused(tmp_path, content, rf"{name.partition(' ')[0]}.*\(at byte \d+\); ")
    refused(tmp_path, dumps(CALLS["os.system"]), "nothing in it was executed; .* save net.state_dict")
    assert os.listdir(tmp_path) == ["net.pth"]


def test_names_states_and_factories_stay_what_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value = {"name": Name("os.system"), "state": Object("my.Net", {"__class__": Name("os.system"), "__dict__": {}}),
             "factory": Call("collections.defaultdict", (Name("os.system"),)),
             "odd": Object("my.Net", Name("os.system"))}
    (tmp_path / "net.pth").write_bytes(dumps(value))
    found = sp.io.read_checkpoint("net.pth", everything=True)
    assert found == {"name": "os.system", "state": {"__class__": "os.system", "__dict__": {}}, "factory": {},
                     "odd": {"state": "os.system"}}
    assert type(found["state"]).__name__ == "Inert" and os.listdir(tmp_path) == ["net.pth"]


NOT_DATA = {
    "an extension": (Raw(b"\x82\x01"), "the opcode EXT1"),
    "a buffer": (Raw(b"\x97"), "the opcode NEXT_BUFFER"),
    "a text that is called": (Call, "one that calls a str"),
    "a state of a number": (Raw(b"K\x01}b"), "that of an int"),
    "object numbers": (Call("numpy.dtype", ("O", False, True)), "dtype 'O'"),
    "times": (Call("numpy.dtype", ("M8", False, True)), "dtype 'M8'"),
    "an array without a state": ([Call("numpy.core.multiarray._reconstruct", (Name("numpy.ndarray"), (0,), b"b"))],
                                 "one without its state"),
    "a storage alone": ([storage("f4", "0", 6)], "a storage alone"),
    "a storage of another key": (storage("f4", "1", 6), "archive/data/1"),
    "a storage of nothing": (Pid(("storage", 3)), "got a tuple"),
    "an unknown kind": (Pid(("storage", Name("torch.OddStorage"), "0", "cpu", 6)), "torch.OddStorage"),
    "a class for a kind": (Pid(("storage", "torch.FloatStorage", "0", "cpu", 6)), "got 'torch.FloatStorage'"),
    "a storage that is too long": (storage("f4", "0", 7), "of 7 numbers, got one of 6"),
    "a negative storage": (storage("f4", "0", -1), "from 0 up, got -1"),
    "a list as a key": ({"k": Raw(b"}]Ns")}, "as keys, got a list"),
    "a tuple of tuples as a key": (Raw(b"}" + opcodes(((1,),)) + b"Ns"), "as keys, got a tuple"),
    "a large key": (Raw(b"}" + opcodes(2**61 - 1) + b"Ns"), "as keys, got an int"),
    "a long number": (1 << 300, "at most 256 bits, got one of 301"),
    "a line without an end": (Raw(b"V" + b"x" * 70_000), "lines of at most 65536"),
    "an absent mark": (Raw(b"t"), "without a mark"),
    "an empty stack": (Raw(b"00"), "an empty stack"),
    "an absent object": (Raw(b"h\x09"), "its object 9"),
    "half an item": (Raw(b"}(Nu"), "a key without its value"),
    "text that is no UTF-8": (Raw(b"X\x02\x00\x00\x00\xff\xff"), "'utf-8' codec"),
    "a long text": (Raw(b"X\xff\xff\xff\x7fab"), "of 2147483647 bytes 3 are there"),
    "another opcode": (Raw(b"\xfe"), "opcode"),
    "a newer protocol": (Raw(b"\x80\x06N"), "protocol 0 to 5, got 6"),
    "arguments that do not fit": (Call("torch._utils._rebuild_tensor_v2", ()), "arguments of torch._utils._rebuild"),
    "a range of text": (Call("builtins.range", ("a",)), "limits of a range"),
    # An array has no truth, and compares number by number.
    "an array for the word of a storage": (Pid((numpy_array((6,)), 1, "0", 3, 4)), "key and size of a storage"),
    "an array for a base": (Call("copyreg._reconstructor", (Name("my.Net"), numpy_array((6,)), None)), "copyreg._"),
    "an array for arguments": (Raw(opcodes(Name("my.Net")) + numpy_array((6,)).code + b"\x81"), "calls my.Net"),
    "an array for options": (Raw(opcodes(Name("my.Net")) + b")" + numpy_array((6,)).code + b"\x92"), "calls my.Net"),
}


@each("name", NOT_DATA)
def test_what_is_no_data_is_refused(name, tmp_path):
    value, match = NOT_DATA[name]
    value = Raw(opcodes("os.system") + opcodes(COMMAND) + b"R") if value is Call else value
    refused(tmp_path, zipped(value, RAW), match)


def test_an_array_for_the_word_of_a_storage_in_the_old_format(tmp_path):
    refused(tmp_path, legacy({"w": Pid((numpy_array((6,)), 1, 2, 3))}, RAW, {"0": 4}), "key and size of a storage")


def test_arrays_among_the_names_of_buffers(tmp_path):
    buffers = {"a": tensor("f4", "0", 6, (6,)), "b": tensor("f4", "0", 6, (1,))}
    net = Object("my.Net", {"_parameters": {}, "_buffers": buffers, "_modules": {},
                            "_non_persistent_buffers_set": [numpy_array((6,)), "b"]})
    (tmp_path / "net.pth").write_bytes(zipped(net, RAW))
    assert list(sp.io.read_checkpoint(tmp_path / "net.pth")) == ["a"]


def wrong(shape, strides=None, offset=0, count=6):
    return {"w": tensor("f4", "0", count, shape, strides, offset)}


VIEWS = {
    "too large": (wrong((7,), (1,)), "storage of 6 numbers, got one of size .7,. and strides .1,. from number 0"),
    "a large offset": (wrong((2,), (1,), 5), "from number 5 on"),
    "a negative offset": (wrong((2,), (1,), -1), "an offset, whole numbers from 0 up, got -1"),
    "a negative size": (wrong((-2,), (1,)), "a size, whole numbers from 0 up, got -2"),
    "a negative stride": (wrong((2,), (-1,), 5), "strides, whole numbers from 0 up, got -1"),
    "a broken size": (wrong((1.5,), (1,)), "a size, whole numbers from 0 up, got a float"),
    "a size of True": (wrong((True,), (1,)), "got a bool"),
    "a size of text": (wrong("6", (1,)), "a size, whole numbers from 0 up, got a str"),
    "no strides": (wrong((6,), ()), "a stride for each"),
    "no storage": ({"w": Call("torch._utils._rebuild_tensor_v2", ("x", 0, (1,), (1,)))}, "got a str"),
    "a stride that overflows": (wrong((3,), (2**62,)), "from number 0"),
    "an offset that overflows": (wrong((2,), (1,), 2**63 - 1), "from number"),
    "an offset beyond int64": (wrong((2,), (1,), 2**63), "an offset"),
    "a size that overflows": (wrong((2**32, 2**32), (0, 0)), "not larger than its file"),
    "a repeated number": (wrong((10**9,), (0,)), "not larger than its file"),
    "nothing, and large": (wrong((0, 2**62), (0, 0)), "not larger than its file"),
    "many axes": (wrong((1,) * 40, (1,) * 40), "at most 32 axes"),
    "thousands of axes": (wrong((1,) * 4000, (1,) * 4000), "a size"),
    "truth values of other bytes": ({"w": tensor("b1", "0", 24, (24,))}, "bytes 0 and 1"),
}


@each("name", VIEWS)
def test_a_tensor_outside_its_storage_is_refused_with_the_numbers(name, tmp_path):
    value, match = VIEWS[name]
    refused(tmp_path, zipped(value, RAW), match)
    sizes = {"0": 1 if "b1" in str(value) or "Bool" in str(value) else 4}
    refused(tmp_path, legacy(value, RAW, sizes), match)


ARRAYS = {
    "too large": (numpy_array((7,)), r"the bytes of an array \(7,\) of float32, got 24 bytes"),
    "too small": (numpy_array((5,)), "got 24 bytes"),
    "negative": (numpy_array((-6,)), "a shape, whole numbers from 0 up, got -6"),
    "overflowing": (numpy_array((2**62, 4)), "got 24 bytes"),
    "nothing, and large": (numpy_array((0, 2**40)), "got 24 bytes"),
    "of no bytes": (numpy_array((6,), content=[1.0] * 6), "got a list"),
    "of no order": (numpy_array((6,), order="x"), "order of bytes"),
    "of large text": (numpy_array((1,), "U999999"), "got 24 bytes"),
    "truth values of other bytes": (numpy_array((4, 6), "b1", b"\1" * 23 + b"\2"), "truth values as bytes 0 and 1"),
}


@each("name", ARRAYS)
def test_an_array_of_numpy_that_lies_is_refused(name, tmp_path):
    refused(tmp_path, dumps({"w": ARRAYS[name][0]}), ARRAYS[name][1])


@pytest.mark.parametrize("content", [zipped(wrong((6,)), RAW), legacy(wrong((6,)), RAW, {"0": 4}),
                                     tarred({"w": Pid("1")}, {2: ("f4", NUMBERS)}, [], {1: (2, (6,), (1,), 0)}),
                                     dumps({"w": numpy_array((6,))})], ids=["zip", "legacy", "tar", "pickle"])
def test_a_file_that_was_cut_is_refused_at_any_length(content, tmp_path):
    path = tmp_path / "net.pth"
    step = 1 if len(content) < 2000 else 97
    whole = content.rstrip(b"\0") if content[:1] not in b"P\x80" else content   # a tar archive ends in zeros
    for length in range(0, len(whole), step):
        path.write_bytes(content[:length])
        with pytest.raises(FileError):
            sp.io.read_checkpoint(path)
    path.write_bytes(content)
    assert sp.io.read_checkpoint(path)["w"].shape == (6,)


def changed(content, old, new, every=False):
    assert old in content and len(old) == len(new)
    at = content.rindex(old)
    return content.replace(old, new) if every else content[:at] + new + content[at + len(old):]


def test_archives_that_lie_are_refused(tmp_path):
    whole = zipped(wrong((6,)), {**RAW, "1": b"more"})
    refused(tmp_path, changed(whole, b"data/1", b"data/0", True), "records have names of their own, got two named")
    refused(tmp_path, changed(whole, b"data/1", b"data/2"), "one of another name")
    refused(tmp_path, changed(whole, b"data/1", b"data/\xff", True), "names in UTF-8")
    refused(tmp_path, zipped(wrong((6,)), RAW, "middle"), "little or big")
    two = zipped(wrong((6,)), {**RAW, "../data.pkl": b""}, name="a")
    refused(tmp_path, two.replace(b"a/data/../data.pkl", b"aaaaaaaaa/data.pkl"), "several")
    refused(tmp_path, zipped(wrong((6,)), RAW, name="folder/archive"), "got 'folder/archive/data.pkl'; pack that")
    damaged = bytearray(whole)
    damaged[damaged.index(b"archive/data.pkl") + 30] ^= 1
    refused(tmp_path, bytes(damaged), "matches its checksum")
    begin = whole.index(b"PK\1\2")

    def field(offset, value, record=1):
        at = begin
        for _ in range(record):
            at = whole.index(b"PK\1\2", at + 1)
        made = bytearray(whole)
        made[at + offset:at + offset + len(value)] = value
        return bytes(made)

    refused(tmp_path, field(8, b"\1"), "encrypted")
    refused(tmp_path, field(10, b"\x0c"), "compressed otherwise")
    refused(tmp_path, field(20, struct.pack("<II", 2**31, 2**31)), "inside the file")
    refused(tmp_path, field(24, struct.pack("<I", 2**31)), "inside the file")
    refused(tmp_path, field(42, struct.pack("<I", 2**31)), "something else at byte")
    refused(tmp_path, field(20, struct.pack("<II", 60, 60)), "which overlap")
    refused(tmp_path, whole[:-12] + struct.pack("<H", 9) + whole[-10:], "ends early|without its end")


def test_many_records_of_one_place_are_refused(tmp_path):
    whole = zipped(wrong((6,)), RAW)
    begin = whole.index(b"PK\1\2")
    entry = whole[begin:whole.index(b"PK\1\2", begin + 1)]
    count = 60_000
    listed = entry * count
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(listed), begin, 0)
    refused(tmp_path, whole[:begin] + listed + end, "names of their own")


def test_safetensors_and_npz_that_lie_are_refused(tmp_path):
    def tensors(text, body=bytes(24)):
        return len(text).to_bytes(8, "little") + text.encode() + body

    whole = '{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'
    for old, new, match in [("24", "25", "inside the"), ("[2,3]", "[2,-3]", "from 0 up, got -3"),
                            ("[0,", "[-1,", "got -1"), ("[2,3]", "[1e9]", "got a float"), 
                            ("F32", "F8_E4M3", "got 'F8_E4M3'"),
                            ("[2,3]", "2", "others"), ("[2,3]", "[4294967296,4294967296]", "inside the"),
                            ('"F32"', "3", "got 3"), ("}}", '},"w":{}}', "there twice"), ("}}", "}", "in JSON"),
                            ("[2,3]", "[" * 9999, "in JSON"), ("[0,24]", "[0]", "others"),
                            ("[0,24]", "[24,0]", "inside the")]:
        refused(tmp_path, tensors(whole.replace(old, new)), match)
    refused(tmp_path, b"\xff" * 7 + b"\0" + whole.encode(), "damaged|header inside the file")
    refused(tmp_path, tensors(whole, bytes(25)), "as many as there are")
    two = whole[:-1] + ',"v":{"dtype":"F32","shape":[1],"data_offsets":[%d,%d]}}'
    for first, body in ((20, 24), (28, 32)):                             # one inside the other, and a gap
        refused(tmp_path, tensors(two % (first, first + 4), bytes(body)), "one after the other")

    def npz(header):
        text = header.encode() + b" " * 20 + b"\n"
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
            file.writestr("w.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + bytes(24))
        return (tmp_path / "x.npz").read_bytes()

    kind = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
    for old, new, match in [("(2, 3)", "(2, 4)", "got 6 numbers"), ("(2, 3)", "(-2, -3)", "got -2"),
                            ("<f4", "|O", "something else"), ("(2, 3)", "(2**9, 3)", "something else"),
                            ("(2, 3)", "(4294967296, 4294967296)", "6 numbers"),
                            ("<f4", "<M8[s]", "something else"), ("False", "3", "something else")]:
        refused(tmp_path, npz(kind.replace(old, new)), match)
