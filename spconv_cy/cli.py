"""The command line: spconv-cy page | config."""

import argparse
import sys

from spconv_cy.errors import FileError
from spconv_cy.page.reader import Reader
from spconv_cy.page.server import serve
from spconv_cy.report import show_config


def main(arguments=None):
    """Run `spconv-cy`; return the exit status: 0, or 2 where something came that does not fit."""
    parser = argparse.ArgumentParser(prog="spconv-cy", description="Spatially-sparse convolutional networks.")
    commands = parser.add_subparsers(dest="command", required=True)
    page = commands.add_parser("page", help="serve the handwriting page on this machine alone")
    page.add_argument("--port", type=_port, default=8765, help="8765; 0: a free one")
    page.add_argument("--model", help="a file that SparseConvClassifier.save wrote; by default the digits' model")
    commands.add_parser("config", help="say what this installation is and can do")
    options = parser.parse_args(arguments)
    if options.command == "config":
        print(show_config())
        return 0
    try:
        server = serve(Reader.of_file(options.model), options.port)
    except (FileError, OSError, ImportError) as error:
        print(f"spconv-cy page: {error}", file=sys.stderr)
        return 2
    print(f"draw on http://127.0.0.1:{server.effective_port}/ (Ctrl+C ends it)", flush=True)
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()
    return 0


def _port(text):
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text} came; 0 to 65535 fit")
    return port
