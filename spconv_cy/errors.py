"""Exceptions, one class for each kind of error, and the form of their messages."""

__all__ = ["BackendError", "FileError", "GridError", "NotFittedError", "ShapeError"]


def __dir__() -> list[str]:
    return __all__


class ShapeError(ValueError):
    """Arrays, channels or sizes do not fit each other."""


class GridError(ValueError):
    """Sites do not fit a grid: duplicates, sites outside the size, a negative batch index."""


class BackendError(RuntimeError):
    """A backend is not available, or one operation was given arrays of two backends."""


class FileError(ValueError):
    """A file is damaged, in an unknown format, or written by a newer version."""


class NotFittedError(ValueError, AttributeError):
    """A classifier was used before `fit`; the bases are those of scikit-learn's class of this name."""


def expected(who: str, what: str, got: object, remedy: str = "") -> str:
    """Return the message of an error, "who: expected what, got what; remedy".

    Args:
        who: the function, method or class that was called, or the file that is read.
        what: the valid values, as a noun phrase.
        got: the value that was given, shown by str().
        remedy: what the user can do, as an imperative; "" if it is obvious.

    >>> expected("SubmanifoldConvolution", "features with 16 channels", 8)
    'SubmanifoldConvolution: expected features with 16 channels, got 8'
    """
    return printable(f"{who}: expected {what}, got {got}" + (f"; {remedy}" if remedy else ""))


def printable(text: str) -> str:
    r"""Return text in which control characters and other invisible ones are escaped, as in the names of foreign files.

    >>> printable("conv\x1b[2J")
    'conv\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
