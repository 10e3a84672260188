"""Drawings in InkML, Quick, Draw!'s files and CASIA's .gnt: what the formats allow, and what is damaged."""

import json
import struct
import tracemalloc

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import FileError
from spconv_cy.readers.inkml import _Formats

INK = """<?xml version="1.0" encoding="UTF-8"?>
<ink xmlns="http://www.w3.org/2003/InkML">
<!-- a note -->
<traceFormat><channel name="X" type="decimal"/><channel name="Y" type="decimal"/></traceFormat>
<annotation type="truth">$x+1$</annotation><annotation type="writer">w7</annotation>
<trace id="0">1 2, 3 4,5 6</trace>
<trace id="1">
 -1.5 .5
</trace>
<trace id="2"></trace>
<traceGroup xml:id="3"><annotation type="truth">Segmentation</annotation>
<traceGroup><annotation type="truth">x</annotation><traceView traceDataRef="0"/>
<traceView traceDataRef="#2"/></traceGroup>
<traceGroup><annotation type="truth">+</annotation><traceView traceDataRef="1"/></traceGroup>
</traceGroup></ink>
"""


def strokes(found, item=0):
    return [stroke.tolist() for stroke in found.characters[item]]


def inkml(tmp_path, content, of="files"):
    (tmp_path / "a.inkml").write_bytes(content if isinstance(content, bytes) else content.encode())
    return sp.readers.read_inkml(tmp_path / "a.inkml", of=of)


@each("change", [
    lambda text: text.encode(), lambda text: text.replace("\n", "\r\n").encode(), lambda text: text.encode("utf-8-sig"),
    lambda text: text.replace("UTF-8", "UTF-16").encode("utf-16"), lambda text: ("\n" + text).encode(),
    lambda text: text.replace(' xmlns="http://www.w3.org/2003/InkML"', "").encode(),
    lambda text: text.replace("ink ", "i:ink ").replace("/ink", "/i:ink").replace("xmlns=", "xmlns:i=").encode(),
    lambda text: text.replace("1 2, 3 4,5 6", " 1  2 ,\n3\t4 , 5 6 ,").encode()])
def test_inkml_is_read_as_a_file_or_as_its_symbols(tmp_path, change):
    found = inkml(tmp_path, change(INK))
    assert strokes(found) == [[[1, 2], [3, 4], [5, 6]], [[-1.5, 0.5]]] and found.classes == ("$x+1$",)
    found = inkml(tmp_path, change(INK), "groups")
    assert [found.classes[i] for i in found.labels] == ["x", "+"]
    assert strokes(found) == [[[1, 2], [3, 4], [5, 6]]] and strokes(found, 1) == [[[-1.5, 0.5]]]


@each("text, points", [
    ("10 0, 9 14", [[10, 0], [9, 14]]), ("1125 18432,'23'43,'15-8,3-5", [[1125, 18432], [1148, 18475], [1163, 18467],
                                                      [1166, 18462]]),
    ("1 2,'3'4,\"1\"1,0 0", [[1, 2], [4, 6], [8, 11], [12, 16]]), ("1 2,!5!6,7 8", [[1, 2], [5, 6], [7, 8]]),
    ("1-2,3-4", [[1, -2], [3, -4]]), ("#A #1f,-#2 +3", [[10, 31], [-2, 3]]), ("1 2,* 3", [[1, 2], [1, 3]]),
    ("1e1 .5E1", [[10, 5]]), ("", []), ("10 20,'1'2,* *,* *", [[10, 20], [11, 22], [12, 24], [13, 26]]),
    ("0 0,'1'1,\"1\"2,* *", [[0, 0], [1, 1], [3, 4], [6, 9]]), ("\n1 2\n3 4\r\n\n5 6\n", [[1, 2], [3, 4], [5, 6]]),
    ("1\n2", [[1, 2]])])
def test_numbers_in_a_trace_are_those_of_the_recommendation(tmp_path, text, points):
    found = inkml(tmp_path, f"<ink><trace>{text}</trace></ink>".replace('"', "&quot;"))
    assert strokes(found) == ([points] if points else []) and found.classes == ("",)


