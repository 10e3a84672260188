"""Arrays of .safetensors and .npz files by name; those that lie uncompressed in the file are not copied."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from spconv_cy.io.pth_storage import Budget, Refused, Storage, brief, checked_counts, kind_name
from spconv_cy.types import Array

if TYPE_CHECKING:
    from spconv_cy.io.pth_zip import Archive

LONGEST_HEADER = 100_000_000
LONGEST_NPY_HEADER = 1 << 16
# As numpy writes it; the numbers of shapes ended in L in Python 2.
NPY_HEADER = (rb"\{'descr': '([<>|=])(b1|[iu][1248]|f[248]|c8|c16)', 'fortran_order': (True|False), "
              rb"'shape': \(((?:-?\d{1,20}L?, ?)*(?:-?\d{1,20}L?)?)\), ?\}\s*")
CODES = {"F64": "f8", "F32": "f4", "F16": "f2", "BF16": "bfloat16", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1",
         "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "b1", "C64": "c8"}


def of_safetensors(content: Array, budget: Budget) -> dict[str, Array]:
    """Return the arrays of a .safetensors file."""
    return with_metadata(content, budget)[0]


def with_metadata(content: Array, budget: Budget) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays and the metadata of a .safetensors file."""
    length = int.from_bytes(bytes(content[:8]), "little")
    if length > min(len(content) - 8, LONGEST_HEADER):
        raise Refused("a header inside the file", f"one of {length} bytes")
    budget.take(20 * length)                                             # objects of Python take more than their text
    try:
        told = json.loads(bytes(content[8:8 + length]).decode(), object_pairs_hook=_pairs)
    except Refused:
        raise
    except (ValueError, RecursionError) as error:
        raise Refused("a header in JSON", f"a damaged one ({error})") from None
    if not isinstance(told, dict):
        raise Refused("a header of names and places", kind_name(told))
    metadata = told.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Refused("metadata of names and text", kind_name(metadata))
    body = content[8 + length:]
    arrays = {name: _tensor(name, entry, body, budget) for name, entry in told.items()}
    end = 0
    for place in sorted(entry["data_offsets"] for entry in told.values()):
        if place[0] != end:
            raise Refused("arrays that lie one after the other", f"one that begins at byte {place[0]}, not {end}")
        end = place[1]
    if end != len(body):
        raise Refused(f"arrays of {len(body)} bytes, as many as there are", f"{end}")
    return arrays, metadata


def of_npz(archive: Archive) -> dict[str, Array]:
    """Return the arrays of a .npz file."""
    return {name.removesuffix(".npy"): _array(name, archive.read(name), archive.budget) for name in archive.records}


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Refused("a header whose names are unequal", "a name that is there twice")
    return found


def _tensor(name: str, entry: Any, body: Array, budget: Budget) -> Array:
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise Refused(f"the dtype, shape and data_offsets of {brief(name)}", kind_name(entry))
    code, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in CODES:
        raise Refused(f"{brief(name)} of one of {', '.join(CODES)}", brief(code), "convert it, and save it again")
    if not isinstance(shape, list) or not isinstance(place, list) or len(place) != 2:
        raise Refused(f"the shape and two data_offsets of {brief(name)}", "others")
    first, end = checked_counts(f"data_offsets of {brief(name)}", *place)
    strides, count = [], 1
    for n in reversed(checked_counts(f"a shape of {brief(name)}", *shape)):
        strides.append(count)
        count *= n
    storage = Storage(body[first:end], CODES[code], budget)
    if not first <= end <= len(body) or count * storage.stored.itemsize != end - first:
        raise Refused(f"{brief(name)} of shape {shape} inside the {len(body)} bytes of numbers",
                      f"bytes {first} to {end}")
    return storage.view(0, shape, [min(n, len(body)) for n in strides[::-1]])


def _array(name: str, content: Array, budget: Budget) -> Array:
    """Return the array of an .npy file."""
    head = bytes(content[:LONGEST_NPY_HEADER])
    size = {b"\1\0": 2, b"\2\0": 4}.get(head[6:8], 0)                    # of the length of the header
    begin = 8 + size + int.from_bytes(head[8:8 + size], "little")
    found = re.fullmatch(NPY_HEADER, head[8 + size:begin]) if head[:6] == b"\x93NUMPY" and size else None
    if not found:
        raise Refused(f"an array of numbers in {brief(name)}", "something else", "save it as numbers, without pickle")
    order, code, fortran, told = (part.decode() for part in found.groups())
    shape = checked_counts(f"the shape of {brief(name)}", *map(int, re.findall(r"-?\d+", told)))
    strides, count = [], 1
    for n in shape if fortran == "True" else shape[::-1]:
        strides.append(min(count, len(content)))
        count *= n
    storage = Storage(content[begin:], code, budget, ">" if order == ">" else "<")
    if count != storage.count:
        raise Refused(f"{brief(name)} with the numbers of shape {shape}", f"{storage.count} numbers")
    return storage.view(0, shape, strides if fortran == "True" else strides[::-1])
