"""The command line: spconv-cy page | config | convert | predict."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from spconv_cy.errors import BackendError, FileError, GridError, ShapeError, expected, printable
from spconv_cy.io.converted_file import convert_file
from spconv_cy.io.fleet import predict_files
from spconv_cy.io.prediction import predict_file
from spconv_cy.page.reader import Reader
from spconv_cy.page.server import serve
from spconv_cy.report import show_config

WRONG = (BackendError, FileError, ShapeError, GridError, OSError, ImportError, TypeError, ValueError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `spconv-cy` and return the exit status: 0, 2 after an error, or 1 if only some files failed.

    Args:
        arguments: of the command line; None: those of this process.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except WRONG as error:
        print(f"spconv-cy {options.command}: {error}", file=sys.stderr)
        return 2


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
    _add_predict(commands.add_parser("predict", help="run a network on the sites and features of .npz files"))
    return parser


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.usage = ("spconv-cy predict NET INPUT OUTPUT\n"
                    "       spconv-cy predict NET FILES... --out FOLDER [--shard i/n] [--processes N] [--threads N]")
    parser.add_argument("net", metavar="NET", help="a .safetensors file of a network")
    parser.add_argument("files", metavar="FILES", nargs="+", help="an .npz file with sites (n, 1 + d), features (n, c) "
                        "and, if any, size (d,), and the file to write; with --out: many inputs, or folders of them")
    parser.add_argument("--out", metavar="FOLDER", help="of the results; those that are there are not computed again")
    parser.add_argument("--shard", type=_shard, default=(0, 1), metavar="i/n",
                        help="of the files, only every n-th from the i-th on, i from 0 to n - 1")
    parser.add_argument("--processes", type=int, default=1, help="that compute at the same time; by default 1")
    parser.add_argument("--threads", type=int, help="of each process; by default all, divided by the processes")
    parser.add_argument("--format", choices=("npz", "parquet"), default="npz", help="of the results in --out")
    parser.set_defaults(run=_predict)


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="a .pth, .pt, .ckpt, .safetensors or .npz file")
    parser.add_argument("net", help="the .safetensors file to write")
    parser.add_argument("--from", dest="source", default="spconv2", help="library that wrote it; by default spconv2")
    parser.add_argument("--network", required=True, help="family of the network, such as second or spunet, or a "
                        ".safetensors file of a network of this library, whose weights are replaced")
    parser.add_argument("--names", help='a JSON file with a table of names, {"module of the checkpoint": "layer"}')
    parser.add_argument("--key", help="entry of the checkpoint that holds the arrays, such as state_dict, model or ema")
    parser.add_argument("--one-by-one", help="how weights of size 1 are read: raw or krsc")
    parser.add_argument("--layout", help="how ambiguous weights of spconv 2 are read: krsc or rskc")
    parser.add_argument("--prefix", help="of the names that belong to the network, such as backbone_3d.")
    parser.add_argument("--no-strict", action="store_true", help="arrays that only one side has are no error")
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
    print(convert_file(options.checkpoint, options.net, options.network, options.source, key=options.key,
                       names=options.names, one_by_one=options.one_by_one, layout=options.layout,
                       prefix=options.prefix, strict=not options.no_strict))


def _predict(options: argparse.Namespace) -> int:
    if options.out is not None:
        found = predict_files(options.net, options.files, options.out, shard=options.shard,
                              processes=options.processes, threads=options.threads, format=options.format)
        for path, message in found.failed.items():
            print(f"spconv-cy predict: {printable(path)}: {message}", file=sys.stderr)
        print(found)
        return 1 if found.failed else 0
    if len(options.files) != 2:
        raise ValueError(expected("predict", "INPUT and OUTPUT, or --out FOLDER", f"{len(options.files)} files"))
    inputs, outputs = options.files
    for given in (options.net, inputs):
        _check_other(given, outputs)
    print(f"{printable(outputs)}: {predict_file(options.net, inputs, outputs)}")
    return 0


def _check_other(given: str, written: str) -> None:
    """Raise FileError if the file to write is one that is read."""
    if os.path.isfile(given) and os.path.isfile(written) and os.path.samefile(given, written):
        raise FileError(expected(written, "the name of a new file to write", "a file that is read",
                                 "give a different name"))


def _shard(text: str) -> tuple[int, int]:
    i, slash, n = text.partition("/")
    if not (slash and i.isdecimal() and n.isdecimal() and int(i) < int(n)):
        raise argparse.ArgumentTypeError(expected("shard", "i/n, i from 0 to n - 1, such as 0/4", repr(text)))
    return int(i), int(n)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(expected("port", "a whole number from 0 to 65535", text))
    return port
