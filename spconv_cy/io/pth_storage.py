"""Numbers of a file as read-only numpy arrays: bounds are checked first, and copies are made only where needed."""

import math
import mmap
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from spconv_cy.types import Array

DAMAGED = "fetch it or save it again"
ALLOWANCE = 1 << 25                                                      # bytes, besides twice the file: as numpy takes
RELEASED = 1 << 22                                                       # bytes
MOST_STEPS = 10_000_000                                                  # opcodes of pickles, 2 to 4 microseconds each
MOST_AXES = 32                                                           # of numpy before 2.0
# Types of torch, by the names in its files. numpy has no bfloat16; float32 holds each of its numbers.
DTYPES = {"float64": "f8", "float32": "f4", "float16": "f2", "bfloat16": "bfloat16", "complex64": "c8",
          "complex128": "c16", "int64": "i8", "int32": "i4", "int16": "i2", "int8": "i1", "uint8": "u1",
          "uint16": "u2", "uint32": "u4", "uint64": "u8", "bool": "b1", "double": "f8", "float": "f4", "half": "f2",
          "long": "i8", "int": "i4", "short": "i2"}


class Refused(ValueError):
    """A file that is not read: what was expected, what was found and what helps, for the error message.

    Args:
        what, got: as those of `errors.expected`.
        remedy: what the user can do.
    """

    def __init__(self, what: str, got: object, remedy: str = DAMAGED) -> None:
        super().__init__(what, got, remedy)
        self.what, self.got, self.remedy = cut(what), cut(str(got)), remedy


class Budget:
    """Memory that may be used for one file, twice its size and 32 MiB, and steps of its pickles.

    A small file can ask for much: a pickle of empty lists takes 60 times its size, a compressed record 1000 times. What
    files of 10,000 small tensors need is within the 32 MiB. A network has some 30 steps for each tensor.
    """

    def __init__(self, size: int) -> None:
        self.size, self.steps = size, MOST_STEPS
        self.left = 2 * size + ALLOWANCE

    def step(self) -> None:
        """Count an opcode of a pickle; raise Refused if there are too many."""
        self.steps -= 1
        self.left -= 8
        if self.steps < 0:
            raise Refused(f"pickles of at most {MOST_STEPS} opcodes", "more", "save the tensors alone")
        if self.left < 0:
            self.take(0)

    def take(self, count: int) -> None:
        """Use some bytes; raise Refused if none are left."""
        self.left -= count
        if self.left < 0:
            most = 2 * self.size + ALLOWANCE
            raise Refused(f"a file that needs at most {most} bytes of memory, twice its size and {ALLOWANCE >> 20} MiB",
                          "one that needs more", "unpack it, or save the tensors alone")


class Storage:
    """A row of numbers in a file, which tensors are views of.

    Args:
        content: its bytes, uint8 (n,).
        code: of the numbers: a dtype of numpy without its byte order, or "bfloat16".
        budget: for copies. Numbers that lie aligned and in this machine's byte order are not copied.
        order: of the bytes, "<" or ">".
    """

    __slots__ = ("content", "code", "budget", "order", "stored", "count", "_copies")

    def __init__(self, content: Array, code: str, budget: Budget, order: str = "<") -> None:
        budget.take(400)
        self.content, self.code, self.budget, self.order = content, code, budget, order
        self.stored = np.dtype(order + ("u2" if code == "bfloat16" else code))
        self.count = len(content) // self.stored.itemsize
        self._copies: dict[tuple[int, int], Array] = {}

    def part(self, first: int, count: int) -> "Storage":
        """Return the storage of some of its numbers."""
        checked_counts("a part of a storage", first, count)
        if first + count > self.count:
            raise Refused(f"a part of a storage of {self.count} numbers", f"numbers {first} to {first + count}")
        size = self.stored.itemsize
        return Storage(self.content[first * size:(first + count) * size], self.code, self.budget, self.order)

    def retyped(self, code: str) -> "Storage":
        """Return the storage of the same bytes as numbers of another type."""
        return Storage(self.content, code, self.budget, self.order)

    def view(self, offset: object, size: object, stride: object) -> Array:
        """Return a tensor: a read-only array of shape `size`, whose strides count numbers.

        Raises:
            Refused: sizes, strides or the offset are no whole numbers from 0 up, or the tensor leaves the storage.
        """
        first = checked_counts("an offset", offset)[0]
        shape, steps = _counts("a size", size), _counts("strides", stride)
        told = f"one of size {shape} and strides {steps} from number {first} on"
        if len(shape) != len(steps) or len(shape) > MOST_AXES:
            raise Refused(f"a tensor of at most {MOST_AXES} axes with a stride for each", told)
        if math.prod(n for n in shape if n) * self.stored.itemsize > max(self.budget.size, ALLOWANCE):
            raise Refused("a tensor that is not larger than its file", told)
        spans = [(n - 1) * step for n, step in zip(shape, steps, strict=True)]
        if 0 in shape:                                                   # its offset may be anywhere
            return _locked(np.empty(shape, self._dtype()))
        last = first + sum(spans)
        if last >= self.count:
            raise Refused(f"a tensor inside its storage of {self.count} numbers", told)
        self.budget.take(150)
        numbers = self._numbers(first, last + 1)
        return np.ndarray(shape, numbers.dtype, numbers, 0, [step * numbers.itemsize for step in steps])

    def _dtype(self) -> np.dtype[Any]:
        return np.dtype("f4") if self.code == "bfloat16" else self.stored.newbyteorder("=")

    def _numbers(self, first: int, end: int) -> Array:
        """Return some numbers in a type of numpy and this machine's byte order; a view of the file if it can be one."""
        size = self.stored.itemsize
        found = self.content[first * size:end * size].view(self.stored)
        _check_truth(found)
        if found.flags.aligned and found.dtype.isnative and self.code != "bfloat16":
            return found
        if (first, end) not in self._copies:
            self.budget.take((end - first) * self._dtype().itemsize)
            made = found.astype(np.uint32 if self.code == "bfloat16" else self._dtype())
            if self.code == "bfloat16":
                made <<= 16
            self._copies[first, end] = _locked(made.view(self._dtype()))
        return self._copies[first, end]


