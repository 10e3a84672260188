"""Arrays whose memory is kept for the next array of about that size: a steady loop asks the system for none."""

# Fresh memory costs a page fault every 4 KB, a third of the time of the cheap passes. The system's allocator gives large
# pieces back at once and asks again in the next step. What is kept here and what is in use together stay below
# 9/8 of the most that was ever in use at once.

import math

import numpy as np

from cpython.buffer cimport PyBuffer_FillInfo
from libcpp.utility cimport pair
from cython.operator cimport dereference

cdef extern from *:
    """
    #include <new>
    #ifdef __linux__
    #include <sys/mman.h>
    #endif
    namespace {
    const size_t HUGE_PAGE = size_t(1) << 21;
    size_t alignment_of(size_t size) { return size >= 2 * HUGE_PAGE ? HUGE_PAGE : 64; }
    void* fresh(size_t size) {
        void* start = ::operator new(size, std::align_val_t(alignment_of(size)), std::nothrow);
    #if defined(__linux__) && defined(MADV_HUGEPAGE)
        if (start && size >= 2 * HUGE_PAGE) madvise(start, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    #endif
        return start;
    }
    void drop(void* start, size_t size) { ::operator delete(start, std::align_val_t(alignment_of(size))); }
    }
    """
    void* fresh(size_t size) noexcept nogil
    void drop(void* start, size_t size) noexcept nogil

cdef extern from "<map>" namespace "std" nogil:
    cdef cppclass multimap[K, V]:
        cppclass iterator:
            pair[K, V]& operator*()
            iterator operator++()
            bint operator==(iterator)
            bint operator!=(iterator)
        iterator begin()
        iterator end()
        iterator lower_bound(K)
        iterator insert(pair[K, V])
        void erase(iterator)

cdef enum:
    SMALL = 65536               # bytes below which the system's allocator keeps memory by itself

ctypedef void* void_pointer

cdef multimap[size_t, void_pointer] kept
cdef size_t kept_bytes = 0, used_bytes = 0, most_used = 0


cdef class Block:
    """The owner of an array's memory: gives it back when the last array on it goes."""

    cdef void* start
    cdef size_t size
    cdef Py_ssize_t length

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.start, self.length, 0, flags)

    def __dealloc__(self):
        global kept_bytes, used_bytes
        if self.start != NULL:
            used_bytes -= self.size
            kept_bytes += self.size
            kept.insert(pair[size_t, void_pointer](self.size, self.start))


cdef Block _take(size_t length):
    global kept_bytes, used_bytes, most_used
    cdef Block block = Block.__new__(Block)
    cdef size_t size = _rounded(length)
    cdef multimap[size_t, void_pointer].iterator found = kept.lower_bound(size)
    block.length = <Py_ssize_t>length
    if found != kept.end() and dereference(found).first <= size + size // 2:
        block.start, block.size = dereference(found).second, dereference(found).first
        kept_bytes -= block.size
        kept.erase(found)
    else:
        while kept_bytes and 8 * (used_bytes + kept_bytes + size) > 9 * max(most_used, used_bytes + size):
            found = kept.begin()
            kept_bytes -= dereference(found).first
            drop(dereference(found).second, dereference(found).first)
            kept.erase(found)
        block.start, block.size = fresh(size), size
        if block.start == NULL:
            raise MemoryError(f"an array of {length:,} bytes is asked for, more than there is memory")
    used_bytes += block.size
    most_used = max(most_used, used_bytes)
    return block


cdef size_t _rounded(size_t length) noexcept:
    # Up to the next of eight steps between powers of two.
    cdef size_t step = 1
    while step * 16 <= length:
        step *= 2
    return (length + step - 1) // step * step


def empty(shape, dtype=np.float32):
    """Return an uninitialised C-contiguous array, as np.empty does."""
    dtype = np.dtype(dtype)
    length = math.prod(shape) * dtype.itemsize
    return np.empty(shape, dtype) if length < SMALL else np.ndarray(shape, dtype, _take(length))


def zeros(shape, dtype=np.float32):
    """Return an array of zeros, as np.zeros does."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


def in_use():
    """Return the bytes in use by arrays, kept for the next ones, and the most that was in use at once."""
    return used_bytes, kept_bytes, most_used
