"""Readers of handwriting: files that the test writes come back, damaged ones are refused with their place."""

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.errors import FileError, ShapeError
from spconv_cy.readers.casia import level1_class, tag_of_class

TWO = [[(10, 20), (30, -5), (31, 7)], [(4, 4)]]
ONE = [[(1, 2), (3, 4)]]


def assamese(folder, strokes=TWO, name="7.30.txt", told=None, end="END", extra=""):
    lines = [f"CHARACTER_NAME: {name}", f"STROKE_COUNT: {told or len(strokes)}", "", "X Y T S"]
    for s, stroke in enumerate(strokes, 1):
        lines += ["PEN_DOWN", *(f"{x} {y} {t} {s}" for t, (x, y) in enumerate(stroke)), "PEN_UP"]
    path = folder / f"W{name.split('.')[1]}" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines + [end, extra]))
    return path


def pot(tag, strokes, n_strokes=None, size=None):
    points = [p for stroke in strokes for p in (*stroke, (-1, 0))] + [(-1, -1)]
    size = 8 + 4 * len(points) if size is None else size
    head = struct.pack("<HIH", size, tag, len(strokes) if n_strokes is None else n_strokes)
    return head + b"".join(struct.pack("<hh", *p) for p in points)


def unipen(items):
    text = ".VERSION 1.0\n.COMMENT made by hand\n"
    for digit, strokes in items:
        text += f".SEGMENT DIGIT 0 ? \"{digit}\"\n.COMMENT {digit} 33\n.DT 100\n"
        text += "".join(".PEN_DOWN\n" + "".join(f" {x} {y}\n" for x, y in stroke) + ".PEN_UP\n.DT 60\n"
                        for stroke in strokes)
    return text


def uji(items):
    text = "// a note\n"
    for word, name, strokes in items:
        text += f"WORD {word} {name}\n  NUMSTROKES {len(strokes)}\n"
        text += "".join(f"  POINTS {len(s)} # " + " ".join(f"{x} {y}" for x, y in s) + "\n" for s in strokes)
    return text


def strokes_of(handwriting, i):
    return [[tuple(p) for p in stroke.tolist()] for stroke in handwriting.characters[i]]


def test_assamese_files_come_back_with_writers_times_and_split(tmp_path):
    assamese(tmp_path, TWO, "7.30.txt")
    assamese(tmp_path, ONE, "183.1.TXT")
    found = sp.readers.read_assamese(tmp_path)
    assert [found.classes[i] for i in found.labels] == ["183", "7"] and len(found.classes) == 183
    assert found.labels.tolist() == [182, 6] and found.writers.tolist() == [1, 30]
    assert strokes_of(found, 1) == TWO and strokes_of(found, 0) == ONE
    assert found.tested.tolist() == [False, True] and found.times.tolist() == [0, 1, 0, 1, 2, 0]


def test_assamese_strokes_also_begin_where_their_number_changes_and_repeats_are_left_out(tmp_path):
    path = tmp_path / "1.2.txt"
    path.write_text("अ\n2 strokes: 2\nX Y T S\n\n1 1 0 1\n1 1 5 1\n2 1 9 1\n5 5 12 2\n")
    found = sp.readers.read_assamese(tmp_path)
    assert strokes_of(found, 0) == [[(1, 1), (2, 1)], [(5, 5)]] and found.times.tolist() == [0, 9, 12]


@each("change, message", [
    (lambda t: t.replace("30 -5 1 1", "30 nan 1 1"), "line 7: expected a point X Y T S of whole numbers, got 'nan'"),
    (lambda t: t.replace("30 -5 1 1", "nan -5 1 1"), "line 7: expected a point X Y T S of.*got 'nan'"),
    (lambda t: t.replace("30 -5 1 1", "30 -5"), "line 7: expected X Y T S, four whole.*got '30 -5'"),
    (lambda t: t.replace("30 -5 1 1", "9" * 5000 + " 1 1 1"), "line 7: .*got '999999999999999999999999999999'"),
    (lambda t: t[:t.index("31 7")], "got the end of the file"),
    (lambda t: t.replace("COUNT: 2", "COUNT: 999999999"), "expected 999999999 strokes,.*got 2"),
    (lambda t: t[:40], "expected PEN_DOWN and lines.*got no stroke"),
    (lambda t: "", "expected PEN_DOWN and lines.*got no stroke"),
    (lambda t: t + "\0\x8f\xff", "expected a text file, got a zero at byte 123")])
def test_damaged_assamese_files_are_named_with_the_line(tmp_path, change, message):
    path = assamese(tmp_path)
    path.write_text(change(path.read_text()))
    with pytest.raises(FileError, match=message):
        sp.readers.read_assamese(tmp_path)


