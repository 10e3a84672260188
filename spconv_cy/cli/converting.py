"""The command convert."""

from __future__ import annotations

import argparse
import os

from spconv_cy.cli.printed import WrongArguments, add_json, tell
from spconv_cy.errors import ShapeError, expected
from spconv_cy.io.converted_file import convert_file, in_options
from spconv_cy.io.matching import LAYOUTS, READINGS
from spconv_cy.io.networks.known import checked_family
from spconv_cy.io.peers.known import PLACES
from spconv_cy.writing import check_writable


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of convert."""
    parser.add_argument("checkpoint", help="a .pth, .pt, .ckpt, .safetensors or .npz file")
    parser.add_argument("net", help="the .safetensors file to write")
    parser.add_argument("--from", dest="source", default="spconv2", choices=PLACES, metavar="LIBRARY",
                        help="library that wrote it; by default spconv2")
    parser.add_argument("--network", required=True, help="family of the network, such as second or spunet, or a "
                        ".safetensors file of a network of this library, whose weights are replaced")
    parser.add_argument("--names", help='a JSON file with a table of names, {"module of the checkpoint": "layer"}')
    parser.add_argument("--key", help="entry of the checkpoint that holds the arrays, such as state_dict, model or ema")
    parser.add_argument("--one-by-one", choices=READINGS, metavar="READING",
                        help="how weights of size 1 are read: raw or krsc of spconv 2, matrix or linear of "
                        "SparseConvNet, kcrs or ckrs of torch")
    parser.add_argument("--layout", choices=LAYOUTS, metavar="LAYOUT",
                        help="how ambiguous weights are read: krsc or rskc of spconv 2, kcrs of torch")
    parser.add_argument("--prefix", help="of the names that belong to the network, such as backbone_3d.")
    parser.add_argument("--no-strict", action="store_true", help="arrays that only one side has are no error")
    add_json(parser)
    parser.set_defaults(run=_convert)


def check_other(given: str, written: str) -> None:
    """Raise WrongArguments if the file to write is one that is read."""
    if os.path.isfile(given) and os.path.isfile(written) and os.path.samefile(given, written):
        raise WrongArguments(expected(written, "the name of a new file to write", "a file that is read",
                                      "give a different name"))


def _convert(options: argparse.Namespace) -> None:
    check_other(options.checkpoint, options.net)
    check_writable(options.net)
    if not options.net.lower().endswith(".safetensors"):
        raise WrongArguments(expected(options.net, "the name of a .safetensors file to write",
                                      "that of a different kind"))
    if not options.network.endswith(".safetensors") and not os.path.isfile(options.network):
        try:
            checked_family("convert", options.network, options.source)
        except ShapeError as error:
            raise WrongArguments(in_options(str(error))) from error
    report = convert_file(options.checkpoint, options.net, options.network, options.source, key=options.key,
                          names=options.names, one_by_one=options.one_by_one, layout=options.layout,
                          prefix=options.prefix, strict=not options.no_strict)
    tell(options, {"net": options.net, "report": str(report)}, str(report))
