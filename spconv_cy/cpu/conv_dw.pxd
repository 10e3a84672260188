"""The weight gradient of convolution by rulebook over float32 rows."""

from libc.stdint cimport int64_t

from spconv_cy.cpu.conv cimport Rules, Shape
from spconv_cy.cpu.isa cimport KernelTable


cdef struct Chunks:
    int64_t tiles               # tiles that are swept together
    int64_t chunks              # ranges of rows, each with a sum of its own
    int64_t parts               # ranges of (offset, group, slab of inputs) that share a chunk's sum


cdef Chunks chunks_of(const Rules* rules, Shape shape) noexcept nogil
cdef void conv_dw(const KernelTable* table, const float* x, const float* dy, float* dw, float* sums, const Rules* rules,
                  Shape shape, Chunks chunks, int n_threads) noexcept nogil
