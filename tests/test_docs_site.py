"""The site of documentation: a page for every public name, links that lead somewhere, a build without a warning."""

import ast
import inspect
import io
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from public import PLACES

import spconv_cy as sp

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "docs" / "site"
sys.path.append(str(SITE))
import gallery  # noqa: E402
import pages  # noqa: E402
import reference  # noqa: E402

STUBS = {path: "spconv_cy" if path.parent.name == "spconv_cy" else f"spconv_cy.{path.parent.name}"
         for path in (ROOT / "spconv_cy").rglob("__init__.pyi")}


def names_of_stubs():
    """Return the dotted names that all stubs list, read as text; without modules, which are no entries."""
    found = set()
    for path, place in STUBS.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module != place:
                found |= {f"{place}.{alias.asname or alias.name}" for alias in node.names}
    return found


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    """Write all sources of the site but the pictures of the gallery; return their folder."""
    folder = tmp_path_factory.mktemp("source")
    names = reference.write(folder)
    pages.Stage(folder, names).all_pages()
    return folder, names


def test_every_public_name_has_a_page_with_its_directive(staged):
    folder, names = staged
    assert names_of_stubs() | set(PLACES) == set(names)
    for name, page in names.items():
        text = (folder / f"{page}.rst").read_text()
        home = reference.homes()[name]
        assert re.search(rf"^\.\. auto\w+:: {re.escape(home)}$", text, re.M), name
        if home != name:                                                 # an alias has an entry on the page of the top
            short = name.rpartition(".")[2]
            assert re.search(rf"^\.\. py:\w+:: {short}(\(|$)", (folder / "reference" / "top.rst").read_text(), re.M)
    # Some file systems do not tell capital letters from small ones.
    assert len({page.lower() for page in names.values()}) == len(set(names.values()))


def test_members_are_those_that_a_class_describes_itself():
    assert {"fit", "predict", "score", "save"} <= set(reference.members(sp.SparseConvClassifier))
    assert "train" not in reference.members(sp.ReLU) and "train" in reference.members(sp.Layer)
    assert {"from_sites", "to_points", "exp"} <= set(reference.members(sp.SparseTensor))


def test_every_page_is_in_the_column_on_the_left_once():
    listed = [name for names in pages.NAVIGATION.values() for name in names]
    assert len(listed) == len(set(listed))
    generated = {"reference/index", "reference/command_line", "gallery/index"}
    written = set(pages.pages().values()) - {"index", "project/readme", "reference"}
    assert set(listed) == written | generated


def test_links_of_the_sources_lead_to_sources(staged):
    folder, _ = staged
    later = {"reference/index.md", "gallery/index.md"}
    n = 0
    for path in folder.rglob("*.md"):
        text = re.sub(r"^(`{3,})[^\n]*\n.*?^\1$", "", path.read_text(), flags=re.M | re.S)
        for target in re.findall(r"\]\((?!\w+:)([^)#\s]+)", text):
            goal = os.path.relpath(os.path.normpath(path.parent / target), folder)
            n += 1
            assert (folder / goal).is_file() or goal in later, f"{path.relative_to(folder)}: {target}"
    assert n > 300
    assert "[`sp.freeze`](reference/deploy/freeze.rst)" in (folder / "own_hits.md").read_text()


def test_docstrings_mean_on_the_site_what_they_mean_in_python():
    assert reference.escaped("*args of `f(*x)`, a_, b|c and c_d") == r"\*args of ``f(*x)``, a\_, b\|c and c_d"


def docstrings():
    """{docstring: name} of the public names and of the members that their pages describe."""
    found = {}
    for name, value in reference.public().items():
        if reference.homes()[name] == name and not isinstance(value, types.UnionType):
            members = reference.members(value) if isinstance(value, type) else []
            found |= {inspect.getdoc(getattr(value, member)): f"{name}.{member}" for member in members}
            found[inspect.getdoc(value)] = name
    return found


