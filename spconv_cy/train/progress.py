"""A progress bar for training and evaluation."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from spconv_cy.checks import checked_flags, is_integer

if TYPE_CHECKING:
    from tqdm import tqdm

    from spconv_cy.train.history import History


def checked_progress(who: str, progress: bool | int) -> bool:
    """Return whether to show a bar; a number, as in `verbose=1` of other libraries, means True if it is above 0.

    Raises:
        ShapeError: neither True nor False nor a whole number.
    """
    if is_integer(progress):
        return bool(progress > 0)
    checked_flags(who, progress=progress)
    return bool(progress)


def progress_bar(shown: bool, total: int) -> AbstractContextManager[tqdm | None]:
    """Return a context manager: a bar of so many samples, or None in place of the bar if it is not shown."""
    if not shown:
        return nullcontext()
    from tqdm.auto import tqdm

    return tqdm(total=total, unit=" samples", dynamic_ncols=True)


def show_training(bar: tqdm | None, what: str, history: History, n: int, loss: float, error: float) -> None:
    """Advance a bar by n samples and show the loss and the error so far, and the last validation error."""
    if bar is None:
        return
    bar.set_description(what, refresh=False)
    validation = [e for e in history.validation_errors if e is not None][-1:]
    bar.set_postfix_str(f"loss {loss:.4f}, error {100 * error:.2f} %"
                        + "".join(f", validation {100 * e:.2f} %" for e in validation), refresh=False)
    bar.update(n)


def show_evaluation(bar: tqdm | None, n: int) -> None:
    """Advance a bar by n samples."""
    if bar is not None:
        bar.set_description("test", refresh=False)
        bar.update(n)