def test_assamese_folders_and_names_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(FileError, match="expected files named M.N.txt, got none"):
        sp.readers.read_assamese(tmp_path)
    with pytest.raises(FileNotFoundError, match="W1 to W45"):
        sp.readers.read_assamese(tmp_path / "none")
    assamese(tmp_path, ONE, "184.1.txt")
    with pytest.raises(FileError, match="expected a character from 1 to 183, got 184"):
        sp.readers.read_assamese(tmp_path)


def test_a_count_that_is_off_is_read_when_asked_to(tmp_path):
    assamese(tmp_path, TWO, told=5)
    assert strokes_of(sp.readers.read_assamese(tmp_path, strict=False), 0) == TWO


def test_casia_files_come_back(tmp_path):
    (tmp_path / "1001.pot").write_bytes(pot(0xB0A1, TWO) + pot(0xA1A2, ONE) + pot(0xD7F9, ONE))
    (tmp_path / "extra.pot").write_bytes(pot(0xB0A2, [[(0, -1), (-1, 3)]]))
    found = sp.readers.read_casia(tmp_path)
    assert found.labels.tolist() == [0, 3754, 1] and len(set(found.classes)) == 3755 and found.n_skipped == 1
    assert found.classes[0] == "啊" and found.writers.tolist() == [1001, 1001, -1]
    assert strokes_of(found, 0) == TWO and strokes_of(found, 2) == [[(0, -1), (-1, 3)]]
    every = sp.readers.read_casia(tmp_path / "1001.pot", which="all")
    assert len(every) == 3 and every.n_skipped == 0 and len(every.classes) == 3


def test_the_classes_of_gb2312_are_those_of_its_rows():
    tags = [row << 8 | cell for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF)][:39 * 94 + 89]
    assert [tag_of_class(i) for i in range(3755)] == tags and [level1_class(tag) for tag in tags] == list(range(3755))
    assert not any(level1_class(tag) is not None for tag in set(range(65536)) - set(tags))


WHOLE = pot(0xB0A1, ONE)


@each("content, message", [
    (WHOLE + pot(0xB0A1, ONE, size=10), "record at byte 24: expected a size that is a.*got 10"),
    (WHOLE + pot(0xB0A1, ONE, size=65532), "record at byte 24: expected a size that is a.*got 65532"),
    (pot(0xB0A1, ONE, n_strokes=60000), "strokes.*got 1 ends of strokes in 3 points"),
    (pot(0xB0A1, [[(0, 0)], []]), "record at byte 0: .*points.*got none in stroke 1"),
    (pot(0xB0A1, [[(-1, -1), (2, 2)]]), "got it 2 times"),
    (pot(0xB0A1, ONE)[:-8] + struct.pack("<hhhh", 5, 5, -1, -1), "strokes.*got 0 ends of strokes in 3 points"),
    (b"", "got an empty file"), (b"\0" * 40, "expected a size that is a.*got 0"),
    (b"\xff" * 40, "expected a size that is a.*got 65535")])
def test_damaged_casia_files_are_named_with_the_byte(tmp_path, content, message):
    path = tmp_path / "a.pot"
    path.write_bytes(content)
    with pytest.raises(FileError, match=message):
        sp.readers.read_casia(path)


def test_pen_digits_come_back_with_y_down(tmp_path):
    path = tmp_path / "pendigits-orig.tra"
    path.write_text(unipen([(8, TWO), (0, ONE)]))
    found = sp.readers.read_unipen(path)
    assert found.labels.tolist() == [8, 0] and found.classes == tuple("0123456789")
    assert strokes_of(found, 0) == [[(x, -y) for x, y in stroke] for stroke in TWO] and found.tested is None
    assert sp.readers.read_unipen(path, tested=True).tested.all()


DIGITS = unipen([(8, TWO), (0, ONE)])


@each("text, message", [
    (DIGITS.replace(" 30 -5", " 30 nan"), "line 8: expected whole numbers while the pen is down, got 'nan'"),
    (DIGITS.replace(" 30 -5", " 30"), "line 8: expected X Y of each point, got 1 numbers"),
    (DIGITS.replace(".COMMENT 8", ".COMMENT 17"), "line 4: expected a digit from 0 to 9, got '17'"),
    (DIGITS.replace(".COMMENT 8", ".COMMENT x"),
     "line 6: expected a .COMMENT with the digit before the points, got .PEN_DOWN"),
    (DIGITS.replace(".PEN_UP\n", "", 1), "line 10: expected points, or .PEN_UP after the last, got '.DT'"),
    (DIGITS[:DIGITS.rindex(".PEN_UP")], "expected .PEN_UP, got the end of the file"),
    (DIGITS.replace(".PEN_DOWN\n 1 2\n 3 4\n.PEN_UP\n", ""), "expected one or more strokes.*got none"),
    (DIGITS.replace(".PEN_DOWN\n 4 4\n", ".PEN_DOWN\n"), "expected one or more points.*got none"),
    ("", "got no .COMMENT with a digit"), ("\0\1\2", "expected a text file, got a zero at byte 0"),
    (".PEN_UP\n", "got .PEN_UP while the pen is up")])
