"""The command line: spconv-cy page | config | convert | predict."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from spconv_cy.errors import FileError, GridError, ShapeError, expected, printable
from spconv_cy.io.converting import convert
from spconv_cy.io.file import save
from spconv_cy.io.prediction import predict_file
from spconv_cy.page.reader import Reader
from spconv_cy.page.server import serve
from spconv_cy.report import show_config

WRONG = (FileError, ShapeError, GridError, OSError, ImportError, TypeError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `spconv-cy` and return the exit status: 0, or 2 after an error.

    Args:
        arguments: of the command line; None: those of this process.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except WRONG as error:
        print(f"spconv-cy {options.command}: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="spconv-cy", description="Spatially-sparse convolutional networks.")
    commands = parser.add_subparsers(dest="command", required=True)
    page = commands.add_parser("page", help="serve the handwriting page, on this machine only")
    page.add_argument("--port", type=_port, default=8765, help="by default 8765; 0: a free port")
    page.add_argument("--model", help="a file that SparseConvClassifier.save wrote; by default the model of digits")
    page.set_defaults(run=_page)
    config = commands.add_parser("config", help="print versions, backends, instruction sets and threads")
    config.set_defaults(run=_config)
    _add_convert(commands.add_parser("convert", help="take a network over from a checkpoint of another library"))
    predict = commands.add_parser("predict", help="run a network on the sites and features of an .npz file")
    predict.add_argument("net", help="a .safetensors file of a network")
    predict.add_argument("inputs", help="an .npz file with sites (n, 1 + d), features (n, c) and, if any, size (d,)")
    predict.add_argument("outputs", help="the .npz file to write")
    predict.set_defaults(run=_predict)
    return parser


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="a .pth, .pt, .ckpt, .safetensors or .npz file")
    parser.add_argument("net", help="the .safetensors file to write")
    parser.add_argument("--from", dest="source", default="spconv2", help="library that wrote it; by default spconv2")
    parser.add_argument("--network", required=True, help="family of the network, such as second or spunet")
    parser.add_argument("--one-by-one", help="how weights of size 1 are read: raw or krsc")
    parser.add_argument("--layout", help="how ambiguous weights of spconv 2 are read: krsc or rskc")
    parser.add_argument("--prefix", help="of the names that belong to the network, such as backbone_3d.")
    parser.set_defaults(run=_convert)


def _page(options: argparse.Namespace) -> None:
    server = serve(Reader.of_file(options.model), options.port)
    print(f"draw on http://127.0.0.1:{server.effective_port}/ (Ctrl+C stops the server)", flush=True)
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()


def _config(_: argparse.Namespace) -> None:
    print(show_config())


def _convert(options: argparse.Namespace) -> None:
    _check_other(options.checkpoint, options.net)
    net, report = convert(options.checkpoint, options.network, options.source, one_by_one=options.one_by_one,
                          layout=options.layout, prefix=options.prefix)
    print(report)
    save(options.net, net)


def _predict(options: argparse.Namespace) -> None:
    for given in (options.net, options.inputs):
        _check_other(given, options.outputs)
    print(f"{printable(options.outputs)}: {predict_file(options.net, options.inputs, options.outputs)}")


def _check_other(given: str, written: str) -> None:
    """Raise FileError if the file to write is one that is read."""
    if os.path.isfile(given) and os.path.isfile(written) and os.path.samefile(given, written):
        raise FileError(expected(written, "the name of a new file to write", "a file that is read",
                                 "give a different name"))


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(expected("port", "a whole number from 0 to 65535", text))
    return port
