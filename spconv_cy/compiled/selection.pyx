"""Rows chosen by a score: arrays in, checks, pointers down, arrays out."""

from libc.stdint cimport int32_t, int64_t

import numpy as np

from spconv_cy.compiled.memory import empty
from spconv_cy.errors import ShapeError, expected

from spconv_cy.cpu cimport selection

cdef object BOOL = np.dtype(bool), WORDS = np.dtype(np.int32)


def best(const double[::1] scores, const int64_t[::1] starts, const int64_t[::1] ks):
    """Return (n,) booleans, True for the ks[s] rows of each segment with the largest scores.

    Of equal scores the first row is chosen, and NaN ranks below every number. Segment s has the rows starts[s] to
    starts[s + 1], which are all n.
    """
    cdef int64_t s, segments = starts.shape[0] - 1
    cdef unsigned char[::1] keep
    cdef bint fits = segments >= 0 and ks.shape[0] == segments
    fits = fits and starts[0] == 0 and starts[segments] == scores.shape[0]
    if fits:
        for s in range(segments):
            fits = fits and starts[s] <= starts[s + 1] and ks[s] >= 0
    if not fits:
        raise ShapeError(expected("best", f"segments of {scores.shape[0]} rows and a number for each", "others"))
    found = np.empty(scores.shape[0], BOOL)
    if scores.shape[0]:
        keep = found.view(np.uint8)
        if not selection.best(&scores[0], &starts[0], segments, &ks[0], &keep[0]):
            raise MemoryError(expected("best", "memory for a list of rows", "none", "use a smaller batch"))
    return found


def kept(const float[:, ::1] x, const float[:, ::1] scores, const int32_t[:, ::1] sites, double threshold, int64_t k,
         bint gate, int n_threads=1):
    """Return (rows (m,) int32, their sites (m, 1+d), their rows of x) of n canonical sites.

    Args:
        x: (n, c).
        scores: (n, 1).
        sites: (n, 1+d).
        threshold: rows with scores above it are kept, if k is below 0.
        k: the number of rows with the largest scores that are kept of each sample, as for `best`.
        gate: whether the rows of x are multiplied by their scores.
    """
    cdef int64_t n = x.shape[0], m = 0, c = x.shape[1]
    cdef int width = <int>sites.shape[1]
    cdef int32_t[::1] rows
    cdef int32_t[:, ::1] chosen
    cdef float[:, ::1] y
    if scores.shape[0] != n or scores.shape[1] != 1 or sites.shape[0] != n:
        raise ShapeError(expected("kept", f"scores ({n}, 1) and {n} sites",
                                  f"{(scores.shape[0], scores.shape[1])} and {sites.shape[0]}"))
    room = np.empty(n, WORDS)
    if n:
        rows = room
        with nogil:
            if k < 0:
                m = selection.above(&scores[0, 0], n, <float>threshold, &rows[0])
            else:
                m = selection.best_in_samples(&scores[0, 0], &sites[0, 0], n, width, k, &rows[0])
    if m < 0:
        raise MemoryError(expected("kept", "memory for a list of rows", "none", "use a smaller batch"))
    out, places = empty((m, c)), np.empty((m, width), WORDS)
    if m:
        y, chosen = out, places
        with nogil:
            selection.place(&x[0, 0] if c else NULL, &scores[0, 0] if gate else NULL, &sites[0, 0], &rows[0], m, c,
                            width, &y[0, 0] if c else NULL, &chosen[0, 0], n_threads)
    return room[:m], places, out


def with_coordinates(const float[:, ::1] x, const int32_t[:, ::1] sites, const double[::1] centre,
                     const double[::1] half, int n_threads=1):
    """Return (n, c + d): the rows of x, and (site - centre) / half of each axis, computed in float64."""
    cdef int64_t n = x.shape[0], c = x.shape[1]
    cdef int width = <int>sites.shape[1]
    cdef float[:, ::1] y
    if sites.shape[0] != n or width < 2 or not centre.shape[0] == half.shape[0] == width - 1:
        raise ShapeError(expected("with_coordinates", f"{n} sites (n, 1+d) and d numbers each",
                                  (sites.shape[0], sites.shape[1])))
    out = empty((n, c + width - 1))
    if n:
        y = out
        with nogil:
            selection.append_coordinates(&x[0, 0] if c else NULL, &sites[0, 0], &centre[0], &half[0], n, c, width,
                                         &y[0, 0], n_threads)
    return out