def test_damaged_pen_digits_are_named_with_the_line(tmp_path, text, message):
    path = tmp_path / "digits"
    path.write_text(text)
    with pytest.raises(FileError, match=message):
        sp.readers.read_unipen(path)


def test_uji_characters_come_back_with_writers_and_split(tmp_path):
    path = tmp_path / "ujipenchars2.txt"
    path.write_text(uji([("b", "trn_UJI_W01-01", TWO), ("ñ", "tst_UJI_W60-02", ONE), ("b", "tst_UJI_W60-01", ONE)]))
    found = sp.readers.read_uji(path)
    assert found.classes == ("b", "ñ") and found.labels.tolist() == [0, 1, 0] and found.writers.tolist() == [1, 60, 60]
    assert found.tested.tolist() == [False, True, True] and strokes_of(found, 0) == TWO


LETTERS = uji([("a", "UJI_W01", TWO), ("b", "UJI_W02", ONE)])


@each("text, message", [
    (LETTERS.replace("30 -5", "30 inf"), "line 4: expected whole numbers x and y, got 'inf'"),
    (LETTERS.replace("POINTS 3", "POINTS 999999999"),
     "line 4: .*numbers.*got k = 999999999 and 6 numbers"),
    (LETTERS.replace("POINTS 3", "POINTS 0"), "got k = 0 and 6 numbers"),
    (LETTERS.replace("NUMSTROKES 2", "NUMSTROKES 3"), "line 6: .*strokes.*got 3 and 2 strokes"),
    (LETTERS.replace("NUMSTROKES 2", "NUMSTROKES -2"), "line 3: expected 1 or more strokes, got -2"),
    (LETTERS.replace("  NUMSTROKES 2\n", ""), "line 3: .*WORD, then NUMSTROKES, then POINTS"),
    (LETTERS.replace("WORD a UJI_W01", "WORD a"), "line 2: expected a character and an.*got 1 words"),
    (LETTERS.replace("WORD a", "WORD abcdefghij"), "label.*got 'abcdefghij'"),
    (LETTERS[:-7], "line 8: .*got k = 2 and 1 numbers"),
    (LETTERS[:LETTERS.rindex("  POINTS")], "strokes.*got 1 and 0 strokes"),
    ("", "got no WORD in it"), ("\0", "expected a text file, got a zero at byte 0")])
def test_damaged_uji_files_are_named_with_the_line(tmp_path, text, message):
    path = tmp_path / "uji"
    path.write_text(text)
    with pytest.raises(FileError, match=message):
        sp.readers.read_uji(path)


def made(tmp_path, **changes):
    """Write an .npz of two characters, with arrays replaced; those that are None are left out."""
    arrays = {"xy": np.array([(0, 0), (3, 4), (5, 5)], np.int16), "stroke_end": np.array([2, 3]),
              "char_end": np.array([1, 2]), "label": np.array([1, 0]), "writer": np.array([-1, 4]),
              "fold": np.array([0, 1]), "classes": np.array(["a", "b"]), "t": np.array([0, 9, 0])} | changes
    path = tmp_path / "strokes.npz"
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_arrays_of_strokes_come_back_and_are_written_again(tmp_path):
    first = sp.readers.read_handwriting(made(tmp_path))
    sp.readers.write_handwriting(tmp_path / "again.npz", first)
    for found in (first, sp.readers.read_handwriting(tmp_path / "again.npz")):
        assert [strokes_of(found, i) for i in range(2)] == [[[(0, 0), (3, 4)]], [[(5, 5)]]]
        assert found.labels.tolist() == [1, 0] and found.classes == ("a", "b") and found.writers.tolist() == [-1, 4]
        assert found.tested.tolist() == [False, True] and found.times.tolist() == [0, 9, 0]
    assert sp.readers.read_handwriting(made(tmp_path, fold=None, t=None)).tested is None


