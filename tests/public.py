"""The public names by themselves, wherever they are grouped."""

import types

import spconv_cy as sp

GROUPS = (sp, sp.data, sp.errors, sp.exchange, sp.functional, sp.io, sp.layers, sp.models, sp.plot, sp.readers,
          sp.sites, sp.train)


def own_names(group):
    """Return the names that a group lists; of a module without a list, those that it defines itself."""
    if hasattr(group, "__all__"):
        return list(group.__all__)
    return [name for name, value in vars(group).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == group.__name__]


NAMES = {name: getattr(group, name) for group in reversed(GROUPS) for name in own_names(group)}
PLACES = {f"{group.__name__}.{name}": getattr(group, name) for group in GROUPS for name in own_names(group)
          if not isinstance(getattr(group, name), types.ModuleType)}
