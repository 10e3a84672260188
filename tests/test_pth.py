"""Checkpoints of torch read without torch: every type, view, format and protocol, files by torch itself and by hand."""

import hashlib
import os
import pickle
import zipfile
from pathlib import Path

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
from safetensors.numpy import save_file

import spconv_cy as sp
from spconv_cy.errors import FileError

FOLDER = Path(__file__).parent / "golden" / "torch"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in (".pth", ".pt", ".ckpt"))
REFUSED = {"sparse.pth": "_rebuild_sparse_tensor.*to_dense", "quantized.pth": "QInt8Storage.*dequantize"}
NUMBERS = np.arange(6, dtype=np.float32)


def read(tmp_path, content, *arguments, **options):
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    return sp.io.read_checkpoint(path, *arguments, **options)


@pytest.fixture(scope="module")
def expected():
    with np.load(FOLDER / "expected.npz") as file:
        return dict(file)


def same(found, wanted):
    return found.dtype == wanted.dtype and found.shape == wanted.shape and found.tobytes() == wanted.tobytes()


def test_the_files_of_torch_are_unchanged():
    for line in (FOLDER / "sha256.txt").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest


@each("path", FILES, ids=lambda path: path.name)
def test_a_file_of_torch_gives_the_arrays_that_torch_has(path, expected):
    if path.name in REFUSED:
        with pytest.raises(FileError, match=REFUSED[path.name]):
            sp.io.read_checkpoint(path)
        return
    wanted = {key.partition("|")[2]: array for key, array in expected.items() if key.startswith(f"{path.name}|")}
    found = sp.io.read_checkpoint(path)
    assert list(found) == list(wanted)
    for name, array in found.items():
        assert same(array, wanted[name]) and type(array) is np.ndarray and not array.flags.writeable, name


@pytest.mark.parametrize("protocol", [2, 4])
def test_everything_holds_numbers_text_and_containers_too(protocol):
    found = sp.io.read_checkpoint(FOLDER / f"lightning{protocol}.ckpt", everything=True)
    assert (found["epoch"], found["global_step"]) == (3, 2**40)
    assert found["hyper_parameters"] == {"lr": 1e-3, "name": "a text \u00e4\u4e2d", "sizes": [1, 2], "none": None}
    assert found["hyper_parameters"].kind == "argparse.Namespace" and "Namespace" in repr(found["hyper_parameters"])
    assert found["optimizer_states"][0]["state"][0]["step"] == 1
    number, count, ones, big, words, *others = found["several"]
    assert type(number) is np.float32 and number == 0.5
    assert same(count, np.arange(3)) and same(ones.T, np.ones((2, 2))) and same(big, np.arange(3, dtype=np.int16))
    assert words.tolist() == ["a", "bc"]
    assert others == [{"x": 1}, "a/b", {1, 2}, frozenset("a"), slice(1, None), 1j, (2, 3), "cuda:1", "torch.float16",
                      b"bytes", b"more", range(3), np.dtype("f4"), 2**70, -1, True, (1, (2, (3,)))]


def test_a_whole_module_is_a_tree_of_names_and_arrays():
    found = sp.io.read_checkpoint(FOLDER / "module.pt", everything=True)
    assert found.kind == "torch.nn.modules.container.Sequential"
    block = found["_modules"]["0"]
    assert block.kind == "__main__.Block" and block["act"] == "torch.nn.functional.relu"
    assert same(block["_buffers"]["passing"], np.ones(2, np.float32))
    assert "0.passing" not in sp.io.read_checkpoint(FOLDER / "module.pt")


def test_arrays_lie_in_the_file_and_views_of_one_storage_share_it():
    found = sp.io.read_checkpoint(FOLDER / "views.pth")
    assert np.shares_memory(found["base"], found["step"]) and np.shares_memory(found["base"], found["expanded"])
    with pytest.raises(ValueError, match="read-only"):
        found["base"][0] = 1


def test_a_large_file_is_mapped_and_only_what_is_used_is_read(tmp_path):
    path = tmp_path / "large.pth"
    size = 1 << 28
    count = size // 4
    value = {"w": tensor("f4", "0", count, (count,)), "end": tensor("f4", "0", count, (2,), (1,), count - 2)}
    content = zipped(value, {"0": b""})
    begin = content.index(b"PK\1\2")                                     # before it: the empty record
    central, end = bytearray(content[begin:-22]), bytearray(content[-22:])
    at = central.index(b"PK\1\2", 4)
    central[at + 20:at + 28] = size.to_bytes(4, "little") * 2
    end[16:20] = (begin + size).to_bytes(4, "little")
    with path.open("wb") as file:                                        # with a hole for the numbers
        file.write(content[:begin])
        file.seek(begin + size)
        file.write(bytes(central) + bytes(end))
    found = sp.io.read_checkpoint(path)
    assert found["w"].shape == (count,) and found["w"][-1] == 0 and found["end"].tolist() == [0, 0]