@each("changes, message", [
    ({"xy": np.array([(0, 0), (np.nan, 4), (5, 5)])}, r"got \[nan, 4.0\] at index 1"),
    ({"xy": np.zeros((3, 3))}, r"got shape \(3, 3\) of float64"),
    ({"stroke_end": np.array([2, 10**12])}, "stroke_end.*got 1000000000000 as the last"),
    ({"stroke_end": np.array([3, 3])}, "stroke_end.*got 3 after 3 at index 1"),
    ({"stroke_end": np.array([2.0, 3])}, r"got shape \(2,\) of float64"),
    ({"char_end": np.array([2, 1])}, "char_end.*got 1 after 2 at index 1"),
    ({"label": np.array([1, 2])}, "expected label from 0 to 1, got 2 at index 1"),
    ({"writer": np.array([-2, 0])}, "writer.*got -2 at index 0"),
    ({"fold": np.array([0, 7])}, "expected fold from 0 to 1, got 7 at index 1"),
    ({"t": np.array([0, np.inf, 0])}, "got inf at index 1"), ({"classes": None}, "classes.*got no classes"),
    ({"classes": np.array([{}], object)}, "expected a complete .npz file")])
def test_arrays_that_do_not_fit_are_named(tmp_path, changes, message):
    with pytest.raises(FileError, match=message):
        sp.readers.read_handwriting(made(tmp_path, **changes))


class Trap:
    """Says so when a pickle of it is run."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was run",)


def test_no_pickle_is_run_and_cut_files_are_refused(tmp_path):
    with pytest.raises(FileError, match="expected a complete .npz file"):
        sp.readers.read_handwriting(made(tmp_path, label=np.array([Trap(), Trap()], object)))
    whole = made(tmp_path).read_bytes()
    cut = tmp_path / "cut.npz"
    for content in (b"", pickle.dumps(1), *(whole[:n] for n in range(1, len(whole), 97))):
        cut.write_bytes(content)
        with pytest.raises(FileError, match="cut.npz"):
            sp.readers.read_handwriting(cut)


def samples(tmp_path):
    """{reader: the bytes of a good file for it}, and the path to read."""
    yield sp.readers.read_casia, tmp_path / "7.pot", pot(0xB0A1, TWO) + pot(0xB0A2, ONE)
    yield sp.readers.read_unipen, tmp_path / "digits", DIGITS.encode()
    yield sp.readers.read_uji, tmp_path / "uji", LETTERS.encode()
    yield sp.readers.read_handwriting, tmp_path / "strokes.npz", made(tmp_path).read_bytes()
    good = assamese(tmp_path).read_bytes()
    yield lambda path: sp.readers.read_assamese(path.parent), tmp_path / "W1" / "1.1.txt", good


def test_any_damage_is_refused_or_gives_characters_that_fit(tmp_path, rng):
    for read, path, good in samples(tmp_path):
        path.parent.mkdir(exist_ok=True)
        for _ in range(150):
            content = bytearray(good)
            for _ in range(rng.integers(1, 4)):
                content[rng.integers(len(content))] = rng.integers(256)
            path.write_bytes(content[:rng.integers(len(content)) if rng.random() < 0.3 else None])
            try:
                found = read(path)
            except FileError as error:
                assert str(path.parent) in str(error)
                continue
            assert len(found) == len(found.labels) == len(found.writers)
            sp.data.StrokeEncoder("pen", size=24, scale=8, spacing=1).sites(found.characters)
            assert found.labels.max(initial=-1) < len(found.classes)
        path.unlink()


def test_a_part_is_taken_with_all_that_is_known_and_a_split_has_no_character_twice(tmp_path):
    whole = sp.readers.read_handwriting(made(tmp_path))
    train, test = whole.split()
    assert strokes_of(train, 0) == [[(0, 0), (3, 4)]] and strokes_of(test, 0) == [[(5, 5)]]
    assert test.times.tolist() == [0] and test.writers.tolist() == [4] and train.labels.tolist() == [1]
    assert [len(part) for part in whole.split(writers=[-1])] == [1, 1] and len(whole.take([])) == 0
    assert repr(whole) == "Handwriting(2 characters, 2 classes, 1 writers, tested, times)"
    assert strokes_of(whole.take([1, 0, 1]), 2) == [[(5, 5)]]
    with pytest.raises(ShapeError, match=r"mask.*got shape \(3,\) of bool"):
        whole.take(np.ones(3, bool))
    with pytest.raises(ValueError, match="expected writers to test on,.*got None"):
        sp.readers.read_handwriting(made(tmp_path, fold=None)).split()


def test_omniglot_has_the_counts_of_its_description():
    folder = os.environ.get("SPCONV_CY_DATA")
    if not folder:
        pytest.skip("needs omniglot_strokes.npz: SPCONV_CY_DATA=FOLDER")
    found = sp.readers.read_handwriting(Path(folder) / "omniglot_strokes.npz")
    train, test = found.split()
    assert (len(found), len(found.classes), len(found.characters.points)) == (2720, 136, 375_709)
    assert (len(train), len(test)) == (2040, 680) and not set(train.writers) & set(test.writers)
    assert (np.bincount(found.labels) == 20).all() and found.times is not None
