"""What a few names of torch, numpy and the standard library mean in a pickle: tensors, arrays and plain containers."""

import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from spconv_cy.io.pth_machine import PLAIN_CLASSES, Machine, Source
from spconv_cy.io.pth_stack import Name, Pending, is_plain_key
from spconv_cy.io.pth_storage import DTYPES, Budget, Refused, Storage, array_of_bytes, brief, checked_counts, kind_name
from spconv_cy.types import Array

# Kinds of storages in torch, each also in torch.cuda, with the type of their numbers.
STORAGES = {f"{kind}Storage": DTYPES[name] for kind, name in {
    "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64",
    "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool", "ComplexFloat": "complex64",
    "ComplexDouble": "complex128", "Untyped": "uint8"}.items()}
CODE = re.compile(r"[<>=|]?([biufc]\d{1,2}|[SU]\d{1,6})")
SPARSE = "make it dense by tensor.to_dense(), and save that"
QUANTIZED = "save tensor.dequantize()"
REMEDIES = {"torch._utils._rebuild_sparse_tensor": SPARSE, "torch._utils._rebuild_sparse_csr_tensor": SPARSE,
            "torch._utils._rebuild_qtensor": QUANTIZED}


def storage_code(kind: object) -> str:
    """Return the type of the numbers of a storage, by the name of its class; raise Refused if it is not known."""
    found = re.fullmatch(r"torch\.(?:cuda\.|storage\.)?(\w+)", kind) if isinstance(kind, Name) else None
    if not found or found[1] not in STORAGES:
        raise Refused("a storage of numbers that numpy has, or of bfloat16", brief(kind),
                      QUANTIZED if "torch.Q" in str(kind) else "convert its tensors to float32, and save them again")
    return STORAGES[found[1]]


def machine(source: Source, budget: Budget, storage: Callable[[Any], object]) -> Machine:
    """Return a machine that reads tensors and arrays; `storage` returns what a persistent id stands for."""
    return Machine(source, budget, table(budget), storage, is_inert)


def is_inert(kind: str) -> bool:
    """Return True if objects of this class may be kept as names and values: any class outside the standard library."""
    return kind.partition(".")[0] not in sys.stdlib_module_names or kind in PLAIN_CLASSES


def table(budget: Budget) -> dict[str, Callable[..., object]]:
    """Return {name: function} of the calls that mean data."""
    known = {**_containers(budget), **_texts(budget), **_arrays(budget), **_tensors()}
    known["torch._tensor._rebuild_from_type_v2"] = _subclass(known)
    return known


def _containers(budget: Budget) -> dict[str, Callable[..., object]]:
    def container(kind: Callable[[Any], Any]) -> Callable[..., object]:
        def made(items: Any = (), *_: object) -> object:
            if not isinstance(items, (list, tuple, dict, set, frozenset)):
                raise Refused("a container", kind_name(items))
            budget.take(56 + 40 * len(items))
            return kind(items)
        return made

    mapping = container(lambda items: dict(items if isinstance(items, dict) else _checked_pairs(items)))
    return {
        "collections.OrderedDict": mapping, "collections.Counter": mapping, "builtins.dict": mapping,
        "collections.defaultdict": lambda _=None, items=(): mapping(items), "collections.deque": container(list),
        "builtins.list": container(list), "builtins.tuple": container(tuple), "torch.Size": container(tuple),
        "builtins.set": container(_members), "builtins.frozenset": container(lambda items: frozenset(_members(items))),
        "builtins.slice": _slice, "builtins.complex": _complex,
        "builtins.range": lambda *limits: range(*checked_counts("limits of a range", *limits)),
    }


def _texts(budget: Budget) -> dict[str, Callable[..., object]]:
    def content(text: object = b"", encoding: object = "latin-1") -> bytes:
        if isinstance(text, bytes):
            return text
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise Refused("bytes as text of code points below 256", kind_name(text))
        budget.take(len(text))
        return text.encode("latin-1")

    def words(between: str) -> Callable[..., str]:
        def joined(*parts: object) -> str:
            plain = [str(part) for part in parts if isinstance(part, (str, int))]
            if len(plain) < len(parts):
                raise Refused("text", "something else")
            budget.take(sum(map(len, plain)))
            return between.join(plain).replace("//", "/")
        return joined

    paths = [f"pathlib.{inner}{pure}{kind}Path" for inner in ("", "_local.") for pure in ("", "Pure")
             for kind in ("Posix", "Windows", "")]
    return {**dict.fromkeys(("builtins.bytes", "builtins.bytearray", "_codecs.encode"), content),
            **dict.fromkeys(paths, words("/")),
            "torch.device": words(":"), "torch.serialization._get_layout": words("")}


def _arrays(budget: Budget) -> dict[str, Callable[..., object]]:
    def array(*_: object) -> Pending:
        return Pending(lambda state: _array_of_state(state, budget))

    def buffer(content: object, dtype: object, shape: object, order: object = "C") -> Array:
        return array_of_bytes(content, _dtype(dtype), shape, order == "F", budget)

    def scalar(dtype: object, content: object = b"") -> Any:
        budget.take(_dtype(dtype).itemsize)
        return array_of_bytes(content, _dtype(dtype), (), False, budget)[()]

    known: dict[str, Callable[..., object]] = {"numpy.dtype": _described_dtype}
    for core in ("numpy.core", "numpy._core"):                           # before numpy 2.0, and since
        known |= {f"{core}.multiarray._reconstruct": array, f"{core}.multiarray.scalar": scalar,
                  f"{core}.numeric._frombuffer": buffer}
    return known