def test_an_empty_tensor_may_begin_anywhere(tmp_path):
    for write in (zipped, lambda value, raw: legacy(value, raw, {"0": 4})):
        assert read(tmp_path, write({"w": tensor("f4", "0", 0, (0, 2), (8, 1), 24)}, {"0": b""}))["w"].shape == (0, 2)


@each("order", ["big", "little", None])
@each("code", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "b1", "c8", "bfloat16"])
def test_both_orders_of_bytes(code, order, tmp_path):
    numbers = NUMBERS.astype("f4" if code == "bfloat16" else code)
    raw = (numbers.view(np.uint32) >> 16).astype(np.uint16) if code == "bfloat16" else numbers
    stored = raw.astype(raw.dtype.newbyteorder(">" if order == "big" else "<")).tobytes()
    found = read(tmp_path, zipped({"w": tensor(code, "7", 6, (3, 2), (1, 3))}, {"7": stored}, order))
    assert same(found["w"], numbers.reshape(2, 3).T.copy()) and found["w"].flags.aligned


def test_the_old_format_reads_parts_of_storages(tmp_path):
    part = storage("f4", "1", 6, ("view", 2, 3))
    value = {"all": tensor("f4", "1", 6, (6,)), "part": Call("torch._utils._rebuild_tensor", (part, 1, (2,), (1,))),
             "class": Pid(("module", Name("net.Net"), "net.py", "class Net: ..."))}
    content = legacy(value, {"1": NUMBERS.tobytes()}, {"1": 4})
    found = read(tmp_path, content)
    assert found["all"].tolist() == [0, 1, 2, 3, 4, 5] and found["part"].tolist() == [3, 4]
    assert read(tmp_path, content, everything=True)["class"] == "net.Net"


def test_a_tar_archive_of_torch_0_1(tmp_path):
    storages = {10: ("f4", NUMBERS), 11: ("i8", np.arange(3))}
    tensors = {1: (10, (2, 3), (3, 1), 0), 2: (12, (2,), (1,), 1), 3: (11, (), (), 2)}
    value = {"a": Pid("1"), "b": Call("torch.nn.parameter.Parameter", (Pid((2,)), True)), "c": Pid(3)}
    found = read(tmp_path, tarred(value, storages, [(12, 10, 2, 3)], tensors))
    assert same(found["a"], NUMBERS.reshape(2, 3)) and found["b"].tolist() == [3, 4] and found["c"] == 2


def test_compressed_records_are_unpacked(tmp_path):
    raw = np.arange(1000, dtype=np.float32)
    content = zipped({"w": tensor("f4", "0", 1000, (1000,))}, {"0": raw.tobytes()}, method=zipfile.ZIP_DEFLATED)
    assert same(read(tmp_path, content)["w"], raw)


@pytest.mark.parametrize("protocol", range(6))
def test_a_plain_pickle_of_arrays(protocol, tmp_path):
    value = {"net": {"w": NUMBERS, "b": NUMBERS.reshape(2, 3).T, "s": np.arange(3, dtype=">i2"), "n": np.float64(2),
                     "e": np.zeros((0, 2)), "half": NUMBERS.astype("f2")}, "lists": [1, (2.5, "x", None), {3}]}
    value["again"] = value["net"]["w"]
    content = pickle.dumps(value, protocol)
    if protocol < 2:                                                     # without a head to be known by
        with pytest.raises(FileError, match="got a text|got a damaged"):
            read(tmp_path, content)
        return
    found = read(tmp_path, content)
    for name in ("w", "b", "s", "e", "half"):
        assert np.array_equal(found[name], value["net"][name]) and found[name].dtype.isnative
    whole = read(tmp_path, content, everything=True)
    assert whole["lists"] == value["lists"] and whole["again"] is whole["net"]["w"] and whole["net"]["n"] == 2


def test_opcodes_of_protocol_0(tmp_path):
    old = pickle.dumps([1, True, 2**80, 1.5, "x\u00e4", (1,), {"a": None}, b"ab"], 0)
    content = b"\x80\x02}X\x01\x00\x00\x00rh\x00." [:3] + b"(X\x01\x00\x00\x00r" + old[:-1] + b"u."
    assert read(tmp_path, content, everything=True) == {"r": [1, True, 2**80, 1.5, "x\u00e4", (1,), {"a": None}, b"ab"]}


KEYED = {"state_dict": 1, "model_state_dict": 1, "model_state": 1, "model": 1, "net": 1, "params": 1, "encoder": 0}


