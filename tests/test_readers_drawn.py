"""Readers of drawn characters: SVG paths, KanjiVG and hanzi-writer-data, from files that the test writes."""

import gzip
import io
import json
import tarfile
import zipfile

import numpy as np
import pytest
from in_turn import each
from scipy.interpolate import BPoly

import spconv_cy as sp
from spconv_cy.errors import FileError
from spconv_cy.readers.svg_path import read_svg_path

RIVER, TREE = "\N{CJK UNIFIED IDEOGRAPH-5DDD}", "\N{CJK UNIFIED IDEOGRAPH-6728}"
SVG = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.0//EN" "http://www.w3.org/TR/2001/REC-SVG-20010904/DTD/svg10.dtd" [
<!ATTLIST g kvg:element CDATA #IMPLIED > ]>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:kvg="http://kanjivg.tagaini.net"><g kvg:element="x">{}</g>
<text transform="matrix(1 0 0 1 4.25 54.13)">1</text></svg>"""


def svg(*paths):
    return SVG.format("".join(f'<path id="s" d="{d}"/>' for d in paths)).encode()


def wheel(path, drawings):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in drawings.items():
            file.writestr(name, content)
    return path


def package(path, files):
    with tarfile.open(path, "w:gz") as file:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return path


def medians(*strokes):
    return json.dumps({"strokes": ["M 0 0 Z"] * len(strokes), "medians": strokes}).encode()


DRAWINGS = {"kanji/06728.svg": svg("M1,2c1,0,2,1,3,3", "M5,5l2-1.5"), "kanji/05ddd.svg": svg("M10,10h4"),
            "kanji/05ddd-Kaisho.svg": b"never read", "kanjivg-1.dist-info/METADATA": b"Name: kanjivg"}
FILES = {f"package/{TREE}.json": medians([[0, 900], [100, 800]], [[5, -24]]), "package/all.json": b"never read",
         f"package/{RIVER}.json": medians([[1, 2], [3, 4.5]]), "package/package.json": b"{}"}


def test_curves_are_the_bernstein_polynomials_of_their_points(rng):
    for letter, degree in (("C", 3), ("Q", 2)):
        points = rng.normal(0, 50, (degree + 1, 2)).round(3)
        (drawn,) = read_svg_path(f"M{points[0, 0]} {points[0, 1]}{letter}"
                                 + " ".join(str(number) for number in points[1:].ravel()), pieces=7)
        np.testing.assert_allclose(drawn, BPoly(points[:, None], [0, 1])(np.linspace(0, 1, 8)), atol=1e-12)


def test_smooth_curves_mirror_the_last_control_point_of_their_like_and_no_other():
    for short, long in (("M1 1 C2 0 3 0 4 1 S6 3 7 1", "M1 1 C2 0 3 0 4 1 C5 2 6 3 7 1"),
                        ("M1 1 Q2 0 4 1 T7 1 9 9", "M1 1 Q2 0 4 1 Q6 2 7 1 Q8 0 9 9"),
                        ("M1 1 S6 3 7 1", "M1 1 C1 1 6 3 7 1"),
                        ("M1 1 Q2 0 4 1 S6 3 7 1", "M1 1 Q2 0 4 1 C4 1 6 3 7 1"),
                        ("M1 1 C2 0 3 0 4 1 L5 5 S6 3 7 1", "M1 1 C2 0 3 0 4 1 L5 5 C5 5 6 3 7 1"),
                        ("M1 1 C2 0 3 0 4 1 T6 3", "M1 1 C2 0 3 0 4 1 Q4 1 6 3")):
        np.testing.assert_allclose(read_svg_path(short)[0], read_svg_path(long)[0], atol=1e-12)


def test_relative_and_absolute_commands_draw_the_same_and_signs_and_points_separate_numbers():
    absolute = "M 10 20 L 13 18 H 9 V 25 C 10 26 11 25 12 23 S 14 20 15 24 Q 17 24 18 22 T 21 20 Z L 10.5 20.5"
    relative = "m10 20l3-2h-4v7c1 1,2 0,3-2s2-3,3 1q2 0,3-2t3-2zl.5.5"
    first, second = read_svg_path(absolute), read_svg_path(relative)
    assert len(first) == len(second) == 2                               # what follows Z is a subpath of its own
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    assert first[0][-1].tolist() == [10, 20] and first[1].tolist() == [[10, 20], [10.5, 20.5]]
    assert [path.tolist() for path in read_svg_path("M1 1 2 2m1 1 3e0-.5")] == [[[1, 1], [2, 2]], [[3, 3], [6, 2.5]]]


@each("text, message", [
    ("", "expected a path that begins with M, got ''"), ("L1 1", "expected a path that begins.*got 'L1 1'"),
    ("M1", r"expected 2 numbers after M, got \[1.0\]"),
    ("M1 1 C1 2 3", "6 numbers"),
    ("M1 1 A1 1 0 0 0 2 2", "expected one of M L H V C S Q T Z, got 'A'"),
    ("M1 1 L 2 x", r"expected 2 numbers after L, got \[2.0, 'x'\]"), ("M1 1 # 2", "got '# 2' at 4"),
    ("M1 1e400", r"expected numbers up to 1e\+09, got 1e400"), ("M1 1Z3", "expected one of M L H V C S Q T Z, got 3.0"),
    ("M1 nan", r"expected 2 numbers after M, got \[1.0, 'n'\]"),
    ("M1 1 L1 1 1", r"expected 2 numbers after L, got \[1.0\]")])
def test_what_is_no_path_is_refused_with_its_place(text, message):
    with pytest.raises(ValueError, match=message):
        read_svg_path(text)


def test_kanjivg_comes_from_a_wheel_or_a_folder_without_its_variants(tmp_path):
    (tmp_path / "kanji").mkdir()
    for name, content in DRAWINGS.items():
        if name.startswith("kanji/"):
            (tmp_path / name).write_bytes(content)
    for path in (wheel(tmp_path / "kanjivg.whl", DRAWINGS), tmp_path / "kanji"):
        found = sp.readers.read_kanjivg(path, pieces=2)
        assert found.classes == (RIVER, TREE) and found.labels.tolist() == [0, 1] and found.n_skipped == 1
        assert [stroke.tolist() for stroke in found.characters[0]] == [[[10, 10], [14, 10]]]
        curve, line = (stroke.tolist() for stroke in found.characters[1])
        assert curve == [[1, 2], [2.5, 2.75], [4, 5]] and line == [[5, 5], [7, 3.5]]


def test_hanzi_writer_data_comes_from_its_package_or_a_folder_with_y_turned_down(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    for path in (package(tmp_path / "data.tgz", FILES), tmp_path / "package"):
        found = sp.readers.read_hanzi_writer(path)
        assert found.classes == (RIVER, TREE) and found.labels.tolist() == [0, 1]
        assert [stroke.tolist() for stroke in found.characters[1]] == [[[0, 0], [100, 100]], [[5, 924]]]
        assert [stroke.tolist() for stroke in found.characters[0]] == [[[1, 898], [3, 895.5]]]


LAUGHS = b'<!DOCTYPE svg [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><svg><path d="M0 0h1"/>&b;</svg>'


@each("content, message", [
    (b"", "expected XML"), (svg("M1 1h1")[:-9], "expected XML"), (svg(), ".*got no path"),
    (svg("M1 1h1", "M1,1c2"), r"stroke 2: .*6 numbers after c, got \[2.0\]"),
    (svg("M1 1h1M2 2h1"), "stroke 1: expected one connected line, got 2 parts"),
    (svg(""), "stroke 1: .*begins with M, got ''"),
    (LAUGHS, ".*got a declared entity"),
    (b"\xff\xfe" + 8 * b"\0", "expected XML"), (b" " * (2**20 + 1), "expected at most 1048576.*got more"),
    (b'<?xml version="1.0" encoding="utf-99"?><svg/>', "expected XML")])
def test_damaged_kanjivg_drawings_are_refused_by_name(tmp_path, content, message):
    with pytest.raises(FileError, match=rf"kanjivg.whl, kanji/05ddd.svg: {message}"):
        sp.readers.read_kanjivg(wheel(tmp_path / "kanjivg.whl", DRAWINGS | {"kanji/05ddd.svg": content}))


@each("content, message", [
    (b"", "expected JSON"), (b"\xff", "expected JSON"), (b"[]", "expected JSON with medians"),
    (b'{"medians": []}', "expected medians"),
    (b'{"medians": {"a": 1}}', "expected medians"), (medians([]), "stroke 1"),
    (medians([[1, 2]], [[1, 2], [3]]), "stroke 2"),
    (medians([["a", "b"]]), "stroke 1"), (medians([[1, None]]), "stroke 1"), (medians([[1, 2, 3]]), "stroke 1"),
    (b'{"medians": [[[1, NaN]]]}', r"stroke 1: expected numbers up to 1e\+06, got nan"),
    (medians([[1, 1e7]]), r"stroke 1: expected numbers up to 1e\+06, got 10000000.0"),
    (b'{"medians": ' + b"[" * 10**5, "expected JSON"), (b'{"medians": [[[1, ' + b"9" * 400 + b"]]]}", "stroke 1"),
    (b" " * (2**20 + 1), "expected at most 1048576.*got more")])
def test_damaged_hanzi_writer_files_are_refused_by_name(tmp_path, content, message):
    with pytest.raises(FileError, match=f"data.tgz, package/{RIVER}.json: {message}"):
        sp.readers.read_hanzi_writer(package(tmp_path / "data.tgz", FILES | {f"package/{RIVER}.json": content}))


def test_files_that_are_neither_are_refused(tmp_path):
    (tmp_path / "text").write_text("no archive")
    (tmp_path / "empty").mkdir()
    for read in (sp.readers.read_kanjivg, sp.readers.read_hanzi_writer):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "none")
        with pytest.raises(FileError, match="text: .*cannot be read"):
            read(tmp_path / "text")
        with pytest.raises(FileError, match="empty: expected .*, got none"):
            read(tmp_path / "empty")
    large = tarfile.TarInfo("package/all.json")
    large.size = 2**40                                                  # told, not there
    (tmp_path / "large.tgz").write_bytes(gzip.compress(large.tobuf() + bytes(1024)))
    with pytest.raises(FileError, match="all.json: expected at most .* bytes, got 1099511627776"):
        sp.readers.read_hanzi_writer(tmp_path / "large.tgz")
    link = tarfile.TarInfo(f"package/{RIVER}.json")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "link.tgz", "w:gz") as file:
        file.addfile(link)
    with pytest.raises(FileError, match="expected files named after.*got none"):
        sp.readers.read_hanzi_writer(tmp_path / "link.tgz")


@pytest.mark.parametrize("read, make, files", [
    (sp.readers.read_kanjivg, wheel, DRAWINGS), (sp.readers.read_hanzi_writer, package, FILES)])
def test_any_damage_is_refused_or_gives_characters_that_fit(tmp_path, rng, read, make, files):
    path = make(tmp_path / "whole", files)
    whole, damaged = path.read_bytes(), tmp_path / "damaged"
    inside = {name: content for name, content in files.items() if name.endswith((".svg", f"{RIVER}.json"))}
    for trial in range(200):
        content = bytearray(whole)
        content[rng.integers(len(content))] = rng.integers(256)
        if trial % 2:                                                   # inside of the archive, whose sums would tell
            changed = {name: bytearray(content) for name, content in inside.items()}
            for one in changed.values():
                one[rng.integers(len(one))] = rng.integers(256)
            content = make(tmp_path / "made", changed).read_bytes()
        damaged.write_bytes(content)
        try:
            found = read(damaged)
        except FileError as error:
            assert str(damaged) in str(error)
            continue
        assert len(found) == len(found.labels) == len(found.classes) and np.isfinite(found.characters.points).all()


def test_the_characters_that_two_sets_share_get_the_same_labels(tmp_path):
    first = sp.readers.read_kanjivg(wheel(tmp_path / "kanjivg.whl", DRAWINGS))
    one = first.with_classes([TREE])
    assert one.classes == (TREE,) and one.labels.tolist() == [0] and len(one.characters[0]) == 2
    assert first.with_classes([TREE, RIVER]).labels.tolist() == [1, 0]
    with pytest.raises(ValueError, match="classes.*got 1 others, such as 'q'"):
        first.with_classes([TREE, "q"])
