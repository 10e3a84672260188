"""Settings of Sphinx; `build.py` beside this file prepares the sources and runs it."""

import inspect
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import reference  # noqa: E402
from sphinx.domains.python import PythonDomain  # noqa: E402
from sphinx.util.inspect import stringify_signature  # noqa: E402

import spconv_cy  # noqa: E402

project = "spconv_cy"
release = version = spconv_cy.__version__
html_title = f"spconv_cy {release}"
html_theme = "furo"
html_show_copyright = False
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
highlight_language = "text"
# A span in single backticks is code in our docstrings.
default_role = "code"
# Links within a page lead to its headings.
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 90
napoleon_use_ivar = True
napoleon_use_rtype = False
html_copy_source = False
html_show_sourcelink = False
html_static_path = [str(Path(__file__).parent / "static")]
html_css_files = ["site.css"]
suppress_warnings = ["config.cache"]
HOMES = reference.homes()


def docstring(app, kind, name, value, options, lines):
    """Escape what means something to Sphinx and nothing in our docstrings; code in backticks stays code."""
    lines[:] = reference.escaped_lines(lines)


def signature(app, kind, name, value, options, arguments, returned):
    """Give a class the parameters of its constructor; leave out the addresses of objects in memory."""
    if kind == "class" and arguments and arguments.startswith("(*arguments"):
        arguments = stringify_signature(inspect.signature(value), show_return_annotation=False)
    return (re.sub(r"<function (\w+) at 0x\w+>", r"\1", arguments), returned) if arguments else None


class Names(PythonDomain):
    """Python's names; one that could mean several entries means the one that describes it, or nothing."""

    def find_obj(self, *arguments, **options):
        """Return the entries of a name."""
        found = super().find_obj(*arguments, **options)
        homes = {HOMES[name] for name, _ in found if name in HOMES}
        return found if len(found) < 2 else [match for match in found if {match[0]} == homes]


def setup(app):
    """Connect the functions above; before napoleon, which sees the same event."""
    app.add_domain(Names, override=True)
    app.connect("autodoc-process-docstring", docstring, priority=400)
    app.connect("autodoc-process-signature", signature)