def test_the_channels_of_a_trace_are_obeyed(tmp_path):
    head = ('<traceFormat xml:id="f"><channel name="T"/><channel name="Y"/><channel name="X"/><intermittentChannels>'
            '<channel name="F"/></intermittentChannels></traceFormat>')
    assert strokes(inkml(tmp_path, f"<ink>{head}<trace>0 2 1,1 4 3</trace></ink>")) == [[[1, 2], [3, 4]]]
    text = (f'<ink><context xml:id="c">{head}</context><context xml:id="d"/><trace contextRef="#c">0 2 1</trace>'
            "<trace>0 4 3</trace></ink>")
    assert strokes(inkml(tmp_path, text)) == [[[1, 2]], [[3, 4]]]
    assert strokes(inkml(tmp_path, f"<ink>{head}<trace>0 2 1,1 4 3 7</trace></ink>")) == [[[1, 2], [3, 4]]]


@each("reference", ['<context xml:id="c" traceFormatRef="#t"/>', '<context xml:id="b" inkSourceRef="#s"/><context '
                    'xml:id="c" contextRef="#b"/>', '<context xml:id="c" contextRef="#c" traceFormatRef="#t"/>'])
@each("trace", ['<trace contextRef="#c">9 1 2</trace>',
               '<traceGroup contextRef="#c"><trace>9 1 2</trace></traceGroup>'])
def test_contexts_lead_to_the_channels(tmp_path, reference, trace):
    formats = ('<traceFormat><channel name="X"/><channel name="Y"/></traceFormat><inkSource xml:id="s"><traceFormat '
               'xml:id="t"><channel name="F"/><channel name="X"/><channel name="Y"/></traceFormat></inkSource>')
    assert strokes(inkml(tmp_path, f"<ink>{formats}{reference}{trace}</ink>")) == [[[1, 2]]]


def test_contexts_that_name_each_other_are_followed_once(tmp_path, monkeypatch):
    names, follow = [], _Formats._format
    monkeypatch.setattr(_Formats, "_format", lambda self, name, *rest: names.append(name) or follow(self, name, *rest))
    circle = "".join(f'<context xml:id="{a}" traceFormatRef="#{b}" inkSourceRef="#{b}" contextRef="#{b}"/>'
                     for a, b in ("cd", "dc"))
    trace = '<trace contextRef="#c">1 2</trace>'
    found = inkml(tmp_path, f"<ink>{circle}{trace * 9}</ink>")
    assert strokes(found) == [[[1, 2]]] * 9
    assert names == ["#c", "#d", "#c", "#c", "#c", "#d", "#d"]


def test_traces_in_the_air_are_left_out_and_continued_ones_joined(tmp_path):
    found = inkml(tmp_path, '<ink><trace id="a" continuation="begin">1 2</trace><trace type="penUp">9 9</trace>'
                  '<trace id="b" continuation="middle" priorRef="#a">3 4</trace>'
                  '<trace id="c" continuation="end" priorRef="#b">5 6</trace><trace>7 8</trace></ink>')
    assert strokes(found) == [[[1, 2], [3, 4], [5, 6]], [[7, 8]]]


def test_labelled_views_are_groups_and_may_name_groups(tmp_path):
    found = inkml(tmp_path, '<ink><traceGroup xml:id="g"><trace>1 2</trace><trace>3 4</trace></traceGroup><traceView>'
                  '<annotation type="truth">x</annotation><traceView traceDataRef="#g"/></traceView></ink>', "groups")
    assert strokes(found) == [[[1, 2]], [[3, 4]]] and found.classes == ("x",)


@each("content, message", [
    ("<ink><trace>1 2</ink>", "a.inkml: expected XML"), ("", "expected XML"), ("<svg/>", "element ink, got 'svg'"),
    ("<ink><trace>1 2, x 4</trace></ink>", "trace 'trace 0': expected numbers, .* got 'x 4'"),
    ("<ink><trace>1 2, 3</trace></ink>", "2 numbers in each point, X Y, got 1 in point 1"),
    ("<ink><trace>1 2 3</trace></ink>", "2 numbers in each point, X Y, got 3 in point 0"),
    ('<ink><trace id="a">1 2</trace><trace id="a">1 2</trace></ink>', "a different id for each trace, got 'a' twice"),
    ('<ink><traceFormat><channel name="X"/></traceFormat></ink>', "channels X and Y, got X"),
    ('<!DOCTYPE ink [<!ENTITY a "b">]><ink/>', "a declared entity"),
    ('<ink><traceGroup><annotation type="truth">x</annotation><traceView traceDataRef="9"/></traceGroup></ink>',
     "groups of traces that are there, got the trace '9'")])
def test_inkml_that_does_not_fit_is_refused_by_name(tmp_path, content, message):
    with pytest.raises(FileError, match=message):
        inkml(tmp_path, content, "groups")


