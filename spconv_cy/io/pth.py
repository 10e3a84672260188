"""Reads the arrays of a checkpoint of PyTorch and others without their library; nothing in the file is executed."""

import os
from collections.abc import Iterator
from typing import Any, Literal, overload

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_flags, checked_path, described
from spconv_cy.errors import FileError, expected
from spconv_cy.io.checkpoint_files import of_npz, of_safetensors
from spconv_cy.io.foreign import recognised
from spconv_cy.io.pth_files import is_pickle, of_pickles, of_tar, of_zip
from spconv_cy.io.pth_stack import Inert, Pending
from spconv_cy.io.pth_storage import Budget, Refused, Storage, brief, kind_name, mapped
from spconv_cy.io.pth_zip import Archive
from spconv_cy.types import Array, PathLike

# Names under which programs keep the arrays of a network: Lightning, mmengine, OpenPCDet, Pointcept and others.
KEYS = ("state_dict", "model_state_dict", "model_state", "model", "net_state_dict", "net", "network", "params",
        "weights")
PREFIXES = ("module.", "_orig_mod.")                                    # of DataParallel and torch.compile
DEEPEST = 200
WHAT = "a checkpoint (.pth, .pt, .ckpt, .safetensors, .npz)"


@overload
def read_checkpoint(path: PathLike, key: str | None = None, strip_prefix: str | None = None, *,
                    everything: Literal[False] = False) -> dict[str, Array]: ...


@overload
def read_checkpoint(path: PathLike, key: str | None = None, strip_prefix: str | None = None, *,
                    everything: bool) -> object: ...


@known_arguments
def read_checkpoint(path: PathLike, key: str | None = None, strip_prefix: str | None = None, *,
                    everything: bool = False) -> object:
    """Return the arrays of a checkpoint file by name, without PyTorch and without executing anything in the file.

    Reads what torch.save writes (zip archives, the format before 1.6, and tar archives of 0.1), plain pickles of numpy
    arrays, .safetensors and .npz.

    Args:
        path: of the file. It must not change while the arrays are in use: they are read from it when they are used.
        key: entry of the file that holds the arrays, such as "state_dict"; "": the whole file. None: the first of
            state_dict, model_state_dict, model_state, model, net_state_dict, net, network, params and weights that is
            there, otherwise the whole file.
        strip_prefix: removed from names that begin with it; "": names are unchanged. None: "module." and "_orig_mod."
            are removed where all names begin with them.
        everything: True: return the whole content instead, also numbers, text and the states of optimisers.

    Returns:
        {name: array} in the order of the file. A module of torch gives the names of its `state_dict()`; other
        containers give keys and positions joined by ".". Arrays are read-only; bfloat16 becomes float32, which has the
        same values. With `everything`, the content: dicts, lists, arrays, numbers and text; objects of
        classes are dicts of their attributes with the name of the class as `kind`, and names of classes, functions and
        dtypes are text.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: the file is damaged or of another format, holds what is no data, or has no such key or no arrays.
        ValueError: `key` or `strip_prefix` is given together with `everything`.
    """
    path = checked_path("read_checkpoint", path)
    checked_flags("read_checkpoint", everything=everything)
    for name, value in (("key", key), ("strip_prefix", strip_prefix)):
        if value is not None and not isinstance(value, str):
            raise TypeError(expected("read_checkpoint", f"{name} to be text or None", described(value)))
        if value is not None and everything:
            raise ValueError(expected("read_checkpoint", f"no {name} with everything=True", repr(value)))
    _check_file(path)
    try:
        content = mapped(path)
        budget = Budget(len(content))
        root = _checked_tree(_root(path, content, budget))
        return root if everything else _renamed(_named(_chosen(root, key), budget), strip_prefix)
    except Refused as error:
        raise FileError(expected(path, error.what, error.got, error.remedy)) from None


def _check_file(path: str) -> None:
    if os.path.isdir(path):
        raise IsADirectoryError(expected(path, WHAT, "a folder", "give a file in it"))
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileError(expected(path, WHAT, "a pipe or a device", "write its content to a file first"))
    if not os.path.getsize(path):
        raise FileError(expected(path, WHAT, "an empty file", "fetch it or save it again"))