def _tensors() -> dict[str, Callable[..., object]]:
    return {"torch._utils._rebuild_tensor": _tensor, "torch._utils._rebuild_tensor_v2": _tensor,
            "torch._utils._rebuild_tensor_v3": _retyped_tensor,
            "torch._utils._rebuild_parameter": _same, "torch._utils._rebuild_parameter_with_state": _same,
            "torch.nn.parameter.Parameter": _same, "torch.nn.parameter.Buffer": _same,
            "torch.autograd.variable.Variable": _same,
            **{f"torch._utils._rebuild_device_tensor_from_{kind}": _same for kind in ("cpu_tensor", "numpy")},
            **{name: _refusal(name, remedy) for name, remedy in REMEDIES.items()}}


def _described_dtype(code: object, _: object = False, __: object = True) -> Pending:
    """Return a dtype of numpy that a pickle describes; the order of its bytes follows as a state."""
    if not isinstance(code, str) or not CODE.fullmatch(code):
        raise Refused("an array of numbers or text", f"one of dtype {brief(code)}", "save it in a .npy file")

    def ordered(state: Any) -> np.dtype[Any]:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "=", "|"):
            raise Refused("the order of bytes of a dtype", brief(order))
        return np.dtype(code).newbyteorder(order)

    return Pending(ordered)


def _dtype(found: object) -> np.dtype[Any]:
    if not isinstance(found, np.dtype):
        raise Refused("a dtype of numpy", kind_name(found))
    return found


def _array_of_state(state: Any, budget: Budget) -> Array:
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise Refused("the shape, dtype and bytes of an array", kind_name(state))
    shape, dtype, fortran, content = state[-4:]
    return array_of_bytes(content, _dtype(dtype), shape, fortran, budget)


def _tensor(storage: object, offset: object, size: object, stride: object, _: object = False, __: object = None,
            marks: object = None) -> Array:
    if not isinstance(storage, Storage):
        raise Refused("the storage of a tensor", kind_name(storage))
    _check_marks(marks)
    return storage.view(offset, size, stride)


def _check_marks(marks: object) -> None:
    """Raise Refused if a tensor stands for the conjugate or the negative of its numbers."""
    for mark in ("conj", "neg"):
        if isinstance(marks, dict) and marks.get(mark):
            raise Refused("a tensor of its own numbers", f"one marked {mark}", f"save tensor.resolve_{mark}()")


def _retyped_tensor(storage: object, offset: object, size: object, stride: object, _: object, __: object,
                    dtype: object, marks: object = None) -> Array:
    _check_marks(marks)
    code = DTYPES.get(dtype.removeprefix("torch.")) if isinstance(dtype, Name) else None
    if not isinstance(storage, Storage) or code is None:
        raise Refused("a tensor of numbers that numpy has, or of bfloat16", brief(dtype),
                      "convert it to float32, and save it again")
    return storage.retyped(code).view(offset, size, stride)


def _same(data: object, *_: object) -> Array:
    if not isinstance(data, np.ndarray):
        raise Refused("the tensor of a parameter", kind_name(data))
    return data


def _subclass(known: dict[str, Callable[..., object]]) -> Callable[..., object]:
    """Return the function for a tensor of a class of its own: its numbers are kept, its attributes are not."""
    def made(function: object, _: object, arguments: Any, __: object = None) -> object:
        name = function if isinstance(function, Name) and function.startswith("torch._utils._rebuild") else ""
        if name not in known:
            raise Refused("a tensor", f"one that is made by {brief(function)}")
        return known[name](*arguments)
    return made


def _refusal(name: str, remedy: str) -> Callable[..., object]:
    def refuse(*_: object) -> object:
        raise Refused("a dense tensor", f"one that is made by {name}", remedy)
    return refuse


def _checked_pairs(items: Any) -> Iterable[tuple[Any, Any]]:
    found = [tuple(pair) for pair in items if isinstance(pair, (list, tuple))]
    if len(found) != len(items) or any(len(pair) != 2 for pair in found):
        raise Refused("pairs of a key and a value", "others")
    _members([key for key, _ in found])
    return found  # type: ignore[return-value]


def _members(items: Any) -> set[Any]:
    if not all(map(is_plain_key, items)):
        raise Refused("numbers and text as keys", "others")
    return set(items)


def _slice(*limits: object) -> slice:
    checked_counts("limits of a slice", *(abs(n) if type(n) is int else 0 if n is None else n for n in limits))
    return slice(*limits)


def _complex(real: object, imaginary: object = 0.0) -> complex:
    if not isinstance(real, float) or not isinstance(imaginary, float):
        raise Refused("two numbers", f"{kind_name(real)} and {kind_name(imaginary)}")
    return complex(real, imaginary)
