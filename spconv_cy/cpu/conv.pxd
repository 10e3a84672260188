"""Convolution by rulebook over float32 rows."""

from libc.stdint cimport int32_t, int64_t

from spconv_cy.cpu.isa cimport Finish, KernelTable
from spconv_cy.cpu.rules cimport Rules
from spconv_cy.cpu.threads cimport Turns, team


# Weights (offsets, groups, c, o) with any strides, counted in floats; or packed ones, as pack_weights leaves them.
cdef struct Weights:
    const float* start
    int64_t stride[4]
    const float* packed         # NULL: they are packed by conv


# c and o count the channels of one group.
cdef struct Shape:
    int64_t groups
    int64_t c
    int64_t o


# Columns block * vectors // blocks to (block + 1) * vectors // blocks, in vectors.
cdef struct Block:
    int64_t first
    int64_t vectors
    int64_t cols


cdef inline Block block_at(const KernelTable* table, int64_t o, int64_t vectors, int64_t blocks,
                           int64_t index) noexcept nogil:
    cdef Block block
    block.first = index * vectors // blocks
    block.vectors = (index + 1) * vectors // blocks - block.first
    block.cols = min(block.vectors * table.lanes, o - block.first * table.lanes)
    return block


cdef inline int team_of(const Rules* rules, Shape shape, int64_t jobs, int n_threads) noexcept nogil:
    return team(n_threads, jobs, <double>rules.n_pairs * <double>(shape.groups * shape.c * shape.o) / 16)


# What is computed while a tile of outputs is in the cache, before and after they are written.
cdef struct After:
    Finish finish               # its pointers are at the first column
    int64_t x_stride            # floats from row to row of x
    int64_t y_stride            # and of y
    double* room                # for moments of the outputs, of moments.room_of doubles; NULL: they are not wanted


# A product of each row by itself, with packed weights, in one group: what it is computed with, and from.
cdef struct Rowwise:
    const float* packed         # NULL: there is none
    const float* bias           # or NULL
    const float* x              # rows that are read
    int64_t x_stride
    int64_t c
    int64_t o
    Finish finish               # without a residual


# What one job computes beside a convolution of one group with packed weights: its rows of the residual before, and
# products of its rows after, which `y` then gets instead of them.
cdef struct Beside:
    Rowwise before
    Rowwise then


cdef struct Layer:
    const KernelTable* table
    const float* x
    const Weights* w
    float* packed
    float* sums                 # a slot for each thread
    const float* bias
    float* y
    const Rules* rules
    Shape shape
    int64_t vectors             # in a group's outputs
    int64_t blocks              # of columns in a group, each at most table.vectors wide
    int64_t span                # tiles of a job
    int64_t spans               # jobs of a block of columns
    int64_t slot                # floats of a thread's sums; its stack may be too small for them
    const After* after
    const Beside* beside        # or NULL
    int64_t room                # floats of a thread's rows beside, behind its sums
    int64_t packs
    int64_t jobs
    int64_t first_row           # the number of the first row of y, and of the residual
    int64_t first_added
    bint in_place               # the sums of a tile are its rows of y


# Floats of packed weights; and weights to that form and back. Layout and numbers depend on the table.
cdef int64_t packed_floats(const KernelTable* table, Shape shape, int64_t n_offsets) noexcept nogil
cdef void pack_weights(const KernelTable* table, const Weights* w, Shape shape, int64_t n_offsets,
                       float* packed) noexcept nogil
cdef void pack_offset(const KernelTable* table, const Weights* w, Shape shape, int64_t n_offsets, float* packed,
                      int64_t offset) noexcept nogil
cdef void unpack_weights(const KernelTable* table, const float* packed, Shape shape, int64_t n_offsets,
                         float* w) noexcept nogil
cdef int64_t job_rows(const KernelTable* table, const Rules* rules, Shape shape) noexcept nogil
cdef int64_t scratch_floats(const KernelTable* table, const Weights* w, const Rules* rules, Shape shape,
                            int n_threads, const Beside* beside=*) noexcept nogil
cdef void conv(const KernelTable* table, const float* x, const Weights* w, float* scratch, const float* bias, float* y,
               const Rules* rules, Shape shape, const After* after, int n_threads,
               const Beside* beside=*) noexcept nogil

# The parts of conv, for a region that has other jobs too.
cdef int begin(Layer* layer, const KernelTable* table, const float* x, const Weights* w, float* scratch,
               const float* bias, float* y, const Rules* rules, Shape shape, const After* after, int n_threads,
               const Beside* beside) noexcept nogil
cdef void pack(const Layer* layer, int64_t job) noexcept nogil
cdef void conv_jobs(const Layer* layer, Turns* turns, int thread) noexcept nogil
