"""The arrays of a rulebook in one immutable object: compiled where there is a compiled core, else its plain twin."""


class PlainPairs:
    """What `spconv_cy.compiled.pairs.Pairs` is, for an installation without the compiled core; see there."""

    __slots__ = ("in_rows", "out_rows", "offset_ptr", "n_in", "n_out", "tile_ptr")

    def __init__(self, in_rows, out_rows, offset_ptr, n_in, n_out, tile_ptr):
        views = {}                                                       # one array twice, as in an identity: one view
        for name, value in zip(self.__slots__, (in_rows, out_rows, offset_ptr, n_in, n_out, tile_ptr), strict=True):
            if name not in ("n_in", "n_out"):
                value.flags.writeable = False
                value = views.setdefault(id(value), value.view())
            object.__setattr__(self, name, value)

    @property
    def n_offsets(self):
        """Number of offsets."""
        return len(self.offset_ptr) - 1

    def __setattr__(self, name, value):
        raise AttributeError(f"Pairs: {name} cannot be assigned")

    def __reduce__(self):
        return PlainPairs, tuple(getattr(self, name) for name in self.__slots__)


try:
    from spconv_cy.compiled.pairs import Pairs
except ImportError:
    Pairs = PlainPairs
