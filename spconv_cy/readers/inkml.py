"""Reads InkML, the W3C's XML of pen strokes, as of CROHME, MathWriting and pen tablets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from spconv_cy.arguments import known_arguments
from spconv_cy.data.handwriting import Gathering, Handwriting
from spconv_cy.errors import FileError, expected
from spconv_cy.readers.listing import listed_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spconv_cy.types import PathLike

    Stroke = list[tuple[float, float]]

MOST = 2**26                                        # bytes of a file
LABELS = ("truth", "label", "normalizedLabel", "transcription")          # types of annotations, the first that is there
NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?#[0-9A-Fa-f]+"
VALUE = re.compile(rf"(['\"!])?({NUMBER}|[*?TF])")
ID = "{http://www.w3.org/XML/1998/namespace}id"
DIFFERENCES = {"!": 0, "'": 1, '"': 2}


@known_arguments
def read_inkml(paths: PathLike | Iterable[PathLike], *, of: str = "files") -> Handwriting:
    """Read .inkml files: all traces of a file are one character, or each annotated group of traces is one.

    Args:
        paths: a file, a folder of *.inkml files, or a list of files.
        of: "files": one character for each file, such as a formula of CROHME or MathWriting. "groups": one for each
            innermost traceGroup with an annotation, such as a symbol of CROHME.

    Returns:
        Handwriting. Labels are annotations of the type truth, label, normalizedLabel or transcription, the first that
        the file or the group has; "" without one. Coordinates are those of the file, differences and velocities added
        up. A trace without points is skipped.

    Raises:
        FileNotFoundError: there is no such file or folder, or the folder holds no .inkml file.
        FileError: the file is damaged or of another format; the message names the trace.

    Source: Ink Markup Language, W3C Recommendation, 2011.
    """
    if of not in ("files", "groups"):
        raise ValueError(expected("read_inkml", "of to be 'files' or 'groups'", f"{of!r}"))
    found = Gathering()
    for path in listed_files("read_inkml", paths, ".inkml"):
        root = _root(path)
        traces = _traces(f"{path}", root)
        if of == "files":
            found.add([stroke for stroke in traces.values() if stroke], _label(root) or "")
            continue
        for label, names in _groups(f"{path}", root, traces):
            found.add([traces[name] for name in names if traces[name]], label)
    return found.handwriting(sorted(set(found.labels), key=str))


def _root(path: Path) -> ElementTree.Element:
    with open(path, "rb") as file:
        content = file.read(MOST + 1)
    if len(content) > MOST or b"<!ENTITY" in content.replace(b"\0", b""):                 # also in UTF-16
        raise FileError(expected(f"{path}", f"at most {MOST} bytes, without entities", "more, or a declared entity"))
    try:
        root = ElementTree.fromstring(content.removeprefix(b"\xef\xbb\xbf").strip())
    except (ElementTree.ParseError, ValueError, LookupError) as error:   # the last two: a wrong or unknown encoding
        raise FileError(expected(f"{path}", "XML", f"other text ({error})", "it is damaged: fetch it again")) from error
    if _tag(root) != "ink":
        raise FileError(expected(f"{path}", "the element ink", f"{_tag(root)[:30]!r}", "the file has another format"))
    return root


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""          # not str: a comment


def _inner(element: ElementTree.Element, tag: str) -> Iterator[ElementTree.Element]:
    return (one for one in element.iter() if _tag(one) == tag)


def _label(element: ElementTree.Element) -> str | None:
    """Return the label among the annotations of an element; those of elements inside are not its own."""
    own = {one.get("type", ""): (one.text or "").strip() for one in element if _tag(one) == "annotation"}
    return next((own[kind] for kind in LABELS if kind in own), None)


def _traces(place: str, root: ElementTree.Element) -> dict[str, Stroke]:
    """Return {id: points} of all traces in order; one without an id is named by its number."""
    formats = {one.get(ID, ""): _channels(f"{place}: a traceFormat", one) for one in _inner(root, "traceFormat")}
    contexts = {one.get(ID, ""): next(_inner(one, "traceFormat"), None) for one in _inner(root, "context")}
    default = next(iter(formats.values()), ["X", "Y"])
    found: dict[str, Stroke] = {}
    for number, trace in enumerate(_inner(root, "trace")):
        name = trace.get("id") or trace.get(ID) or f"trace {number}"
        if name in found:
            raise FileError(expected(place, "a different id for each trace", f"{name!r:.40} twice"))
        context = contexts.get(trace.get("contextRef", "").lstrip("#"))
        channels = default if context is None else _channels(place, context)
        found[name] = _points(f"{place}: trace {name!r:.40}", trace.text or "", channels)
    return found


def _channels(place: str, element: ElementTree.Element) -> list[str]:
    names = [one.get("name", "") for one in element if _tag(one) == "channel"]
    if names and not {"X", "Y"} <= set(names):
        raise FileError(expected(place, "channels X and Y", ", ".join(names)[:60]))
    return names or ["X", "Y"]


def _points(place: str, text: str, channels: list[str]) -> Stroke:
    """Return the points of a trace's text; channels that a point leaves out keep their values."""
    x, y = channels.index("X"), channels.index("Y")
    state = [_Channel() for _ in channels]
    found: Stroke = []
    for point in text.split(","):
        values = VALUE.findall(point)
        if "".join(a + b for a, b in values) != "".join(point.split()):
            raise FileError(expected(place, "numbers, with commas between the points", f"{point.strip()[:40]!r}"))
        if not values:
            continue
        if not max(x, y) < len(values) <= len(channels):
            raise FileError(expected(place, f"{len(channels)} numbers in each point, {' '.join(channels)}",
                                     f"{len(values)} in point {len(found)}"))
        for channel, (mark, word) in zip(state, values, strict=False):
            channel.take(mark, word)
        found.append((state[x].value, state[y].value))
    return found


class _Channel:
    """The value of a channel, and the differences that have been given."""

    def __init__(self) -> None:
        self.order, self.value, self.velocity = 0, 0.0, 0.0

    def take(self, mark: str, word: str) -> None:
        """Go on to the next value."""
        self.order = DIFFERENCES[mark] if mark else self.order
        if word in "*?TF":
            number = {"T": 1.0, "F": 0.0}.get(word, self.value if not self.order else 0.0)
        elif "#" in word:
            number = float(int(word.replace("#", ""), 16))
        else:
            number = float(word)
        if self.order == 0:
            self.value = number
            return
        self.velocity = number if self.order == 1 else self.velocity + number
        self.value += self.velocity


def _groups(place: str, root: ElementTree.Element, traces: dict[str, Stroke]) -> Iterator[tuple[str, list[str]]]:
    """Yield (label, ids of traces) of each innermost group with a label."""
    names = {id(trace): name for trace, name in zip(_inner(root, "trace"), traces, strict=True)}
    for group in _inner(root, "traceGroup"):
        label = _label(group)
        inside = [one for one in _inner(group, "traceGroup") if one is not group and _label(one) is not None]
        if label is None or inside:
            continue
        chosen = [names[id(trace)] for trace in _inner(group, "trace")]
        chosen += [view.get("traceDataRef", "").lstrip("#") for view in _inner(group, "traceView")]
        missing = [name for name in chosen if name not in traces]
        if missing:
            raise FileError(expected(place, "groups of traces that are there", f"the trace {missing[0]!r:.40}"))
        yield label, chosen
