"""Readers obey what a file declares or refuse it by name: columns, rows, words, axes, and what an archive tells."""

import gzip
import io
import json
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.errors import FileError, ShapeError
from spconv_cy.readers.svg_path import read_svg_path

TREE = "\N{CJK UNIFIED IDEOGRAPH-6728}"
OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
OFF = "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
JS = "exports.positions=[[0,0,0],[1,0,0],[0,1,0]]\nexports.cells=[[0,1,2]]\n"
UNIPEN = ".VERSION 1.0\n.COORD X Y\n.COMMENT 8 3\n.PEN_DOWN\n1 2\n3 4\n.PEN_UP\n"
UJI = "WORD a UJI_W01\n NUMSTROKES 1\n POINTS 2 # 1 2 3 4\n"
ASSAMESE = "NAME: x\nSTROKE_COUNT: 1\n\nX Y T S\nPEN_DOWN\n1 2 3 1\nPEN_UP\nEND\n"
READERS = {".obj": sp.readers.read_mesh, ".off": sp.readers.read_mesh, ".js": sp.readers.read_mesh,
           ".dat": sp.readers.read_unipen, ".uji": sp.readers.read_uji,
           ".txt": lambda path: sp.readers.read_assamese(path.parent), ".pot": sp.readers.read_casia}