def test_folders_are_read_and_empty_ones_named(tmp_path):
    for name in ("b.inkml", "a.INKML", "c.txt"):
        (tmp_path / name).write_text(INK.replace("$x+1$", name))
    found = sp.readers.read_inkml(tmp_path)
    assert found.classes == ("a.INKML", "b.inkml")
    (tmp_path / "sub").mkdir()
    for read, ending in ((sp.readers.read_inkml, ".inkml"), (sp.readers.read_quickdraw, ".ndjson or .bin"),
                         (sp.readers.read_gnt, ".gnt")):
        with pytest.raises(FileNotFoundError, match=f"a folder with {ending} files, got none"):
            read(tmp_path / "sub")
        with pytest.raises(FileNotFoundError):
            read(tmp_path / f"none{ending.split()[0]}")
    with pytest.raises(ValueError, match="of to be 'files' or 'groups', got 'symbols'"):
        sp.readers.read_inkml(tmp_path, of="symbols")


# Quick, Draw!

CAT = {"word": "cat", "countrycode": "DE", "timestamp": "2017-03-01 20:01:12.0 UTC", "recognized": True,
       "key_id": "6507083", "drawing": [[[0, 255, 7], [1, 2, 3]], [[9], [8]]]}
DOG = CAT | {"word": "dog", "recognized": False, "drawing": [[[1.5, 2.5], [3, 4]]]}


def ndjson(*drawings):
    return "".join(json.dumps(drawing) + "\n" for drawing in drawings)


def binary(*drawings):
    content = b""
    for drawing in drawings:
        content += struct.pack("<Q2sbIH", 7, b"DE", drawing["recognized"], 0, len(drawing["drawing"]))
        for x, y in drawing["drawing"]:
            content += struct.pack(f"<H{len(x)}B{len(y)}B", len(x), *map(int, x), *map(int, y))
    return content


def test_quickdraw_is_read_from_lines_and_from_bytes(tmp_path):
    for name, content in (("full_simplified_cat.ndjson", ndjson(CAT, CAT).encode()), ("cat.bin", binary(CAT, CAT)),
                          ("cat.ndjson", ndjson(CAT, CAT).replace("\n", "\r\n\r\n").encode("utf-8-sig")),
                          ("x.ndjson", ndjson(CAT, CAT).rstrip().encode()),
                          ("full_binary_cat.bin", binary(CAT, CAT))):
        (tmp_path / name).write_bytes(content)
        found = sp.readers.read_quickdraw(tmp_path / name)
        assert found.classes == ("cat",) and len(found) == 2 and found.times is None
        assert strokes(found, 1) == [[[0, 1], [255, 2], [7, 3]], [[9, 8]]]
    (tmp_path / "x.ndjson").write_text(ndjson(DOG, CAT, DOG, CAT, CAT))
    assert len(sp.readers.read_quickdraw(tmp_path / "x.ndjson", most=2)) == 2
    found = sp.readers.read_quickdraw(tmp_path / "x.ndjson", most=2, recognized=True)
    assert found.classes == ("cat",) and len(found) == 2 and found.n_skipped == 2
    assert len(sp.readers.read_quickdraw(tmp_path)) == 5 + 8
    for content in (b"", b"\n"):
        (tmp_path / "x.ndjson").write_bytes(content)
        assert len(sp.readers.read_quickdraw(tmp_path / "x.ndjson")) == 0


def test_raw_drawings_have_times_and_mixed_ones_none(tmp_path):
    raw = CAT | {"drawing": [[[0, 5.5], [1, 2], [0, 70]], [[3], [4], [200]], [[], [], []]]}
    (tmp_path / "raw.ndjson").write_text(ndjson(raw))
    found = sp.readers.read_quickdraw(tmp_path / "raw.ndjson")
    assert found.times.tolist() == [0, 70, 200] and strokes(found) == [[[0, 1], [5.5, 2]], [[3, 4]]]
    (tmp_path / "cat.bin").write_bytes(binary(CAT))
    assert sp.readers.read_quickdraw(tmp_path).times is None


