"""The pairs of a rulebook as one object."""

from libc.stdint cimport int32_t, int64_t

from spconv_cy.cpu.link cimport Found
from spconv_cy.cpu.rules cimport Rules


cdef class Block:
    cdef void* start                    # from malloc, freed with the object
    cdef Py_ssize_t size                # in bytes

    cdef words(self, const int32_t* start, shape)
    cdef longs(self, const int64_t* start, shape)


cdef class Pairs:
    cdef object _in, _out, _offsets, _tiles
    cdef Block block                    # that holds the memory of arrays which are not made yet
    cdef Pairs twin                     # or the Pairs with the same rows, swapped
    cdef readonly Py_ssize_t n_in, n_out, n_offsets
    cdef const int64_t* starts          # offset_ptr
    cdef int known                      # ASCENDING, MIRRORED or 0
    cdef Rules rules                    # pointers into the arrays or the block, which this object owns

    cdef _rows(self, const int32_t* start, bint outputs)


cdef Pairs pairs_in(Block block, const Found* found, int64_t n_offsets)
