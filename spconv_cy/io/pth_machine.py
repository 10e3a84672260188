"""Reads pickles without executing anything: a stack machine for data, and a table of the few calls that mean data."""

import pickletools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from spconv_cy.io.pth_stack import Inert, Name, Pending, Stack
from spconv_cy.io.pth_storage import Budget, Refused, kind_name
from spconv_cy.types import Array

SHORT_LINE, LONGEST_LINE = 1 << 8, 1 << 16                               # only old protocols write lines
DATA = "a pickle of tensors, numbers, text and containers"
TENSORS_ALONE = "nothing in it was executed; open it where it was made, and save net.state_dict() alone"
# Opcodes whose argument is the value.
VALUES = ("INT BININT BININT1 BININT2 LONG LONG1 LONG4 STRING BINSTRING SHORT_BINSTRING BINBYTES "
                   "SHORT_BINBYTES BINBYTES8 UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 FLOAT BINFLOAT".split())
# Classes of the standard library whose objects hold nothing but attributes.
PLAIN_CLASSES = {"argparse.Namespace", "types.SimpleNamespace"}
# Modules that Python 2 named otherwise; pickles of protocol 2 have these names.
RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}


class Source:
    """Bytes that pickletools reads as a file: never beyond their end, and no endless lines."""

    def __init__(self, content: Array, position: int = 0) -> None:
        self.content, self.position = memoryview(content), position  # type: ignore[arg-type]

    def read(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end."""
        found = bytes(self.content[self.position:self.position + max(0, count)])
        self.position += len(found)
        return found

    def readline(self) -> bytes:
        """Return the next line; raise Refused if it is too long."""
        for length in (SHORT_LINE, LONGEST_LINE):                        # a name is short: copy no more than needed
            ahead = bytes(self.content[self.position:self.position + length])
            end = ahead.find(b"\n") + 1
            if end:
                break
        if not end and len(ahead) == LONGEST_LINE:
            raise Refused(f"lines of at most {LONGEST_LINE} bytes in a pickle", "a longer one")
        return self.read(end or len(ahead))

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self.position


class Machine(Stack):
    """Runs the opcodes of one pickle on data alone.

    Args:
        source: the pickle begins at its position; afterwards the position is that of the byte after the pickle.
        budget: memory that may be used.
        table: {name: function of the arguments} for the calls that mean data; all other calls are refused.
        persistent: function of a persistent id, by which torch names a storage.
        inert: function that returns True for names of classes that may be kept as `Inert`.
    """

    def __init__(self, source: Source, budget: Budget, table: dict[str, Callable[..., object]],
                 persistent: Callable[[Any], object], inert: Callable[[str], bool]) -> None:
        super().__init__(budget)
        self.source, self.table, self.persistent, self.inert = source, table, persistent, inert

    def run(self) -> Any:
        """Return the object of the pickle.

        Raises:
            Refused: the pickle is damaged, calls something else than the table holds, or needs too much memory.
        """
        source, content, step = self.source, self.source.content, self.budget.step
        start = position = source.position
        try:
            while position < len(content):
                name, do, reader = OPCODES.get(content[position], UNKNOWN)
                source.position = position + 1
                argument = None
                if reader is not None:
                    try:
                        argument = reader(source)
                    except Refused:
                        raise
                    except (ValueError, LookupError, ArithmeticError) as error:      # such as a name that is not UTF-8
                        raise Refused("a complete pickle", f"one that is damaged: {error}") from None
                step()
                if do is not None:
                    do(self, argument)
                elif name == "STOP":
                    return self._pop()
                elif name:
                    raise Refused(DATA, f"the opcode {name}", TENSORS_ALONE)
                else:
                    raise Refused("a complete pickle", f"one that is damaged: byte {content[position]} is no opcode")
                position = source.position
            raise Refused("a complete pickle", "one without an end")
        except Refused as error:
            raise Refused(error.what, f"{error.got} (at byte {position - start})", error.remedy) from None

    def _do_proto(self, version: int) -> None:
        if version > 5:
            raise Refused("a pickle of protocol 0 to 5", version)

    def _do_frame(self, size: int) -> None:
        """Skip the length of a frame, which only helps readers of a stream."""

    def _do_global(self, names: str) -> None:
        self._push_value(_name(*names.split(" ", 1)))

    def _do_stack_global(self, _: None) -> None:
        module, name = self._take(2)
        if type(module) is not str or type(name) is not str:
            raise Refused("names as text", f"{kind_name(module)} and {kind_name(name)}")
        self._push_value(_name(module, name))

    def _do_persid(self, key: str) -> None:
        self._push(self._calling("the name of a storage", self.persistent, (key,)))

    def _do_binpersid(self, _: None) -> None:
        self._push(self._calling("the name of a storage", self.persistent, (self._pop(),)))

    def _do_reduce(self, _: None) -> None:
        function, arguments = self._take(2)
        self._push(self._called(function, arguments))

    def _do_newobj(self, _: None) -> None:
        kind, arguments = self._take(2)
        self._push(self._made(kind, arguments, {}))

    def _do_newobj_ex(self, _: None) -> None:
        self._push(self._made(*self._take(3)))

    def _do_inst(self, names: str) -> None:
        arguments = tuple(self._to_mark())
        self._push(self._made(_name(*names.split(" ", 1)), arguments, {}))

    def _do_obj(self, _: None) -> None:
        kind, *arguments = self._to_mark() or [None]
        self._push(self._made(kind, tuple(arguments), {}))

    def _do_build(self, _: None) -> None:
        state = self._pop()
        target = self._top(object, "a state")
        if isinstance(target, Pending):
            value = self._calling("the state of an array", target.finish, (state,))
            self.stack[-1] = value
            for place in target.places:
                self.memo[place] = value
        elif isinstance(target, Inert):
            self._set_state(target, state)
        elif not isinstance(target, (np.ndarray, dict)):                 # attributes of a tensor or a dict are left out
            raise Refused("the state of an object", f"that of {kind_name(target)}")

    def _set_state(self, target: Inert, state: Any) -> None:
        parts = state if type(state) is tuple and len(state) == 2 else (state,)
        if not all(part is None or type(part) is dict for part in parts):
            parts = ({"state": state},)
        for part in parts:
            self.budget.take(80 * len(part or ()))
            target.update(part or {})

    def _called(self, function: Any, arguments: Any) -> object:
        if not isinstance(function, Name) or type(arguments) is not tuple:
            raise Refused(DATA, f"one that calls {kind_name(function)}")
        if function == "copyreg.__newobj__" and arguments:
            return self._made(arguments[0], arguments[1:], {})
        if function == "copyreg._reconstructor" and len(arguments) == 3 and arguments[2] is None and (
                isinstance(arguments[1], Name) and arguments[1] == "builtins.object"):
            return self._made(arguments[0], (), {})
        if function in self.table:
            return self._calling(f"arguments of {function}", self.table[function], arguments)
        member = self._member(function, arguments)
        if member is None:
            raise Refused(DATA, f"one that calls {shown(function)}", TENSORS_ALONE)
        return member

    def _member(self, function: Name, arguments: tuple[Any, ...]) -> object:
        """Return an empty namespace, or a member of an enumeration or a method by its name or value; None for others.

        Modules of spconv have enumerations and methods that are called when they are loaded. mmengine's configurations
        are calls of their class with a dict.
        """
        if function in PLAIN_CLASSES and not arguments:
            return self._made(function, (), {})
        if len(arguments) == 1 and type(arguments[0]) in (int, str, dict) and self._is_class(function):
            made = self._made(function, (), {})
            self._set_state(made, arguments[0] if type(arguments[0]) is dict else {"value": arguments[0]})
            return made
        if function == "builtins.getattr" and len(arguments) == 2 and type(arguments[1]) is str:
            owner = arguments[0].kind if isinstance(arguments[0], Inert) else arguments[0]
            if self._is_class(owner):
                self.budget.take(len(owner) + len(arguments[1]))
                return Name(f"{owner}.{arguments[1]}")
        return None

    def _is_class(self, value: Any) -> bool:
        """Return True for the name of a class whose objects may be kept."""
        return isinstance(value, Name) and self.inert(value) and value.rpartition(".")[2][:1].isupper()

    def _made(self, kind: Any, arguments: Any, options: Any) -> Any:
        """Return an object without running its class: empty and inert, or what the table knows."""
        plain = type(options) is dict and not options                    # arrays have no truth
        if isinstance(kind, Name) and kind in self.table and plain:
            return self._called(kind, arguments)
        if not isinstance(kind, Name) or type(arguments) is not tuple or arguments or not plain or not self.inert(kind):
            told = shown(kind) if isinstance(kind, Name) else kind_name(kind)
            raise Refused(DATA, f"one that calls {told}", TENSORS_ALONE)
        made = Inert()
        made.kind = kind
        self.budget.take(200)
        return made

    def _calling(self, what: str, function: Callable[..., object], arguments: Iterable[Any]) -> object:
        try:
            return function(*arguments)
        except Refused:
            raise
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            raise Refused(what, f"others ({error})") from None


# What each opcode does, called with the machine and the argument of the opcode.
STEPS: dict[str, Callable[[Any, Any], None]] = {
    **{name.removeprefix("_do_").upper(): getattr(Machine, name) for name in dir(Machine) if name.startswith("_do_")},
    **dict.fromkeys(VALUES, Machine._push_value),
}


def _number(size: int) -> Callable[[Source], int]:
    """Return a function that reads an unsigned number of some bytes; it is faster than that of pickletools."""
    def read(source: Source) -> int:
        end = source.position + size
        found = source.content[source.position:end]
        if len(found) < size:
            raise Refused("a complete pickle", f"one that is damaged: of {size} bytes {len(found)} are there")
        source.position = end
        return int.from_bytes(found, "little")
    return read


def _text(size: int) -> Callable[[Source], str]:
    """Return a function that reads text after its length, a number of some bytes."""
    length = _number(size)

    def read(source: Source) -> str:
        count = length(source)
        end = source.position + count
        found = source.content[source.position:end]
        if len(found) < count:
            raise Refused("a complete pickle", f"one that is damaged: of {count} bytes {len(found)} are there")
        source.position = end
        return str(found, "utf-8", "surrogatepass")
    return read


READERS: dict[str, Callable[[Any], Any]] = {
    "uint1": _number(1), "uint2": _number(2), "uint4": _number(4), "unicodestring1": _text(1),
    "unicodestring4": _text(4)}
# By the byte of an opcode: its name, what it does, and the function that reads its argument from a Source.
OPCODES: dict[int, tuple[str, Callable[[Any, Any], None] | None, Callable[[Any], Any] | None]] = {
    ord(opcode.code): (opcode.name, STEPS.get(opcode.name),
                       None if opcode.arg is None else READERS.get(opcode.arg.name, opcode.arg.reader))
    for opcode in pickletools.opcodes}
UNKNOWN = ("", None, None)


def shown(name: str) -> str:
    """Return a name for an error message: short, and on one line."""
    return name if name.isprintable() and len(name) < 100 else ascii(name[:100])


def _name(module: str, name: str = "") -> Name:
    return Name(f"{RENAMED.get(module, module)}.{name}".replace("builtins.xrange", "builtins.range"))
