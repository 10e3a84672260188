# distutils: language = c++
# cython: language_level=3, boundscheck=True, wraparound=False, embedsignature=True
"""The facade of the stroke rasteriser: packed arrays in, checks, pointers down, sites and features out."""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint64_t

from spconv_cy.cpu.strokes cimport Ink, count_runs, fill_runs, merge_runs

from spconv_cy.errors import GridError, ShapeError


def rasterise(const double[:, ::1] points, const int64_t[::1] stroke_starts, const int64_t[::1] character_starts,
              const int64_t[::1] items, const double[:, :, ::1] matrices, const double[:, ::1] shifts,
              const double[:, ::1] stroke_shifts, *, int planes, int64_t size, double scale, double spacing,
              int n_threads=1):
    """Sites (m, 3) int32 in canonical order and features (m, planes) float32 of the characters `items`."""
    check_packed(points, stroke_starts, character_starts, items)
    check_moves(items.shape[0], stroke_starts.shape[0] - 1, matrices, shifts, stroke_shifts)
    if planes not in (1, 4, 8) or not 1 <= size <= 2**15 or not scale >= 0 or not spacing > 0 or n_threads < 1:
        raise ShapeError(f"rasterise: planes {planes}, size {size}, scale {scale}, spacing {spacing} and {n_threads} "
                         "threads came; 1, 4 or 8 planes, a size of 1 to 32768 and positive numbers fit")
    cdef Ink ink = Ink(NULL, &stroke_starts[0], &character_starts[0], NULL, NULL, NULL, NULL,
                       items.shape[0], planes, size, scale, spacing)
    ink.points = &points[0, 0] if points.shape[0] else NULL
    ink.items = &items[0] if items.shape[0] else NULL
    ink.matrices = &matrices[0, 0, 0] if matrices is not None and matrices.shape[0] else NULL
    ink.shifts = &shifts[0, 0] if shifts is not None and shifts.shape[0] else NULL
    ink.stroke_shifts = &stroke_shifts[0, 0] if stroke_shifts is not None and stroke_shifts.shape[0] else NULL
    run_starts = measure(&ink, n_threads)
    return collect(&ink, run_starts, n_threads)


cdef measure(const Ink* ink, int n_threads):
    cdef int64_t[::1] runs = np.zeros(ink.n + 1, np.int64), outside = np.zeros(ink.n + 1, np.int64)
    cdef double[::1] reach = np.zeros(ink.n + 1)
    with nogil:
        count_runs(ink, &runs[0], &outside[0], &reach[0], n_threads)
    if np.any(outside):
        first = np.flatnonzero(outside)[0]
        fits = np.floor(np.max(reach)) + 1
        remedy = f"a size of {fits:.0f} would hold all" if fits <= 2**15 else "check scale, matrices and shifts"
        raise GridError(
            f"rasterise: {outside[first]} points of character {ink.items[first]} lie outside the field of {ink.size} x "
            f"{ink.size} sites, and {np.sum(outside)} points of {np.count_nonzero(outside)} characters in all; "
            f"{remedy}")
    return starts_of(runs)


cdef collect(const Ink* ink, const int64_t[::1] run_starts, int n_threads):
    cdef int64_t n_runs = run_starts[ink.n]
    if n_runs >= 2**31:
        raise GridError(f"rasterise: {n_runs} visits to sites came; fewer than 2**31 fit: make smaller batches")
    cdef uint64_t[::1] keys = np.empty(n_runs + 1, np.uint64)
    cdef double[:, ::1] weights = np.empty((n_runs + 1, ink.planes))
    cdef int64_t[::1] n_sites = np.zeros(ink.n + 1, np.int64)
    with nogil:
        fill_runs(ink, &run_starts[0], &keys[0], &weights[0, 0], &n_sites[0], n_threads)
    cdef const int64_t[::1] site_starts = starts_of(n_sites)
    cdef int64_t m = site_starts[ink.n]
    sites, features = np.empty((m, 3), np.int32), np.empty((m, ink.planes), np.float32)
    cdef int32_t[:, ::1] site_rows = sites
    cdef float[:, ::1] feature_rows = features
    if m:
        with nogil:
            merge_runs(ink, &run_starts[0], &keys[0], &weights[0, 0], &site_starts[0], &site_rows[0, 0],
                       &feature_rows[0, 0], n_threads)
    return sites, features


cdef starts_of(const int64_t[::1] counts):
    # The last count is a zero to spare, so that the total stands at its place.
    return np.cumsum(counts) - counts


cdef check_packed(points, stroke_starts, character_starts, items):
    for name, starts, end in (("stroke_starts", stroke_starts, points.shape[0]),
                              ("character_starts", character_starts, stroke_starts.shape[0] - 1)):
        starts = np.asarray(starts)
        if not len(starts) or starts[0] != 0 or starts[len(starts) - 1] != end or np.any(np.diff(starts) < 0):
            raise ShapeError(f"rasterise: {name} must ascend from 0 to {end}")
    if points.shape[1] != 2 or np.any(np.diff(stroke_starts) < 1):
        raise ShapeError(f"rasterise: points {points.shape} came; (n, 2) fits, with a point at least in every stroke")
    n = character_starts.shape[0] - 1
    if items.shape[0] and not (0 <= np.min(items) and np.max(items) < n):
        raise ShapeError(f"rasterise: items from {np.min(items)} to {np.max(items)} came; 0 to {n - 1} fit")


cdef check_moves(n, n_strokes, matrices, shifts, stroke_shifts):
    for name, array, shape in (("matrices", matrices, (n, 2, 2)), ("shifts", shifts, (n, 2)),
                               ("stroke_shifts", stroke_shifts, (n_strokes, 2))):
        if array is not None and tuple(array.shape) != shape:
            raise ShapeError(f"rasterise: {name} {tuple(array.shape)} came; {shape} fits")
