"""Progress of training and evaluation: a bar on a terminal or in a notebook, a line an epoch elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from spconv_cy.checks import checked_flags, is_integer

if TYPE_CHECKING:
    from tqdm import tqdm

    from spconv_cy.train.history import History

WIDE = 110                                                               # columns from which on all parts are shown
NARROW = "{desc} {percentage:3.0f}%{postfix} {remaining}"


def checked_progress(who: str, progress: bool | int) -> bool:
    """Return whether to show progress; a number, as in `verbose=1` of other libraries, means True if it is above 0.

    Raises:
        ShapeError: neither True nor False nor a whole number.
    """
    if is_integer(progress):
        return bool(progress > 0)
    checked_flags(who, progress=progress)
    return bool(progress)


class Progress:
    """Context manager that shows how far a run is, on stderr: a bar, or lines where stderr is no terminal.

    Args:
        shown: whether anything is shown.
        total: number of samples of the run.
    """

    def __init__(self, shown: bool, total: int) -> None:
        self.shown, self.total, self.seen = shown, total, 0
        self._bar: tqdm[Any] | None = None
        self._began = time.perf_counter()

    def __enter__(self) -> Progress:
        if self.shown:
            from tqdm.auto import tqdm

            notebook = "notebook" in tqdm.__module__ or "notebook" in tqdm.__name__
            if notebook or sys.stderr.isatty():
                narrow = not notebook and shutil.get_terminal_size().columns < WIDE
                self._bar = tqdm(total=self.total, unit=" samples", dynamic_ncols=True,
                                 bar_format=NARROW if narrow else None)
                self._narrow = narrow
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, what: str, n: int, result: str = "", short: str = "") -> None:
        """Add n samples; `what` is before the bar, the result behind it, the short one where the terminal is narrow."""
        self.seen += n
        if self._bar is not None:
            self._bar.set_description(what, refresh=False)
            self._bar.set_postfix_str(short if self._narrow else result, refresh=False)
            self._bar.update(n)

    def line(self, text: str) -> None:
        """Write a line where there is no bar."""
        if self.shown and self._bar is None:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


def show_training(progress: Progress, what: str, history: History, n: int, loss: float, error: float) -> None:
    """Advance by n samples and show the loss and the error so far, and the last validation error."""
    tested = [e for e in history.validation_errors if e is not None][-1:]
    progress.advance(what, n, f"loss {loss:.4f}, error {100 * error:.2f} %"
                     + "".join(f", validation {100 * e:.2f} %" for e in tested),
                     f"loss {loss:.4g} err {100 * error:.1f}%" + "".join(f" val {100 * e:.1f}%" for e in tested))


def epoch_line(what: str, history: History) -> str:
    """Return the line of the last epoch of a history, such as for a log file."""
    parts = [f"loss {history.losses[-1]:.4f}"]
    if history.errors[-1] is not None:
        parts.append(f"error {100 * history.errors[-1]:.2f} %")
    if len(history.validation_losses) == len(history):
        error = history.validation_errors[-1]
        parts.append(f"validation {history.validation_losses[-1]:.4f}" if error is None
                     else f"validation {100 * error:.2f} %")
    return f"{what}  {', '.join(parts)}, {history.seconds[-1]:.1f} s"


def show_evaluation(progress: Progress, n: int) -> None:
    """Advance by n samples."""
    progress.advance("test", n)
