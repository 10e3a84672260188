"""Rules of sites of which few have changed. Functions return None where packed keys do not hold the extents."""

from libc.stdint cimport int32_t, int64_t

import numpy as np

from spconv_cy.compiled.sites cimport box_of, keys_of, team
from spconv_cy.compiled.windows cimport shifts_of, wanted_of, with_windows
from spconv_cy.cpu cimport changes as _changes
from spconv_cy.cpu cimport rules
from spconv_cy.cpu.order cimport Box

from spconv_cy.compiled.memory import empty, exact
from spconv_cy.errors import ShapeError, expected


cdef class Change:
    """From one canonical list of sites (n, 1+d) to another (m, 1+d): which rows stayed, and where they are now.

    Attributes:
        n, m: numbers of rows.
        added: number of sites that only the second list has.
        gone: number of sites that only the first list has.
        rows_added: (added,) int32, the rows of sites that only the second list has.
    """

    cdef const int32_t[::1] rows, was, fresh
    cdef readonly int64_t n, m, added, gone

    @property
    def rows_added(self):
        """(added,) int32: the rows of sites that only the second list has."""
        return np.asarray(self.fresh[:self.added])

    cdef _changes.Change parts(self):
        cdef _changes.Change parts
        parts.row, parts.was, parts.added = &self.rows[0], &self.was[0], &self.fresh[0]
        parts.n, parts.m, parts.q = self.n, self.m, self.added
        return parts


def change(const int32_t[:, ::1] old, const int32_t[:, ::1] now, int64_t most):
    """Return the Change from one list of sites to another, or None if more than `most` sites are added or gone."""
    cdef int64_t n = old.shape[0], m = now.shape[0], added = -1
    cdef int32_t[::1] rows, was, fresh
    if old.shape[1] != now.shape[1] or most < 0:
        raise ShapeError(expected("change", "two lists of sites of one dimension, and most from 0 up",
                                  f"{(n, old.shape[1])}, {(m, now.shape[1])} and {most}"))
    if not n or not m or abs(n - m) > most:
        return None
    rows, was, fresh = empty(n, np.int32), empty(m, np.int32), empty(most + 1, np.int32)
    with nogil:
        added = _changes.changed(&old[0, 0], n, &now[0, 0], m, <int>old.shape[1], most, &rows[0], &was[0], &fresh[0])
    if added < 0:
        return None
    return made_of(rows, was, fresh, n, m, added)


cdef Change made_of(int32_t[::1] rows, int32_t[::1] was, int32_t[::1] fresh, int64_t n, int64_t m, int64_t added):
    cdef Change made = Change.__new__(Change)
    made.rows, made.was, made.fresh = rows, was, fresh
    made.n, made.m, made.added, made.gone = n, m, added, n - (m - added)
    return made


def grown(const int32_t[:, ::1] old, const int32_t[::1] in_rows, const int32_t[::1] out_rows, Change inputs not None,
          const int32_t[:, ::1] reached):
    """Return (sites, Change from `old`) of the outputs (n, 1+d) of a window, n >= 1, after a change of the inputs.

    in_rows and out_rows are the pairs before it; `reached` are the canonical outputs that added inputs reach.
    """
    cdef int64_t n = old.shape[0], k = reached.shape[0], added, m
    cdef int32_t[::1] rows, was, fresh
    cdef int32_t[:, ::1] sites
    cdef _changes.Change parts = inputs.parts()
    cdef const int32_t* ins = &in_rows[0] if in_rows.shape[0] else NULL
    cdef const int32_t* outs = &out_rows[0] if in_rows.shape[0] else NULL
    if not n or k and reached.shape[1] != old.shape[1] or in_rows.shape[0] != out_rows.shape[0]:
        raise ShapeError(expected("grown", "outputs (n, 1+d), n >= 1, and those of added inputs",
                                  f"{(n, old.shape[1])} and {(k, reached.shape[1])}"))
    rows, was, fresh = empty(n, np.int32), empty(n + k, np.int32), empty(k + 1, np.int32)
    sites = empty((n + k, old.shape[1]), np.int32)
    with nogil:
        m = _changes.grown(&old[0, 0], n, &reached[0, 0] if k else NULL, k, <int>old.shape[1], ins, outs,
                           in_rows.shape[0], &parts, &rows[0], &was[0], &fresh[0], &sites[0, 0], &added)
    found = exact((m, old.shape[1]), np.int32)                           # as long as the rulebook lives
    found[...] = np.asarray(sites)[:m]
    return found, made_of(rows, was, fresh, n, m, added)


