"""Sites and rules by the compiled core where there is one and the keys fit, else by the numpy builder."""

from spconv_cy.sites import build, order


def arrange(sites):
    """Return (unique sites in canonical order, row of each given site (n,) int32)."""
    return order.arrange(sites)


def find(sites, queries):
    """Return the row of each query among canonical unique sites, -1 where there is none."""
    return order.find(sites, queries.astype("int64"))


def submanifold(sites, window):
    """Return what Rulebook.trusted takes, for a window that keeps the sites."""
    in_rows, out_rows, offset_ptr = build.pairs(sites, sites, window)
    return in_rows, out_rows, offset_ptr, len(sites), len(sites)


def valid(sites, window, out_size):
    """Return (output sites, what Rulebook.trusted takes), for a window that makes new sites."""
    out_sites = build.reached(sites, window, out_size)
    in_rows, out_rows, offset_ptr = build.pairs(sites, out_sites, window)
    return out_sites, (in_rows, out_rows, offset_ptr, len(sites), len(out_sites))