@pytest.mark.parametrize("key, known", KEYED.items())
def test_the_entry_with_the_arrays_is_found(key, known, tmp_path):
    w, other = tensor("f4", "0", 6, (6,)), tensor("f4", "0", 6, (2,))
    content = zipped({"optimizer": {"m": [other]}, "epoch": 3, key: {"module.w": w, "module.n": 1}},
                     {"0": NUMBERS.tobytes()})
    if known:
        assert list(read(tmp_path, content)) == ["w"]
    assert list(read(tmp_path, content, key=key)) == ["w"]
    assert list(read(tmp_path, content, key=key, strip_prefix="")) == ["module.w"]
    assert list(read(tmp_path, content, "")) == ["optimizer.m.0", f"{key}.module.w"]
    with pytest.raises(FileError, match=f"with the key 'x', got 'optimizer', 'epoch', '{key}'; give one"):
        read(tmp_path, content, "x")


def test_prefixes_are_removed(tmp_path):
    w = tensor("f4", "0", 6, (6,))

    def names(*found, **options):
        return list(read(tmp_path, zipped(dict.fromkeys(found, w), {"0": NUMBERS.tobytes()}), **options))

    assert names("module.a", "module.b") == ["a", "b"]
    assert names("module.a", "b") == ["module.a", "b"]
    assert names("module._orig_mod.module.a") == ["a"]
    assert names("model.a", "loss.b", strip_prefix="model.") == ["a", "loss.b"]
    with pytest.raises(FileError, match="that begin with 'net.', got 'model.a'"):
        names("model.a", strip_prefix="net.")
    with pytest.raises(FileError, match="stay unequal"):
        names("model.a", "a", strip_prefix="model.")


def test_a_module_of_any_class_gives_its_state_dict(tmp_path):
    w = tensor("f4", "0", 6, (2, 3))
    leaf = Object("my.Conv", {"_parameters": {"w": w, "b": None}, "_buffers": {}, "_modules": {}, "other": w})
    net = Object("my.Net", {"_parameters": {}, "_buffers": {"n": w, "passing": w}, "_modules": {"a": leaf, "b": leaf},
                            "_non_persistent_buffers_set": {"passing"},
                            "config": Object("my.Config", (None, {"x": 1}))})
    assert list(read(tmp_path, zipped(net, {"0": NUMBERS.tobytes()}))) == ["n", "a.w", "b.w"]
    assert list(read(tmp_path, zipped({"model": net}, {"0": NUMBERS.tobytes()}))) == ["n", "a.w", "b.w"]
    found = read(tmp_path, zipped(net, {"0": NUMBERS.tobytes()}), everything=True)
    assert found["config"] == {"x": 1} and found["config"].kind == "my.Config"


def test_what_whole_modules_and_optimisers_of_libraries_hold_besides_arrays(tmp_path):
    w = tensor("f4", "0", 6, (2, 3))
    conv = Object("spconv.pytorch.conv.SubMConv3d", {
        "_parameters": {"weight": w}, "_buffers": {}, "_modules": {}, "algo": Call("spconv.core.ConvAlgo", (1,)),
        "mode": Call("builtins.getattr", (Name("spconv.core.ConvAlgo"), "Native")), "stage": Call("my.Stage", ("fit",)),
        "_load_state_dict_pre_hooks": {0: Call("builtins.getattr", (Object("spconv.Conv", {}), "_load"))}})
    whole = {"model": conv, "options": Call("types.SimpleNamespace", ()),
             "optimizer": Object("torch.optim.adam.Adam", {"state": Raw(
                 b"}(" + opcodes(w) + opcodes({"step": 1}) + opcodes(w) + opcodes({"step": 2}) + b"u")})}
    content = zipped(whole, {"0": NUMBERS.tobytes()})
    assert list(read(tmp_path, content)) == ["weight"]
    found = read(tmp_path, content, everything=True)
    algo, model = found["model"]["algo"], found["model"]
    assert (algo.kind, algo, model["mode"]) == ("spconv.core.ConvAlgo", {"value": 1}, "spconv.core.ConvAlgo.Native")
    assert (model["stage"].kind, model["stage"]) == ("my.Stage", {"value": "fit"})
    assert model["_load_state_dict_pre_hooks"] == {0: "spconv.Conv._load"} and found["options"] == {}
    assert found["optimizer"]["state"] == {"tensor 0": {"step": 1}, "tensor 1": {"step": 2}}


def test_what_mmengine_holds_besides_arrays(tmp_path):
    config = Call("mmengine.config.config.ConfigDict", ({"inner": Call("mmengine.config.config.ConfigDict", ({},))},))
    history = Object("mmengine.logging.history_buffer.HistoryBuffer", {"_log_history": numpy_array((6,)), "n": 9})
    whole = {"meta": {"dataset_meta": {"seg_label_mapping": config}}, "message_hub": {"loss": history},
             "state_dict": {"w": tensor("f4", "0", 6, (2, 3))}}
    content = zipped(whole, {"0": NUMBERS.tobytes()})
    assert list(read(tmp_path, content)) == ["w"]
    found = read(tmp_path, content, everything=True)["meta"]["dataset_meta"]["seg_label_mapping"]
    assert (found.kind, found, found["inner"].kind) == ("mmengine.config.config.ConfigDict", {"inner": {}}, found.kind)


