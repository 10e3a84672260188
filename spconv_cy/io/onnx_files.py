"""Reads .onnx files by the onnx package: attributes of nodes, and constant tensors also from files beside the model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from spconv_cy.checks import described
from spconv_cy.errors import FileError, expected
from spconv_cy.types import Array

WHAT = "an ONNX model with a graph"
FLOATS = {1: ("f4", "float32"), 10: ("f2", "float16"), 11: ("f8", "float64"), 16: ("u2", "bfloat16")}
INTEGERS = {6: ("i4", "int32"), 7: ("i8", "int64")}
ALLOWANCE = 1 << 20
SAME = ("Identity", "Cast", "Dropout")                                   # nodes that keep the numbers


class Model:
    """The graph of a model file.

    Args:
        path: of the file.

    Attributes:
        path: of the file, for errors.
        graph: GraphProto.
        metadata: texts by name.

    Raises:
        ImportError: onnx is not installed.
        FileNotFoundError, FileError: there is no such file, or it is no ONNX model.
    """

    def __init__(self, path: str) -> None:
        try:
            import onnx
            from google.protobuf.message import DecodeError
        except ImportError as error:
            raise ImportError(expected("read_onnx", "onnx to be installed", "no such package",
                                       "install it by pip install 'spconv_cy[onnx]'")) from error
        self.path = path
        model = onnx.ModelProto()
        try:
            with open(path, "rb") as file:
                content = file.read()
            model.ParseFromString(content)
        except DecodeError:
            raise FileError(expected(path, WHAT, "a damaged file or one of another format",
                                     "fetch it or export it again")) from None
        except IsADirectoryError:
            raise FileError(expected(path, WHAT, "a folder")) from None
        self.graph: Any = model.graph
        self.metadata: dict[str, str] = {entry.key: entry.value for entry in model.metadata_props}
        self._left = len(content) + ALLOWANCE                            # numbers that may be made of the file
        self._read: set[str] = set()
        if not self.graph.node:
            raise FileError(expected(path, WHAT, "a file without nodes", "fetch it or export it again"))
        if not all(isinstance(text, str) for text in _texts(self.graph)):
            raise FileError(expected(path, "names in UTF-8", "other bytes", "fetch it or export it again"))
        self._constants: dict[str, Any] = {tensor.name: tensor for tensor in self.graph.initializer}
        self._same: dict[str, str] = {}
        for node in self.graph.node:
            if node.op_type == "Constant" and node.output:
                for attribute in node.attribute:
                    if attribute.name == "value":
                        self._constants[node.output[0]] = attribute.t
            elif node.op_type in SAME and node.input and node.output:
                self._same[node.output[0]] = self.name(node.input[0])

    def name(self, value: str) -> str:
        """Return the name of a value before the nodes that keep the numbers."""
        return self._same.get(value, value)

    def is_constant(self, value: str) -> bool:
        """Return True if a value is in the file."""
        return self.name(value) in self._constants

    def constant(self, value: str, kinds: dict[int, tuple[str, str]] = FLOATS) -> Array:
        """Return a constant as float32, or as whole numbers if `kinds` are INTEGERS.

        Raises:
            FileError: it is damaged, or has a type that is not among `kinds`.
        """
        tensor = self._constants[self.name(value)]
        if tensor.data_type not in kinds:
            raise self.wrong(value, f"numbers of type {', '.join(name for _, name in kinds.values())}",
                             f"type {tensor.data_type} of onnx.TensorProto")
        code, shape = kinds[tensor.data_type][0], tuple(tensor.dims)
        if min(shape, default=0) < 0 or len(shape) > 10:
            raise self.wrong(value, "a shape", f"{shape}")
        numbers = self._numbers(value, tensor, code)
        if numbers.size != _product(shape):
            raise self.wrong(value, f"{_product(shape)} numbers for shape {shape}", numbers.size)
        self._left -= numbers.size
        if self._left < 0:
            raise self.wrong(value, "weights that are used about once", "more numbers than the file has")
        if tensor.data_type == 16:
            numbers = (numbers.astype("<u4") << 16).view("<f4")
        return np.array(numbers.reshape(shape), np.float32 if kinds is FLOATS else np.int64)

    def _numbers(self, value: str, tensor: Any, code: str) -> Array:
        """Return the numbers of a tensor in one row, from whichever field holds them."""
        raw = self._external(value, tensor) if tensor.data_location == 1 else tensor.raw_data
        if raw:
            size = np.dtype(code).itemsize
            if len(raw) % size:
                raise self.wrong(value, f"a whole number of {size} bytes", f"{len(raw)} bytes")
            return np.frombuffer(raw, f"<{code}")
        if code in ("f2", "u2"):                                         # 16 bits, each in an int32
            return np.array(tensor.int32_data, np.int64).astype("<u2").view(f"<{code}")
        fields = {"f4": tensor.float_data, "f8": tensor.double_data, "i4": tensor.int32_data, "i8": tensor.int64_data}
        return np.array(fields[code], code)

    def _external(self, value: str, tensor: Any) -> bytes:
        """Return the bytes of a tensor in a file beside the model."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        folder = os.path.realpath(os.path.dirname(os.path.abspath(self.path)))
        file = os.path.realpath(os.path.join(folder, entries.get("location", "")))
        if not file.startswith(os.path.join(folder, "")) or not os.path.isfile(file):
            raise self.wrong(value, "data in a file beside the model", repr(entries.get("location", ""))[:80],
                             "put the file with the weights into the folder of the model")
        have = os.path.getsize(file)
        start, length = (self._whole(value, entries.get(key, default)) for key, default in
                         (("offset", "0"), ("length", str(have))))
        length = length if "length" in entries else have - start
        if not 0 <= start <= start + length <= have:
            raise self.wrong(value, f"data within the {have} bytes of {os.path.basename(file)}",
                             f"{length} bytes from byte {start}", "fetch the file again")
        if tensor.name not in self._read:
            self._read.add(tensor.name)
            self._left += length
        with open(file, "rb") as data:
            data.seek(start)
            return data.read(length)

    def _whole(self, value: str, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise self.wrong(value, "the offset and length of its data to be whole numbers", repr(text)[:80])
        return int(text)

    def wrong(self, where: str, what: str, got: object, remedy: str = "") -> FileError:
        """Return the error for a value or a node of this file."""
        return FileError(expected(f"{self.path}: {where}", what, got, remedy))

    def attributes(self, node: Any) -> dict[str, Any]:
        """Return a node's attributes by name: numbers, text and lists of them; tensors and graphs are left out."""
        found: dict[str, Any] = {}
        for attribute in node.attribute:
            name = attribute.name
            name = name[:-2] if name.endswith(("_i", "_f", "_s")) else name
            if attribute.type in (1, 2):
                found[name] = attribute.f if attribute.type == 1 else attribute.i
            elif attribute.type == 3:
                found[name] = attribute.s.decode("utf-8", "replace")
            elif attribute.type in (6, 7):
                found[name] = list(attribute.floats if attribute.type == 6 else attribute.ints)
        return found

    def number(self, node: Any, name: str, default: float) -> float:
        """Return an attribute that is one number."""
        value = self.attributes(node).get(name, default)
        if not isinstance(value, (int, float)):
            raise self.wrong(titled(node), f"an attribute {name} that is a number", described(value))
        return float(value)

    def integers(self, node: Any, name: str, given: dict[str, Any], default: Sequence[int] | None = None
                 ) -> tuple[int, ...]:
        """Return an attribute that is a list of whole numbers; raise FileError if it is missing or another thing."""
        value = given.get(name, default)
        if not isinstance(value, (list, tuple)) or not all(isinstance(n, int) for n in value):
            got = "no such attribute" if name not in given else described(value)
            raise self.wrong(titled(node), f"an attribute {name} of whole numbers", got)
        return tuple(value)


def titled(node: Any) -> str:
    """Return how errors name a node: its operation and its name."""
    return f"{node.op_type} {(node.name or (node.output[0] if node.output else ''))!r}"


def _texts(graph: Any) -> Iterator[object]:
    """Yield the names of a graph that are read; onnx gives those that are not UTF-8 as bytes."""
    for node in graph.node:
        yield from (node.op_type, node.name, *node.input, *node.output)
        for attribute in node.attribute:
            yield from (attribute.name, *_texts_of(attribute.t))
    for tensor in graph.initializer:
        yield from _texts_of(tensor)
    yield from (value.name for value in (*graph.input, *graph.output))


def _texts_of(tensor: Any) -> Iterator[object]:
    yield tensor.name
    for entry in tensor.external_data:
        yield from (entry.key, entry.value)


def listed(names: Sequence[str]) -> str:
    """Return names in a row for an error, at most five of them."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(name[:80] for name in names[:5]) + more or "none"


def _product(shape: tuple[int, ...]) -> int:
    found = 1
    for n in shape:
        found *= n
    return found
