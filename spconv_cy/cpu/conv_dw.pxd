"""The weight gradient of convolution by rulebook over float32 rows."""

from libc.stdint cimport int64_t

from spconv_cy.cpu.conv cimport Layer, Shape
from spconv_cy.cpu.isa cimport KernelTable
from spconv_cy.cpu.rules cimport Rules


cdef struct Chunks:
    int64_t tiles               # tiles that are swept together
    int64_t chunks              # ranges of rows, each with a sum of its own
    int64_t slabs               # ranges of inputs of an (offset, group)
    int64_t parts               # ranges of (offset, group, slab) that share a chunk's sum
    int64_t near                # most pairs whose rows are read together
    int64_t room                # floats of a thread's scratch memory
    bint panels                 # whether those rows are copied first


cdef struct Gradient:
    const KernelTable* table
    const float* x
    const float* dy
    float* dw
    float* room                 # a slot for each thread
    float* sums
    const Rules* rules
    Shape shape
    Chunks chunks
    int64_t pieces              # of dw, to which the sums of all chunks are added; 0: there is one chunk


cdef Chunks chunks_of(const KernelTable* table, const Rules* rules, Shape shape) noexcept nogil
cdef int team_of_dw(const Rules* rules, Shape shape, Chunks chunks, int n_threads) noexcept nogil
cdef int64_t scratch_floats_dw(const Rules* rules, Shape shape, Chunks chunks, int n_threads) noexcept nogil
cdef void conv_dw(const KernelTable* table, const float* x, const float* dy, float* dw, float* scratch,
                  const Rules* rules, Shape shape, Chunks chunks, int n_threads) noexcept nogil
cdef void begin_dw(Gradient* gradient, const KernelTable* table, const float* x, const float* dy, float* dw,
                   float* scratch, const Rules* rules, Shape shape, Chunks chunks, int n_threads) noexcept nogil
cdef void gradients(Layer* layer, Gradient* gradient, double* sums, float* db, int n_threads) noexcept nogil
