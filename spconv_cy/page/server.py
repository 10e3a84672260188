"""The handwriting page: three files and one question, served on loopback alone."""

import json
from pathlib import Path

from spconv_cy.errors import ShapeError

HERE = Path(__file__).parent
FILES = {"/": ("page.html", "text/html"), "/page.js": ("page.js", "text/javascript"),
         "/page.css": ("page.css", "text/css")}
MOST_BYTES, MOST_STROKES, MOST_POINTS = 2**20, 1000, 20_000
MOST_CONNECTIONS = 500                                                   # at once; later ones wait until some end
SECONDS = 5                                                              # for a whole request, and to read the answer
HEADERS = [
    ("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                                "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store"),
]
REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
           413: "Content Too Large", 415: "Unsupported Media Type"}


class Refused(Exception):
    """A request that gets an answer other than 200: (status, text)."""


def serve(reader, port=8765, seconds=SECONDS):
    """Return a server of the page on 127.0.0.1, not yet running: `run()` serves until `close()`.

    Args:
        reader: Reader.
        port: 1 to 65535; 0: a free one, `server.effective_port` says which.
        seconds: above 0; a connection that takes longer to send a whole request, or to read its answer, is closed
            within a second or two.

    Raises:
        ImportError: waitress is not installed; the message names the extra that brings it.
        OSError: the port is taken.
    """
    try:
        from waitress.server import create_server

        from spconv_cy.page.time_limit import limit_time
    except ImportError as error:
        raise ImportError('the page needs waitress: pip install "spconv_cy[page]"') from error
    page = Page(reader)
    server = create_server(page, host="127.0.0.1", port=port, threads=4, ident=None,
                           cleanup_interval=int(min(seconds, 1)), connection_limit=_most_connections(),
                           asyncore_use_poll=True, max_request_body_size=MOST_BYTES, inbuf_overflow=2 * MOST_BYTES,
                           clear_untrusted_proxy_headers=True)             # no body is as long as to need a file
    limit_time(server, seconds)
    page.hosts = {f"{host}:{server.effective_port}" for host in ("127.0.0.1", "localhost")}
    return server


def _most_connections():
    """Return how many connections are open at once: fewer where the system lets a process open few files."""
    try:
        from resource import RLIMIT_NOFILE, getrlimit
    except ImportError:                                                  # not on Windows
        return 100
    files, _ = getrlimit(RLIMIT_NOFILE)
    return MOST_CONNECTIONS if files < 0 else max(10, min(MOST_CONNECTIONS, files - 100))


class Page:
    """The WSGI application: GET the page's files, POST strokes to /read.

    `hosts` are the names under which it answers: another one in Host or Origin is another site's page, which a browser
    sends here on its behalf.
    """

    def __init__(self, reader, hosts=()):
        self.reader, self.hosts = reader, set(hosts)

    def __call__(self, environ, start_response):
        """Answer one request, as WSGI (PEP 3333) has it."""
        try:
            status, kind, body = 200, *self._answer(environ)
        except Refused as refused:
            status, text = refused.args
            kind, body = "application/json", json.dumps({"error": text}).encode()
        start_response(f"{status} {REASONS[status]}", [("Content-Type", f"{kind}; charset=utf-8"),
                                                       ("Content-Length", str(len(body))), *HEADERS])
        return [body]

    def _answer(self, environ):
        host, origin = environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN")
        if host not in self.hosts or origin is not None and origin.removeprefix("http://") not in self.hosts:
            raise Refused(403, f"host {host!r:.60} and origin {origin!r:.60} came; this page answers itself alone, on "
                               f"{', '.join(sorted(self.hosts))}")
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        if path == "/read":
            if method != "POST":
                raise Refused(405, f"{method:.20} /read came; POST fits")
            return "application/json", json.dumps(self._read(environ)).encode()
        if path not in FILES:
            raise Refused(404, f"{path:.60} came; {', '.join(FILES)} and /read are here")
        if method != "GET":
            raise Refused(405, f"{method:.20} came; GET fits")
        name, kind = FILES[path]
        return kind, (HERE / name).read_bytes()

    def _read(self, environ):
        kind = environ.get("CONTENT_TYPE", "").split(";")[0].strip()
        if kind != "application/json":
            raise Refused(415, f"content of type {kind!r:.60} came; application/json fits")
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > MOST_BYTES:
            raise Refused(413, f"{length} bytes came; {MOST_BYTES} fit")
        try:
            return self.reader.read(checked_strokes(environ["wsgi.input"].read(length)))
        except (ShapeError, ValueError) as error:
            raise Refused(400, str(error)) from error


def checked_strokes(body):
    """Return the strokes of a request's body, `{"strokes": [[[x, y], ...], ...]}` in JSON.

    Raises:
        Refused: another form, numbers that are not finite, too many strokes or points.
    """
    try:
        asked = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is no JSON that fits: {error!s:.100}") from error
    strokes = asked.get("strokes") if isinstance(asked, dict) else None
    if not isinstance(strokes, list) or not all(isinstance(stroke, list) and stroke for stroke in strokes):
        raise Refused(400, 'the body must be {"strokes": [[[x, y], ...], ...]}, a list of one point or more for each '
                           "stroke")
    if len(strokes) > MOST_STROKES:
        raise Refused(413, f"{len(strokes)} strokes came; {MOST_STROKES} fit")
    points = [point for stroke in strokes for point in stroke]
    if len(points) > MOST_POINTS:
        raise Refused(413, f"{len(points)} points came; {MOST_POINTS} fit")
    for point in points:
        if not isinstance(point, list) or len(point) != 2 or not all(map(_is_coordinate, point)):
            raise Refused(400, f"the point {point!r:.60} came; [x, y] fits, two numbers from -1e6 to 1e6")
    return strokes


def _is_coordinate(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e6 <= value <= 1e6


def _refuse_constant(name):
    raise ValueError(f"{name} came; finite numbers fit")
