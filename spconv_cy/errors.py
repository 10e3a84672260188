"""What goes wrong, by kind: shapes, sites, backends, files, what has not learnt yet."""


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