def patched(const int32_t[::1] in_rows, const int32_t[::1] out_rows, const int64_t[::1] offset_ptr,
            Change inputs not None, Change outputs not None, const int32_t[:, ::1] sites,
            const int32_t[:, ::1] out_sites, const int32_t[:, ::1] offsets, stride, int n_threads=1):
    """Return (in_rows, out_rows, offset_ptr, tile_ptr) of `in = stride * out + offset` after changes, or None.

    in_rows, out_rows and offset_ptr are those before them, as windows.pairs returns them. sites (m, 1+d) and out_sites
    are canonical, and what the changes lead to; for a submanifold window both are one array.
    """
    cdef bint same = &sites[0, 0] == &out_sites[0, 0] and sites.shape[0] == out_sites.shape[0] and max(stride) == 1
    cdef Box box = box_of(sites, n_threads), out = box if same else box_of(out_sites, n_threads)
    cdef int64_t[::1] keys, wanted, shifts, starts
    cdef int64_t[:, ::1] tiles
    cdef int32_t[::1] ins, outs, partners
    cdef int64_t n_offsets = offsets.shape[0], m = out_sites.shape[0], work = in_rows.shape[0]
    cdef int d = box.width - 1
    cdef _changes.Patch patch
    if inputs.m != sites.shape[0] or outputs.m != m or offset_ptr.shape[0] != n_offsets + 1:
        raise ShapeError(expected("patched", "changes that lead to the sites, and a rulebook of the window",
                                  f"{inputs.m} and {outputs.m} sites, {offset_ptr.shape[0] - 1} offsets"))
    if not with_windows(&box, &out, offsets, stride):
        return None
    keys = keys_of(sites, &box, n_threads)
    wanted = keys if same else wanted_of(out_sites, &box, stride, n_threads)
    shifts, starts = shifts_of(&box, offsets), np.zeros(n_offsets + 1, np.int64)
    patch.in_rows = patch.out_rows = NULL
    if work:
        patch.in_rows, patch.out_rows = &in_rows[0], &out_rows[0]
    patch.starts, patch.keys, patch.wanted, patch.shifts = &offset_ptr[0], &keys[0], &wanted[0], &shifts[0]
    patch.inputs, patch.outputs = inputs.parts(), outputs.parts()
    patch.n_offsets = patch.n_merged = <int>n_offsets
    if same and n_offsets % 2 and rules.are_mirrored(&offsets[0, 0], n_offsets, d):
        patch.n_merged = <int>(n_offsets // 2)
    partners = empty(patch.n_merged * (inputs.added + outputs.added) + 1, np.int32)
    patch.partners = &partners[0]
    n_threads = team(n_threads, work)
    with nogil:
        _changes.count_patched(&patch, &starts[0], n_threads)
    ins, outs = exact((2, starts[n_offsets]), np.int32)                  # one allocation, for huge pages
    tiles = np.zeros((n_offsets, (m + rules.TILE_ROWS - 1) // rules.TILE_ROWS + 1), np.int64)
    if starts[n_offsets]:
        with nogil:
            _changes.fill_patched(&patch, &starts[0], &ins[0], &outs[0], n_threads)
            rules.point_tiles(&outs[0], &starts[0], n_offsets, 0, m, &tiles[0, 0], n_threads)
    return np.asarray(ins), np.asarray(outs), np.asarray(starts), np.asarray(tiles)