def test_every_docstring_is_read_by_sphinx_without_a_warning():
    # The quick part of `make docs`: what a docstring is made into, read as reStructuredText.
    napoleon, core = pytest.importorskip("sphinx.ext.napoleon"), pytest.importorskip("docutils.core")
    options = napoleon.Config(napoleon_use_ivar=True, napoleon_use_rtype=False)
    for text, name in docstrings().items():
        lines, said = reference.escaped_lines(text.splitlines()), io.StringIO()
        core.publish_doctree(str(napoleon.GoogleDocstring(lines, options)),
                             settings_overrides={"warning_stream": said, "report_level": 2})
        assert said.getvalue() == "", f"{name}: {said.getvalue()}"


@pytest.mark.parametrize("path", gallery.programs(), ids=lambda path: path.stem)
def test_a_program_of_the_gallery_explains_itself_and_is_short(path):
    title, words = gallery.title_and_words(path)
    assert 5 < len(title) < 60 and len(words) > 40
    text = path.read_text()
    assert text.count("\n") <= 55 and text.rstrip().endswith("savefig(sys.argv[1], dpi=110)")


def test_a_program_of_the_gallery_draws_what_it_is_told_to(tmp_path):
    pytest.importorskip("matplotlib")
    gallery.run(gallery.FOLDER / "3_two_families.py", tmp_path / "made" / "picture.png")
    assert (tmp_path / "made" / "picture.png").read_bytes()[:4] == b"\x89PNG"


def test_our_calls_beside_those_of_other_libraries_run(tmp_path):
    rng, size = np.random.default_rng(0), 16
    x, y = (sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), 16)), size, samples=2, ground=None)
            for sites in (np.unique(np.c_[rng.integers(0, 2, 60), rng.integers(0, size, (60, 3))], axis=0)
                          for _ in range(2)))
    net = sp.Sequential(sp.SubmanifoldConvolution(3, 16, 4, 3))
    names = {"sp": sp, "x": x, "y": y, "sites": x.sites, "features": x.features.numpy(), "size": size, "f": x.features,
             "points": rng.normal(size=(x.grid.n, 3)), "mask": x.features.data[:, 0] > 0, "net": net,
             "rows": np.c_[np.zeros(5), rng.uniform(0, 15, (5, 3))], "values": np.ones((5, 2)),
             "cloud": rng.uniform(0, 8, (50, 4)), "cell": 0.5, "low": (0, 0, 0), "high": (8, 8, 8),
             "path": tmp_path / "net.safetensors", "outputs": rng.normal(size=(4, 3)),
             "labels": np.array([0, 1, 2, -1]), "state": net.state()}
    text = (ROOT / "docs" / "coming_from.md").read_text()
    rows = [row.split(" | ", 1)[1] for row in text.splitlines() if row.startswith("| ")]
    calls = [call for row in rows for call in re.findall(r"`([^`]+)`", row)]
    for call in calls:
        made = eval(call, names)
        # A layer takes 16 channels, or 32 where it goes up, which needs its own convolution first.
        if isinstance(made, sp.Layer) and "(3, 16," in call and "Deconvolution" not in call:
            assert made(x).grid.n > 0, call
    assert len(calls) > 70
    headings = re.findall(r"^## (\w+)$", text, re.M)
    assert headings == ["spconv", "MinkowskiEngine", "SparseConvNet", "torchsparse", "torch"]


def test_make_docs_installs_what_the_extra_names():
    makefile = (ROOT / "Makefile").read_text()
    (packages,) = re.findall(r"^docs:.*\n\t\$\(BIN\)/python -m pip install --quiet (.*)\n", makefile, re.M)
    (extra,) = re.findall(r"^docs = \[(.*)\]", (ROOT / "pyproject.toml").read_text(), re.M)
    # matplotlib is there for the tests
    assert set(packages.split()) == set(re.findall(r'"([\w-]+)', extra)) - {"matplotlib"}


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_every_name_is_in_its_inventory(tmp_path):
    pytest.importorskip("furo")
    pytest.importorskip("myst_parser")
    inventory = pytest.importorskip("sphinx.util.inventory")
    done = subprocess.run([sys.executable, SITE / "build.py", tmp_path / "site"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "site" / "objects.inv", "rb") as file:
        loaded = inventory.InventoryFile.load(file, "", os.path.join)
    found = {name for kind, entries in getattr(loaded, "data", loaded).items()
             if kind.startswith("py:") for name in entries}
    assert set(reference.public()) <= found
