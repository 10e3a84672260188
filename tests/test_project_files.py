"""The files around the package agree with it and with each other: workflows, versions, commands, the citation."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from in_turn import each

import spconv_cy

ROOT = Path(__file__).resolve().parents[1]
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
RELEASED = re.compile(r"\d+\.\d+\.\d+")


def parsed(name):
    """Return a YAML file of the project as Python objects; an sdist holds no file whose path begins with a dot."""
    yaml = pytest.importorskip("yaml")
    if not (ROOT / name).is_file():
        pytest.skip(f"no {name} here")
    return yaml.safe_load((ROOT / name).read_text())


def words(text):
    """Return what a shell would split a make command into, up to the end of that command."""
    return re.split(r"[;&|`]|\s#", text)[0].split()


def make_targets(text):
    """Return the targets of every `make ...` in a text: in code spans, in code blocks and in workflow steps."""
    code = re.findall(r"`+(?:\w+\n)?([^`]+)`+", text) + re.findall(r"run: (.+)", text)
    commands = [words(found) for block in code for found in re.findall(r"(?:^|[\s;&])make ([^\n]+)", " " + block)]
    return {word for command in commands for word in command if "=" not in word and not word.startswith("-")}


def git(*arguments):
    """Return what a git command prints, or skip the test where there is no checkout."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", ["test.yml", "wheels.yml"])
def test_workflows_have_jobs_whose_actions_are_pinned_and_whose_needs_exist(name):
    workflow = parsed(f".github/workflows/{name}")
    assert True in workflow or "on" in workflow  # YAML 1.1 reads the key `on` as true
    jobs = workflow["jobs"]
    for key, job in jobs.items():
        needs = job.get("needs", [])
        assert set([needs] if isinstance(needs, str) else needs) <= set(jobs), key
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step), (key, step)
            assert "run" in step or re.fullmatch(r"[\w/-]+@(v\d+(\.\d+)?|release/v\d+)", step["uses"]), step["uses"]


def test_every_test_that_a_workflow_names_exists():
    builds = parsed(".github/workflows/test.yml")["jobs"]["builds"]["strategy"]["matrix"]["build"]
    tests = [build["test"] for build in builds]
    packaging = (ROOT / "tests" / "test_packaging.py").read_text()
    assert len(tests) == 3
    assert [test for test in tests if f"def {test}(" not in packaging] == []


def test_the_pythons_of_workflow_wheels_and_classifiers_are_the_same():
    text = (ROOT / "pyproject.toml").read_text()
    classified = re.findall(r"Programming Language :: Python :: (3\.\d+)", text)
    assert re.search(r'^requires-python = ">=(3\.\d+)"', text, re.M)[1] == classified[0]
    assert re.findall(r'"cp3(\d+)-\*"', text) == [version[2:] for version in classified]
    assert parsed(".github/workflows/test.yml")["jobs"]["check"]["strategy"]["matrix"]["python"] == classified


