"""The public names by themselves, wherever they are grouped."""

import spconv_cy as sp

GROUPS = (sp, sp.data, sp.errors, sp.exchange, sp.functional, sp.layers, sp.models, sp.readers, sp.sites, sp.train)
NAMES = {name: getattr(group, name) for group in reversed(GROUPS) for name in dir(group) if not name.startswith("_")}
