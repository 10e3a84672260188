"""Open-addressing table from packed keys to rows; a slot holds a row (-1: free), the key is compared in full."""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint64_t

from spconv_cy.cpu.order cimport Box

cdef enum:
    QUERIES = 4096                      # of a chunk


cdef inline int64_t slot_of(int64_t key, int64_t n_slots) noexcept nogil:
    # Multiplied by 2^64 / golden ratio, the high bits folded onto the low ones that n_slots - 1 keeps.
    cdef uint64_t mixed = <uint64_t>key * <uint64_t>0x9E3779B97F4A7C15
    return <int64_t>(mixed ^ (mixed >> 32)) & (n_slots - 1)


cdef int64_t slots_for(int64_t n) noexcept nogil:
    # Returns a power of two that leaves at least half of the slots free.
    cdef int64_t n_slots = 2
    while n_slots < 2 * n:
        n_slots *= 2
    return n_slots


cdef void insert(const int64_t* keys, int64_t n, int32_t* slots, int64_t n_slots) noexcept nogil:
    # All keys differ. On entry, slots are -1.
    cdef int64_t row, slot
    for row in range(n):
        slot = slot_of(keys[row], n_slots)
        while slots[slot] >= 0:
            slot = (slot + 1) & (n_slots - 1)
        slots[slot] = <int32_t>row


cdef void look_up(const int64_t* keys, const int32_t* slots, int64_t n_slots, const Box* box, const int32_t* queries,
                  int64_t q, int32_t* rows, int n_threads) noexcept nogil:
    # Sets rows[i] to the row of query i, -1 if there is none.
    cdef int64_t chunk
    for chunk in prange((q + QUERIES - 1) // QUERIES, schedule="dynamic", num_threads=n_threads):
        look_up_part(keys, slots, n_slots, box, queries, chunk * QUERIES, min(q, (chunk + 1) * QUERIES), rows)


cdef void look_up_part(const int64_t* keys, const int32_t* slots, int64_t n_slots, const Box* box,
                       const int32_t* queries, int64_t start, int64_t stop, int32_t* rows) noexcept nogil:
    cdef int64_t i, key, slot, digit
    cdef int axis
    cdef bint inside
    for i in range(start, stop):
        key, inside = 0, True
        for axis in range(box.width):
            digit = <int64_t>queries[i * box.width + axis] - box.low[axis]
            if digit < 0 or digit >= box.side[axis]:
                inside = False
                break
            key += digit * box.step[axis]
        rows[i] = -1
        if inside:
            slot = slot_of(key, n_slots)
            while slots[slot] >= 0:
                if keys[slots[slot]] == key:
                    rows[i] = slots[slot]
                    break
                slot = (slot + 1) & (n_slots - 1)
