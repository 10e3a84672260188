"""The command line: spconv-cy page | config."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from spconv_cy.errors import FileError, expected
from spconv_cy.page.reader import Reader
from spconv_cy.page.server import serve
from spconv_cy.report import show_config


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `spconv-cy` and return the exit status: 0, or 2 after an error.

    Args:
        arguments: of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(prog="spconv-cy", description="Spatially-sparse convolutional networks.")
    commands = parser.add_subparsers(dest="command", required=True)
    page = commands.add_parser("page", help="serve the handwriting page, on this machine only")
    page.add_argument("--port", type=_port, default=8765, help="by default 8765; 0: a free port")
    page.add_argument("--model", help="a file that SparseConvClassifier.save wrote; by default the model of digits")
    commands.add_parser("config", help="print versions, backends, instruction sets and threads")
    options = parser.parse_args(arguments)
    if options.command == "config":
        print(show_config())
        return 0
    try:
        server = serve(Reader.of_file(options.model), options.port)
    except (FileError, OSError, ImportError) as error:
        print(f"spconv-cy page: {error}", file=sys.stderr)
        return 2
    print(f"draw on http://127.0.0.1:{server.effective_port}/ (Ctrl+C stops the server)", flush=True)
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()
    return 0


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(expected("port", "a whole number from 0 to 65535", text))
    return port
