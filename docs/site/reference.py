"""Write the pages of the API reference: one for each public name, one for each module that lists names.

The names are those of `spconv_cy/**/__init__.pyi`, and what the modules `errors`, `exchange` and `plot` define.
"""

import enum
import importlib
import inspect
import re
import types
from pathlib import Path

import spconv_cy

PACKAGE = "spconv_cy"
# Modules without a stub that the top of the package lists; their public names are those that they define.
MODULES = ("errors", "exchange", "plot")
# What data classes and tuples with names inherit and nobody looks for.
SKIPPED = {"mro"}


def modules():
    """Return {name: module} of all that list public names, the top first."""
    folder = Path(spconv_cy.__file__).parent
    inner = sorted([path.parent.name for path in folder.glob("*/__init__.pyi")] + list(MODULES))
    return {name: importlib.import_module(name) for name in [PACKAGE, *(f"{PACKAGE}.{name}" for name in inner)]}


def listed(module):
    """Return the public names of a module in order, without the modules among them."""
    if hasattr(module, "__all__"):
        names = [name for name in module.__all__ if not isinstance(getattr(module, name), types.ModuleType)]
    else:
        names = [name for name, value in vars(module).items()
                 if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__]
    return sorted(names, key=str.lower)


def public():
    """Return {dotted name: value} of every public name, such as "spconv_cy.layers.ReLU" and "spconv_cy.ReLU"."""
    return {f"{place}.{name}": getattr(module, name)
            for place, module in modules().items() for name in listed(module)}


def homes():
    """Return {dotted name: the dotted name whose page describes it}; a name of the top is described in its group."""
    names = public()
    inner = {id(value): name for name, value in names.items() if name.count(".") > 1}
    return {name: inner.get(id(value), name) for name, value in names.items()}


def page_of(name):
    """Return the path of the page of a dotted name, without a suffix."""
    place, _, last = name.rpartition(".")
    return f"reference/{short_place(place)}/{last}"


def short_place(place):
    """Return what the page of a module is called: the last part of its name, "top" for the package itself."""
    return "top" if place == PACKAGE else place.rpartition(".")[2]


def first_sentence(value):
    """Return the first sentence of a docstring, on one line."""
    text = inspect.getdoc(value) or ""
    if isinstance(value, types.UnionType):
        text = f"{value}"
    return re.sub(r"\s+", " ", re.split(r"(?<=\.)\s|\n\n", text.strip(), maxsplit=1)[0])


def members(value):
    """Return the public members of a class that its page describes: its own, and those of bases without a page."""
    described = {id(found) for found in public().values()}
    bases = [base for base in value.__mro__
             if base.__module__.startswith(PACKAGE) and (base is value or id(base) not in described)]
    found = []
    for base in bases:
        fields = () if not issubclass(base, tuple) else getattr(base, "_fields", ())
        found += [name for name, member in vars(base).items()
                  if not name.startswith("_") and name not in SKIPPED and name not in fields and has_words(member)]
    return sorted(set(found))


def has_words(member):
    """Return True if a member of a class is a method, property or class that its source describes."""
    member = getattr(member, "__func__", member)
    callable_or_property = inspect.isroutine(member) or inspect.isdatadescriptor(member) or isinstance(member, type)
    return callable_or_property and bool(getattr(member, "__doc__", None)) and not inspect.ismemberdescriptor(member)


def directive(value):
    """Return the directive of autodoc for a value."""
    if isinstance(value, type):
        return "autoexception" if issubclass(value, BaseException) else "autoclass"
    return "autofunction" if inspect.isroutine(value) else "autodata"


def underlined(text, line):
    """Return a heading."""
    return f"{text}\n{line * len(text)}\n\n"


def entry(name, value, top):
    """Return the text of the page of one name."""
    place, _, short = name.rpartition(".")
    text = ":orphan:\n\n" + underlined(short, "=") + f":doc:`{place} <../{short_place(place)}>`"
    text += f" · also :code:`{PACKAGE}.{short}`\n\n" if top else "\n\n"
    text += f".. {directive(value)}:: {name}\n"
    if isinstance(value, type):
        text += "   :show-inheritance:\n"
        if isinstance(value, enum.EnumMeta):
            text += "   :members:\n   :undoc-members:\n"
        elif names := members(value):
            text += f"   :members: {', '.join(names)}\n"
    return text


def alias(name, home, value):
    """Return the entry of a name of the top that is described in its group."""
    short = name.rpartition(".")[2]
    kind = directive(value).removeprefix("auto")
    try:
        signature = re.sub(r"(: '.*?'|: \".*?\"| -> .*$)", "", plain_signature(value))
    except (TypeError, ValueError):
        signature = ""
    return (f".. py:{kind}:: {short}{signature}\n\n   {escaped(first_sentence(value))}\n\n"
            f"   :doc:`{home} </{page_of(home)}>`\n\n")


def plain_signature(value):
    """Return the parameters of a callable without annotations; functions and classes as defaults are shown as dots."""
    signature = inspect.signature(value)
    plain = []
    for parameter in signature.parameters.values():
        if parameter.default is not parameter.empty and callable(parameter.default):
            parameter = parameter.replace(default=Dots())
        plain.append(parameter.replace(annotation=parameter.empty))
    return str(signature.replace(parameters=plain, return_annotation=signature.empty))


class Dots:
    """A default whose text would be too long."""

    def __repr__(self):
        return "..."


def escaped(text):
    """Return text of a docstring in which only the spans in backticks mean something to Sphinx."""
    parts = re.split(r"(`+[^`]+`+)", text)
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = f"``{part.strip('`')}``"
        else:
            parts[i] = re.sub(r"([*|\\])|_(?=\W|$)", lambda found: "\\" + found[0], part)
    return "".join(parts)


def escaped_lines(lines):
    """Return the lines of a docstring, escaped where they are no example of Python."""
    found, code = [], False
    for line in lines:
        code = line.lstrip().startswith((">>>", "...")) or (code and line.strip() != "")
        found.append(line if code else escaped(line))
    return found


def table(rows):
    """Return a table of (page, name, sentence)."""
    text = ".. list-table::\n   :widths: 30 70\n\n"
    for page, name, sentence in rows:
        text += f"   * - :doc:`{name} </{page}>`\n     - {escaped(sentence)}\n"
    return text + "\n"


def module_page(place, module, names, home):
    """Return the page of a module: its names with their first sentences; at the top also the entries of aliases."""
    text = underlined(place, "=") + escaped(first_sentence(module)) + "\n\n"
    text += f".. py:module:: {place}\n\n"
    rows = [(page_of(home[name]), name.rpartition(".")[2], first_sentence(value)) for name, value in names.items()]
    text += table(rows)
    aliases = {name: value for name, value in names.items() if home[name] != name}
    if aliases:
        text += underlined("Names that are described in their groups", "-")
        text += "".join(alias(name, home[name], value) for name, value in aliases.items())
    return text


def write(folder):
    """Write all pages of the reference below a folder; return {dotted name: page}, for links."""
    names, home = public(), homes()
    tops = {home[name] for name in names if home[name] != name}
    for name, value in names.items():
        if home[name] == name:
            path = folder / f"{page_of(name)}.rst"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(entry(name, value, name in tops))
    for place, module in modules().items():
        inside = {name: value for name, value in names.items() if name.rpartition(".")[0] == place}
        path = folder / "reference" / f"{short_place(place)}.rst"
        path.write_text(module_page(place, module, inside, home))
    return {name: page_of(home[name]) for name in names}
