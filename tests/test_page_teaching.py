"""The user's own signs: taught by requests, read, downloaded; what does not fit is refused."""

import http.client
import json
import threading
import time

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.page.reader import Reader
from spconv_cy.page.server import Page, serve
from spconv_cy.page.teaching import Teacher

pytest.importorskip("waitress")
SHAPES = {"zig": [(0, 0), (50, 80), (100, 0)], "box": [(0, 0), (0, 100), (100, 100), (100, 0), (0, 0)]}


def drawings(rng, name, n):
    """Return n drawings of a sign by hand: its corners are moved, points are put between them."""
    found = []
    for _ in range(n):
        corners = np.array(SHAPES[name]) * rng.uniform(0.7, 1.3, 2) + rng.normal(0, 6, (len(SHAPES[name]), 2))
        at = np.linspace(0, len(corners) - 1, 30)
        points = np.stack([np.interp(at, np.arange(len(corners)), axis) for axis in corners.T], 1) + 120
        found.append([np.round(points, 1).tolist()])
    return found


@pytest.fixture(scope="module")
def port():
    server = serve(Reader.of_file(), 0)
    threading.Thread(target=server.run, daemon=True).start()
    yield server.effective_port
    server.close()


def ask(port, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        plain = answer.getheader("Content-Type").startswith("application/json")
        return answer.status, json.loads(content) if plain else content, dict(answer.getheaders())
    finally:
        connection.close()


def test_signs_are_taught_read_at_once_and_downloaded(port, rng, tmp_path):
    assert ask(port, "/about")[1] == {"model": {"what": "a digit", "labels": list("0123456789")}, "own": None}
    for path, body in (("/signs.safetensors", None), ("/read", {"strokes": [[[1, 2]]], "model": "own"})):
        status, answer, _ = ask(port, path, body)
        assert status == 404 and answer["error"].startswith("page: expected signs that were taught, got none yet")
    signs = [{"label": name, "drawings": drawings(rng, name, 5)} for name in SHAPES]
    status, answer, _ = ask(port, "/teach", {"signs": signs})
    assert status == 200 and (answer["labels"], answer["drawings"]) == (["zig", "box"], 10) and answer["seconds"] > 0
    assert ask(port, "/about")[1]["own"] == {"what": None, "labels": ["box", "zig"]}
    for name in SHAPES:
        for drawing in drawings(rng, name, 4):
            status, answer, _ = ask(port, "/read", {"strokes": drawing, "model": "own"})
            assert status == 200 and answer["answers"][0][0] == name and len(answer["layers"]) == 10
    assert ask(port, "/read", {"strokes": [[[10, 0], [10, 100]]]})[1]["answers"][0][0] == "1"      # the digits stay
    status, content, headers = ask(port, "/signs.safetensors")
    assert status == 200 and headers["Content-Disposition"] == 'attachment; filename="signs.safetensors"'
    (tmp_path / "signs.safetensors").write_bytes(content)
    model = sp.SparseConvClassifier.load(tmp_path / "signs.safetensors")
    assert model.predict(drawings(rng, "zig", 3)).tolist() == ["zig"] * 3
    assert Reader.of_file(tmp_path / "signs.safetensors").about() == {"what": None, "labels": ["box", "zig"]}


LINE = [[[0, 0], [1, 1]]]
TWO = {"label": "a", "drawings": [LINE, LINE]}


@each("status, words, signs", [
    (400, 'a body {"signs":', None), (400, 'a body {"signs":', [7]), (400, 'a body {"signs":', [{"label": "a"}]),
    (400, "2 to 30 signs, got 1", [TWO]), (400, "2 to 30 signs, got 31", [TWO | {"label": str(i)} for i in range(31)]),
    (400, "a different name of 1 to 40 characters", [TWO, TWO]),
    (400, "a different name", [TWO, TWO | {"label": " "}]), (400, "a different name", [TWO, TWO | {"label": "b" * 41}]),
    (400, "a different name", [TWO, TWO | {"label": 7}]), (400, "a different name", [TWO, TWO | {"label": None}]),
    (400, "2 to 50 drawings of 'b', got 1", [TWO, {"label": "b", "drawings": [LINE]}]),
    (400, "at least one stroke in each drawing of 'b'", [TWO, {"label": "b", "drawings": [LINE, []]}]),
    (400, "at least one point in each stroke", [TWO, {"label": "b", "drawings": [LINE, [[]]]}]),
    (400, "two numbers", [TWO, {"label": "b", "drawings": [LINE, [[["x", 1]]]]}]),
    (413, "at most 20000 points", [TWO | {"label": str(i), "drawings": [[[[1, 2]] * 500] * 2] * 2}
                for i in range(12)])])
def test_signs_that_do_not_fit_are_refused(port, status, words, signs):
    found, answer, _ = ask(port, "/teach", {"signs": signs})
    assert found == status and words in answer["error"]


def test_one_training_runs_at_a_time_and_is_the_same_again(rng):
    teacher, signs = Teacher(), {name: drawings(rng, name, 2) for name in SHAPES}
    first = threading.Thread(target=teacher.teach, args=(signs,))
    first.start()
    while not teacher.busy:
        time.sleep(0.001)
    assert teacher.teach(signs) is None
    page = Page(None, ["here"], teacher)
    body = json.dumps({"signs": [{"label": name, "drawings": several} for name, several in signs.items()]}).encode()
    environ = {"HTTP_HOST": "here", "PATH_INFO": "/teach", "REQUEST_METHOD": "POST", "CONTENT_TYPE": "application/json",
               "CONTENT_LENGTH": str(len(body)), "wsgi.input": __import__("io").BytesIO(body)}
    told = []
    answer = page(environ, lambda status, headers: told.append(status))
    assert told == ["409 Conflict"] and b"one training at a time" in answer[0]
    first.join()
    content = teacher.file
    teacher.teach(signs)
    assert teacher.file == content
