"""The gallery: each program of docs/gallery draws a picture, which its page shows beside the program."""

import ast
import os
import re
import subprocess
import sys

import pages

FOLDER = pages.DOCS / "gallery"


def programs():
    """Return the programs in order."""
    return sorted(FOLDER.glob("*.py"))


def title_and_words(path):
    """Return the first line of a program's docstring without its full stop, and the rest."""
    title, _, words = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")
    return title.rstrip("."), words.strip()


def run(path, picture):
    """Run a program, which writes its picture into the file it is told."""
    picture.parent.mkdir(parents=True, exist_ok=True)
    environment = {"OMP_WAIT_POLICY": "passive"} | os.environ | {"MPLBACKEND": "agg"}
    subprocess.run([sys.executable, path, picture], env=environment, check=True)


def write(stage):
    """Run the programs; write a page for each, and one with all pictures."""
    text = "# Gallery\n\nEach picture is made by the program on its page, when this site is built.\n"
    for path in programs():
        title, words = title_and_words(path)
        name = re.sub(r"^\d+_", "", path.stem)
        run(path, stage.folder / "gallery" / f"{name}.png")
        code = re.sub(r'^""".*?"""\n+', "", path.read_text(), flags=re.S)
        stage.write(f"gallery/{name}", f"---\norphan: true\n---\n# {title}\n\n{words}\n\n![{title}]({name}.png)\n\n"
                                       f"```python\n{code}```\n")
        text += f"\n## [{title}]({name}.md)\n\n[![{title}]({name}.png)]({name}.md)\n\n{words}\n"
    stage.write("gallery/index", text)
