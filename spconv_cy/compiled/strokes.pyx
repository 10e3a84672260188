"""Stroke rasteriser and path signatures: packed arrays in, checks, pointers down, sites and features out."""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint64_t

from spconv_cy.cpu.frame cimport Ink
from spconv_cy.cpu.signature cimport (WORDS_ROOM, Words, count_visits, fill_visits, sign_coarse, sign_paths,
                                      write_first_visits)
from spconv_cy.cpu.strokes cimport count_runs, fill_runs, merge_runs
from spconv_cy.cpu.threads cimport startable

from spconv_cy.errors import GridError, ShapeError, expected


def rasterise(const double[:, ::1] points, const int64_t[::1] stroke_starts, const int64_t[::1] character_starts,
              const int64_t[::1] items, const double[:, :, ::1] matrices, const double[:, ::1] shifts,
              const double[:, ::1] stroke_shifts, const double[::1] time_shifts=None, *, int planes, int64_t size,
              double scale, double spacing, int64_t slices=1, double pace=0.0, int n_threads=1):
    """Return sites (m, 3 or 4) int32 in canonical order and features (m, planes) float32 of the characters `items`."""
    check_packed(points, stroke_starts, character_starts, items)
    check_moves(items.shape[0], stroke_starts.shape[0] - 1, matrices, shifts, stroke_shifts, time_shifts)
    if planes not in (1, 3, 4, 8) or not 1 <= size <= 2**15 or not scale >= 0 or not spacing > 0 or n_threads < 1:
        raise ShapeError(expected("rasterise", "1, 3, 4 or 8 planes, a size from 1 to 32768 and positive numbers",
                                  f"planes {planes}, size {size}, scale {scale}, spacing {spacing} and {n_threads} "
                                  "threads"))
    if not 1 <= slices <= 2**15 or size * size * slices > 2**32 or not pace >= 0:
        raise ShapeError(expected("rasterise", "at most 2**32 sites in all and a pace from 0 up",
                                  f"{slices} slices of {size} x {size} sites and a pace of {pace}"))
    cdef Ink ink = ink_of(points, stroke_starts, character_starts, items, matrices, shifts, stroke_shifts)
    ink.time_shifts = &time_shifts[0] if time_shifts is not None and time_shifts.shape[0] else NULL
    ink.planes, ink.size, ink.slices, ink.scale, ink.spacing, ink.pace = planes, size, slices, scale, spacing, pace
    n_threads = startable(n_threads)
    run_starts = measure(&ink, n_threads)
    return collect(&ink, run_starts, n_threads)


cdef Ink ink_of(const double[:, ::1] points, const int64_t[::1] stroke_starts, const int64_t[::1] character_starts,
                const int64_t[::1] items, const double[:, :, ::1] matrices, const double[:, ::1] shifts,
                const double[:, ::1] stroke_shifts):
    cdef Ink ink
    ink.points = &points[0, 0] if points.shape[0] else NULL
    ink.stroke_starts, ink.character_starts = &stroke_starts[0], &character_starts[0]
    ink.n, ink.items = items.shape[0], &items[0] if items.shape[0] else NULL
    ink.matrices = &matrices[0, 0, 0] if matrices is not None and matrices.shape[0] else NULL
    ink.shifts = &shifts[0, 0] if shifts is not None and shifts.shape[0] else NULL
    ink.stroke_shifts = &stroke_shifts[0, 0] if stroke_shifts is not None and stroke_shifts.shape[0] else NULL
    ink.time_shifts = NULL
    ink.slices, ink.pace, ink.spacing, ink.planes = 1, 0, 1, 1
    return ink


