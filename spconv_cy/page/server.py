"""The server of the handwriting page: three files, and answers to drawn strokes; it listens on loopback only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spconv_cy.errors import ShapeError, expected

if TYPE_CHECKING:
    from waitress.server import BaseWSGIServer

    from spconv_cy.page.reader import Reader

HERE = Path(__file__).parent
FILES = {"/": ("page.html", "text/html"), "/page.js": ("page.js", "text/javascript"),
         "/page.css": ("page.css", "text/css")}
MOST_BYTES, MOST_STROKES, MOST_POINTS = 2**20, 1000, 20_000
MOST_CONNECTIONS = 500                                                   # open at once; others wait
SECONDS = 5                                                              # to send a request, and to read the answer
HEADERS = [
    ("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                                "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store"),
]
REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
           413: "Content Too Large", 415: "Unsupported Media Type"}


class Refused(Exception):
    """A request that is answered with an error: (HTTP status, text)."""


def serve(reader: Reader, port: int = 8765, seconds: float = SECONDS) -> BaseWSGIServer:
    """Return a server of the page on 127.0.0.1; its `run()` serves until `close()`.

    Args:
        reader: Reader.
        port: 1 to 65535; 0: a free port, which is then `server.effective_port`.
        seconds: above 0; a connection that takes longer to send a request or to read the answer is closed within one
            or two seconds after that.

    Raises:
        ImportError: waitress is not installed; the message names the extra that installs it.
        OSError: the port is in use.
    """
    try:
        from waitress.server import create_server

        from spconv_cy.page.time_limit import limit_time
    except ImportError as error:
        raise ImportError(expected("page", "waitress to be installed", "no such package",
                                   'install it by pip install "spconv_cy[page]"')) from error
    page = Page(reader)
    server = create_server(page, host="127.0.0.1", port=port, threads=4, ident=None,
                           cleanup_interval=int(min(seconds, 1)), connection_limit=_most_connections(),
                           asyncore_use_poll=True, max_request_body_size=MOST_BYTES, inbuf_overflow=2 * MOST_BYTES,
                           clear_untrusted_proxy_headers=True)           # no request is long enough for a file
    limit_time(server, seconds)
    page.hosts = {f"{host}:{server.effective_port}" for host in ("127.0.0.1", "localhost")}
    return server


def _most_connections() -> int:
    """Return how many connections may be open at once; fewer if the process may open few files."""
    try:
        from resource import RLIMIT_NOFILE, getrlimit
    except ImportError:                                                  # not on Windows
        return 100
    files, _ = getrlimit(RLIMIT_NOFILE)
    return MOST_CONNECTIONS if files < 0 else max(10, min(MOST_CONNECTIONS, files - 100))


class Page:
    """The WSGI application: GET returns the page's files, POST /read the answers for strokes.

    Args:
        reader: Reader.
        hosts: values of the headers Host and Origin that are answered. Requests with other values may come from
            pages of other sites, and are refused.
    """

    def __init__(self, reader: Reader, hosts: Iterable[str] = ()) -> None:
        self.reader, self.hosts = reader, set(hosts)

    def __call__(self, environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
                 ) -> list[bytes]:
        """Answer one request, as defined by WSGI (PEP 3333)."""
        status = 200
        try:
            kind, body = self._answer(environ)
        except Refused as refused:
            status, text = refused.args
            kind, body = "application/json", json.dumps({"error": text}).encode()
        start_response(f"{status} {REASONS[status]}", [("Content-Type", f"{kind}; charset=utf-8"),
                                                       ("Content-Length", str(len(body))), *HEADERS])
        return [body]

    def _answer(self, environ: dict[str, Any]) -> tuple[str, bytes]:
        """Return (content type, body) of an answer."""
        host, origin = environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN")
        if host not in self.hosts or origin is not None and origin.removeprefix("http://") not in self.hosts:
            raise Refused(403, expected("page", f"requests of the page itself, on {', '.join(sorted(self.hosts))}",
                                        f"host {host!r:.60} and origin {origin!r:.60}"))
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        if path == "/read":
            if method != "POST":
                raise Refused(405, expected("page", "POST /read", f"{method:.20} /read"))
            return "application/json", json.dumps(self._read(environ)).encode()
        if path not in FILES:
            raise Refused(404, expected("page", f"one of {', '.join(FILES)} and /read", f"{path:.60}"))
        if method != "GET":
            raise Refused(405, expected("page", f"GET {path}", f"{method:.20} {path}"))
        name, kind = FILES[path]
        return kind, (HERE / name).read_bytes()

    def _read(self, environ: dict[str, Any]) -> dict[str, object]:
        kind = environ.get("CONTENT_TYPE", "").split(";")[0].strip()
        if kind != "application/json":
            raise Refused(415, expected("page", "content of the type application/json", f"{kind!r:.60}"))
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > MOST_BYTES:
            raise Refused(413, expected("page", f"at most {MOST_BYTES} bytes", length))
        try:
            return self.reader.read(checked_strokes(environ["wsgi.input"].read(length)))
        except (ShapeError, ValueError) as error:
            raise Refused(400, str(error)) from error


def checked_strokes(body: bytes) -> list[list[list[float]]]:
    """Return the strokes in a request's body, the JSON object `{"strokes": [[[x, y], ...], ...]}`.

    Raises:
        Refused: another form, numbers that are not finite, or too many strokes or points.
    """
    try:
        asked = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(400, expected("page", "a body in JSON", f"{error!s:.100}")) from error
    strokes = asked.get("strokes") if isinstance(asked, dict) else None
    if not isinstance(strokes, list) or not all(isinstance(stroke, list) and stroke for stroke in strokes):
        raise Refused(400, expected("page", 'a body {"strokes": [[[x, y], ...], ...]}, with at least one point in each '
                                    "stroke", "another one"))
    if len(strokes) > MOST_STROKES:
        raise Refused(413, expected("page", f"at most {MOST_STROKES} strokes", len(strokes)))
    points = [point for stroke in strokes for point in stroke]
    if len(points) > MOST_POINTS:
        raise Refused(413, expected("page", f"at most {MOST_POINTS} points", len(points)))
    for point in points:
        if not isinstance(point, list) or len(point) != 2 or not all(map(_is_coordinate, point)):
            raise Refused(400, expected("page", "points [x, y], two numbers from -1e6 to 1e6", f"{point!r:.60}"))
    return strokes


def _is_coordinate(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e6 <= value <= 1e6


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name}, which is not a finite number")
