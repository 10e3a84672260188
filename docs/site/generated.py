"""Pages that are made from the package: the index of the reference, and the help of each command."""

import contextlib
import io
import re

import pages
import reference

from spconv_cy.cli import main


def write(stage):
    """Write the pages into a stage."""
    stage.write("reference/index", index(stage))
    text = "# Command line\n\n`spconv-cy COMMAND`, or `python -m spconv_cy COMMAND`.\n"
    for command in ("", *re.findall(r"^ {4}([a-z]+) ", usage(""), re.M)):
        text += f"\n## spconv-cy {command}".rstrip() + f"\n\n```text\n{usage(command)}\n```\n"
    stage.write("reference/command_line", text)


def index(stage):
    """Return docs/reference.md with links to the pages of modules in place of those to their stubs."""
    text = (pages.DOCS / "reference.md").read_text()
    text = re.sub(r"\(\.\./spconv_cy/(?:(\w+)/__init__\.pyi|__init__\.pyi|(\w+)\.py)\)",
                  lambda found: f"({found[1] or found[2] or 'top'}.rst)", text)
    names = list(map(reference.short_place, reference.modules()))
    missing = [name for name in names if f"({name}.rst)" not in text]
    if missing:
        raise ValueError(f"docs/reference.md: expected a link to the stub of every module, got none of {missing}")
    return text + "\n```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```\n"


def usage(command):
    """Return what `spconv-cy COMMAND --help` prints."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        main([*command.split(), "--help"])
    return shown.getvalue().strip()
