"""Writes pickles and checkpoints by hand, as an oracle for the reader: nothing of the package, torch or pickle."""

import io
import struct
import tarfile
import zipfile
from typing import NamedTuple

import numpy as np

KINDS = {"f8": "Double", "f4": "Float", "f2": "Half", "i8": "Long", "i4": "Int", "i2": "Short", "i1": "Char",
         "u1": "Byte", "b1": "Bool", "c8": "ComplexFloat", "c16": "ComplexDouble", "bfloat16": "BFloat16"}
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class Name(NamedTuple):
    """A class or function."""

    text: str


class Call(NamedTuple):
    """A function and its arguments, called when a pickle is loaded."""

    name: str
    arguments: tuple


class Object(NamedTuple):
    """An object of a class without arguments, and its state."""

    name: str
    state: object


class Pid(NamedTuple):
    """A persistent id."""

    value: object


class Raw(NamedTuple):
    """Opcodes."""

    code: bytes


def opcodes(value):
    """Return the opcodes of a value, without a head and STOP."""
    if isinstance(value, Raw):
        return value.code
    if isinstance(value, Name):
        return b"c" + "\n".join(value.text.rsplit(".", 1)).encode() + b"\n"
    if isinstance(value, Call):
        return opcodes(Name(value.name)) + opcodes(value.arguments) + b"R"
    if isinstance(value, Object):
        return opcodes(Name(value.name)) + b")\x81" + opcodes(value.state) + b"b"
    if isinstance(value, Pid):
        return opcodes(value.value) + b"Q"
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        packed = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8b" + struct.pack("<i", len(packed)) + packed
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, (str, bytes)):
        raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        return (b"X" if isinstance(value, str) else b"B") + struct.pack("<I", len(raw)) + raw
    if isinstance(value, tuple):
        return b"(" + b"".join(map(opcodes, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(opcodes, value)) + b"e"
    if isinstance(value, set):
        return b"\x8f(" + b"".join(map(opcodes, value)) + b"\x90"
    return b"}(" + b"".join(opcodes(key) + opcodes(item) for key, item in value.items()) + b"u"


def dumps(value, protocol=2):
    """Return the pickle of a value."""
    return b"\x80" + bytes([protocol]) + opcodes(value) + b"."


def storage(code, key, count, *more):
    """Return the persistent id of a storage."""
    return Pid(("storage", Name(f"torch.{KINDS[code]}Storage"), key, "cpu", count, *more))


def tensor(code, key, count, shape, strides=None, offset=0):
    """Return the call that makes a tensor of a storage."""
    strides = tuple(int(np.prod(shape[n + 1:])) for n in range(len(shape))) if strides is None else strides
    return Call("torch._utils._rebuild_tensor_v2",
                (storage(code, key, count), offset, shape, strides, False, Call("collections.OrderedDict", ())))


def numpy_array(shape, dtype="f4", content=bytes(24), order="<"):
    """Return an array of numpy as pickle writes it."""
    made = opcodes(Call("numpy.core.multiarray._reconstruct", (Name("numpy.ndarray"), (0,), b"b")))
    state = (3, order, None, None, None, -1, -1, 0)
    kind = Raw(opcodes(Call("numpy.dtype", (dtype, False, True))) + opcodes(state) + b"b")
    return Raw(made + opcodes((1, shape, kind, False, content)) + b"b")


def zipped(value, storages, order=None, name="archive", method=zipfile.ZIP_STORED, **more):
    """Return a zip checkpoint; storages are {key: bytes}."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        archive.writestr(f"{name}/data.pkl", value if isinstance(value, bytes) else dumps(value))
        if order:
            archive.writestr(f"{name}/byteorder", order)
        for key, raw in {**storages, **more}.items():
            archive.writestr(f"{name}/data/{key}", raw)
    return content.getvalue()


def legacy(value, storages, sizes, magic=MAGIC):
    """Return a checkpoint of the format before torch 1.6; storages are {key: bytes}, sizes the bytes of a number."""
    head = dumps(magic) + dumps(PROTOCOL) + dumps({"protocol_version": 1001, "little_endian": True})
    body = b"".join(struct.pack("<q", len(raw) // sizes[key]) + raw for key, raw in storages.items())
    return head + (value if isinstance(value, bytes) else dumps(value)) + dumps(list(storages)) + body


def tarred(value, storages, views, tensors):
    """Return a checkpoint of torch 0.1.

    Args:
        value: with Pid("key") for tensors.
        storages: {key: (code, array)}.
        views: list of (key, key of the storage, first number, count).
        tensors: {key: (storage, shape, strides, offset)}.
    """
    stored = dumps(len(storages))
    for key, (code, array) in storages.items():
        stored += dumps((key, "cpu", Name(f"torch.{KINDS[code]}Storage")))
        stored += struct.pack("<q", len(array)) + array.tobytes()
    stored += dumps(views)
    made = dumps(len(tensors))
    for key, (root, shape, strides, offset) in tensors.items():
        made += dumps((key, root, Name("torch.FloatTensor")))
        made += struct.pack(f"<ii{2 * len(shape) + 1}q", len(shape), 0, *shape, *strides, offset)
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:", format=tarfile.PAX_FORMAT) as archive:
        for name, raw in (("sys_info", dumps({})), ("pickle", dumps(value)), ("storages", stored), ("tensors", made)):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(raw), 0.5                    # a broken second makes a header of its own
            archive.addfile(member, io.BytesIO(raw))
    return content.getvalue()
