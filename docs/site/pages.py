"""Prepare the pages of docs/ for Sphinx: a copy in which every link leads to a page of the site.

The pages themselves hold nothing that only Sphinx knows, so that they read the same on a code host. A link to a file
that is no page, such as a program, leads to a page that shows the file; one to a folder leads to a list of its files.
"""

import os
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# The order of the pages in the column on the left. "reference/..." and "gallery/..." are written by the build.
NAVIGATION = {
    "Start": ["start", "own_hits", "own_drawings", "families", "on_a_cpu", "coming_from", "gallery/index"],
    "Guide": ["concepts", "own_data", "estimators", "training", "handwriting", "operators", "ground_state",
              "adding_a_layer", "converting", "checkpoints", "deploy", "backends", "cuda", "scale"],
    "Numbers": ["numbers", *(f"{folder}/{path.stem}" for folder in ("experiments", "benchmarks")
                             for path in sorted((DOCS / folder).glob("*.md")))],
    "Reference": ["reference/index", "reference/command_line"],
    "Inside": ["architecture", "kernels", "project/contributing", "project/security", "project/changelog"],
}
# Pages that lie elsewhere in the repository.
ELSEWHERE = {"README.md": "project/readme", "CONTRIBUTING.md": "project/contributing",
             "SECURITY.md": "project/security", "CHANGELOG.md": "project/changelog", "docs/gallery": "gallery/index",
             "docs/reference.md": "reference/index"}
LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")
LANGUAGES = {".py": "python", ".pyi": "python", ".json": "json", ".toml": "toml", ".yml": "yaml", ".yaml": "yaml",
             ".hpp": "cpp", ".cpp": "cpp", ".inl": "cpp", ".pyx": "cython", ".pxd": "cython", ".cu": "cpp"}


def pages():
    """Return {path in the repository: name on the site} of every page that is written by hand."""
    found = {path.relative_to(ROOT).as_posix(): path.relative_to(DOCS).with_suffix("").as_posix()
             for path in sorted(DOCS.rglob("*.md"))}
    return found | ELSEWHERE


class Stage:
    """A folder with the sources of the site."""

    def __init__(self, folder, names):
        self.folder, self.names = folder, names
        # Short names that begin with a capital letter, which nothing else is called.
        self.only = {short: page for name, page in names.items() if (short := name.rpartition(".")[2])[0].isupper()}
        self.pages = pages()
        self.files = set()

    def write(self, name, text):
        """Write a page."""
        path = self.folder / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def all_pages(self):
        """Copy the pages, with the tables of contents at the end of the first one."""
        for source, name in self.pages.items():
            if (ROOT / source).is_file() and source != "docs/reference.md":
                text = self.translated((ROOT / source).read_text(), source, name)
                if name == "index":
                    text += contents()
                if name == "project/readme":
                    text = "---\norphan: true\n---\n" + text
                self.write(name, text)

    def translated(self, text, source, name):
        """Return the text of a page with its links turned to the site, and those to names added."""
        parts = re.split(r"(^```.*?^```\n?)", text, flags=re.M | re.S)
        for i in range(0, len(parts), 2):
            parts[i] = LINK.sub(lambda found: self.link(found, source, name), parts[i])
            parts[i] = self.linked_names(parts[i], name)
        return "".join(parts)

    def link(self, found, source, name):
        """Return a link of a page as the site needs it."""
        words, target, anchor = found.groups()
        path = os.path.normpath(os.path.join(os.path.dirname(source), target)).replace(os.sep, "/")
        if words.startswith("!"):
            self.copy(path, name)
            return f"{words}({relative(picture(path), name)})"
        if words[1:-1] == target and path in self.pages:                 # a page that is linked by its file's name
            words = f"[{self.title(path)}]"
        return f"{words}({relative(self.goal(path), name)}.md{anchor or ''})"

    def title(self, path):
        """Return the title of a page."""
        return "Gallery" if path == "docs/gallery" else (ROOT / path).read_text().partition("\n")[0].lstrip("# ")

    def goal(self, path):
        """Return the page of a file or folder of the repository, written now if it is none yet."""
        if path in self.pages:
            return self.pages[path]
        if path == "docs":
            return "index"
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"a page links {path}, which is not there")
        if path not in self.files:
            self.files.add(path)
            self.write(f"files/{path}", self.folder_page(path) if (ROOT / path).is_dir() else file_page(path))
        return f"files/{path}"

    def folder_page(self, path):
        """Return a page that lists the files of a folder."""
        inside = [found.relative_to(ROOT).as_posix() for found in sorted((ROOT / path).iterdir())
                  if found.is_file() and not found.name.startswith(".") and found.suffix not in BINARY]
        rows = "".join(f"- [{Path(found).name}]({relative(self.goal(found), f'files/{path}')}.md)\n"
                       for found in inside)
        return f"---\norphan: true\n---\n# {path}/\n\n{rows}"

    def copy(self, path, name):
        """Copy a picture that a page shows."""
        if not (ROOT / path).is_file():
            raise FileNotFoundError(f"docs: {name} shows {path}, which is not there")
        goal = self.folder / picture(path)
        goal.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, goal)

    def linked_names(self, text, name):
        """Return text in which a code span with a public name, such as `sp.fit`, links the page of that name."""
        if name.startswith("reference/"):
            return text

        def linked(found):
            word = re.match(r"(?:sp|spconv_cy)((?:\.\w+)+)", found[1])
            if word:
                dotted = f"spconv_cy{word[1]}"
                page = self.names.get(dotted) or self.names.get(dotted.rpartition(".")[0])     # `sp.Grid.from_sites`
            else:
                page = None if name in OTHERS else self.only.get(found[1])
            return f"[{found[0]}]({relative(page, name)}.rst)" if page else found[0]

        return re.sub(r"(?<![\[`])`([\w.]+)(?:\([^`]*\))?`(?![\]`])", linked, text)


# Pages on which a name without `sp.` may be one of another library.
OTHERS = {"coming_from", "converting"}
BINARY = {".so", ".pyd", ".png", ".npz", ".pyc", ".safetensors", ".pth", ".pt", ".ckpt"}


def picture(path):
    """Return where a picture of the repository lies on the site."""
    return f"pictures/{path.removeprefix('docs/')}"


def relative(goal, name):
    """Return the path from a page to a file of the site."""
    return os.path.relpath(goal, os.path.dirname(name) or ".").replace(os.sep, "/")


def file_page(path):
    """Return a page that shows a file of the repository."""
    text = (ROOT / path).read_text()
    fence = "`" * (max([2, *map(len, re.findall(r"`+", text))]) + 1)
    language = LANGUAGES.get(Path(path).suffix, "text")
    return f"---\norphan: true\n---\n# {path}\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"


def contents():
    """Return the tables of contents, which the first page has without showing them."""
    return "".join(f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(names) + "\n```\n"
                   for caption, names in NAVIGATION.items())