@each("name, content, message", [
    ("a.ndjson", ndjson(CAT) + "{", "line 2: expected a drawing in JSON"),
    ("a.ndjson", ndjson(CAT)[:-9], "line 1: expected a drawing in JSON"),
    ("a.ndjson", "[1]\n", "an object with \"drawing\""), ("a.ndjson", '{"drawing": 3}', "an object with"),
    ("a.ndjson", ndjson(CAT | {"drawing": [[[1, 2], [3]]]}), "line 1: stroke 0: expected .*same length"),
    ("a.ndjson", ndjson(CAT | {"drawing": [[[1], [True]]]}), "stroke 0"),
    ("a.ndjson", ndjson(CAT | {"drawing": [[[1]]]}), "stroke 0"),
    ("a.ndjson", ndjson(CAT | {"drawing": [7]}), "stroke 0"),
    ("a.ndjson", ndjson(CAT | {"drawing": [[[1], [float("nan")]]]}), "stroke 0"),
    ("a.ndjson", ndjson(CAT | {"word": 7}), "a word of text, got 7"), ("a.ndjson", b"\xff\xfe", "JSON"),
    ("a.ndjson", "[" * 100_000, "JSON"), ("a.bin", binary(CAT)[:-1], "drawing at byte 0.*the end of the file"),
    ("a.bin", binary(CAT) + b"\0", "drawing at byte 29.*the end of the file"),
    ("a.bin", struct.pack("<Q2sbIH", 0, b"DE", 1, 0, 65535), "drawing at byte 0"),
    ("a.bin", struct.pack("<Q2sbIH", 0, b"DE", 9, 0, 0), "0 or 1, whether it was recognised, got 9")])
def test_drawings_that_do_not_fit_are_refused_with_their_place(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FileError, match=rf"{name}.*{message}"):
        sp.readers.read_quickdraw(tmp_path / name)


# CASIA's pictures


def gnt(*records):
    return b"".join(struct.pack("<I2sHH", 10 + picture.size, tag, picture.shape[1], picture.shape[0])
                    + picture.astype(np.uint8).tobytes() for tag, picture in records)


def test_gnt_pictures_are_read_with_their_characters(tmp_path, rng):
    pictures = [rng.integers(0, 256, shape) for shape in ((3, 5), (7, 2), (1, 1), (2, 2))]
    tags = ["啊".encode("gb2312"), b"A\0", "啊".encode("gb2312"), b"\xff\xff"]
    (tmp_path / "001-f.gnt").write_bytes(gnt(*zip(tags, pictures, strict=True)))
    (tmp_path / "other.gnt").write_bytes(gnt((tags[1], pictures[0])))
    found = sp.readers.read_gnt(tmp_path)
    assert found.classes == ("A", "啊", "tag 0xffff") and found.labels.tolist() == [1, 0, 1, 2, 0]
    assert found.writers.tolist() == [1, 1, 1, 1, -1] and "5 pictures, 3 classes" in repr(found)
    for picture, expected in zip(found.pictures, pictures, strict=False):
        assert_array_equal(picture, expected)
    (tmp_path / "001-f.gnt").write_bytes(b"")
    assert len(sp.readers.read_gnt(tmp_path / "001-f.gnt")) == 0


def test_pictures_are_fitted_into_a_square_with_their_ratio(rng):
    picture = np.full((10, 40), 255, np.uint8)
    picture[:, 10:20] = 55
    fitted, = sp.readers.LabelledPictures([picture], np.zeros(1, int), ("a",), np.zeros(1, int)).square(20)
    assert fitted.shape == (20, 20) and fitted.sum() == 5 * 5 * 200      # a quarter of the width, 5 of 20 rows
    assert (fitted[7:12, 5:10] == 200).all()
    x, _ = next(sp.data.PictureBatches(fitted[None], [0], 24).epoch(0, training=False))
    assert x.grid.n == 25
    large = rng.integers(0, 256, (31, 17)).astype(np.uint8)
    shrunk, = sp.readers.LabelledPictures([large], np.zeros(1, int), ("a",), np.zeros(1, int)).square(7)
    assert abs(shrunk[:, 1:5].mean() - (255.0 - large).mean()) < 1       # means of areas keep the mean
    empty = sp.readers.LabelledPictures([np.zeros((0, 3), np.uint8)], np.zeros(1, int), ("a",), np.zeros(1, int))
    assert not empty.square(4).any()


@pytest.mark.parametrize("change, message", [
    (lambda c: c[:-1], "at byte 0: expected a size of 10 bytes and a byte for each of 5 x 3 pixels, at most the 24"),
    (lambda c: c + b"\0" * 3, "at byte 25: expected 10 bytes or more, got 3 at the end"),
    (lambda c: struct.pack("<I", 24) + c[4:], "got 24"),
    (lambda c: struct.pack("<I2sHH", 10 + 65535**2, b"A\0", 65535, 65535), "got 4294836235")])
def test_damaged_gnt_records_are_refused_with_their_byte(tmp_path, change, message):
    (tmp_path / "a.gnt").write_bytes(change(gnt((b"A\0", np.zeros((3, 5))))))
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=rf"a\.gnt, record .*{message}"):
            sp.readers.read_gnt(tmp_path / "a.gnt")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
