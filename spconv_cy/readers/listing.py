"""The files that a reader is given: one, those of a folder, or a list."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from spconv_cy.checks import as_list, checked_path
from spconv_cy.errors import expected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spconv_cy.types import PathLike


def listed_files(who: str, paths: PathLike | Iterable[PathLike], *endings: str) -> list[Path]:
    """Return the paths of files.

    Args:
        who: the function, for errors.
        paths: a file, a folder, of which the files with these endings are taken, or a list of files.
        endings: with a point, in lower case.

    Raises:
        FileNotFoundError: a folder without such files.
        TypeError: no paths.
    """
    if isinstance(paths, (str, os.PathLike)):
        folder = Path(paths)
        found = sorted(p for p in folder.iterdir() if p.suffix.lower() in endings) if folder.is_dir() else [folder]
        if not found:
            raise FileNotFoundError(expected(f"{folder}", f"a folder with {' or '.join(endings)} files", "none in it"))
        return found
    listed = as_list(who, paths, "the path of a file or folder, or a list of paths")
    return [Path(checked_path(who, path)) for path in listed]