def draw_signatures(const double[:, ::1] points, const int64_t[::1] stroke_starts,
                    const int64_t[::1] character_starts, const int64_t[::1] items, const double[:, :, ::1] matrices,
                    const double[:, ::1] shifts, const double[:, ::1] stroke_shifts, const int64_t[::1] picked=None, *,
                    int level, bint timed, int64_t size, double scale, double window, int n_threads=1):
    """Return sites (m, 3) int32 in canonical order, and the signature (m, planes) float32 of the window at each.

    The window is that of the first visit to the site.

    picked: (planes,) places in the logarithm of the signature; None: all of the signature itself.
    """
    check_packed(points, stroke_starts, character_starts, items)
    check_moves(items.shape[0], stroke_starts.shape[0] - 1, matrices, shifts, stroke_shifts, None)
    cdef Words words = words_of(level, 2 + timed, picked)
    if not 1 <= size <= 2**15 or not scale >= 0 or not window > 0 or n_threads < 1:
        raise ShapeError(expected("draw_signatures", "a size from 1 to 32768 and positive numbers",
                                  f"size {size}, scale {scale}, window {window} and {n_threads} threads"))
    cdef Ink ink = ink_of(points, stroke_starts, character_starts, items, matrices, shifts, stroke_shifts)
    ink.size, ink.scale, ink.spacing = size, scale, window / 4
    cdef int64_t n = ink.n
    cdef int64_t[::1] visits = np.zeros(n + 1, np.int64), coarse = np.zeros(n + 1, np.int64)
    cdef int64_t[::1] outside = np.zeros(n + 1, np.int64), n_sites = np.zeros(n + 1, np.int64)
    cdef double[::1] reach = np.zeros(n + 1)
    n_threads = startable(n_threads)
    with nogil:
        count_visits(&ink, &visits[0], &coarse[0], &outside[0], &reach[0], n_threads)
    check_inside(&ink, outside, reach)
    cdef const int64_t[::1] visit_starts = starts_of(visits), coarse_starts = starts_of(coarse)
    if visit_starts[n] >= 2**31:
        raise GridError(expected("draw_signatures", "fewer than 2**31 visits to sites", visit_starts[n],
                                 "use smaller batches"))
    cdef uint64_t[::1] keys = np.empty(visit_starts[n] + 1, np.uint64)
    cdef int64_t[::1] coarse_of = np.empty(visit_starts[n] + 1, np.int64)
    cdef double[:, ::1] table = np.empty((coarse_starts[n] + 1, words.planes))
    cdef double[:, ::1] places = np.empty((coarse_starts[n] + 1, 4))
    cdef double[::1] room = np.empty(n_threads * WORDS_ROOM)
    words.room = &room[0]
    with nogil:
        fill_visits(&ink, &visit_starts[0], &coarse_starts[0], &keys[0], &coarse_of[0], &places[0, 0], &n_sites[0],
                    n_threads)
        sign_coarse(&words, &places[0, 0], coarse_starts[n], &table[0, 0], n_threads)
    cdef const int64_t[::1] site_starts = starts_of(n_sites)
    cdef int64_t m = site_starts[n]
    sites, features = np.empty((m, 3), np.int32), np.empty((m, words.planes), np.float32)
    cdef int32_t[:, ::1] site_rows = sites
    cdef float[:, ::1] feature_rows = features
    if m:
        with nogil:
            write_first_visits(&ink, &visit_starts[0], &keys[0], &coarse_of[0], &table[0, 0], words.planes,
                               &site_starts[0], &site_rows[0, 0], &feature_rows[0, 0], n_threads)
    return sites, features


cdef measure(const Ink* ink, int n_threads):
    cdef int64_t[::1] runs = np.zeros(ink.n + 1, np.int64), outside = np.zeros(ink.n + 1, np.int64)
    cdef double[::1] reach = np.zeros(ink.n + 1), lasting = np.zeros(ink.n + 1)
    with nogil:
        count_runs(ink, &runs[0], &outside[0], &reach[0], &lasting[0], n_threads)
    check_inside(ink, outside, reach)
    late = np.flatnonzero(~(np.asarray(lasting) <= ink.slices))
    if len(late):
        raise GridError(expected(
            "rasterise", f"at most {ink.slices} sites along the time axis",
            f"{lasting[late[0]]:.0f} for character {ink.items[late[0]]}, too many for {len(late)} characters in all",
            f"use a smaller pace than {ink.pace:g}"))
    return starts_of(runs)


cdef check_inside(const Ink* ink, const int64_t[::1] outside, const double[::1] reach):
    if np.any(outside):
        first = np.flatnonzero(outside)[0]
        fits = np.floor(np.max(reach)) + 1
        remedy = f"a size of {fits:.0f} would hold all" if fits <= 2**15 else "check scale, matrices and shifts"
        raise GridError(expected(
            "rasterise", f"points inside the field of {ink.size} x {ink.size} sites",
            f"{outside[first]} points of character {ink.items[first]} outside, and {np.sum(outside)} points of "
            f"{np.count_nonzero(outside)} characters in all", remedy))


