"""Messages between the processes of one machine, through memory that they share; sums and moments of what came."""

import numpy as np

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.stdint cimport int64_t, uintptr_t
from libc.string cimport memcpy

from spconv_cy.cpu cimport joining

from spconv_cy.errors import ShapeError, expected

cdef extern from *:
    """
    #include <cstdint>
    // A message is written before its count, and read after it. ARM processors keep this order only if told to.
    static inline int64_t read_count(const int64_t* at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
    static inline void write_count(int64_t* at, int64_t count) { __atomic_store_n(at, count, __ATOMIC_RELEASE); }
    static inline void spin_pause() {
    #if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
    #endif
    }
    """
    int64_t read_count(const int64_t* at) noexcept nogil
    void write_count(int64_t* at, int64_t count) noexcept nogil
    void spin_pause() noexcept nogil

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
    read the one before, if each takes a message before it writes the next.

    Args:
        memory: writable bytes, the same for all processes; see `length_of`. All have made theirs before the first
            message.
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
        write_count(self._place(rank, 0), 0)
        write_count(self._place(rank, 1), 0)

    cdef int64_t* _place(self, int64_t rank, int64_t count) noexcept nogil:
        # The place of the message with this number.
        return <int64_t*>(self._start + (2 * rank + count % 2) * _slot(self.room))

    cdef bint _complete(self, int64_t looks) noexcept nogil:
        cdef int64_t rank
        for rank in range(self._size):
            while read_count(self._place(rank, self._count)) != self._count:
                if looks <= 0:
                    return False
                looks -= 1
                spin_pause()
        return True

    def post(self, *arrays):
        """Write this process's next message, contiguous arrays of at most `room` bytes together; return their bytes."""
        cdef Py_buffer view
        cdef int64_t length = 0
        place = self._place(self._rank, self._count + 1)
        for array in arrays:
            PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS)
            if view.len <= self.room - length:
                memcpy(<char*>place + HEAD + length, view.buf, <size_t>view.len)
            length += view.len
            PyBuffer_Release(&view)
        if length > self.room:
            raise ShapeError(expected("Mailbox.post", f"at most {self.room} bytes", length))
        self._count, self._length = self._count + 1, length                # only now: a refused message is none
        place[1] = length
        write_count(place, self._count)
        return length

    def arrived(self, int64_t looks=0):
        """Return whether all processes have written the message that this one has last written.

        Args:
            looks: how often it looks for those that are not there, every few hundredths of a microsecond.

        Raises:
            ValueError: a message has another length than this process's own.
        """
        cdef int64_t rank
        cdef bint complete
        with nogil:
            complete = self._complete(looks)
        if not complete:
            return False
        for rank in range(self._size):
            if self._place(rank, self._count)[1] != self._length:
                raise ValueError(f"{self._place(rank, self._count)[1]} bytes where {self._length} are due")
        return True

    def take(self, received):
        """Copy the messages that have arrived to an array, in the order of the ranks."""
        cdef Py_buffer view
        cdef int64_t rank
        PyObject_GetBuffer(received, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
        if view.len == self._size * self._length:
            for rank in range(self._size):
                memcpy(<char*>view.buf + rank * self._length, <char*>self._place(rank, self._count) + HEAD,
                       <size_t>self._length)
        found = view.len
        PyBuffer_Release(&view)
        if found != self._size * self._length:
            raise ShapeError(expected("Mailbox.take", f"{self._size} times {self._length} bytes", found))

    def take_sum(self, total, int64_t divisor=1):
        """Write the sum of the messages that have arrived, and its quotient, into an array of float32 or float64."""
        _add(<unsigned char*>self._place(0, self._count) + HEAD, 2 * _slot(self.room), self._size, self._length, total,
             divisor)

    def missing(self):
        """Return the ranks that have not written the message which this process last wrote."""
        return [rank for rank in range(self._size) if read_count(self._place(rank, self._count)) != self._count]


def add_up(parts, total):
    """Write the sum of the arrays in an array (n, ...) into one (...), added in their order in float64."""
    cdef Py_buffer view
    PyObject_GetBuffer(parts, &view, PyBUF_C_CONTIGUOUS)
    try:
        _add(<unsigned char*>view.buf, view.len // len(parts), len(parts), view.len // len(parts), total, 1)
    finally:
        PyBuffer_Release(&view)


cdef _add(const unsigned char* parts, int64_t apart, int64_t n, int64_t length, total, int64_t divisor):
    cdef Py_buffer view
    PyObject_GetBuffer(total, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE)
    cdef bint single = view.format[0] == b"f", wide = view.format[0] == b"d"
    cdef bint fits = view.len == length
    if fits and single:
        joining.add[float](parts, apart, n, length // 4, <float*>view.buf, divisor)
    elif fits and wide:
        joining.add[double](parts, apart, n, length // 8, <double*>view.buf, divisor)
    PyBuffer_Release(&view)
    if not fits or not (single or wide):
        raise ShapeError(expected("add_up", f"{length} bytes of float32 or float64",
                                  f"{total.nbytes} of {total.dtype}"))


def part_of(own, double n):
    """Return (1 + 2c,) float64, what `joined` takes of a process: n, the mean, the variance.

    Args:
        own: (3, c) float32 or float64, the mean of n rows, its rounding error, and the biased variance.
        n: 0: the rows do not count.
    """
    cdef const float[:, :] single
    cdef const double[:, :] wide
    cdef Py_ssize_t c = own.shape[1], j
    if len(own) != 3:
        raise ShapeError(expected("part_of", "moments (3, c)", f"{own.shape}"))
    out = np.zeros(1 + 2 * c)
    cdef double[::1] part = out
    part[0] = n
    if n and own.itemsize == 4:
        single = own
        for j in range(c):
            part[1 + j], part[1 + c + j] = <double>single[0, j] + single[1, j], single[2, j]
    elif n:
        wide = own
        for j in range(c):
            part[1 + j], part[1 + c + j] = wide[0, j] + wide[1, j], wide[2, j]
    return out


def joined(const double[:, ::1] parts, found):
    """Return the number of rows of all parts of `part_of`; write their moments (3, c) to `found`, if there are any."""
    cdef float[:, ::1] single
    cdef double[:, ::1] wide
    cdef Py_ssize_t c = found.shape[1]
    cdef double rows
    if parts.shape[1] != 1 + 2 * c or len(found) != 3 or not c:
        raise ShapeError(expected("joined", f"parts of {1 + 2 * c} numbers", parts.shape[1]))
    if found.itemsize == 4:
        single = found
        rows = joining.join(&parts[0, 0], parts.shape[0], c, &single[0, 0])
    else:
        wide = found
        rows = joining.join(&parts[0, 0], parts.shape[0], c, &wide[0, 0])
    return int(rows)
