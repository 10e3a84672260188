"""Adjacent cubes, of which each site is in one: sites in, output sites and pairs out."""

from libc.stdint cimport INT32_MAX, INT32_MIN, int32_t, int64_t, uint32_t

import numpy as np

from spconv_cy.compiled.sites cimport box_of, team
from spconv_cy.cpu cimport maps, order, rules
from spconv_cy.cpu.maps cimport Map
from spconv_cy.cpu.order cimport Box

from spconv_cy.compiled.memory import empty, exact

cdef enum:
    MOST_TAPS = 4096                    # of a cube, which are counted one by one


def cells(const int32_t[:, ::1] sites, stride, origin, out_size, int n_threads=1):
    """Return (output sites, in_rows, out_rows, offset_ptr, tile_ptr, known) of adjacent cubes of n >= 1 sites, or None.

    Cubes of the size `stride`, so that each site has one output, floor((site + origin) / stride). None too if one lies
    outside the field `out_size` (d ints, or None: unbounded), or if the sites lie far apart.
    """
    cdef Box box = box_of(sites, n_threads)
    cdef int64_t n = sites.shape[0], m, n_words, n_tiles, part, tap, place, count, n_taps = 1
    cdef int64_t[::1] strides = np.array(stride, np.int64), origins = np.array(origin, np.int64), offset_ptr, keys
    cdef int64_t[:, ::1] counts, tile_ptr
    cdef int32_t[::1] taps, words, in_rows, out_rows
    cdef int32_t[:, ::1] out_sites
    cdef Map map
    cdef int axis
    for axis in range(1, box.width):
        if stride[axis - 1] > MOST_TAPS or abs(origin[axis - 1]) > INT32_MAX:
            return None
        n_taps *= stride[axis - 1]
        low = (box.low[axis] + origin[axis - 1]) // stride[axis - 1]
        high = (box.low[axis] + box.side[axis] - 1 + origin[axis - 1]) // stride[axis - 1]
        fits = low >= INT32_MIN and high <= INT32_MAX if out_size is None else 0 <= low and high < out_size[axis - 1]
        if n_taps > MOST_TAPS or not fits:
            return None
        box.low[axis], box.side[axis] = low, high - low + 1
    n_words = maps.words_of_map(&box, n) if order.lay_out(&box) else 0
    if not n_words:
        return None
    n_threads = team(n_threads, n)
    keys, taps, words = empty(n, np.int64), empty(n, np.int32), empty(2 * n_words, np.int32)
    counts = empty((n_threads, n_taps), np.int64)
    map.bits, map.before = <uint32_t*>&words[0], &words[n_words]
    with nogil:
        maps.split(&sites[0, 0], n, &box, &strides[0], &origins[0], &keys[0], &taps[0], &counts[0, 0], n_taps,
                   n_threads)
        m = maps.scatter(&keys[0], n, n_words, &map)
    offset_ptr, place = np.zeros(n_taps + 1, np.int64), 0
    for tap in range(n_taps):
        for part in range(n_threads):
            count, counts[part, tap] = counts[part, tap], place
            place += count
        offset_ptr[tap + 1] = place
    in_rows, out_rows = exact((2, n), np.int32)
    n_tiles = (m + rules.TILE_ROWS - 1) // rules.TILE_ROWS
    tile_ptr, out_sites = empty((n_taps, n_tiles + 1), np.int64), exact((m, box.width), np.int32)
    with nogil:
        maps.place(&keys[0], &taps[0], n, &map, &counts[0, 0], n_taps, &in_rows[0], &out_rows[0], n_threads)
        rules.point_tiles(&out_rows[0], &offset_ptr[0], n_taps, 0, m, &tile_ptr[0, 0], n_threads)
        maps.keys_of_map(&map, n_words, &keys[0])
        order.unpack(&keys[0], m, &box, &out_sites[0, 0], n_threads)
    return (np.asarray(out_sites), np.asarray(in_rows), np.asarray(out_rows), np.asarray(offset_ptr),
            np.asarray(tile_ptr), rules.ASCENDING)
