"""The pairs of a rulebook as one object."""

from spconv_cy.cpu.conv cimport Rules


cdef class Pairs:
    cdef readonly object in_rows, out_rows, offset_ptr, tile_ptr
    cdef readonly Py_ssize_t n_in, n_out, n_offsets
    cdef Rules rules                    # pointers into the arrays above, which this object owns
