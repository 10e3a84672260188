"""Small messages between the processes of one machine, through memory that they share."""

import numpy as np

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uintptr_t
from libc.string cimport memcpy

from spconv_cy.errors import ShapeError, expected

cdef extern from *:
    """
    #include <cstdint>
    static inline int64_t told(const int64_t* at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
    static inline void tell(int64_t* at, int64_t count) { __atomic_store_n(at, count, __ATOMIC_RELEASE); }
    static inline void breathe() {
    #if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
    #endif
    }
    """
    int64_t told(const int64_t* at) noexcept nogil
    void tell(int64_t* at, int64_t count) noexcept nogil
    void breathe() noexcept nogil

ctypedef fused real:
    float
    double

cdef enum:
    LINE = 64                                                            # bytes that processors exchange at once
    HEAD = 16                                                            # bytes before a message: its count, its length


def length_of(int64_t size, int64_t room):
    """Return the bytes of memory that `size` processes need for messages of at most `room` bytes each."""
    return LINE + size * 2 * _slot(room)


cdef int64_t _slot(int64_t room) noexcept nogil:
    return (HEAD + room + LINE - 1) // LINE * LINE


cdef class Mailbox:
    """Messages that every process of a group has for all others, one after the other.

    A process has two places in turn. It writes its next message while others may still read the last one. They have
    read the one before, since they have written the last one after it.

    Args:
        memory: writable bytes, the same for all processes, at first zero; see `length_of`.
        rank, size: number of this process, and of all.
        room: most bytes of a message.
    """

    cdef unsigned char[::1] _memory
    cdef unsigned char* _start
    cdef int64_t _rank, _size, _count, _length
    cdef readonly int64_t room

    def __init__(self, unsigned char[::1] memory, int64_t rank, int64_t size, int64_t room):
        if not 0 <= rank < size or room < 0 or memory.shape[0] < length_of(size, room):
            raise ShapeError(expected("Mailbox", f"a rank below {size} and {length_of(size, room)} bytes",
                                      f"{rank} and {memory.shape[0]}"))
        self._memory, self._rank, self._size, self.room = memory, rank, size, room
        self._count = self._length = 0
        self._start = &memory[0] + <int64_t>(-<uintptr_t>&memory[0] % LINE)

    cdef int64_t* _place(self, int64_t rank) noexcept nogil:
        return <int64_t*>(self._start + (2 * rank + self._count % 2) * _slot(self.room))

    cdef bint _complete(self, int64_t spins) noexcept nogil:
        cdef int64_t rank
        for rank in range(self._size):
            while told(self._place(rank)) != self._count:
                if spins <= 0:
                    return False
                spins -= 1
                breathe()
        return True

    def post(self, sent):
        """Write this process's next message, a contiguous array of at most `room` bytes."""
        cdef Py_buffer view
        PyObject_GetBuffer(sent, &view, PyBUF_SIMPLE)
        try:
            if view.len > self.room:
                raise ShapeError(expected("Mailbox.post", f"at most {self.room} bytes", view.len))
            self._count, self._length = self._count + 1, view.len
            place = self._place(self._rank)
            place[1] = view.len
            memcpy(place + 2, view.buf, <size_t>view.len)
            tell(place, self._count)
        finally:
            PyBuffer_Release(&view)

    def take(self, received, int64_t spins=0):
        """Return True if all processes have written theirs, which `received` then has in the order of the ranks.

        Args:
            received: contiguous array of as many bytes as all messages have.
            spins: number of looks at those that are not there, a few hundredths of a microsecond each.

        Raises:
            ValueError: a message has another length than this process's own.
        """
        cdef Py_buffer view
        cdef int64_t rank, other = self._length
        cdef bint complete
        with nogil:
            complete = self._complete(spins)
        if not complete:
            return False
        PyObject_GetBuffer(received, &view, PyBUF_WRITABLE)
        try:
            if view.len != self._size * self._length:
                raise ShapeError(expected("Mailbox.take", f"{self._size} times {self._length} bytes", view.len))
            for rank in range(self._size):
                place = self._place(rank)
                if place[1] != self._length:
                    other = place[1]
                    break
                memcpy(<unsigned char*>view.buf + rank * self._length, place + 2, <size_t>self._length)
        finally:
            PyBuffer_Release(&view)
        if other != self._length:
            raise ValueError(f"{other} bytes where {self._length} are due")
        return True

    def missing(self):
        """Return the ranks that have not written the message which this process last wrote."""
        return [rank for rank in range(self._size) if told(self._place(rank)) != self._count]


def add_in_order(const real[:, ::1] parts, real[::1] total):
    """Write the sum of the rows of an array (n, m) into another (m,), added in their order in float64."""
    cdef Py_ssize_t i, j
    cdef double found
    if parts.shape[1] != total.shape[0]:
        raise ShapeError(expected("add_in_order", f"a total ({parts.shape[1]},)", f"({total.shape[0]},)"))
    for j in range(total.shape[0]):
        found = 0
        for i in range(parts.shape[0]):
            found += parts[i, j]
        total[j] = <real>found


def part_of(const real[:, ::1] own, double n):
    """Return (1 + 2c,) float64, what `joined` takes of a process: n, the mean, the variance.

    Args:
        own: (3, c), the mean of n rows, its rounding error, and the biased variance.
        n: 0: the rows do not count.
    """
    cdef Py_ssize_t c = own.shape[1], counted = c if n else 0, j
    if own.shape[0] != 3:
        raise ShapeError(expected("part_of", "moments (3, c)", f"({own.shape[0]}, {c})"))
    out = np.zeros(1 + 2 * c)
    cdef double[::1] part = out
    part[0] = n
    for j in range(counted):
        part[1 + j], part[1 + c + j] = <double>own[0, j] + own[1, j], own[2, j]
    return out


def joined(const double[:, ::1] parts, real[:, ::1] found):
    """Return the number of rows of all parts of `part_of`, and write their moments into an array (3, c); not for 0 rows.
    """
    cdef Py_ssize_t c = found.shape[1], i, j
    cdef double rows = 0, mean, spread
    if parts.shape[1] != 1 + 2 * c or found.shape[0] != 3:
        raise ShapeError(expected("joined", f"parts of {1 + 2 * c} numbers", parts.shape[1]))
    for i in range(parts.shape[0]):
        rows += parts[i, 0]
    if not rows:
        return 0
    for j in range(c):
        mean = spread = 0
        for i in range(parts.shape[0]):
            mean += parts[i, 0] * parts[i, 1 + j]
        mean /= rows
        for i in range(parts.shape[0]):
            spread += parts[i, 0] * (parts[i, 1 + c + j] + (parts[i, 1 + j] - mean) * (parts[i, 1 + j] - mean))
        found[0, j] = <real>mean
        found[1, j] = <real>(mean - found[0, j])
        found[2, j] = <real>(spread / rows)
    return int(rows)
