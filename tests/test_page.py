"""The handwriting page: what it reads, what it refuses, and that it lives on."""

import http.client
import importlib
import json
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.cli import main
from spconv_cy.data.pen_digits import as_digit, with_aspect
from spconv_cy.page.reader import Reader
from spconv_cy.page.request import MOST_BYTES
from spconv_cy.page.server import HERE, serve

ONE = {"strokes": [[[10, 0], [10, 100]]]}


@pytest.fixture(scope="module")
def reader():
    return Reader.of_file()


@pytest.fixture(scope="module")
def port(reader):
    pytest.importorskip("waitress")
    server = serve(reader, 0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield server.effective_port
    server.close()


def ask(port, method="POST", path="/read", body=None, **headers):
    """Send one request and return (status, headers, body); header names have _ for -."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps(body) if isinstance(body, dict) else body
    headers = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_the_shipped_model_reads_digits_that_it_was_not_trained_on(reader):
    _, (characters, labels) = sp.data.digits_by_writers()
    read = [reader.read(with_aspect(character))["answers"][0][0] for character in characters[:60]]
    assert np.mean([int(answer) == label for answer, label in zip(read, labels, strict=False)]) >= 0.98


def test_strokes_are_brought_to_the_form_of_the_digits():
    characters, _ = sp.data.digits()
    for character in characters[:20]:
        larger = [3.5 * character[0][:3] + 40, 3.5 * character[0][2:] + 40]  # two strokes, elsewhere, larger
        again = as_digit(larger)[0]
        assert np.allclose(again.min(0), 0) and np.allclose(again.max(0), 100)
        assert np.abs(again - as_digit(character)[0]).max() < 1e-9
    assert as_digit([[(5, 5)]])[0].tolist() == [[50.0, 50.0]] * 8


def test_an_answer_has_three_labels_and_the_sites_of_each_layer_with_their_activity(reader):
    character = as_digit(with_aspect(sp.data.digits()[0][0]), aspect=True)
    found = reader.read(character)
    shares = reader.classifier.predict_proba([character])[0]
    assert [share for _, share in found["answers"]] == sorted(shares.tolist(), reverse=True)[:3] and found["sure"]
    assert [layer["size"] for layer in found["layers"]] == [48, 46, 23, 22, 11, 10, 5, 4, 2, 1]
    assert [layer["name"] for layer in found["layers"]][:3] == ["input", "20C3", "MP2"]
    for layer in found["layers"]:
        sites = np.array(layer["sites"]).reshape(-1, 2)
        assert len(np.unique(sites, axis=0)) == len(sites) > 0 and 0 <= sites.min() <= sites.max() < layer["size"]
        assert len(layer["activity"]) == len(sites) and max(layer["activity"]) == 255 and min(layer["activity"]) >= 0
    sites, features = reader.classifier.encoder_.sites([character])
    x = sp.SparseTensor.from_sites(sites, features, size=(48, 48), samples=1)
    lengths = np.linalg.norm(x.features.data, axis=1)                    # the ground state of the input is zero
    assert found["layers"][0]["activity"] == np.round(255 * lengths / lengths.max()).tolist()
    assert json.loads(json.dumps(found)) == found


def test_nothing_drawn_is_no_answer(reader, port):
    assert reader.read([]) == {"answers": [], "sure": False, "layers": [], "milliseconds": 0.0}
    assert ask(port, body={"strokes": []})[0] == 200


def test_the_page_and_its_parts_come_and_load_nothing_from_elsewhere(port):
    for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/teach.js", "text/javascript"),
                       ("/page.css", "text/css")):
        status, headers, body = ask(port, "GET", path)
        assert status == 200 and headers["Content-Type"].startswith(kind) and body
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert not re.search(rb"https?://", body)


def test_a_request_is_answered(port):
    status, headers, body = ask(port, body=ONE)
    assert status == 200 and headers["Content-Type"].startswith("application/json")
    assert json.loads(body)["answers"][0][0] in "0123456789"


@pytest.mark.parametrize(
    "status, words, body",
    [
        (400, "expected a body in JSON", "{"),
        (400, "expected a body in JSON", b"\xff\xfe"),
        (400, "finite numbers, got NaN", '{"strokes": [[[NaN, 1]]]}'),
        (400, "finite numbers, got -Infinity", '{"strokes": [[[1, -Infinity]]]}'),
        (400, "expected a body in JSON", "[" * 100_000),
        (400, "at least one point in each stroke", "[]"),
        (400, "at least one point in each stroke", {"strokes": 3}),
        (400, "at least one point in each stroke", {"strokes": [7]}),
        (400, "at least one point in each stroke", {"strokes": [[]]}),
        (400, "two numbers from -1e6 to 1e6, got [1]", {"strokes": [[[1]]]}),
        (400, "two numbers", {"strokes": [[["1", 2]]]}),
        (400, "two numbers", {"strokes": [[[True, 2]]]}),
        (400, "two numbers", {"strokes": [[[1e300, 2]]]}),
        (413, "at most 1000 strokes, got 10000", {"strokes": [[[1, 2]]] * 10_000}),
        (413, "at most 20000 points, got 20001", {"strokes": [[[1, 2]] * 20_001]}),
    ],
)
def test_hostile_bodies_get_a_clear_error_and_the_server_lives_on(port, status, words, body):
    found, _, text = ask(port, body=body)
    assert found == status and words in json.loads(text)["error"]
    assert ask(port, body=ONE)[0] == 200


def test_a_huge_body_is_refused(port):
    head = f"POST /read HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {MOST_BYTES + 1}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head.encode())  # refused before the body comes
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert b" 413 " in head.splitlines()[0] and b"Content-Type: application/json" in head
    assert json.loads(body) == {"error": f"page: expected at most {MOST_BYTES} bytes, got more; send fewer points"}
    assert ask(port, body=ONE)[0] == 200


def sent_whole(port, head, body):
    """Send a request to its end, as simple clients do, and only then read (status, answer)."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        head = f"POST /read HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n{head}\r\n\r\n"
        connection.sendall(head.encode() + body)
        answer = connection.makefile("rb").read().removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    head, _, text = answer.partition(b"\r\n\r\n")
    assert b"Connection: close" in head and b"Content-Type: application/json" in head
    return int(head.split()[1]), json.loads(text)["error"]


CHUNK = b"%x\r\n%s\r\n" % (2**16, b" " * 2**16)


@pytest.mark.parametrize("head, body, status, words", [
    (f"Content-Length: {MOST_BYTES + 1}", b" " * (MOST_BYTES + 1), 413, f"at most {MOST_BYTES} bytes, got more"),
    (f"Content-Length: {12 * MOST_BYTES}", b" " * (12 * MOST_BYTES), 413, "bytes, got more; send fewer points"),
    (f"Expect: 100-continue\r\nContent-Length: {4 * MOST_BYTES}", b" " * (4 * MOST_BYTES), 413, "bytes, got more"),
    ("Transfer-Encoding: chunked", CHUNK * 80 + b"0\r\n\r\n", 413, "bytes, got more"),
    ("Transfer-Encoding: gzip", b" " * 2**22, 501, "a request in HTTP"),
    ("Content-Length: -5", b" " * 2**22, 400, "a request in HTTP"),
    ("Content-Length: 1e9", b" " * 2**22, 400, "a request in HTTP"),
    ("X: " + "a" * 2**19, b" " * 2**22, 431, "a request in HTTP"),
    ("Connection: close", b"", 400, "a body in JSON"),                   # without a length there is no body
    (f"Connection: close\r\nContent-Length: {MOST_BYTES}", b" " * MOST_BYTES, 400, "a body in JSON"),
], ids=lambda x: f"{x!s:.30}" if not isinstance(x, bytes) else "")
def test_a_client_that_sends_all_before_it_reads_gets_its_answer(port, head, body, status, words):
    found, text = sent_whole(port, head, body)
    assert found == status and words in text and text.startswith("page: expected ")
    assert ask(port, body=ONE)[0] == 200


def test_a_client_that_never_stops_sending_is_cut_off(port):
    most = importlib.import_module("spconv_cy.page.time_limit").MOST_DROPPED                 # needs waitress
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"POST /read HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % 10**12)
        with pytest.raises(OSError):
            for _ in range(most // 2**20 + 100):
                connection.sendall(b" " * 2**20)
    assert ask(port, body=ONE)[0] == 200


@each(
    "status, change",
    [
        (403, {"Host": "example.org"}),
        (403, {"Host": "example.org", "Origin": "http://example.org"}),
        (403, {"Origin": "https://example.org"}),
        (403, {"Origin": "null"}),
        (415, {"Content_Type": "text/plain"}),
        (415, {"Content_Type": "application/x-www-form-urlencoded"}),
        (404, {"path": "/../reader.py"}),
        (404, {"path": "/page.html"}),
        (405, {"method": "GET"}),
        (405, {"method": "DELETE"}),
        (405, {"method": "POST", "path": "/"}),
    ],
)
def test_other_sites_and_other_requests_are_refused(port, status, change):
    found, headers, text = ask(port, **{"body": ONE} | change)
    assert found == status and "page: expected " in json.loads(text)["error"]
    assert "Access-Control-Allow-Origin" not in headers


def test_garbage_on_the_wire_does_not_end_the_server(port):
    for garbage in (b"\x00" * 1000, b"POST /read HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"GET / HTTP/9\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            body = connection.makefile("rb").read().partition(b"\r\n\r\n")[2]
            assert not body or "page: expected " in json.loads(body)["error"]
    assert ask(port, body=ONE)[0] == 200


def test_it_listens_on_loopback_alone(port):
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {"127.0.0.1"}:
        if not address.startswith("127."):
            with pytest.raises(OSError):
                socket.create_connection((address, port), timeout=2)


def test_a_model_of_the_users_own_keeps_its_labels(tmp_path):
    characters = [[[(0, 0), (9, 0)]], [[(0, 0), (0, 9)]]] * 4
    own = sp.SparseConvClassifier(l=1, k=4, augment="none", epochs=10, random_state=0)
    own.fit(characters, ["across", "down"] * 4).save(tmp_path / "own.safetensors")
    found = Reader.of_file(tmp_path / "own.safetensors").read(characters[1])
    assert [label for label, _ in found["answers"]] == ["down", "across"]


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    assert main(["page", "--model", str(tmp_path / "none.safetensors")]) == 1
    (tmp_path / "bad.safetensors").write_bytes(b"garbage")
    assert main(["page", "--model", str(tmp_path / "bad.safetensors")]) == 1
    assert capsys.readouterr().err.count("spconv-cy page: ") == 2
    with pytest.raises(SystemExit):
        main(["page", "--port", "70000"])
    assert "expected a whole number from 0 to 65535, got '70000'" in capsys.readouterr().err


def test_a_port_that_is_taken_is_named(port, capsys):
    assert main(["page", "--port", str(port)]) == 1
    assert "a free port, got" in capsys.readouterr().err or sys.platform != "linux"


def test_the_command_serves(tmp_path):
    pytest.importorskip("waitress")
    command = [sys.executable, "-m", "spconv_cy", "page", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as process:
        try:
            found = re.fullmatch(r"draw on http://127\.0\.0\.1:(\d+)/ .*\n", process.stdout.readline())
            assert ask(int(found[1]), body=ONE)[0] == 200
        finally:
            process.terminate()


def test_config_is_told(capsys):
    assert main(["config"]) == 0 and "numpy" in capsys.readouterr().out


def test_the_pages_parts_are_in_the_package():
    assert sorted(path.name for path in HERE.glob("page.*")) == ["page.css", "page.html", "page.js"]