cdef collect(const Ink* ink, const int64_t[::1] run_starts, int n_threads):
    cdef int64_t n_runs = run_starts[ink.n]
    if n_runs >= 2**31:
        raise GridError(expected("rasterise", "fewer than 2**31 visits to sites", n_runs, "use smaller batches"))
    cdef uint64_t[::1] keys = np.empty(n_runs + 1, np.uint64)
    cdef double[:, ::1] weights = np.empty((n_runs + 1, ink.planes))
    cdef int64_t[::1] n_sites = np.zeros(ink.n + 1, np.int64)
    with nogil:
        fill_runs(ink, &run_starts[0], &keys[0], &weights[0, 0], &n_sites[0], n_threads)
    cdef const int64_t[::1] site_starts = starts_of(n_sites)
    cdef int64_t m = site_starts[ink.n]
    sites, features = np.empty((m, 3 + (ink.slices > 1)), np.int32), np.empty((m, ink.planes), np.float32)
    cdef int32_t[:, ::1] site_rows = sites
    cdef float[:, ::1] feature_rows = features
    if m:
        with nogil:
            merge_runs(ink, &run_starts[0], &keys[0], &weights[0, 0], &site_starts[0], &site_rows[0, 0],
                       &feature_rows[0, 0], n_threads)
    return sites, features


cdef starts_of(const int64_t[::1] counts):
    # The last count is an extra zero, in whose place the total is returned.
    return np.cumsum(counts) - counts


cdef check_packed(points, stroke_starts, character_starts, items):
    for name, starts, end in (("stroke_starts", stroke_starts, points.shape[0]),
                              ("character_starts", character_starts, stroke_starts.shape[0] - 1)):
        starts = np.asarray(starts)
        if not len(starts) or starts[0] != 0 or starts[len(starts) - 1] != end or np.any(np.diff(starts) < 0):
            raise ShapeError(expected("rasterise", f"{name} that ascend from 0 to {end}", f"{starts!r:.60}"))
    if points.shape[1] != 2 or np.any(np.diff(stroke_starts) < 1):
        raise ShapeError(expected("rasterise", "points (n, 2), at least one in every stroke",
                                  f"shape {(points.shape[0], points.shape[1])}"))
    n = character_starts.shape[0] - 1
    if items.shape[0] and not (0 <= np.min(items) and np.max(items) < n):
        raise ShapeError(expected("rasterise", f"items from 0 to {n - 1}", f"{np.min(items)} to {np.max(items)}"))


cdef check_moves(n, n_strokes, matrices, shifts, stroke_shifts, time_shifts):
    for name, array, shape in (("matrices", matrices, (n, 2, 2)), ("shifts", shifts, (n, 2)),
                               ("stroke_shifts", stroke_shifts, (n_strokes, 2)),
                               ("time_shifts", time_shifts, (n,))):
        if array is not None and tuple(array.shape) != shape:
            raise ShapeError(expected("rasterise", f"{name} {shape}", tuple(array.shape)))


def sign(const double[:, ::1] points, const int64_t[::1] path_starts, const int64_t[::1] picked=None, *, int level,
         int n_threads=1):
    """Return the signatures (paths, planes) float64 of the paths points[path_starts[i]:path_starts[i + 1]]."""
    cdef Words words = words_of(level, points.shape[1], picked)
    cdef int64_t n = path_starts.shape[0] - 1
    starts = np.asarray(path_starts)
    if n < 0 or starts[0] != 0 or starts[n] != points.shape[0] or np.any(np.diff(starts) < 1) or n_threads < 1:
        raise ShapeError(expected("sign", f"starts that ascend from 0 to {points.shape[0]}, and a thread or more",
                                  f"starts {starts!r:.60} and {n_threads} threads"))
    out = np.empty((n, words.planes))
    cdef double[:, ::1] rows = out
    cdef double[::1] room = np.empty(n_threads * WORDS_ROOM)
    words.room = &room[0]
    if n:
        with nogil:
            sign_paths(&words, &points[0, 0], &path_starts[0], n, &rows[0, 0], startable(n_threads))
    return out


cdef Words words_of(int level, int64_t letters, const int64_t[::1] picked):
    cdef Words words
    cdef int64_t tensor = 1
    cdef int k
    if not 0 <= level <= 4 or not 1 <= letters <= 6:
        raise ShapeError(expected("sign", "a level from 0 to 4 and paths in 1 to 6 dimensions",
                                  f"level {level} of paths in {letters} dimensions"))
    words.letters, words.level, words.starts[0] = <int>letters, level, 0
    for k in range(5):
        words.starts[k + 1] = words.starts[k] + tensor
        tensor *= letters
    words.total = words.starts[level + 1]
    words.planes = words.total
    words.picked = NULL
    words.room = NULL
    if picked is not None:
        if level < 1 or not picked.shape[0] or not (0 < np.min(picked) and np.max(picked) < words.total):
            raise ShapeError(expected("sign", f"places from 1 to {words.total - 1}, and a level of 1 or more",
                                      f"{picked.shape[0]} places at level {level}"))
        words.planes, words.picked = picked.shape[0], &picked[0]
    return words
