"""The stack of a pickle: opcodes that make containers of what is on it, within a budget of memory."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from spconv_cy.io.pth_storage import Budget, Refused, kind_name

LARGEST = 256                                                            # bits of a whole number
MOST_TUPLES = 1000                                                       # as keys: their hashes can be made equal


class Name(str):
    """Name of a class or function, such as "torch.float32"; what it names is not imported."""


class Inert(dict[Any, Any]):
    """What a file holds of an object of some class: its attributes and entries. `kind` is the name of the class."""

    __slots__ = ("kind",)
    kind: str

    def __repr__(self) -> str:
        return f"Inert({self.kind!r}, {super().__repr__()})"


class Pending:
    """Object whose value is known only when the pickle gives its state.

    Args:
        finish: function of the state that returns the value.
    """

    def __init__(self, finish: Callable[[Any], object]) -> None:
        self.finish = finish
        self.places: list[int] = []


class Stack:
    """Stack, marks and memo of a pickle; a method `_do_...` for each opcode that makes, fills or copies containers.

    Args:
        budget: memory that may be used.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.tuples = 0

    def _push_value(self, value: Any) -> None:
        if type(value) is int and value.bit_length() > LARGEST:
            raise Refused(f"whole numbers of at most {LARGEST} bits", f"one of {value.bit_length()}")
        self.budget.take(sys.getsizeof(value) if type(value) is not int else 0)
        self.stack.append(value)

    def _push(self, container: Any) -> None:
        self.budget.take(56)
        self.stack.append(container)

    def _pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise Refused("a complete pickle", "one that takes from an empty stack")
        return self.stack.pop()

    def _take(self, count: int) -> list[Any]:
        if len(self.stack) - count < (self.marks[-1] if self.marks else 0):
            raise Refused("a complete pickle", "one that takes from an empty stack")
        found = self.stack[-count:]
        del self.stack[-count:]
        return found

    def _top(self, kinds: Any, what: str) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0) or not isinstance(self.stack[-1], kinds):
            raise Refused("a complete pickle", f"one that adds {what} to something else")
        return self.stack[-1]

    def _to_mark(self) -> list[Any]:
        if not self.marks:
            raise Refused("a complete pickle", "one without a mark where one is needed")
        mark = self.marks.pop()
        found = self.stack[mark:]
        del self.stack[mark:]
        return found

    def _do_mark(self, _: None) -> None:
        self.marks.append(len(self.stack))

    def _do_pop(self, _: None) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self._pop()

    def _do_pop_mark(self, _: None) -> None:
        self._to_mark()

    def _do_dup(self, _: None) -> None:
        self.stack.append(self._top(object, "a copy"))

    def _do_none(self, _: None) -> None:
        self.stack.append(None)

    def _do_newtrue(self, _: None) -> None:
        self.stack.append(True)

    def _do_newfalse(self, _: None) -> None:
        self.stack.append(False)

    def _do_empty_tuple(self, _: None) -> None:
        self.stack.append(())

    def _do_tuple1(self, _: None) -> None:
        self._push((self._pop(),))

    def _do_tuple2(self, _: None) -> None:
        self._push(tuple(self._take(2)))

    def _do_tuple3(self, _: None) -> None:
        self._push(tuple(self._take(3)))

    def _do_empty_list(self, _: None) -> None:
        self._push([])

    def _do_empty_dict(self, _: None) -> None:
        self._push({})

    def _do_empty_set(self, _: None) -> None:
        self._push(set())

    def _do_list(self, _: None) -> None:
        self._push(self._to_mark())

    def _do_tuple(self, _: None) -> None:
        self._push(tuple(self._to_mark()))

    def _do_dict(self, _: None) -> None:
        items = self._to_mark()
        self._push({})
        self._set_items(self.stack[-1], items)

    def _do_frozenset(self, _: None) -> None:
        self._push(frozenset(map(self._key, self._to_mark())))

    def _do_bytearray8(self, content: bytearray) -> None:
        self._push_value(bytes(content))

    def _do_append(self, _: None) -> None:
        self._extend(self._take(1))

    def _do_appends(self, _: None) -> None:
        self._extend(self._to_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._top((list, Inert), "entries")
        if isinstance(target, Inert):                                    # a class of the kind of a list
            target = target.setdefault("entries", [])
        if type(target) is not list:
            raise Refused("a complete pickle", "one that adds entries to something else")
        self.budget.take(8 * len(items))
        target += items

    def _do_additems(self, _: None) -> None:
        items = self._to_mark()
        self.budget.take(40 * len(items))
        self._top(set, "members").update(map(self._key, items))

    def _do_setitem(self, _: None) -> None:
        items = self._take(2)
        self._set_items(self._top(dict, "items"), items)

    def _do_setitems(self, _: None) -> None:
        items = self._to_mark()
        self._set_items(self._top(dict, "items"), items)

    def _set_items(self, target: dict[Any, Any], items: list[Any]) -> None:
        if len(items) % 2:
            raise Refused("a complete pickle", "a key without its value")
        self.budget.take(40 * len(items))
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(key, np.ndarray):                              # an optimiser that was saved whole has tensors
                self.budget.take(80)
                key = f"tensor {len(target)}"
            target[self._key(key)] = value

    def _key(self, key: Any) -> Any:
        """Return a key of a dict or member of a set: a number, text, None, or a tuple of these; refuse others."""
        if type(key) is tuple:
            self.tuples += 1
            if self.tuples > MOST_TUPLES:
                raise Refused(f"at most {MOST_TUPLES} tuples as keys", "more")
        if not all(map(is_plain_key, key if type(key) is tuple else (key,))):
            raise Refused("numbers and text as keys", kind_name(key))
        return key

    def _do_put(self, index: int) -> None:
        value = self._top(object, "a mark")
        if isinstance(value, Pending):
            value.places.append(index)
        self.budget.take(32)
        self.memo[index] = value

    _do_binput = _do_long_binput = _do_put

    def _do_memoize(self, _: None) -> None:
        self._do_put(len(self.memo))

    def _do_get(self, index: int) -> None:
        if index not in self.memo:
            raise Refused("a complete pickle", f"one that refers to its object {index}, which it does not hold")
        self.stack.append(self.memo[index])

    _do_binget = _do_long_binget = _do_get


def is_plain_key(key: object) -> bool:
    """Return True for numbers and text: their hash takes little time, and only few others of their kind have it."""
    if type(key) is int:
        return key.bit_length() < 61
    return (isinstance(key, (str, bytes, float, bool, type(None)))
            or isinstance(key, np.generic) and key.dtype.kind in "biufSU")
