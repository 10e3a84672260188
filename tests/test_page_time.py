"""The page's connections: those that are slow, however they are, are closed, and the owner is answered meanwhile."""

import json
import select
import socket
import threading
import time
from contextlib import suppress

import pytest

from spconv_cy.page.server import HERE, serve

pytest.importorskip("waitress")
LIMIT = 0.4
PATIENCE = 30  # seconds to wait for what comes at once on an idle machine
HUGE = 8_000_000  # bytes of an answer: no socket holds it with the little buffer that a client here has


class Answering:
    """In the place of a Reader: one stroke gets a short answer, two a huge one, three one that takes a while."""

    def read(self, strokes):
        if len(strokes) == 3:
            time.sleep(3 * LIMIT)
        return {"answers": [["1", 1.0]], "layers": "x" * (HUGE if len(strokes) == 2 else 1)}


@pytest.fixture(scope="module")
def server():
    server = serve(Answering(), 0, seconds=LIMIT)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def port(server):
    return int(server.effective_port)


def connected(port, sent=b""):
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", port))
    connection.sendall(sent.replace(b"HERE", f"127.0.0.1:{port}".encode()))
    return connection


def asking(strokes, length=None):
    body = json.dumps({"strokes": [[[1, 2]]] * strokes}).encode()
    return (b"POST /read HTTP/1.1\r\nHost: HERE\r\nContent-Type: application/json\r\nContent-Length: "
            + str(length or len(body)).encode() + b"\r\n\r\n" + body)


def answer(connection):
    """Read all of the one answer that comes."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(1)
    length = int(found.lower().split(b"content-length:")[1].split()[0])
    body = b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    return found.split()[1], body


def is_closed(connection):
    """Whether the other end has closed: an end of file or a reset is there; what came before is read past."""
    try:
        while select.select([connection], [], [], 0)[0]:
            if not connection.recv(2**16):
                return True
    except OSError:
        return True
    return False


HEAD = b"GET / HTTP/1.1\r\nHost: HERE\r\n"
SLOW = {
    "nothing is sent": (b"", b""),
    "half a header is sent": (HEAD + b"X-Half: a", b""),
    "a header drips": (HEAD, b"X: y\r\n"),
    "one header line drips": (HEAD + b"X: ", b"y"),
    "blank lines drip": (b"", b"\r\n"),
    "a body drips": (asking(1, 1000), b" "),
    "chunks drip": (HEAD.replace(b"GET /", b"POST /read") + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a body is announced and asked to go on": (HEAD.replace(b"GET /", b"POST /read")
                                               + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n", b""),
}


def test_a_connection_that_is_slow_in_any_way_is_closed(port):
    began = time.monotonic()
    slow = {name: (connected(port, sent), drop) for name, (sent, drop) in SLOW.items()}
    while slow and time.monotonic() < began + PATIENCE:
        for name, (connection, drop) in list(slow.items()):
            with suppress(OSError):
                connection.sendall(drop)
            if is_closed(connection):
                assert time.monotonic() > began + LIMIT, f"{name}: closed before its time"
                slow.pop(name)[0].close()
        time.sleep(0.05)
    assert not slow, f"still open: {', '.join(slow)}"


def test_a_client_that_does_not_read_its_answer_or_reads_it_slowly_is_cut_off(server, port):
    clients = {read: connected(port, asking(2)) for read in (0, 1000)}
    got = dict.fromkeys(clients, 0)
    ours = {client.getsockname() for client in clients.values()}
    until = time.monotonic() + PATIENCE
    got[1000] += len(clients[1000].recv(1000))                           # from here on the server knows both
    while ours & {channel.addr for channel in list(server.active_channels.values())} and time.monotonic() < until:
        got[1000] += len(clients[1000].recv(1000))
        time.sleep(0.05)
    for read, client in clients.items():
        with suppress(ConnectionResetError):
            while chunk := client.recv(2**20):
                got[read] += len(chunk)
        assert got[read] < HUGE
        client.close()


def test_many_answers_that_nobody_reads_keep_no_thread(port):
    several = [connected(port, asking(2) * 4) for _ in range(5)]         # more than the server has threads
    time.sleep(2 * LIMIT)
    with connected(port, asking(1)) as connection:
        assert answer(connection)[0] == b"200"
    for connection in several:
        connection.close()


def test_a_connection_is_kept_between_quick_requests_and_not_when_idle(port):
    with connected(port) as connection:
        began = time.monotonic()
        while time.monotonic() < began + 2 * LIMIT:
            connection.sendall(asking(1).replace(b"HERE", f"127.0.0.1:{port}".encode()))
            assert answer(connection)[0] == b"200"
            time.sleep(LIMIT / 8)
        connection.settimeout(PATIENCE)
        assert connection.recv(1) == b"" and time.monotonic() > began + 2 * LIMIT


def test_an_answer_that_takes_long_to_make_comes(port):
    with connected(port, asking(3)) as connection:
        assert answer(connection)[0] == b"200"


@pytest.mark.parametrize("sent", [b"", HEAD + b"X: "])
def test_the_owner_is_answered_while_many_others_hold_their_connections(port, sent):
    others = [connected(port, sent) for _ in range(150)]
    with connected(port, HEAD + b"\r\n") as connection:
        assert answer(connection) == (b"200", (HERE / "page.html").read_bytes())
    for other in others:
        other.close()


def test_a_client_that_drips_on_after_a_refusal_is_closed(server, port):
    with connected(port, HEAD.replace(b"GET /", b"POST /read") + b"Content-Length: 99999999\r\n\r\n") as connection:
        assert answer(connection)[0] == b"413" and connection.recv(1) == b""
        began, name = time.monotonic(), connection.getsockname()
        while time.monotonic() < began + PATIENCE:
            with suppress(OSError):
                connection.sendall(b" ")
            if name not in {channel.addr for channel in list(server.active_channels.values())}:
                break
            time.sleep(0.05)
        else:
            pytest.fail("still open")
