"""The server of the handwriting page: three files, and answers to drawn strokes; it listens on loopback only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from spconv_cy.errors import ShapeError, expected
from spconv_cy.page.request import MOST_BYTES, TOO_LONG, Refused, checked_signs, checked_strokes, loaded
from spconv_cy.page.teaching import Teacher

if TYPE_CHECKING:
    from waitress.server import BaseWSGIServer

    from spconv_cy.page.reader import Reader

Taught = TypeVar("Taught")
HERE = Path(__file__).parent
FILES = {"/": ("page.html", "text/html"), "/page.js": ("page.js", "text/javascript"),
         "/teach.js": ("teach.js", "text/javascript"), "/page.css": ("page.css", "text/css")}
ABOUT, MODEL = "/about", "/signs.safetensors"
JSON = "application/json; charset=utf-8"
MOST_CONNECTIONS = 500                                                   # open at once; others wait
SECONDS = 5                                                              # to send a request, and to read the answer
HEADERS = [
    ("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                                "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store"),
]
REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
           409: "Conflict", 413: "Content Too Large", 415: "Unsupported Media Type"}


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

        from spconv_cy.page.failures import Failure
        from spconv_cy.page.time_limit import limit_time
    except ImportError as error:
        raise ImportError(expected("page", "waitress to be installed", "no such package",
                                   'install it by pip install "spconv_cy[page]"')) from error
    page = Page(reader)
    server = create_server(page, host="127.0.0.1", port=port, threads=4, ident=None,
                           cleanup_interval=int(min(seconds, 1)), connection_limit=_most_connections(),
                           asyncore_use_poll=True, clear_untrusted_proxy_headers=True,
                           max_request_body_size=MOST_BYTES + 1,         # waitress refuses a body of this size
                           inbuf_overflow=2 * MOST_BYTES)                # no request is long enough for a file
    limit_time(server, seconds)
    server.channel_class.error_task_class = Failure
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
    """The WSGI application: GET returns the page's files, POST /read the answers for strokes, POST /teach learns signs.

    Args:
        reader: Reader.
        hosts: values of the headers Host and Origin that are answered. Requests with other values may come from
            pages of other sites, and are refused.
        teacher: Teacher of the user's own signs.
    """

    def __init__(self, reader: Reader, hosts: Iterable[str] = (), teacher: Teacher | None = None) -> None:
        self.reader, self.hosts, self.teacher = reader, set(hosts), teacher or Teacher()
        self.posted = {"/read": self._read, "/teach": self._teach}

    def __call__(self, environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
                 ) -> list[bytes]:
        """Answer one request, as defined by WSGI (PEP 3333)."""
        status, more = 200, []
        try:
            kind, body = self._answer(environ)
            if environ.get("PATH_INFO") == MODEL:
                more = [("Content-Disposition", f'attachment; filename="{MODEL[1:]}"')]
        except Refused as refused:
            status, text = refused.args
            kind, body = JSON, json.dumps({"error": text}).encode()
        start_response(f"{status} {REASONS[status]}", [("Content-Type", kind), ("Content-Length", str(len(body))),
                                                       *more, *HEADERS])
        return [body]

    def _answer(self, environ: dict[str, Any]) -> tuple[str, bytes]:
        """Return (content type, body) of an answer."""
        host, origin = environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN")
        if host not in self.hosts or origin is not None and origin.removeprefix("http://") not in self.hosts:
            raise Refused(403, expected("page", f"requests of the page itself, on {', '.join(sorted(self.hosts))}",
                                        f"host {host!r:.60} and origin {origin!r:.60}"))
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        if path in self.posted:
            if method != "POST":
                raise Refused(405, expected("page", f"POST {path}", f"{method:.20} {path}"))
            return JSON, json.dumps(self._posted(environ, self.posted[path])).encode()
        if path not in (*FILES, ABOUT, MODEL):
            raise Refused(404, expected("page", f"one of {', '.join((*FILES, ABOUT, MODEL, *self.posted))}",
                                        f"{path:.60}"))
        if method != "GET":
            raise Refused(405, expected("page", f"GET {path}", f"{method:.20} {path}"))
        if path == ABOUT:
            own = self.teacher.reader
            return JSON, json.dumps({"model": self.reader.about(), "own": own and own.about()}).encode()
        if path == MODEL:
            return "application/octet-stream", self._taught(self.teacher.file)
        name, kind = FILES[path]
        return f"{kind}; charset=utf-8", (HERE / name).read_bytes()

    def _posted(self, environ: dict[str, Any], answer: Callable[[dict[str, Any]], dict[str, object]]
                ) -> dict[str, object]:
        kind = environ.get("CONTENT_TYPE", "").split(";")[0].strip()
        if kind != "application/json":
            raise Refused(415, expected("page", "content of the type application/json", f"{kind!r:.60}"))
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > MOST_BYTES:
            raise Refused(413, TOO_LONG)
        try:
            return answer(loaded(environ["wsgi.input"].read(length)))
        except (ShapeError, ValueError) as error:
            raise Refused(400, str(error)) from error

    def _read(self, asked: dict[str, Any]) -> dict[str, object]:
        model = asked.get("model", "given")
        if not isinstance(model, str) or model not in ("given", "own"):
            raise Refused(400, expected("page", "a model 'given' or 'own'", f"{model!r:.60}"))
        reader = self.reader if model == "given" else self._taught(self.teacher.reader)
        return reader.read(checked_strokes(asked.get("strokes")))

    def _teach(self, asked: dict[str, Any]) -> dict[str, object]:
        found = self.teacher.teach(checked_signs(asked.get("signs")))
        if found is None:
            raise Refused(409, expected("page", "one training at a time", "another one", "wait until it ends"))
        return found

    def _taught(self, value: Taught | None) -> Taught:
        """Return what a training left behind."""
        if value is None:
            raise Refused(404, expected("page", "signs that were taught", "none yet", "draw five of each of two signs"))
        return value
