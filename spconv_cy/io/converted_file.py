"""What `spconv-cy convert` does: takes a network over from a checkpoint file and writes it to a file of ours."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from spconv_cy.checks import checked_path, kind_of
from spconv_cy.errors import FileError, ShapeError, expected
from spconv_cy.io.converting import convert
from spconv_cy.io.file import load, save
from spconv_cy.io.foreign import refuse_other_name
from spconv_cy.io.pth import read_checkpoint
from spconv_cy.types import PathLike

if TYPE_CHECKING:
    from spconv_cy.io.conversion import Conversion

# Arguments of `convert`, as its errors name them, and options of the command.
OPTIONS = (("a Layer, or one of", "a .safetensors file, or one of"),
           ("a Layer and names={module: layer}", "--network and --names with files of your own"),
           ("names={module: layer}", "--names FILE"), ("{module: reading}", ""), ("strict=False", "--no-strict"),
           ("source=", "--from "), ("network=", "--network "), ("prefix=", "--prefix "), ("layout=", "--layout "),
           ("one_by_one=", "--one-by-one "), (" :", ":"), ("  ", " "))
LARGEST = 1 << 24                                                        # bytes of a file of names


def convert_file(checkpoint: PathLike, target: PathLike, network: str, source: str, *, key: str | None = None,
                 names: PathLike | None = None, **options: Any) -> Conversion:
    """Return the report of a conversion, after writing the network.

    Args:
        checkpoint: path of a file that `read_checkpoint` reads.
        target: path of the .safetensors file to write.
        network: name of a family, or path of a .safetensors file with a network of ours, whose weights are replaced.
        source: library that wrote the checkpoint.
        key: entry of the file that holds the arrays, as for `read_checkpoint`.
        names: path of a JSON file with a table {"module of the checkpoint": "layer of the network"}.
        options: of `convert`.

    Raises:
        FileNotFoundError, FileError, ShapeError: as `read_checkpoint`, `load` and `convert`; a damaged table.
    """
    refuse_other_name(os.fsdecode(target))
    table = None if names is None else read_names(names)
    ours = network.endswith(".safetensors") or os.path.isfile(network)
    state = read_checkpoint(checkpoint, key)
    try:
        net, report = convert(state, load(network) if ours else network, source, names=table, **options)
    except ShapeError as error:
        raise ShapeError(in_options(str(error))) from error
    save(target, net)
    return report


def in_options(message: str) -> str:
    """Return an error message of `convert` with the options of the command in place of arguments.

    >>> in_options("convert: expected one array, got two; give prefix=")
    'convert: expected one array, got two; give --prefix'
    """
    for argument, option in OPTIONS:
        message = message.replace(argument, option)
    return message.rstrip()


def read_names(path: PathLike) -> dict[str, str]:
    """Return a table of names from a JSON file; raise FileError if the file holds something else."""
    path = checked_path("convert", path)
    what, remedy = 'a JSON file such as {"conv1.0": "layers.3"}', "print(list(net.state())) shows the network's layers"
    if os.path.isdir(path):
        raise FileError(expected(path, what, "a folder", "give a file in it"))
    with open(path, "rb") as file:
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise FileError(expected(path, f"{what}, of at most {LARGEST >> 20} MiB", "a larger file"))
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(expected(path, what, f"a file that is no JSON ({error})", remedy)) from None
    if not isinstance(table, dict):
        raise FileError(expected(path, what, f"JSON with {kind_of(table)}", remedy))
    wrong = [name for name, layer in table.items() if not isinstance(layer, str)]
    if wrong:
        raise FileError(expected(path, "names of layers that are text",
                                 f"{kind_of(table[wrong[0]])} for {wrong[0]!r}", remedy))
    return table