def read(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return READERS[path.suffix](path)


def strokes(found, item=0):
    return [stroke.tolist() for stroke in found.characters[item]]


@each("name, content, message", [
    ("a.obj", OBJ + "v 1 1 1 2\n", "line 5: expected the weight 1, got '2'"),
    ("a.obj", OBJ + "v 1 1 1 2 3\n", "line 5: .*got 'v 1 1 1 2 3'"), ("a.obj", OBJ + "v 1 1 1 1 1 1 1 1\n", "line 5"),
    ("a.obj", OBJ + "v 1 1 1 red 1 1\n", "expected numbers in the colours, got 'red'"),
    ("a.obj", OBJ + "curv 0 1 1 2\n", "line 5: expected v, f, or a line.*got 'curv'"),
    ("a.obj", OBJ + "V 1 1 1\n", "line 5: expected v, f, or a line.*got 'V'"),
    ("a.obj", OBJ + "vertex 1 1 1\n", "line 5: expected v, f, or a line.*got 'vertex'"),
    ("a.obj", OBJ + "f 1/x 2 3\n", "line 5: expected a vertex,.*got '1/x'"),
    ("a.obj", OBJ + "f 1/2/3/4 2 3\n", "line 5: expected a vertex,.*got '1/2/3/4'"),
    ("a.obj", OBJ + "v 1 1 1_0\n", "expected numbers in the vertices, got '1_0'"),
    ("a.obj", OBJ + "f 1 2 \\\n3 \\\n0\n", "line 5: expected a vertex from 1 up,.*got 0"),
    ("a.off", OFF + "3 0 1 2\n", "line 7: expected the end of the file after 3 vertices and 1 faces, got '3 0 1 2'"),
    ("a.off", OFF.replace("0 0 0\n", "0 0 0 1\n"),
     "line 3: expected 3 numbers in vertex 0 after OFF, got 4: '0 0 0 1'"),
    ("a.off", OFF.replace("OFF", "COFF"), "line 3: expected 6 or 7 numbers in vertex 0 after COFF, got 3: '0 0 0'"),
    ("a.off", OFF.replace("OFF", "NOFF").replace("\n1 0 0\n", "\n1 0 0 0 0 1\n"), "line 3: .*after.*got 3: '0 0 0'"),
    ("a.off", "COFF\n2 0 0\n0 0 0 1 1 1\n0 0 0 1 1 1 1\n", "line 4: .*numbers.*got 7: '0 0 0 1 1 1 1'"),
    ("a.off", OFF.replace("3 0 1 2", "3 0 1 2 9 9"), "line 6: .*numbers.*got 2: '3 0 1 2 9 9'"),
    ("a.off", OFF.replace("3 0 1 2", "3 0 1 2 red"), "expected numbers in the.*got 'red'"),
    ("a.off", OFF.replace("OFF\n", "nOFF\n3\n"), "expected OFF on the first.*got 'nOFF'"),
    ("a.off", "ST" + OFF, "after.*got 3: '0 0 0'"),
    ("a.js", JS + "exports.cells=[[0,1,1]]\n", "line 3: expected .* each once, got 'exports.cells"),
    ("a.js", JS + "exports.normals=[[0,1,1]]\n", "line 3: expected .* got 'exports.normals"),
    ("a.js", JS.replace("[1,0,0]", "[true,0,0]"), "true or false in it"),
    ("a.js", JS.replace("[1,0,0]", f"[0.5,0,{'9' * 400}]"),
     r"exports.*got \[\[0, 0, 0\], \[0.5, 0, 9999999999999999999"),
    ("u.dat", UNIPEN.replace("X Y", "X Z"), "line 2: expected channels with X and Y, each once, got '.COORD X Z'"),
    ("u.dat", UNIPEN.replace("X Y", "X Y Y"), "line 2: expected channels"),
    ("u.dat", UNIPEN.replace("X Y", "X Y T"), "line 5: expected X Y T of each point, got 2 numbers"),
    ("u.dat", ".FOO a\n" + UNIPEN, "line 1: expected a keyword of UNIPEN about the data, got '.FOO'"),
    ("u.dat", ".INCLUDE other\n" + UNIPEN, "line 1: expected all data in one file, got '.INCLUDE other'"),
    ("u.dat", UNIPEN.replace("COMMENT 8", "COMMENT 12"), "line 3: expected a digit from 0 to 9, got '12'"),
    ("u.dat", UNIPEN.replace("1 2", "+-1 2"), r"line 5: expected whole numbers while.*got '\+-1'"),
    ("u.dat", ".X_POINTS_PER_MM 10\n.Y_POINTS_PER_MM 20\n" + UNIPEN, "line 2: expected the same scale along x and y"),
    ("a.uji", UJI + " POINTS 1 # 1 2\n", "strokes.*got 1 and 2 strokes"),
    ("a.uji", UJI.replace("# 1", "# -+1"), r"line 3: expected whole numbers x and y, got '-\+1'"),
    ("1.1.txt", ASSAMESE.replace("X Y T S", "Y X T S"), "line 4: expected the columns X Y T S, got 'Y X T S'"),
    ("1.1.txt", ASSAMESE.replace("X Y T S", "X Y T"), "line 4: expected the columns"),
    ("1.1.txt", ASSAMESE.replace("1 2 3 1", "--1 2 3 1"), "line 6: expected a point X Y T S of.*got '--1'"),
    ("1.99999999999999999999.txt", ASSAMESE, "expected the number of a writer"),
    ("a.pot", struct.pack("<HIH", 12, 0x1B0A1, 0) + struct.pack("<hh", -1, -1), "expected a tag of two bytes"),
    ("a.pot", struct.pack("<HIH", 12, 0xB0A1, 0) + struct.pack("<hh", -1, -1) + b"\n",
     "record at byte 12: expected 12 bytes or more, got 1 at the end")])
def test_what_is_declared_and_not_read_is_refused_by_name(tmp_path, name, content, message):
    with pytest.raises(FileError, match=message):
        read(tmp_path, name, content)


def test_what_is_declared_and_of_no_matter_is_passed_over(tmp_path):
    for more in ("vn 0 0 1", "vt 0 0", "g a", "o b", "s off", "mtllib /etc/passwd", "usemtl m", "l 1 2", "p 1",
                 "# f 1 1 1", "v 1 1 1 1", "v 1 1 1 .5 .5 .5", "v 1 1 1 .5 .5 .5 1",
                 "# C:\\models\\\nv 1 1 1", "f 1/1/1 2//2 3/3"):
        found = read(tmp_path, "a.obj", more + "\n" + OBJ.replace("f 1 2 3", "f -3 -2 -1"))
        assert found.vertices[found.triangles[-1]].tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
        assert len(found.vertices) == 3 + ("v 1 1 1" in more)
    for word, more in (("N", " 0 0 1"), ("C", " 1 0 0"), ("C", " 1 0 0 .5"), ("CN", " 0 0 1 1 0 0 1"), ("ST", " .5 .5"),
                       ("STCN", " .5 .5 1 0 0 0 0 1")):
        rows = "".join(f"{row}{more}\n" for row in ("0 0 0", "1 0 0", "0 1 0"))
        for colour in ("", " 7", " 1 0 0", " 1 0 0 1"):
            found = read(tmp_path, "a.off", f"{word}OFF\n3 1 0\n{rows}3 0 1 2{colour}\n\n# the end\n")
            assert found.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
            assert found.triangles.tolist() == [[0, 1, 2]]
    assert len(read(tmp_path, "a.js", "exports.positions=[]\nexports.cells=[]").vertices) == 0


def test_the_channels_of_a_unipen_file_are_obeyed(tmp_path):
    assert strokes(read(tmp_path, "u.dat", UNIPEN)) == [[[1, -2], [3, -4]]]
    assert strokes(read(tmp_path, "u.dat", UNIPEN.replace("X Y", "Y X"))) == [[[2, -1], [4, -3]]]
    timed = UNIPEN.replace("X Y", "T X P Y").replace("1 2", "0 1 9 2").replace("3 4", "1 3 9 4")
    assert strokes(read(tmp_path, "u.dat", timed)) == [[[1, -2], [3, -4]]]
    more = (".KEYWORD FOO a word of ours\n.FOO 1\n.X_DIM 500\n.Y_DIM 400\n.HIERARCHY PAGE DIGIT\n"
            ".X_POINTS_PER_INCH 100\n.Y_POINTS_PER_INCH 100\n")
    assert strokes(read(tmp_path, "u.dat", more + UNIPEN)) == [[[1, -2], [3, -4]]]


def drawing(inside, head=""):
    return f'<svg xmlns="http://www.w3.org/2000/svg"{head}>{inside}</svg>'.encode()


@each("content, message", [
    (drawing('<g transform="scale(2)"><path d="M0 0h1"/></g>'), "a transform of the element 'g'"),
    (drawing('<path transform="scale(2)" d="M0 0h1"/>'), "a transform of the element 'path'"),
    (drawing('<path style="transform:scale(2)" d="M0 0h1"/>'), "a transform of the element 'path'"),
    (drawing('<path d="M0 0h1"/>', ' transform="scale(2)"'), "a transform of the element 'svg'"),
    (drawing('<path d="M0 0h1"/>', ' viewBox="0 0 200 200"'), "viewBox 0 0 109 109, got '0 0 200 200'"),
    (drawing('<path d="M0 0h1"/><line x1="0" x2="1"/>'), "got the element 'line'"),
    (drawing('<path d="M0 0h1"/><rect/>'), "got the element 'rect'"), (drawing("<use/>"), "got the element 'use'"),
    (drawing('<svg><path d="M0 0h1"/></svg>'), "got the element 'svg'"), (b"<html/>", "got the element 'html'"),
    (drawing('<path d="M0 0h\u0663"/>'), ".*got '٣' at 5"),
    (drawing('<path d="M0,,0h1"/>'), "stroke 1: .*got ',,0h1' at 2"),
    ('<!DOCTYPE svg [<!ENTITY a "b">]><svg/>'.encode("utf-16"), "got a declared entity")])
def test_drawings_that_are_moved_or_not_of_paths_are_refused_by_name(tmp_path, content, message):
    (tmp_path / "06728.svg").write_bytes(content)
    with pytest.raises(FileError, match=f"06728.svg: .*{message}"):
        sp.readers.read_kanjivg(tmp_path)


def test_a_drawing_of_paths_in_its_box_is_read_and_its_words_are_not(tmp_path):
    inside = ('<!-- a note --><title>x</title><metadata><rdf xmlns="r"/></metadata><g><g><path d="M0 0h1"/></g>'
              '<path d="M1 1h1"/></g><text transform="scale(2)">1</text>')
    (tmp_path / "06728.svg").write_bytes(drawing(inside, ' viewBox="0 0 109 109" width="109"'))
    assert strokes(sp.readers.read_kanjivg(tmp_path)) == [[[0, 0], [1, 0]], [[1, 1], [2, 1]]]


def test_spaces_of_any_length_are_read_in_a_time_that_grows_with_them():
    with pytest.raises(ValueError, match="expected a number or a command, got '#' at 4"):
        read_svg_path("M0 0" + " " * 100_000 + "#")                      # ends at once, or never


def package(path, files, spoil=lambda content: content):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as file:
        for name, text in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            file.addfile(entry, io.BytesIO(text))
    path.write_bytes(gzip.compress(spoil(content.getvalue())))
    return path


FILES = [(f"package/{TREE}.json", json.dumps({"medians": [[[1, 2], [3, 4]]]}).encode()),
         ("package/x.json", json.dumps({"medians": [[[5, 6], [7, 8]]]}).encode())]


@pytest.mark.parametrize("files, spoil, message", [
    (FILES + FILES[:1], bytes, f"expected one file for each character, got '{TREE}' twice"),
    ([("a.json", b'{"medians": [[[1, 2]]], "medians": [[[3, 4]]]}')], bytes, "twice in one object"),
    ([("a.json", b'{"medians": [[[1, 2]]], "strokes": ["M", "M"]}')], bytes, "as many medians as strokes, got 1 and 2"),
    ([("a.json", b'{"medians": [[[1, true]]]}')], bytes, "stroke 1"),
    (FILES, lambda content: content[:2048] + b"x" + content[2049:], "an entry is damaged"),       # the second heading
    (FILES, lambda content: content[:2048], "the end of the archive is missing"),
    (FILES, lambda content: content + b"more",
     "more bytes after the end of the archive")])
def test_archives_that_tell_more_or_less_than_they_hold_are_refused(tmp_path, files, spoil, message):
    assert len(sp.readers.read_hanzi_writer(package(tmp_path / "whole.tgz", FILES))) == 2
    with pytest.raises(FileError, match=message):
        sp.readers.read_hanzi_writer(package(tmp_path / "a.tgz", files, spoil))


def test_a_drawing_that_comes_twice_or_under_no_character_is_refused(tmp_path):
    for names, message in ((["a/06728.svg", "b/06728.svg"], "expected one drawing of each character, got '木' twice"),
                           (["0d800.svg"], r"expected one drawing of each.*got '\\ud800'")):
        with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
            for name in names:
                wheel.writestr(name, drawing('<path d="M0 0h1"/>'))
        with pytest.raises(FileError, match=message):
            sp.readers.read_kanjivg(tmp_path / "a.whl")


def test_times_that_only_rise_by_wrapping_around_are_refused():
    wrapped = np.array([2**63 - 1, -(2**63), 5])
    zeros = np.zeros(3, int)
    with pytest.raises(ShapeError, match="got -9223372036854775808 after 9223372036854775807 at event "):
        sp.data.Events(wrapped, zeros, zeros, np.ones(3, bool), (4, 4))
    with pytest.raises(ShapeError, match=r"expected t below 2\^63"):
        sp.data.Events(wrapped.astype(np.uint64), zeros, zeros, np.ones(3, bool), (4, 4))
