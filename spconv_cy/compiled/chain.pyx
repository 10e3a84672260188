"""Chains of windows over few sites: all their output sites and pairs in one call."""

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free

import numpy as np

from spconv_cy.compiled.pairs cimport Block, pairs_in
from spconv_cy.cpu cimport link as _link
from spconv_cy.cpu.link cimport MAX_WIDTH, Found, Scratch, Walk
from spconv_cy.cpu.rules cimport are_mirrored

from spconv_cy.errors import ShapeError, expected

cdef enum:
    KEPT = 131072                       # bytes of a buffer that is used again by the next chain

cdef list spare = []                    # of Scratches; a chain takes one out while it runs


cdef class _Memory:
    cdef Scratch scratch

    def __dealloc__(self):
        _link.release(&self.scratch, 0)


cdef class Shape:
    """A window as numbers.

    Args:
        offsets: (k, d) int32, lexicographic, k >= 1.
        size, stride, dilation, origin: d ints each.
        keeps: True: outputs are at the input's sites, and the stride is 1. Else the window is a cube, or transposed.
        stages: of a transposed window: arrays (k, d) int32, an offset the sum of one of each.
    """

    cdef _link.Shape shape
    cdef const int32_t[:, ::1] offsets
    cdef const int32_t[:, ::1] stages
    cdef int64_t[:, ::1] walks
    cdef int64_t[::1] counts

    def __cinit__(self, const int32_t[:, ::1] offsets, size, stride, dilation, origin, bint keeps, stages=()):
        cdef int64_t k, n = offsets.shape[0], d = offsets.shape[1]
        cdef int axis
        if not n or not 1 <= d < MAX_WIDTH or not d == len(size) == len(stride) == len(dilation) == len(origin):
            raise ShapeError(expected("Shape", "offsets (k, d), k >= 1, d from 1 to 8, and d numbers each", (n, d)))
        self.offsets, self.walks = offsets, np.empty((n, 3), np.int64)
        self.shape.offsets, self.shape.walks = &self.offsets[0, 0], <Walk*>&self.walks[0, 0]
        self.shape.width, self.shape.n_offsets, self.shape.keeps = <int>(d + 1), <int>n, keeps
        self.shape.n_merged = <int>(n // 2 if keeps and n % 2 and are_mirrored(&offsets[0, 0], n, <int>d) else n)
        self.shape.n_walks = <int>_link.cut(self.shape.offsets, self.shape.n_merged, <int>d,
                                            <Walk*>&self.walks[0, 0])
        self.shape.n_stages = <int>len(stages)
        if stages:
            self.stages, self.counts = np.concatenate(stages), np.array([len(stage) for stage in stages], np.int64)
            if self.stages.shape[1] != d or np.prod(self.counts) != n:
                raise ShapeError(expected("Shape", f"stages of {n} offsets", list(self.counts)))
            self.shape.stages, self.shape.counts = &self.stages[0, 0], &self.counts[0]
        for axis in range(1, <int>d + 1):
            self.shape.size[axis], self.shape.stride[axis] = size[axis - 1], stride[axis - 1]
            self.shape.dilation[axis], self.shape.origin[axis] = dilation[axis - 1], origin[axis - 1]
            self.shape.low[axis] = self.shape.high[axis] = offsets[0, axis - 1]
            for k in range(1, n):
                self.shape.low[axis] = min(self.shape.low[axis], offsets[k, axis - 1])
                self.shape.high[axis] = max(self.shape.high[axis], offsets[k, axis - 1])


cdef class Chain:
    """Windows, each over the given sites or over the output sites of one before it.

    Args:
        links: list of (place, Shape, out_size): place -1 for the given sites, or the number of an earlier link that
            makes sites; out_size d ints, or None: unbounded.

    A call with canonical sites (n, 1+d), n >= 1, returns a list of (Pairs, output sites or None), one for each link. It
    has None for a link that this code does not serve, and for those after it: more than `most` outputs times offsets,
    keys that do not fit, or no input sites.
    """

    cdef int n_links
    cdef list shapes
    cdef int* places
    cdef const _link.Shape** windows
    cdef int64_t* sizes                 # (n_links, MAX_WIDTH)
    cdef bint* bounded

    def __cinit__(self, links):
        cdef int number, axis
        cdef Shape shape
        self.n_links, self.shapes = <int>len(links), [shape for _, shape, _ in links]
        cdef size_t most = <size_t>(self.n_links + 1)                   # calloc may return NULL for none
        self.places = <int*>calloc(most, sizeof(int))
        self.bounded = <bint*>calloc(most, sizeof(bint))
        self.windows = <const _link.Shape**>calloc(most, sizeof(_link.Shape*))
        self.sizes = <int64_t*>calloc(most * MAX_WIDTH, sizeof(int64_t))
        if self.places == NULL or self.bounded == NULL or self.windows == NULL or self.sizes == NULL:
            raise MemoryError("Chain: expected memory for a list of windows, got none; use a smaller batch")
        for number, (place, shape, out_size) in enumerate(links):
            fits = -1 <= place < number and shape.shape.width == (<Shape>self.shapes[0]).shape.width
            if not fits or place >= 0 and (<Shape>self.shapes[place]).shape.keeps:
                raise ShapeError(expected("Chain", "links after those that make their sites, of one dimension",
                                          f"place {place} at link {number}"))
            self.places[number], self.windows[number] = place, &shape.shape
            self.bounded[number] = out_size is not None
            if out_size is not None:
                for axis in range(1, shape.shape.width):
                    self.sizes[number * MAX_WIDTH + axis] = out_size[axis - 1]

    def __dealloc__(self):
        free(self.places)
        free(self.bounded)
        free(self.windows)
        free(self.sizes)

    def __call__(self, const int32_t[:, ::1] sites, int64_t most):
        cdef _Memory memory
        try:
            memory = spare.pop()
        except IndexError:                                               # first of all, or others have taken the last
            memory = _Memory.__new__(_Memory)
        cdef Found* found = <Found*>calloc(<size_t>(self.n_links + 1), sizeof(Found))
        cdef int64_t n = sites.shape[0]
        if not n or not self.n_links or sites.shape[1] != self.windows[0].width or found == NULL:
            free(found)
            raise ShapeError(expected("Chain", "sites (n, 1+d), n >= 1, of the windows' dimension",
                                      (sites.shape[0], sites.shape[1])))
        with nogil:
            self.run(&sites[0, 0], n, most, &memory.scratch, found)
            _link.release(&memory.scratch, KEPT)
        spare.append(memory)
        try:
            return [self.taken(number, &found[number]) for number in range(self.n_links)]
        finally:
            for number in range(self.n_links):
                free(found[number].block)
            free(found)

    cdef void run(self, const int32_t* sites, int64_t n, int64_t most, Scratch* scratch, Found* found) noexcept nogil:
        cdef int number, place
        cdef const int64_t* size
        for number in range(self.n_links):
            place = self.places[number]
            size = self.sizes + number * MAX_WIDTH if self.bounded[number] else NULL
            if place < 0:
                _link.link(self.windows[number], sites, n, size, most, scratch, &found[number])
            elif found[place].block != NULL and found[place].m:
                _link.link(self.windows[number], found[place].sites, found[place].m, size, most, scratch,
                           &found[number])

    cdef object taken(self, int number, Found* found):
        cdef Block block
        if found.block == NULL:
            return None
        block = Block.__new__(Block)
        block.start, block.size, found.block = found.block, <Py_ssize_t>found.size, NULL
        pairs = pairs_in(block, found, self.windows[number].n_offsets)
        if found.sites == NULL:
            return pairs, None
        return pairs, block.words(found.sites, (found.m, self.windows[number].width))
