"""The command line: spconv-cy train | evaluate | predict | info | convert | page | config."""

from __future__ import annotations

import argparse
import errno
import json
import os
import re
import sys
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial

from spconv_cy.cli import converting, estimating, informing, predicting
from spconv_cy.cli.printed import WrongArguments, add_json, tell, wrong
from spconv_cy.errors import BackendError, FileError, GridError, NotFittedError, ShapeError, expected
from spconv_cy.page.reader import Reader
from spconv_cy.page.server import serve
from spconv_cy.report import installation, show_config

FAILED = (BackendError, FileError, ShapeError, GridError, NotFittedError, OSError, ImportError, TypeError, ValueError,
          ArithmeticError, MemoryError)
STATUS = "The exit status is 0, 1 if something failed, and 2 for wrong arguments."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `spconv-cy` and return the exit status: 0, 1 if something failed, 2 for wrong arguments.

    Results are written to standard output, all else to standard error. argparse ends the process with status 2 for
    options that it does not know.

    Args:
        arguments: of the command line; None: those of this process.
    """
    options, unknown = parser().parse_known_args(arguments)
    if unknown:
        options.parser.error(_unrecognized(options.parser, unknown))
    try:
        with warnings.catch_warnings():
            warnings.showwarning = partial(_warn, options.command)
            return options.run(options) or 0
    except BrokenPipeError:                                              # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"spconv-cy {options.command}: interrupted", file=sys.stderr)
        return 130
    except FAILED as error:
        message = _plain(error).removeprefix(f"{options.command}: ")
        if getattr(options, "json", False):
            print(json.dumps({"error": message}, ensure_ascii=False))
        print(f"spconv-cy {options.command}: {message}", file=sys.stderr)
        return 2 if isinstance(error, WrongArguments) else 1


def _warn(command: str, message: Warning | str, *_: object) -> None:
    """Print a warning as one line, without the place in the source."""
    print(f"spconv-cy {command}: warning: {message}", file=sys.stderr)


def _unrecognized(command: argparse.ArgumentParser, unknown: list[str]) -> str:
    """Return the message for arguments that a command does not have, with the option that was meant."""
    options = re.findall(r"--[\w-]+", command.format_help())
    meant = get_close_matches(unknown[0].split("=")[0], options, 1)
    return f"unrecognized arguments: {' '.join(unknown)}" + (f"; do you mean {meant[0]}?" if meant else "")


def _plain(error: Exception) -> str:
    """Return the message of an error, without the number of an OSError."""
    if isinstance(error, OSError) and error.strerror:
        told = error.strerror[0].lower() + error.strerror[1:]
        return told if error.filename is None else f"{os.fsdecode(error.filename)}: {told}"
    return str(error) or type(error).__name__


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    found = argparse.ArgumentParser(prog="spconv-cy", description="Spatially-sparse convolutional networks.",
                                    epilog=f"{STATUS} spconv-cy COMMAND --help tells more of a command.",
                                    allow_abbrev=False)
    found.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
    commands = found.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, add, text in (
            ("train", estimating.add_train, "train on drawings or points of files"),
            ("evaluate", estimating.add_evaluate, "count the errors of a trained model on other files"),
            ("predict", predicting.add, "labels of a trained model, or the output of a network"),
            ("info", informing.add, "what a file is: a network, a checkpoint, drawings, points"),
            ("convert", converting.add, "take a network over from a checkpoint of another library"),
            ("page", _add_page, "serve the handwriting page, on this machine only"),
            ("config", _add_config, "print versions, backends, instruction sets and threads")):
        command = commands.add_parser(name, help=text, epilog=STATUS, allow_abbrev=False)
        command.set_defaults(parser=command)
        add(command)
    return found


def _add_config(command: argparse.ArgumentParser) -> None:
    add_json(command)
    command.set_defaults(run=_config)


class _Version(argparse.Action):
    """Prints the version; it is looked up when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"spconv-cy {installation()['spconv_cy']}")
        parser.exit()


def _add_page(command: argparse.ArgumentParser) -> None:
    command.add_argument("--port", type=_port, default=8765, help="by default 8765; 0: a free port")
    command.add_argument("--model", help="a file that `spconv-cy train` or SparseConvClassifier.save wrote; by default "
                         "the model of digits")
    command.set_defaults(run=_page)


def _page(options: argparse.Namespace) -> None:
    try:
        server = serve(Reader.of_file(options.model), options.port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise OSError(expected("page", "a free port", f"{options.port}, which is in use", "give another one by "
                                    "--port, or --port 0 for any that is free")) from error
    print(f"draw on http://127.0.0.1:{server.effective_port}/ (Ctrl+C stops the server)", flush=True)
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()


def _config(options: argparse.Namespace) -> None:
    tell(options, installation(), show_config())


def _port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise wrong(text, "a whole number from 0 to 65535")
    return port