def test_a_tensor_that_stands_for_other_numbers_is_refused(tmp_path):
    for mark in ("conj", "neg"):
        _, (stored, *parts) = tensor("f4", "0", 6, (2, 3))
        value = {"w": Call("torch._utils._rebuild_tensor_v2", (stored, *parts, {mark: True}))}
        with pytest.raises(FileError, match=rf"marked {mark} .*save tensor.resolve_{mark}\(\)"):
            read(tmp_path, zipped(value, {"0": NUMBERS.tobytes()}))


def test_tensors_of_devices_without_storages_hold_a_tensor_or_an_array(tmp_path):
    rebuild, more = "torch._utils._rebuild_device_tensor_from_", (Name("torch.float32"), "xla:0", False)
    content = zipped({"a": Call(f"{rebuild}cpu_tensor", (tensor("f4", "0", 6, (2, 3)), *more)),
                      "b": Call(f"{rebuild}numpy", (numpy_array((6,), content=NUMBERS.tobytes()), *more))},
                     {"0": NUMBERS.tobytes()})
    found = read(tmp_path, content)
    assert same(found["a"], NUMBERS.reshape(2, 3)) and same(found["b"], NUMBERS)


def test_nested_states_of_paddle_hold_a_name_for_each_array(tmp_path):
    state = {"model": {"a.weight": ("conv_0.w_0", numpy_array((6,)))}, "epoch": 3}
    assert list(read(tmp_path, dumps(state))) == ["a.weight"]


def test_safetensors_and_npz(tmp_path):
    arrays = {"a": NUMBERS.reshape(2, 3), "b": np.array(True), "c": np.zeros((0, 4), np.float16), "d": np.arange(3)}
    save_file(arrays, tmp_path / "net.safetensors", {"format": "pt"})
    np.savez(tmp_path / "net.npz", **arrays, e=np.asfortranarray(arrays["a"]), f=np.arange(3, dtype=">i4"))
    np.savez_compressed(tmp_path / "small.npz", **arrays)
    for name in ("net.safetensors", "net.npz", "small.npz"):
        found = sp.io.read_checkpoint(tmp_path / name)
        assert all(same(found[key], array) for key, array in arrays.items()), name
    assert np.array_equal(found["a"], arrays["a"])
    found = sp.io.read_checkpoint(tmp_path / "net.npz")
    assert np.array_equal(found["e"], arrays["a"]) and found["f"].tolist() == [0, 1, 2]
    save_file({"module.w": NUMBERS}, tmp_path / "net.safetensors")
    assert list(sp.io.read_checkpoint(tmp_path / "net.safetensors")) == ["w"]


def test_bfloat16_of_safetensors(tmp_path):
    text = b'{"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    found = read(tmp_path, len(text).to_bytes(8, "little") + text + bytes([0x80, 0x3F, 0, 0xC0]))
    assert same(found["w"], np.array([1, -2], np.float32))


def test_arguments_are_checked(tmp_path):
    content = zipped({"w": tensor("f4", "0", 6, (6,))}, {"0": NUMBERS.tobytes()})
    with pytest.raises(TypeError, match="key to be text or None"):
        read(tmp_path, content, 3)
    with pytest.raises(ValueError, match="no key with everything"):
        read(tmp_path, content, "net", everything=True)
    with pytest.raises(ValueError, match="everything to be True or False"):
        read(tmp_path, content, everything="yes")
    with pytest.raises(TypeError, match="path of a file"):
        sp.io.read_checkpoint(3)
    with pytest.raises(FileNotFoundError):
        sp.io.read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(IsADirectoryError, match="got a folder"):
        sp.io.read_checkpoint(tmp_path)
    with pytest.raises(FileError, match="one without any; see what it holds"):
        read(tmp_path, dumps({"a": 1}))


def test_load_names_this_reader(tmp_path):
    (tmp_path / "net.pth").write_bytes(zipped({}, {}))
    with pytest.raises(FileError, match="sp.io.read_checkpoint"):
        sp.load(tmp_path / "net.pth")


def test_files_of_other_libraries_are_read():
    folder = os.environ.get("SPCONV_CY_DATA")
    files = sorted(Path(folder).glob("../*/*.pt")) + sorted(Path(folder).glob("*.pt")) if folder else []
    if not files:
        pytest.skip("needs files *.pt: SPCONV_CY_DATA=FOLDER")
    for path in files:
        arrays = sp.io.read_checkpoint(path)
        assert arrays and all(np.isfinite(array).all() for array in arrays.values()), path
