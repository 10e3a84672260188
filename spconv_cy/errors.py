"""Exceptions, one class a kind of error, and the form of their messages."""


class ShapeError(ValueError):
    """Arrays, channels or sizes that do not fit each other."""


class GridError(ValueError):
    """Sites that no grid can hold: duplicates, outside the size, a negative batch index."""


class BackendError(RuntimeError):
    """A backend that is not there, or arrays of two backends in one operation."""


class FileError(ValueError):
    """A file that is damaged, foreign, or made by a newer version."""


class NotFittedError(ValueError, AttributeError):
    """A classifier that is asked before it has learnt; the bases are those of scikit-learn's class of this name."""


def expected(who: str, what: str, got: object, remedy: str = "") -> str:
    """Return the message of an error: "who: expected what, got what; remedy".

    Args:
        who: the function, method or layer that was called, or the file that is read.
        what: what fits, as a noun phrase.
        got: what was given; str(got) is shown, so write f"{value!r}" where quotes help.
        remedy: what to do about it, as an imperative; "" where it is plain.

    >>> expected("SubmanifoldConvolution", "features with 16 channels", 8)
    'SubmanifoldConvolution: expected features with 16 channels, got 8'
    """
    return f"{who}: expected {what}, got {got}" + (f"; {remedy}" if remedy else "")
