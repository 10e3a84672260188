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
VIEWS = ("traceGroup", "traceView")
DIFFERENCES = {"!": 0, "'": 1, '"': 2}


@known_arguments
def read_inkml(paths: PathLike | Iterable[PathLike], *, of: str = "files") -> Handwriting:
    """Read .inkml files: all traces of a file are one character, or each annotated group of traces is one.

    Args:
        paths: a file, a folder of *.inkml files, or a list of files.
        of: "files": one character for each file, such as a formula of CROHME or MathWriting. "groups": one for each
            innermost traceGroup or traceView with an annotation, such as a symbol of CROHME.

    Returns:
        Handwriting. Labels are annotations of the type truth, label, normalizedLabel or transcription, the first that
        the file or the group has; "" without one. Coordinates are those of the file, differences and velocities added
        up. Traces without points and those of the pen in the air (penUp) are skipped; a continued trace is one stroke.
        Without commas, each line is a point.

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
    """Return {id: points} of all traces in order; one without an id is named by its number.

    A trace of the pen in the air has no points here, and one that goes on with another adds its points to that one.
    """
    formats = _Formats(place, root)
    found: dict[str, Stroke] = {}
    begun: dict[str, str] = {}                                           # the trace to which a trace's points belong
    for number, trace in enumerate(_inner(root, "trace")):
        name = trace.get("id") or trace.get(ID) or f"trace {number}"
        if name in found:
            raise FileError(expected(place, "a different id for each trace", f"{name!r:.40} twice"))
        points = _points(f"{place}: trace {name!r:.40}", trace.text or "", *formats.channels(trace))
        found[name] = []
        prior = trace.get("priorRef", "").lstrip("#")
        continued = trace.get("continuation") in ("middle", "end") and prior in begun
        begun[name] = begun[prior] if continued else name
        if trace.get("type") != "penUp":
            found[begun[name]] += points
    return found


class _Formats:
    """The channels of each trace: of its context, of the context of a group that it is in, or of the first format."""

    def __init__(self, place: str, root: ElementTree.Element) -> None:
        self.place = place
        self.known: dict[str, tuple[list[str], int]] = {}               # what `channels` returned, by the reference
        self.named = {one.get(ID, ""): one for tag in ("traceFormat", "inkSource", "context")
                      for one in _inner(root, tag)}
        self.default = next(_inner(root, "traceFormat"), None)
        for one in _inner(root, "traceFormat"):
            _channels(place, one)
        self.groups = {id(trace): group.get("contextRef", "") for group in _inner(root, "traceGroup")
                       for trace in _inner(group, "trace") if group.get("contextRef")}

    def channels(self, trace: ElementTree.Element) -> tuple[list[str], int]:
        """Return the names of a trace's channels, and how many of them each point has."""
        name = trace.get("contextRef") or self.groups.get(id(trace), "")
        if name not in self.known:
            found = self._format(name, 8, set())
            found = self.default if found is None else found
            self.known[name] = (["X", "Y"], 2) if found is None else _channels(self.place, found)
        return self.known[name]

    def _format(self, name: str, depth: int, seen: set[str]) -> ElementTree.Element | None:
        """Return the format that a reference leads to, at most so many references away; None of one seen before."""
        element = self.named.get(name.lstrip("#"))
        if element is None or not name or not depth or name in seen:
            return None
        seen.add(name)                                                   # contexts that name each other take no longer
        inside = next(_inner(element, "traceFormat"), None)              # the element itself, if it is a format
        found = (self._format(element.get(word, ""), depth - 1, seen)
                 for word in ("traceFormatRef", "inkSourceRef", "contextRef"))
        return inside if inside is not None else next((one for one in found if one is not None), None)


def _channels(place: str, element: ElementTree.Element) -> tuple[list[str], int]:
    """Return the names of all channels, those last that a point may leave out, and the number of the others."""
    names = [one.get("name", "") for one in element if _tag(one) == "channel"]
    if names and not {"X", "Y"} <= set(names):
        raise FileError(expected(f"{place}: a traceFormat", "channels X and Y", ", ".join(names)[:60]))
    regular = names or ["X", "Y"]
    others = [one.get("name", "") for part in element if _tag(part) == "intermittentChannels"
              for one in part if _tag(one) == "channel"]
    return regular + others, len(regular)


def _points(place: str, text: str, channels: list[str], n_regular: int) -> Stroke:
    """Return the points of a trace's text; channels that a point leaves out keep their values."""
    x, y = channels.index("X"), channels.index("Y")
    state = [_Channel() for _ in channels]
    found: Stroke = []
    for point in _separated(text, n_regular):
        values = VALUE.findall(point)
        if "".join(a + b for a, b in values) != "".join(point.split()):
            raise FileError(expected(place, "numbers, with commas between the points", f"{point.strip()[:40]!r}"))
        if not values:
            continue
        if not max(x, y) < len(values) <= len(channels):
            raise FileError(expected(place, f"{n_regular} numbers in each point, {' '.join(channels[:n_regular])}",
                                     f"{len(values)} in point {len(found)}"))
        for channel, (mark, word) in zip(state, values, strict=False):
            channel.take(mark, word)
        found.append((state[x].value, state[y].value))
    return found


def _separated(text: str, n: int) -> list[str]:
    """Return the text of each point: between commas, or without any, a line of n values each."""
    lines = [line for line in text.splitlines() if line.strip()]
    by_lines = "," not in text and len(lines) > 1 and all(len(VALUE.findall(line)) == n for line in lines)
    return lines if by_lines else text.split(",")


class _Channel:
    """The value of a channel, and the differences that have been given."""

    def __init__(self) -> None:
        self.order, self.value, self.velocity, self.acceleration = 0, 0.0, 0.0, 0.0

    def take(self, mark: str, word: str) -> None:
        """Go on to the next value; * and ? repeat the last value, velocity or acceleration."""
        self.order = DIFFERENCES[mark] if mark else self.order
        if word in "*?TF":
            last = (self.value, self.velocity, self.acceleration)[self.order]
            number = {"T": 1.0, "F": 0.0}.get(word, last)
        elif "#" in word:
            number = float(int(word.replace("#", ""), 16))
        else:
            number = float(word)
        if self.order == 0:
            self.value = number
            return
        self.acceleration = number if self.order == 2 else 0.0
        self.velocity = number if self.order == 1 else self.velocity + number
        self.value += self.velocity


def _groups(place: str, root: ElementTree.Element, traces: dict[str, Stroke]) -> Iterator[tuple[str, list[str]]]:
    """Yield (label, ids of traces) of each innermost group or view with a label; a view may name a trace or a group."""
    names = {id(trace): name for trace, name in zip(_inner(root, "trace"), traces, strict=True)}
    groups = {group.get(ID) or group.get("id") or "": group for group in _inner(root, "traceGroup")}
    for group in root.iter():
        if _tag(group) not in VIEWS or _label(group) is None:
            continue
        if any(_label(one) is not None for one in group.iter() if one is not group and _tag(one) in VIEWS):
            continue
        chosen = [names[id(trace)] for trace in _inner(group, "trace")]
        for view in _inner(group, "traceView"):
            name = view.get("traceDataRef", "").lstrip("#")
            if name in groups and name not in traces:
                chosen += [names[id(trace)] for trace in _inner(groups[name], "trace")]
            elif name or len(view) == 0:
                chosen.append(name)
        missing = [name for name in chosen if name not in traces]
        if missing:
            raise FileError(expected(place, "groups of traces that are there", f"the trace {missing[0]!r:.40}"))
        yield _label(group) or "", list(dict.fromkeys(chosen))
