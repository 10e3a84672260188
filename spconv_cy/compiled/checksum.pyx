"""CRC-32 of the bytes of arrays, as zlib's, by the processor's own instructions."""

import zlib

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint32_t, uint64_t

from spconv_cy.cpu cimport isa as _isa


def crc32(content, uint32_t before=0):
    """Return the CRC-32 of bytes, or of those of a C-contiguous array, after others whose CRC-32 is `before`.

    Other threads of Python run meanwhile.
    """
    cdef Py_buffer view
    if _isa.crc_kernel() == NULL:
        return zlib.crc32(content, before)
    PyObject_GetBuffer(content, &view, PyBUF_SIMPLE)
    with nogil:
        before = _isa.crc32(before, view.buf, <size_t>view.len)
    PyBuffer_Release(&view)
    return before


def joined(uint32_t first, uint32_t second, uint64_t length):
    """Return the CRC-32 of two pieces one after the other, from that of each and the bytes of the second."""
    return _isa.crc32_joined(first, second, length)


def kernel():
    """Return the name of the instructions that `crc32` uses, "pclmul" or "armcrc"; "zlib" if it calls that."""
    return "zlib" if _isa.crc_kernel() == NULL else _isa.crc_kernel().decode()
