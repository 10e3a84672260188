"""Build the site of documentation: `make docs`, or `python docs/site/build.py [FOLDER]`; build/docs by default.

The sources are prepared in FOLDER-source: the pages of docs/, the API reference, the pictures of the gallery, which its
programs draw, and the help of each command. Every warning is an error.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import gallery  # noqa: E402
import generated  # noqa: E402
import pages  # noqa: E402
import reference  # noqa: E402


def main():
    """Prepare the sources and run Sphinx."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=pages.ROOT / "build" / "docs")
    folder = parser.parse_args().folder.resolve()
    begin = time.perf_counter()
    source = Path(f"{folder}-source")
    prepare(source)
    print(f"sources prepared: {time.perf_counter() - begin:.0f} s")
    status = sphinx(source, folder)
    if not status:
        print(f"{folder}/index.html: {time.perf_counter() - begin:.0f} s")
    sys.exit(status)


def prepare(source):
    """Write the sources of the site into a folder that is made anew."""
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    stage = pages.Stage(source, reference.write(source))
    stage.all_pages()
    generated.write(stage)
    gallery.write(stage)


def sphinx(source, folder):
    """Run Sphinx; return its exit status, 1 if there was a warning."""
    from sphinx.cmd.build import main as build

    shutil.rmtree(folder, ignore_errors=True)
    site = str(Path(__file__).resolve().parent)
    return build(["-q", "-W", "--keep-going", "-j", str(os.cpu_count()), "-b", "html", "-c", site,
                  "-d", f"{source}/.doctrees", str(source), str(folder)])


if __name__ == "__main__":
    main()