def test_pre_commit_and_ci_run_the_commands_of_the_makefile():
    hooks = [hook for repo in parsed(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert [hook["entry"] for hook in hooks] == ["make lint"]
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "make check"
    assert re.search(r"^check: test test-experiments lint\b", (ROOT / "Makefile").read_text(), re.M)


def test_make_lint_runs_all_tests_of_the_source():
    named = re.search(r"^RULES = (.+)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    conftest = (ROOT / "tests" / "conftest.py").read_text()
    begun = ast.literal_eval(re.search(r"^MARKED = (\{.+?^\})", conftest, re.M | re.S)[1])
    assert sorted(named) == [f"tests/{path.name}" for path in sorted((ROOT / "tests").glob("*.py"))
                             if path.name.startswith(begun["source"])]


def test_issue_templates_have_what_github_asks_for():
    for path in sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")):
        form = parsed(path.relative_to(ROOT))
        if path.stem != "config":
            assert {"name", "description", "body"} <= set(form), path.name
            assert len({item["id"] for item in form["body"]}) == len(form["body"]), path.name


def test_the_citation_has_the_version_and_the_licence_of_the_package():
    citation = parsed("CITATION.cff")
    assert citation["version"] == spconv_cy.__version__
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    expression = re.search(r'^license = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert citation["license"] == expression.split(" AND ")


def test_the_version_is_that_of_the_changelog():
    version, state = re.search(r"^## (\S+), (.+)$", CHANGELOG, re.M).groups()
    assert RELEASED.fullmatch(version)
    if state == "not released yet":
        assert spconv_cy.__version__ == f"{version}.dev0"
    else:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", state), "a released version has its date"
        assert spconv_cy.__version__ == version


def test_the_version_follows_the_newest_tag():
    tags = [tag[1:] for tag in git("tag", "--list", "v*", "--merged", "HEAD").split()]
    assert [tag for tag in tags if not RELEASED.fullmatch(tag)] == [], "tags of releases are v1.2.3"
    here = [tag[1:] for tag in git("tag", "--list", "v*", "--points-at", "HEAD").split()]
    assert here in ([], [spconv_cy.__version__]), "the tag of this commit is its version"
    ours = tuple(map(int, RELEASED.match(spconv_cy.__version__)[0].split(".")))
    for tag in set(tags) - set(here):
        assert tuple(map(int, tag.split("."))) < ours, f"{tag} is released: set the next version, with .dev0"


@each("path", [*TEXTS, ROOT / "pyproject.toml", *sorted((ROOT / ".github").rglob("*.yml"))],
      ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_make_target_that_is_named_exists(path):
    rules = " ".join(re.findall(r"^([\w./ -]+):(?!=)", (ROOT / "Makefile").read_text(), re.M)).split()
    assert make_targets(path.read_text()) - set(rules) == set()


def test_every_phony_target_is_a_rule_with_a_description():
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", text, re.M)[1].split()
    described = re.findall(r"^([\w-]+):.*  ## \S", text, re.M)
    assert set(phony) - set(described) <= {"clean"}


def test_the_page_for_contributors_is_one_page():
    assert (ROOT / "CONTRIBUTING.md").read_text().count("\n") <= 120


def test_the_manifest_takes_every_tracked_file_into_the_sdist():
    lines = [line.split() for line in (ROOT / "MANIFEST.in").read_text().splitlines()]
    patterns = [name for word, *names in lines if word == "include" for name in names]
    below = [line[1:] for line in lines if line[0] == "recursive-include"]
    patterns += [f"{folder}/*{name}" for folder, *names in below for name in names]
    always = {"pyproject.toml", "setup.py", "MANIFEST.in"}
    tracked = {name for name in git("ls-files").splitlines() if not name.startswith(".") and (ROOT / name).is_file()}
    missing = {name for name in tracked - always if not any(fnmatch(name, pattern) for pattern in patterns)}
    assert {name for name in missing if not re.fullmatch(r"spconv_cy/.*\.py", name)} == set()


@each("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_name_of_the_package_that_a_page_names_exists(path):
    text = path.read_text()
    names = set(re.findall(r"\b(?:sp|spconv_cy)((?:\.[A-Za-z]\w*)+)(?![\w./]*/|\.pyi?x?\b)", text))
    if path.stem == "operators":
        groups = "data exchange functional layers models readers sites train"
        names |= {f".{name}" for name in re.findall(rf"`((?:{groups.replace(' ', '|')})\.\w+)", text)}
    assert [name for name in sorted(names) if not _exists(name)] == []


def _exists(dotted):
    """Return True if `.a.b.c` can be reached from the package, by attributes and imports."""
    found, place = spconv_cy, "spconv_cy"
    for word in dotted.split(".")[1:]:
        place = f"{place}.{word}"
        try:
            found = getattr(found, word) if hasattr(found, word) else importlib.import_module(place)
        except ImportError:
            return False
    return True


@each("path", [*TEXTS, ROOT / "SECURITY.md"], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_to_a_file_of_the_project_leads_to_one(path):
    targets = re.findall(r"\]\((?!\w+:)([^)#\s]+)", path.read_text())
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("script", ["docs/run_small.py", "docs/run_evidence.py", "docs/run_benchmarks.py",
                                    "docs/write_numbers.py"])
def test_a_script_of_the_docs_explains_itself_and_runs_nothing(script):
    shown = subprocess.run([sys.executable, ROOT / script, "--help"], cwd=ROOT, capture_output=True, text=True,
                           check=True, timeout=60)
    assert shown.stdout.startswith(f"usage: {script.rpartition('/')[2]}")