def mapped(path: str) -> Array:
    """Return the bytes of a file, uint8 (n,), which are read when they are used; the file must not be empty."""
    with open(path, "rb") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


class Releasing:
    """Gives back the memory of a mapped file that arrays are views of, when 4 MiB of them have been copied.

    Each time takes long beside the copy of a small array.
    """

    def __init__(self) -> None:
        self._copied = 0

    def copied(self, *arrays: Array) -> None:
        """Take account of arrays of one file that are no longer needed."""
        self._copied += sum(array.nbytes for array in arrays)
        if arrays and self._copied >= RELEASED:
            release(arrays[0])
            self._copied = 0


def release(array: Array) -> None:
    """Give back the memory of a mapped file that an array is a view of: what is used again is read again."""
    holder: Any = array
    while isinstance(holder, np.ndarray):
        holder = holder.base
    if isinstance(holder, memoryview) and isinstance(holder.obj, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        with suppress(OSError):                                          # of a process that locks its pages in memory
            holder.obj.madvise(mmap.MADV_DONTNEED)


def array_of_bytes(content: object, dtype: np.dtype[Any], size: object, fortran: object, budget: Budget) -> Array:
    """Return a read-only array of the shape `size`; content is bytes, or the bytes as text of code points below 256.

    Raises:
        Refused: there are fewer bytes or more than the shape needs.
    """
    raw = content.encode("latin-1") if isinstance(content, str) else content
    shape = _counts("a shape", size)
    if not isinstance(raw, bytes) or len(shape) > MOST_AXES or math.prod(shape) * dtype.itemsize != len(raw):
        held = f"{len(raw)} bytes" if isinstance(raw, bytes) else kind_name(raw)
        raise Refused(f"the bytes of an array {shape} of {dtype}", held)
    found: Array = np.ndarray(shape, dtype, raw, order="F" if fortran else "C")
    _check_truth(found)
    if not found.dtype.isnative or isinstance(content, str):
        budget.take(len(raw))
    return found if found.dtype.isnative else _locked(found.astype(found.dtype.newbyteorder("=")))


def checked_counts(name: str, *values: object) -> tuple[int, ...]:
    """Return whole numbers from 0 to the largest int64; raise Refused for other values."""
    for value in values:
        if type(value) is not int or not 0 <= value <= sys.maxsize:
            shown = value if type(value) is int and value.bit_length() < 256 else kind_name(value)
            raise Refused(f"{name}, whole numbers from 0 up", shown)
    return values  # type: ignore[return-value]


def kind_name(value: object) -> str:
    """Return the type of a value with its article, for an error message."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def brief(value: object) -> str:
    """Return a value of a file for an error message: the beginning of text, a number, or the type of something else."""
    if isinstance(value, (str, bytes)):
        return repr(value[:80])
    return repr(value) if value is None or type(value) in (int, float, bool) else kind_name(value)


def cut(text: str) -> str:
    """Return text for an error message, without its end if it is long."""
    return text if len(text) <= 300 else f"{text[:240]}..."


def _counts(name: str, values: object) -> tuple[int, ...]:
    if not isinstance(values, Sequence) or isinstance(values, (str, bytes)) or len(values) > 1000:
        raise Refused(f"{name}, whole numbers from 0 up", kind_name(values))
    return checked_counts(name, *values)


def _check_truth(numbers: Array) -> None:
    """Raise Refused for truth values that are stored as other bytes than 0 and 1."""
    if numbers.dtype == bool and numbers.view(np.uint8).max(initial=0) > 1:
        raise Refused("truth values as bytes 0 and 1", "other bytes")


def _locked(array: Array) -> Array:
    array.flags.writeable = False
    return array
