"""Where the rows of a program lie: buffers by the time from first use to last use, told before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spconv_cy.deploy.steps import Apply, Convolve, Join, Map, Step, Value

try:
    from spconv_cy.compiled import memory as compiled
except ImportError:
    compiled = None                                                      # type: ignore[assignment]

ALIGNED = 64
# Below this size numpy writes each of several operations into memory of its own.
ELIDED = 2**18
OBJECTS = 1024                          # bytes of Python objects for each step


class Layout:
    """Which values share memory, and when each buffer is in use.

    Args:
        values: list of Value; their `inside` is set for the parts of a Join that can be written where they are joined.
        steps: list of Step.
        output: number of the value that is the result, which has memory of its own.

    Attributes:
        buffer: for each value the number of the value whose memory it lies in.
        dies: for each step whether its x is in memory that nothing reads later.
        ends: for each step the values that layers have made themselves and nothing reads later.
    """

    def __init__(self, values: Sequence[Value], steps: Sequence[Step], output: int) -> None:
        self.values, self.steps, self.output = values, steps, output
        self._readers: list[list[int]] = [[] for _ in values]
        for i, step in enumerate(steps):
            for value in step.reads():
                self._readers[value].append(i)
        self._writer = {step.y: i for i, step in enumerate(steps)}
        self._put_inside()
        self.buffer = list(range(len(values)))
        self._share()
        self._spans = self._lives()
        self.dies = [self._last(step.x) == i and step.reads().count(step.x) == 1 for i, step in enumerate(steps)]
        made = [b for b in self._spans if self._is_made(b) and b != output]
        self.ends = [[b for b in made if self._spans[b][1] == i] for i in range(len(steps))]
        self._placed = [b for b in self._spans if b not in (0, output) and not self._is_made(b)]
        self._beside = {b: [a for a in self._placed if a != b and self._meet(a, b)] for b in self._placed}

    def offsets(self, sizes: Sequence[int]) -> tuple[dict[int, int], int]:
        """Return ({buffer: first byte}, bytes in all) for the bytes of each value: large ones first, lowest place."""
        found: dict[int, int] = {}
        total = 0
        for b in sorted(self._placed, key=lambda b: -sizes[b]):
            place = 0
            for start, end in sorted((found[a], found[a] + sizes[a]) for a in self._beside[b] if a in found):
                if start - place >= sizes[b]:
                    break
                place = max(place, end)
            found[b] = place
            total = max(total, place + sizes[b])
        return found, total

    def made_bytes(self, sizes: Sequence[int], ground: bool) -> int:
        """Return the most bytes at once of the result and of rows that layers make themselves, with what they take.

        Args:
            sizes: bytes of each value.
            ground: whether the input has a ground state.
        """
        made, most = [b for b in self._spans if self._is_made(b) and b != self.output], 0
        for i, step in enumerate(self.steps):
            now = sum(held(sizes[b]) for b in made if self._spans[b][0] <= i <= self._spans[b][1])
            if i >= self._spans[self.output][0]:
                now += held(sizes[self.output])
            if isinstance(step, Apply):
                now += self._call_bytes(step, sizes, ground)
            most = max(most, now)
        return most

    def _call_bytes(self, step: Apply, sizes: Sequence[int], ground: bool) -> int:
        needs: Any = step.layer.working_memory
        out = needs.out + needs.ground * ground + (needs.chained and sizes[step.y] < ELIDED)
        few = 2 / max(1, self.values[step.y].columns)                    # 8 bytes a row
        rows = sizes[step.x] / (4 * max(1, self.values[step.x].columns))
        return int((out + few) * held(sizes[step.y]) + needs.given * held(sizes[step.x]) + needs.each * rows)

    def _put_inside(self) -> None:
        for i, step in enumerate(self.steps):
            column = 0
            for part in step.parts if isinstance(step, Join) else ():
                if self._can_be_inside(part, step, i):
                    self.values[part].inside = step.y, column
                column += self.values[part].columns

    def _can_be_inside(self, part: int, join: Any, i: int) -> bool:
        writer = self._writer.get(part)
        if writer is None or part == self.output or self.values[part].inside is not None or join.parts.count(part) > 1:
            return False
        readers = [self.steps[j] for j in self._readers[part] if j != i]
        return (isinstance(self.steps[writer], (Convolve, Map)) and all(isinstance(r, (Convolve, Map)) for r in readers)
                and self.values[part].dtype == self.values[join.y].dtype)

    def _share(self) -> None:
        for i, step in enumerate(self.steps):
            value = self.values[step.y]
            if value.inside is not None:
                self.buffer[step.y] = value.inside[0]
            elif isinstance(step, (Map, Convolve)) and step.y != self.output:
                old = step.x if isinstance(step, Map) else step.residual
                if old is not None and self._is_free(old, step, i):
                    self.buffer[step.y] = self.buffer[old]
        for b, owner in enumerate(self.buffer):                          # wide rows may lie in others in turn
            while owner != self.buffer[owner]:
                owner = self.buffer[owner]
            self.buffer[b] = owner

    def _is_free(self, old: int, step: Step, i: int) -> bool:
        """Return True if a step can write its result where the rows of a value lie that nothing reads later."""
        value, new = self.values[old], self.values[step.y]
        alone = old not in (0, self.output) and value.inside is None
        alone = alone and not isinstance(self._made_by(old), (Apply, Join))
        alike = (value.place, value.channels, value.dtype) == (new.place, new.channels, new.dtype)
        return alone and alike and self._readers[old] == [i] and step.reads().count(old) == 1

    def _made_by(self, value: int) -> Step | None:
        writer = self._writer.get(value)
        return None if writer is None else self.steps[writer]

    def _is_made(self, buffer: int) -> bool:
        return isinstance(self._made_by(buffer), Apply)

    def _lives(self) -> dict[int, tuple[int, int]]:
        spans: dict[int, tuple[int, int]] = {}
        for value, b in enumerate(self.buffer):
            if value and value not in self._writer:                      # of joined steps
                continue
            times = [*self._readers[value], self._writer.get(value, 0)]
            first, last = spans.get(b, (times[0], times[0]))
            spans[b] = min(first, *times), max(last, *times)
        return spans

    def _last(self, value: int) -> int:
        b = self.buffer[value]
        if b in (0, self.output) or self._is_made(b) or any(v.inside is not None for v in (self.values[value],)):
            return -1
        return self._spans[b][1]

    def _meet(self, a: int, b: int) -> bool:
        (low, high), (first, last) = self._spans[a], self._spans[b]
        return low <= last and first <= high


def held(size: int) -> int:
    """Return how many bytes an array of that many bytes holds."""
    return compiled.held_bytes(size) if compiled else size