def _root(path: str, content: Array, budget: Budget) -> Any:
    """Return the object that a file holds; its format is known by its first bytes."""
    head = bytes(content[:512])
    if head[:4] == b"PK\3\4":
        archive = Archive(content, budget)
        if any(map(is_pickle, archive.records)):
            return of_zip(archive, budget)
        if archive.records and all(name.endswith(".npy") for name in archive.records):
            return of_npz(archive)
        inner = [name for name in archive.records if name.endswith("/data.pkl")]
        if inner:
            raise Refused("an archive with data.pkl in a folder of its own", brief(inner[0]), "pack that folder alone")
    elif head[:1] == b"\x80" and head[1:2] <= b"\5":
        return of_pickles(content, budget)
    elif head[257:262] == b"ustar":
        return of_tar(content, budget)
    elif head[8:9] == b"{":
        return of_safetensors(content, budget)
    raise Refused(WHAT, *recognised(path))


def _checked_tree(root: Any) -> Any:
    """Return the content of a file; raise Refused if it is nested too deep or holds something unfinished."""
    seen = {id(root)}
    level = [root]
    depth = 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise Refused(f"containers nested at most {DEEPEST} deep", "deeper ones")
        inner = []
        for value in level:
            if isinstance(value, (Pending, Storage)):
                raise Refused("complete arrays and tensors", "a storage alone" if isinstance(value, Storage) else
                              "one without its state")
            for part in _parts(value):
                if id(part) not in seen:
                    seen.add(id(part))
                    inner.append(part)
        level = inner
    return root


def _parts(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


def _chosen(root: Any, key: str | None) -> Any:
    """Return the entry of a file that holds the arrays of a network."""
    if key:
        if not isinstance(root, dict) or key not in root:
            held = ", ".join(brief(name) for name in list(root)[:20]) if isinstance(root, dict) else kind_name(root)
            raise Refused(f"a file with the key {key!r}", held or "an empty one", 'give one of these, or "" for all')
        return root[key]
    if key is None and isinstance(root, dict) and not _is_module(root):
        for name in KEYS:
            if isinstance(root.get(name), dict) and root[name]:
                return root[name]
    return root


def _is_module(value: Any) -> bool:
    return isinstance(value, Inert) and all(isinstance(value.get(name), dict)
                                            for name in ("_parameters", "_buffers", "_modules"))


def _named(root: Any, budget: Budget) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for name, array in _arrays(root, "", budget, 0):
        if name in found:
            raise Refused("arrays with names of their own", f"two named {brief(name)}", "read it by everything=True")
        found[name] = array
    if not found:
        raise Refused("a file with arrays", "one without any", "see what it holds by everything=True")
    return found


def _arrays(value: Any, name: str, budget: Budget, depth: int) -> Iterator[tuple[str, Array]]:
    """Yield names and arrays in the order of the file."""
    budget.take(100 + len(name))
    if depth > DEEPEST:
        raise Refused(f"containers nested at most {DEEPEST} deep", "deeper ones, or one that holds itself",
                      "give key=, or read it by everything=True")
    if isinstance(value, np.ndarray):
        yield name, value
    elif _is_module(value):
        passing = value.get("_non_persistent_buffers_set", ())
        passing = {part for part in passing if isinstance(part, str)} if isinstance(passing, (set, list)) else set()
        for kind in ("_parameters", "_buffers", "_modules"):
            for inner, part in value[kind].items():
                if kind != "_buffers" or inner not in passing:
                    yield from _arrays(part, _joined(name, inner), budget, depth + 1)
    elif type(value) is tuple and len(value) == 2 and type(value[0]) is str and isinstance(value[1], np.ndarray):
        yield name, value[1]                                             # of Paddle, with its own name of a parameter
    elif isinstance(value, (dict, list, tuple)):
        for inner, part in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(part, (dict, list, tuple, np.ndarray)):
                yield from _arrays(part, _joined(name, inner), budget, depth + 1)


def _joined(name: str, inner: Any) -> str:
    return f"{name}.{inner}" if name else str(inner)


def _renamed(arrays: dict[str, Array], prefix: str | None) -> dict[str, Array]:
    """Return arrays without the prefix of their names."""
    if prefix is None:
        for known in PREFIXES * 2:
            if all(name.startswith(known) for name in arrays):
                arrays = {name.removeprefix(known): array for name, array in arrays.items()}
        return arrays
    if not any(name.startswith(prefix) for name in arrays):
        raise Refused(f"names that begin with {prefix!r}", ", ".join(map(brief, list(arrays)[:3])),
                      "give another strip_prefix")
    found = {name.removeprefix(prefix): array for name, array in arrays.items()}
    if len(found) < len(arrays):
        raise Refused(f"names that stay unequal without {prefix!r}", "two that become equal", 'give strip_prefix=""')
    return found
