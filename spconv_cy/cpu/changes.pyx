"""Rules of sites of which few have changed: pairs of rows that stayed are copied, partners are sought for the others.

Both sides of the pairs of an offset ascend, before the change and after it. So the pairs that stayed, those of added
outputs and those of added inputs are three ascending lists, which are merged.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcmp, memcpy

from spconv_cy.cpu.merge cimport compare
from spconv_cy.cpu.order cimport lower_bound

cdef enum:
    BLOCK = 16                          # sites that are compared at once


cdef int64_t changed(const int32_t* old, int64_t n, const int32_t* new, int64_t m, int width, int64_t most,
                     int32_t* row, int32_t* was, int32_t* added) noexcept nogil:
    # Fills the arrays of a Change; `added` has room for most + 1. Returns the number of added sites, or -1 if more than
    # `most` sites are added or gone.
    cdef int64_t i = 0, j = 0, e, gone = 0, q = 0
    cdef int order
    cdef size_t size = <size_t>(BLOCK * width) * sizeof(int32_t)
    while i < n or j < m:
        if i + BLOCK <= n and j + BLOCK <= m and memcmp(old + i * width, new + j * width, size) == 0:
            for e in range(BLOCK):
                row[i + e] = <int32_t>(j + e)
            for e in range(BLOCK):
                was[j + e] = <int32_t>(i + e)
            i += BLOCK
            j += BLOCK
            continue
        order = -1 if j == m else 1 if i == n else compare(old + i * width, new + j * width, width)
        if order == 0:
            row[i], was[j] = <int32_t>j, <int32_t>i
            i += 1
            j += 1
            continue
        if order < 0:
            row[i] = -1
            i += 1
            gone += 1
        else:
            was[j], added[q] = <int32_t>(-1 - i), <int32_t>j
            j += 1
            q += 1
        if gone + q > most:
            return -1
    return q


cdef int64_t grown(const int32_t* old, int64_t n, const int32_t* reached, int64_t m, int width, const int32_t* in_rows,
                   const int32_t* out_rows, int64_t n_pairs, const Change* inputs, int32_t* row, int32_t* was,
                   int32_t* added, int32_t* sites, int64_t* n_added) noexcept nogil:
    # Sets `sites` to those of the old outputs that an input which stayed has a pair with, and of the m outputs that
    # added inputs reach; and the arrays of the Change. Returns the number of sites.
    cdef int64_t i = 0, j = 0, count = 0
    cdef int order
    cdef size_t size = <size_t>width * sizeof(int32_t)
    for i in range(n):
        row[i] = -1
    for i in range(n_pairs):                                             # 0 where an input is there still
        row[out_rows[i]] &= inputs.row[in_rows[i]] >> 31
    i, n_added[0] = 0, 0
    while i < n or j < m:
        order = -1 if j == m else 1 if i == n else compare(old + i * width, reached + j * width, width)
        if order < 0 and row[i] < 0:
            i += 1
            continue
        if order > 0:
            was[count], added[n_added[0]] = <int32_t>(-1 - i), <int32_t>count
            n_added[0] += 1
        else:
            was[count], row[i] = <int32_t>i, <int32_t>count
        memcpy(sites + count * width, reached + j * width if order > 0 else old + i * width, size)
        i += order <= 0
        j += order >= 0
        count += 1
    return count


cdef void count_patched(const Patch* patch, int64_t* offset_ptr, int n_threads) noexcept nogil:
    # Seeks the partners of what is added, and fills offset_ptr (n_offsets + 1).
    cdef int64_t k, count, place = 0
    for k in prange(patch.n_merged, schedule="dynamic", num_threads=n_threads):
        offset_ptr[k] = count_offset(patch, k)
    for k in range(patch.n_offsets):
        if k < patch.n_merged:
            count = offset_ptr[k]
        elif k == patch.n_offsets - 1 - k:
            count = patch.outputs.m
        else:
            count = offset_ptr[patch.n_offsets - k] - offset_ptr[patch.n_offsets - 1 - k]
        offset_ptr[k] = place
        place += count
        if k == patch.n_offsets - 1:
            offset_ptr[patch.n_offsets] = place


cdef int64_t count_offset(const Patch* patch, int64_t k) noexcept nogil:
    cdef const int32_t* in_row = patch.inputs.row
    cdef const int32_t* out_row = patch.outputs.row
    cdef int32_t* partners = patch.partners + k * (patch.inputs.q + patch.outputs.q)
    cdef int64_t i, at = 0, count = 0, key
    for i in range(patch.starts[k], patch.starts[k + 1]):
        count += (in_row[patch.in_rows[i]] | out_row[patch.out_rows[i]]) >= 0
    for i in range(patch.inputs.q):
        key = patch.keys[patch.inputs.added[i]] - patch.shifts[k]
        at = from_here(patch.wanted, patch.outputs.m, at, key)
        # The pair of an added input and an added output is found once, from the output.
        partners[i] = <int32_t>at if (at < patch.outputs.m and patch.wanted[at] == key
                                      and patch.outputs.was[at] >= 0) else -1
        count += partners[i] >= 0
    partners, at = partners + patch.inputs.q, 0
    for i in range(patch.outputs.q):
        key = patch.wanted[patch.outputs.added[i]] + patch.shifts[k]
        at = from_here(patch.keys, patch.inputs.m, at, key)
        partners[i] = <int32_t>at if at < patch.inputs.m and patch.keys[at] == key else -1
        count += partners[i] >= 0
    return count


cdef inline int64_t from_here(const int64_t* keys, int64_t n, int64_t at, int64_t key) noexcept nogil:
    # Returns the first place from `at` on whose key is not below `key`, n if there is none.
    cdef int64_t step = 1
    if at >= n or keys[at] >= key:
        return at
    while at + step < n and keys[at + step] < key:
        at += step
        step *= 2
    at += 1                                                              # keys[at - 1] < key <= keys[at - 1 + step]
    return at + lower_bound(keys + at, min(step - 1, n - at), key)


cdef void fill_patched(const Patch* patch, const int64_t* offset_ptr, int32_t* in_rows, int32_t* out_rows,
                       int n_threads) noexcept nogil:
    # After count_patched.
    cdef int64_t k, row, mirror
    cdef size_t size
    for k in prange(patch.n_merged, schedule="dynamic", num_threads=n_threads):
        fill_offset(patch, k, in_rows + offset_ptr[k], out_rows + offset_ptr[k])
        if patch.n_merged < patch.n_offsets:
            mirror = offset_ptr[patch.n_offsets - 1 - k]
            size = <size_t>(offset_ptr[k + 1] - offset_ptr[k]) * sizeof(int32_t)
            memcpy(in_rows + mirror, out_rows + offset_ptr[k], size)
            memcpy(out_rows + mirror, in_rows + offset_ptr[k], size)
    if patch.n_merged < patch.n_offsets:
        for row in range(patch.outputs.m):
            in_rows[offset_ptr[patch.n_merged] + row] = <int32_t>row
        for row in range(patch.outputs.m):
            out_rows[offset_ptr[patch.n_merged] + row] = <int32_t>row


cdef void fill_offset(const Patch* patch, int64_t k, int32_t* in_rows, int32_t* out_rows) noexcept nogil:
    cdef const int32_t* of_inputs = patch.partners + k * (patch.inputs.q + patch.outputs.q)
    cdef const int32_t* of_outputs = of_inputs + patch.inputs.q
    cdef int64_t a = 0, b = 0, at = patch.starts[k], stop = patch.starts[k + 1], bound, i
    cdef int32_t row, partner, u, v
    cdef int32_t* ends = out_rows                                        # both move on together
    while True:
        while a < patch.inputs.q and of_inputs[a] < 0:
            a += 1
        while b < patch.outputs.q and of_outputs[b] < 0:
            b += 1
        if a == patch.inputs.q and b == patch.outputs.q:
            break
        if b == patch.outputs.q or a < patch.inputs.q and of_inputs[a] < patch.outputs.added[b]:
            row, partner = of_inputs[a], patch.inputs.added[a]
            bound = patch.outputs.was[row]
            a += 1
        else:
            row, partner = patch.outputs.added[b], of_outputs[b]
            bound = -1 - patch.outputs.was[row]
            b += 1
        while at < stop and patch.out_rows[at] < bound:
            u, v = patch.inputs.row[patch.in_rows[at]], patch.outputs.row[patch.out_rows[at]]
            in_rows[0], ends[0] = u, v
            in_rows += (u | v) >= 0
            ends += (u | v) >= 0
            at += 1
        in_rows[0], ends[0] = partner, row
        in_rows += 1
        ends += 1
    # Writing may not pass the end of this offset, where another begins: a pair that is gone is not written.
    for i in range(at, stop):
        u, v = patch.inputs.row[patch.in_rows[i]], patch.outputs.row[patch.out_rows[i]]
        if (u | v) >= 0:
            in_rows[0], ends[0] = u, v
            in_rows += 1
            ends += 1
